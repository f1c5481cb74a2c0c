"""Batches: frozen, approved by another person, cancelled only where nothing left."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text, update
from sqlalchemy.exc import IntegrityError

from service.core.errors import Invalid, NotFound
from service.ledger import journal
from service.ledger.journal import Filters
from service.parties import trail
from service.parties.actors import OPERATOR, SYSTEM, Actor
from service.parties.staff import RoleMissing, SamePerson
from service.payouts import batches, payees
from service.payouts.batches import ControlTotalsDiffer, NothingDue, Tally, WrongBatchState
from service.payouts.tables import payout, payout_batch
from service.payouts.transitions import State
from service.runtime import db
from service.runtime.db import Database
from tests.payouts.fakes import Wire
from tests.payouts.world import AUDITOR, BOTH, CHECKER, MAKER, NOON, World, payable

FINE = "970418001234"


@pytest.fixture
def world(module_database: Database) -> World:
    """Give a platform of its own in the module's database."""
    return World(module_database)


@pytest.fixture
def due_world(world: World) -> World:
    """Give a platform with two creators whose balances are due."""
    world.earn({"an": 700, "binh": 300})
    world.declare("an", FINE)
    world.declare("binh", "970418005678")
    return world


def test_a_submitted_batch_reserves_all_that_is_payable_in_one_entry(due_world: World):
    """Payouts are ready, their control totals frozen, their money set aside, nothing else moved."""
    batch = due_world.submit()

    with db.transaction(due_world.database) as session:
        found = journal.listing(session, due_world.platform.id, Filters(kind="payout_reserved"))
    assert [("payout_batch", str(batch.id), 2, 1_000)] == [
        (one.cause_kind, one.cause_id, one.line_count, one.amount_minor) for one in found
    ]
    assert ("submitted", "sandbox", "VND", 2, 1_000) == (
        batch.state,
        batch.provider,
        batch.currency,
        batch.payout_count,
        batch.amount_minor,
    )
    assert {"an": (700, State.READY, "1234"), "binh": (300, State.READY, "5678")} == {
        one.creator_id: (one.amount_minor, one.state, one.destination_hint) for one in due_world.payouts()
    }
    assert {
        "creator_payable": 0,
        "reserved": 1_000,
        "in_transit": 0,
        "provider_balance": 0,
    } == due_world.books()


def test_an_approved_batch_is_released_and_every_step_names_its_person(due_world: World):
    """The payouts may be claimed at once; the trail and the steps say who."""
    batch = due_world.approve(due_world.submit())

    steps = due_world.history("an").steps
    with db.transaction(due_world.database) as session:
        acts = [one.act for one in trail.listing(session, due_world.platform.id, limit=500)]
    assert ("approved", str(MAKER), str(CHECKER), NOON) == (
        batch.state,
        batch.submitted_by,
        batch.approved_by,
        batch.approved_at,
    )
    assert [(State.READY, str(MAKER)), (State.APPROVED, str(CHECKER))] == [
        (step.state, step.detail["by"]) for step in steps
    ]
    assert {NOON} == {one.due_at for one in due_world.payouts()}
    assert ["payout_batch.submit", "payout_batch.approve"] == [act for act in acts if "batch" in act]


@pytest.mark.parametrize("actor", [MAKER, BOTH])
def test_nobody_approves_what_they_submitted(due_world: World, actor: Actor):
    """Not even one who holds both roles; the batch stays as it was."""
    with db.transaction(due_world.database) as session:
        batch = batches.submit(session, due_world.platform, actor=actor, now=NOON)

    with pytest.raises(SamePerson), db.transaction(due_world.database) as session:
        batches.approve(session, due_world.platform.id, batch.id, actor=actor, now=NOON)

    assert batch == due_world.batch(batch)


@pytest.mark.parametrize("actor", [AUDITOR, OPERATOR, SYSTEM, Actor("key", "k1"), Actor("creator", "an")])
def test_only_a_person_who_holds_finance_checker_approves(due_world: World, actor: Actor):
    """Not another role, not the machine, not a key by itself."""
    batch = due_world.submit()

    with pytest.raises(RoleMissing), db.transaction(due_world.database) as session:
        batches.approve(session, due_world.platform.id, batch.id, actor=actor, now=NOON)

    assert batch == due_world.batch(batch)


