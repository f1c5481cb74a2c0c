"""Reading payouts: by creator, batch and state, in pages, with everything that happened to one."""

import uuid

import pytest

from service.core.errors import NotFound
from service.payouts import payouts
from service.payouts.transitions import ForbiddenMove, State
from service.runtime import db
from service.runtime.db import Database
from tests.payouts.world import NOON, World

FINE = "970418001234"


@pytest.fixture
def world(module_database: Database) -> World:
    """Give a platform with a batch of three, one of which fails."""
    made = World(module_database)
    made.pay({"an": (700, FINE), "binh": (300, "970418000001"), "chau": (200, FINE)})
    made.step()
    return made


def test_payouts_are_found_by_creator_batch_and_state(world: World):
    """Each filter narrows, together they narrow further."""
    first = world.payouts()[0].batch_id
    world.declare("binh", FINE)
    second = world.submit()

    assert [300, 300] == [one.amount_minor for one in _listing(world, creator_id="binh")]
    assert 3 == len(_listing(world, batch_id=first))
    assert ["binh"] == [one.creator_id for one in _listing(world, state=State.FAILED)]
    assert [second.id] == [one.batch_id for one in _listing(world, creator_id="binh", state=State.READY)]


def test_pages_follow_each_other_without_gap_or_repetition(world: World):
    """The cursor is the last id of the page."""
    whole = _listing(world)
    page = _listing(world, limit=2)

    rest = _listing(world, after=page[-1].id)

    assert whole == page + rest
    assert 2 == len(page)


def test_a_payout_is_read_with_its_steps_and_attempts(world: World):
    """In the order in which they happened."""
    one = world.history("binh")

    assert ["ready", "approved", "sending", "failed"] == [step.state for step in one.steps]
    assert {"attempt": 1, "reference": None, "reason": "account_closed"} == one.steps[-1].detail
    assert [(1, f"{one.payout.id}-1", "rejected", NOON, {"reference": None, "reason": "account_closed"})] == [
        (it.number, it.key, it.state, it.recorded_at, it.outcome) for it in one.attempts
    ]


def test_another_platforms_payout_is_not_there(world: World):
    """Nor is one that never was."""
    stranger = World(world.database)
    theirs = world.payouts()[0].id

    for payout_id in (theirs, uuid.UUID(int=0)):
        with pytest.raises(NotFound), db.transaction(world.database) as session:
            payouts.get(session, stranger.platform.id, payout_id)


def test_a_move_that_the_table_does_not_name_stores_nothing(world: World):
    """A failed payout is not paid by anybody's mistake."""
    before = world.history("binh")

    with pytest.raises(ForbiddenMove), db.transaction(world.database) as session:
        payouts.move(session, before.payout, State.PAID, now=NOON, due_at=None, detail={})

    assert before == world.history("binh")


def _listing(world: World, **filters) -> list[payouts.Payout]:
    with db.transaction(world.database) as session:
        return payouts.listing(session, world.platform.id, **filters)
