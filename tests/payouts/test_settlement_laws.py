"""The settlement under every trouble at once: each creator is paid once or not at all, and the books say so.

The first test draws worlds at random; the second kills the process before every statement and every commit of
small runs, one after the other.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.payouts import settlement
from service.payouts.batches import NothingDue, WrongBatchState
from service.payouts.providers.base import TransferState
from service.payouts.settlement import Pace
from service.payouts.transitions import SETTLED, State
from service.runtime import db
from service.runtime.db import Database
from tests.payouts.fakes import Cut, Killed, Wire
from tests.payouts.world import World, payable

ENDINGS = ["1234", "0001", "0002", "0003", "0004", "0005", "0006"]
"""How account numbers end: fine, and every way of the pretend bank to go wrong."""

CREATORS = st.lists(st.tuples(st.integers(1, 1_000), st.sampled_from(ENDINGS)), min_size=1, max_size=4)
CUTS = st.lists(st.sampled_from(list(Cut)), max_size=8)
LOOK_UP_CUTS = st.lists(st.sampled_from([one for one in Cut if one is not Cut.REJECTED]), max_size=8)
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("step"), st.sampled_from(["first", "second"])),
        st.tuples(st.just("both"), st.none()),
        st.tuples(st.just("wait"), st.sampled_from([1, 30, 300, 3_600, 86_400])),
        st.tuples(st.just("overtake"), st.sampled_from(["first", "second"])),
        st.tuples(st.just("cancel"), st.none()),
        st.tuples(st.just("submit"), st.none()),
    ),
    max_size=12,
)


@settings(
    max_examples=settings.default.max_examples // 3,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    people=CREATORS, funds_share=st.sampled_from([0, 1, 2, 4]), sends=CUTS, look_ups=LOOK_UP_CUTS, acts=ACTS
)
def test_each_creator_is_paid_once_or_not_at_all_whatever_happens(
    module_database: Database, people, funds_share, sends, look_ups, acts
):
    """Law: in the end no payout moved money twice, none hangs, and ledger, bank and creators agree."""
    world = World(module_database, pace=Pace(watch_s=3 * 86_400))
    numbers = {f"c{place}": f"9704{place:04}{ending}" for place, (_, ending) in enumerate(people)}
    amounts_minor = {f"c{place}": amount for place, (amount, _) in enumerate(people)}
    world.earn(amounts_minor)
    for creator_id, number in numbers.items():
        world.declare(creator_id, number)
    funded_minor = sum(amounts_minor.values()) * funds_share // 4
    if funded_minor:
        world.fund(funded_minor)
    batch = world.approve(world.submit())
    wire = Wire(world.bank, sends=list(sends), look_ups=list(look_ups))

    for name, value in acts:
        _act(world, wire, batch, name, value)
    _let_all_settle(world)

    _check_once_or_not_at_all(world, amounts_minor, funded_minor)


SAMPLE = 20
"""Points of each run at which it is killed; with SOAK set, all of them are tried."""


@pytest.mark.parametrize(
    ("ending", "state"), [("0004", State.PAID), ("0001", State.FAILED), ("0002", State.RETURNED)]
)
def test_a_run_that_is_killed_anywhere_is_finished_by_the_next_one(
    module_database: Database, ending: str, state: State
):
    """Law: before every statement and every commit, of ours and of the bank, the death costs nothing."""
    total = _killed_run(World(module_database), ending, None)
    points = range(total) if os.environ.get("SOAK") else sorted(Random(total).sample(range(total), SAMPLE))
    for point in points:
        world = World(module_database, pace=Pace(watch_s=1))

        reached = _killed_run(world, ending, point)
        _let_all_settle(world)

        assert (point + 1, {"an": state}) == (reached, world.states())
        _check_once_or_not_at_all(world, {"an": 700}, 700)


def _killed_run(world: World, ending: str, point: int | None) -> int:
    """Pay one creator, and die at one point of the settlement; return how many points were reached."""
    world.pay({"an": (700, f"97040001{ending}")})
    reached = 0

    def listen(moment: str, statement: str) -> None:
        nonlocal reached
        if moment != "after":
            reached += 1
            if reached - 1 == point:
                raise Killed

    stop = db.on_statement(world.database, listen)
    try:
        for _ in range(3):
            world.step()
            world.clock.move(hours=1)
    except Killed:
        assert point is not None, "only the run that is to be killed is"
    finally:
        stop()
    return reached


def _act(world: World, wire: Wire, batch: Any, name: str, value: Any) -> None:
    match name:
        case "step":
            _step(world, wire, value)
        case "both":
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(lambda owner: _step(world, wire, owner), ["first", "second"]))
        case "wait":
            world.clock.move(seconds=value)
        case "overtake":
            overtaken = Wire(
                wire.bank,
                sends=wire.sends,
                look_ups=wire.look_ups,
                calls=wire.calls,
                during_send=_overtake(world),
            )
            _step(world, overtaken, value)
        case "cancel":
            try:
                world.cancel(batch)
            except WrongBatchState:
                return
        case "submit":
            _pay_again(world)


def _step(world: World, wire: Wire, owner: str) -> None:
    try:
        world.step(wire, owner=owner)
    except Killed:
        return


def _overtake(world: World):
    """While one worker waits for its answer, its lease passes and another takes over."""

    def during(request: object, key: str) -> None:
        world.clock.move(seconds=world.pace.lease_s)
        _step(world, Wire(world.bank), "third")

    return during


def _pay_again(world: World) -> None:
    """Put what failed or came back into another batch."""
    try:
        world.approve(world.submit())
    except NothingDue:
        return


def _let_all_settle(world: World) -> None:
    """Let time pass in fair weather until nothing is due any more."""
    for _ in range(100):
        with db.transaction(world.database) as session:
            due_at = settlement.due_at(session, world.platform.id)
        if due_at is None:
            return
        world.clock.now = max(world.clock.now, due_at)
        world.step(owner="fair weather")
    raise AssertionError("the settlement does not come to an end")


def _check_once_or_not_at_all(world: World, amounts_minor: dict[str, int], funded_minor: int) -> None:
    found = world.payouts()
    for one in found:
        views = [view.state for view in world.bank.look_up(str(one.id))]
        assert len(views) <= 1, "one payout, one transfer"
        assert (TransferState.PAID in views) == (one.state is State.PAID), f"{one} is {views} at the bank"
    with db.transaction(world.database) as session:
        owed = {creator_id: payable(session, world.platform, creator_id) for creator_id in amounts_minor}
    got = {creator_id: world.received(creator_id) for creator_id in amounts_minor}
    assert amounts_minor == {creator_id: got[creator_id] + owed[creator_id] for creator_id in amounts_minor}
    assert {one.state for one in found} <= SETTLED
    assert {batch.state for batch in world.batches()} <= {"done", "cancelled"}
    paid_minor = sum(got.values())
    assert {
        "creator_payable": sum(amounts_minor.values()) - paid_minor,
        "reserved": 0,
        "in_transit": 0,
        "provider_balance": funded_minor - paid_minor,
    } == world.books()
    assert funded_minor - paid_minor == world.funds()
    assert 0 == world.trial_total()