def test_one_who_holds_both_roles_approves_what_another_submitted(due_world: World):
    """The nearest allowed case."""
    batch = due_world.submit()

    with db.transaction(due_world.database) as session:
        approved = batches.approve(session, due_world.platform.id, batch.id, actor=BOTH, now=NOON)

    assert str(BOTH) == approved.approved_by


@pytest.mark.parametrize("actor", [CHECKER, AUDITOR])
def test_staff_without_finance_maker_do_not_submit(due_world: World, actor: Actor):
    """Nothing is reserved."""
    with pytest.raises(RoleMissing), db.transaction(due_world.database) as session:
        batches.submit(session, due_world.platform, actor=actor, now=NOON)

    assert [] == due_world.payouts()


def test_the_database_refuses_one_person_and_an_approval_without_a_person(due_world: World):
    """The walls stand even if the code were wrong."""
    batch = due_world.submit()
    row = update(payout_batch).where(payout_batch.c.id == batch.id)

    for values in (
        {"state": "approved", "approved_by": str(MAKER), "approved_at": NOON},
        {"state": "approved"},
        {"state": "approved", "approved_by": str(CHECKER)},
        {"state": "done", "approved_by": str(CHECKER), "approved_at": NOON},
    ):
        with pytest.raises(IntegrityError), db.transaction(due_world.database) as session:
            session.execute(row.values(values))

    assert batch == due_world.batch(batch)


def test_a_second_run_finds_nothing_due(due_world: World):
    """What is reserved is not payable again."""
    due_world.submit()

    with pytest.raises(NothingDue):
        due_world.submit()


def test_two_runs_at_once_reserve_the_money_once(due_world: World):
    """The second waits for the first and then finds nothing."""
    gate = Barrier(2)

    def submit() -> bool:
        gate.wait()
        try:
            due_world.submit()
        except NothingDue:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        results = [future.result() for future in [pool.submit(submit), pool.submit(submit)]]

    assert [False, True] == sorted(results)
    assert 2 == len(due_world.payouts())
    assert 1_000 == due_world.books()["reserved"]


def test_a_batch_takes_at_most_its_limit_and_the_next_one_the_rest(due_world: World):
    """In the order of creator ids."""
    with db.transaction(due_world.database) as session:
        first = batches.submit(session, due_world.platform, limit=1, actor=MAKER, now=NOON)

    second = due_world.submit()

    assert ({"an": State.READY}, {"binh": State.READY}) == (due_world.states(first), due_world.states(second))


def test_payees_of_several_providers_need_a_named_one(due_world: World):
    """Without a name the run is refused; with one it pays that provider's payees only."""
    other = _OtherName(due_world.bank)
    with db.transaction(due_world.database) as session:
        payees.declare(
            session,
            due_world.platform.id,
            "binh",
            provider=other,
            destination={"account_number": FINE, "holder": "B"},
            vault=due_world.vault,
            actor=SYSTEM,
            now=NOON,
        )

    with pytest.raises(Invalid) as refusal:
        due_world.submit()
    with db.transaction(due_world.database) as session:
        batch = batches.submit(session, due_world.platform, provider="other", actor=MAKER, now=NOON)

    assert ["/provider"] == [error.pointer for error in refusal.value.errors]
    assert ("other", {"binh": State.READY}) == (batch.provider, due_world.states(batch))


@pytest.mark.parametrize(
    "change",
    [
        {"amount_minor": 699},
        {"destination_sealed": b"another destination"},
        {"batch_id": None},
    ],
)
def test_a_batch_that_is_not_what_was_submitted_is_not_approved(due_world: World, change):
    """An amount, a destination or the membership changed behind our back: nothing is released."""
    batch = due_world.submit()
    if change == {"batch_id": None}:
        due_world.earn({"chau": 5})
        due_world.declare("chau", FINE)
        change = {"batch_id": due_world.submit().id}
    with db.transaction(due_world.database) as session:
        session.execute(
            update(payout)
            .where(payout.c.platform_id == due_world.platform.id, payout.c.creator_id == "an")
            .values(change)
        )

    with pytest.raises(ControlTotalsDiffer):
        due_world.approve(batch)

    assert "submitted" == due_world.batch(batch).state
    assert State.READY == due_world.states()["an"]


def test_a_payees_change_after_submission_does_not_reach_the_batch(due_world: World):
    """The destination was frozen; the batch is approved as submitted."""
    batch = due_world.submit()

    due_world.declare("an", "970418009999")
    due_world.approve(batch)

    assert "1234" == due_world.history("an").payout.destination_hint


def test_a_batch_is_approved_once(due_world: World):
    """The second approval, and one of a cancelled batch, are refused."""
    batch = due_world.approve(due_world.submit())

    with pytest.raises(WrongBatchState):
        due_world.approve(batch)


@pytest.mark.parametrize("is_approved", [False, True])
def test_a_cancelled_batch_gives_everything_back(due_world: World, is_approved: bool):
    """Submitted or approved, as long as nothing was claimed: the balances are due again."""
    batch = due_world.submit()
    if is_approved:
        due_world.approve(batch)

    cancelled = due_world.cancel(batch)

    assert "cancelled" == cancelled.state
    assert {"an": State.CANCELLED, "binh": State.CANCELLED} == due_world.states()
    assert ["withdrawn", None] == [
        due_world.history("an").payout.reason,
        due_world.history("an").payout.due_at,
    ]
    assert {
        "creator_payable": 1_000,
        "reserved": 0,
        "in_transit": 0,
        "provider_balance": 0,
    } == due_world.books()
    assert 2 == due_world.submit().payout_count


def test_a_cancelled_batch_is_neither_approved_nor_cancelled_again(due_world: World):
    """Both are refused and change nothing."""
    batch = due_world.cancel(due_world.submit())

    with pytest.raises(WrongBatchState):
        due_world.approve(batch)
    with pytest.raises(WrongBatchState):
        due_world.cancel(batch)

    assert "cancelled" == due_world.batch(batch).state


def test_cancelling_spares_what_has_been_claimed(due_world: World):
    """One is sent, the other withdrawn; the batch goes on with what is left."""
    due_world.fund(1_000)
    batch = due_world.approve(due_world.submit())
    due_world.step(limit=1)

    kept = due_world.cancel(batch)

    assert "approved" == kept.state
    assert [State.CANCELLED, State.SENT] == sorted(due_world.states().values())
    assert 0 == due_world.books()["reserved"]


def test_a_cancellation_during_a_call_spares_the_payout(due_world: World):
    """The provider is being asked: it may be paid, so it is not withdrawn."""
    due_world.fund(1_000)
    batch = due_world.approve(due_world.submit())
    wire = Wire(due_world.bank, during_send=lambda request, key: _cancel_quietly(due_world, batch))

    due_world.step(wire, limit=1)

    assert 1 == len(wire.calls)
    assert [State.CANCELLED, State.SENT] == sorted(due_world.states().values())


def test_nothing_can_be_cancelled_once_all_is_sent(due_world: World):
    """The refusal says so."""
    due_world.fund(1_000)
    batch = due_world.approve(due_world.submit())
    due_world.step()

    with pytest.raises(WrongBatchState):
        due_world.cancel(batch)


@pytest.mark.parametrize(
    ("actor", "is_allowed"), [(MAKER, True), (CHECKER, True), (SYSTEM, True), (AUDITOR, False)]
)
def test_makers_and_checkers_may_stop_money_from_leaving(due_world: World, actor: Actor, is_allowed: bool):
    """Others on the staff may not."""
    batch = due_world.submit()

    try:
        with db.transaction(due_world.database) as session:
            batches.cancel(session, due_world.platform.id, batch.id, actor=actor, now=NOON)
    except RoleMissing:
        assert not is_allowed
        assert "submitted" == due_world.batch(batch).state
    else:
        assert is_allowed


def test_another_platforms_batch_is_not_there(due_world: World):
    """Neither to read nor to approve nor to cancel."""
    batch = due_world.submit()
    stranger = World(due_world.database)

    for act in (stranger.batch, stranger.approve, stranger.cancel):
        with pytest.raises(NotFound):
            act(batch)


def test_a_creator_has_one_payout_in_flight(due_world: World):
    """The database refuses a second one, whoever writes it."""
    batch = due_world.submit()

    again = """
        INSERT INTO payout (platform_id, id, batch_id, creator_id, provider, currency, amount_minor,
                            destination_sealed, destination_hint, state, created_at)
        SELECT platform_id, gen_random_uuid(), batch_id, creator_id, provider, currency, amount_minor,
               destination_sealed, destination_hint, :state, created_at
          FROM payout WHERE batch_id = :batch_id
    """
    for state, is_refused in (("approved", True), ("failed", False)):
        try:
            with db.transaction(due_world.database) as session:
                session.execute(text(again), {"batch_id": batch.id, "state": state})
        except IntegrityError:
            assert is_refused
        else:
            assert not is_refused


def test_tallies_count_the_payouts_of_a_batch_by_state(due_world: World):
    """In the order of the states, with their sums."""
    due_world.fund(1_000)
    batch = due_world.approve(due_world.submit())
    due_world.step(limit=1)

    with db.transaction(due_world.database) as session:
        found = batches.tallies(session, due_world.platform.id, batch.id)

    amounts = {one.state: one.amount_minor for one in due_world.payouts()}
    assert [
        Tally(State.APPROVED, 1, amounts[State.APPROVED]),
        Tally(State.SENT, 1, amounts[State.SENT]),
    ] == found


def test_batches_are_listed_newest_first_in_pages(due_world: World):
    """The cursor is the last id of the page; a state narrows."""
    first = due_world.cancel(due_world.submit())
    due_world.clock.move(seconds=1)
    second = due_world.submit()

    with db.transaction(due_world.database) as session:
        platform_id = due_world.platform.id
        page = batches.listing(session, platform_id, limit=1)
        rest = batches.listing(session, platform_id, after=page[-1].id)
        cancelled = batches.listing(session, platform_id, state="cancelled")

    assert ([second], [first], [first]) == (page, rest, cancelled)


ROWS = st.lists(
    st.tuples(st.uuids(), st.text(min_size=1, max_size=5), st.integers(1, 10**15), st.binary(max_size=8)),
    min_size=1,
    max_size=6,
)


@given(ROWS, st.data())
def test_other_payouts_have_other_totals(rows, data):
    """Law: any change of a row, its place or their number shows in the totals."""
    place = data.draw(st.integers(0, len(rows) - 1))
    payout_id, creator_id, amount_minor, sealed = rows[place]
    changed = data.draw(
        st.sampled_from(
            [
                (uuid.UUID(int=payout_id.int ^ 1), creator_id, amount_minor, sealed),
                (payout_id, creator_id + "x", amount_minor, sealed),
                (payout_id, creator_id, amount_minor + 1, sealed),
                (payout_id, creator_id, amount_minor, sealed + b"x"),
                None,
            ]
        )
    )
    others = [*rows[:place], *([changed] if changed else []), *rows[place + 1 :]]

    assert batches.totals_of(others) != batches.totals_of(rows)


@given(ROWS)
def test_totals_are_the_count_and_the_sum(rows):
    """The numbers that people compare."""
    totals = batches.totals_of(rows)

    assert (len(rows), sum(row[2] for row in rows)) == (totals.payout_count, totals.amount_minor)


class _OtherName:
    """The same bank by another name."""

    def __init__(self, bank: object) -> None:
        self._bank = bank
        self.name = "other"

    def __getattr__(self, name: str) -> object:
        return getattr(self._bank, name)


def _cancel_quietly(world: World, batch: batches.Batch) -> None:
    world.cancel(replace(batch))


def test_a_returned_creator_is_owed_the_money_again(due_world: World):
    """After a failed payout the balance is payable, to the present destination."""
    due_world.declare("an", "970418000001")
    due_world.fund(1_000)
    due_world.approve(due_world.submit())
    due_world.step()

    with db.transaction(due_world.database) as session:
        owed = payable(session, due_world.platform, "an")

    assert (State.FAILED, 700) == (due_world.states()["an"], owed)
