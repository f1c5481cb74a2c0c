"""The settlement, step by step: claim, call, record, look up; each case beside its nearest neighbour."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Event

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import func, select, text, update

from service.payouts import settlement
from service.payouts.providers.base import TransferRequest, TransferState, TransferView
from service.payouts.settlement import PACE, Pace, Progress
from service.payouts.tables import payout, payout_attempt, payout_batch, payout_step
from service.payouts.transitions import State
from service.runtime import db
from service.runtime.db import Database
from service.runtime.vault import Vault
from tests.payouts.fakes import Cut, Killed, Showing, Wire
from tests.payouts.world import CHECKER, DELAY_S, NOON, World

FINE = "970418001234"
CLOSED = "970418000001"
RETURNED_EARLY = "970418000002"
RETURNED_LATE = "970418000003"
ANSWER_LOST = "970418000004"
CALL_LOST = "970418000005"
FAILED_LATE = "970418000006"

NOTHING = {"creator_payable": 0, "reserved": 0, "in_transit": 0, "provider_balance": 0}


@pytest.fixture
def world(module_database: Database) -> World:
    """Give a platform of its own in the module's database."""
    return World(module_database)


def test_the_claim_is_committed_before_the_call(world: World):
    """While the provider is asked, anybody can read who holds what, and the money is in transit."""
    world.pay({"an": (700, FINE)})
    seen = []

    def look(request: TransferRequest, key: str) -> None:
        history = world.history("an")
        seen.append((history.payout.state, history.attempts[0].state, history.attempts[0].key, key))
        seen.append((world.books()["in_transit"], _open_transactions(world)))

    world.step(Wire(world.bank, during_send=look))

    key = f"{world.history('an').payout.id}-1"
    assert [(State.SENDING, "claimed", key, key), (700, 0)] == seen


def test_the_request_is_what_was_approved(world: World):
    """Amount, currency, destination and narrative come from the frozen payout, not from the present payee."""
    world.pay({"an": (700, FINE)})
    world.declare("an", "970418009999")
    seen = []

    world.step(Wire(world.bank, during_send=lambda request, key: seen.append(request)))

    one = world.history("an").payout
    assert [
        TransferRequest(
            platform_id=world.platform.id,
            payout_id=one.id,
            currency="VND",
            amount_minor=700,
            destination={"account_number": FINE, "holder": "an"},
            narrative=f"PAYOUT {one.id.hex[-12:].upper()}",
        )
    ] == seen


def test_an_accepted_payout_is_sent_then_paid_and_the_books_follow(world: World):
    """The whole good way: every step, every booking, the batch done, the creator's bank account filled."""
    batch = world.pay({"an": (700, FINE)})
    progress = world.step()
    sent = (world.states(), world.books(), world.batch(batch).state)
    world.clock.move(seconds=DELAY_S)
    later = world.step()

    one = world.history("an")
    assert (Progress(sent=1), Progress(paid=1, looked_up=1, batches_done=1)) == (progress, later)
    assert ({"an": State.SENT}, NOTHING | {"in_transit": 700, "provider_balance": 700}, "approved") == sent
    assert ["ready", "approved", "sending", "sent", "paid"] == [step.state for step in one.steps]
    assert (NOTHING, 700, 0) == (world.books(), world.received("an"), world.funds())
    assert ("done", world.clock.now) == (world.batch(batch).state, world.batch(batch).done_at)
    assert (NOON, world.clock.now) == (one.payout.sent_at, one.payout.settled_at)


def test_before_it_arrives_a_look_up_changes_nothing(world: World):
    """One second early it is still under way, and is looked up again later."""
    world.pay({"an": (700, FINE)})
    world.step()
    world.clock.move(seconds=DELAY_S - 1)

    progress = world.step()

    assert Progress(looked_up=1) == progress
    assert {"an": State.SENT} == world.states()
    assert world.clock.now + timedelta(seconds=DELAY_S - 1) == world.history("an").payout.due_at


def test_a_proven_rejection_fails_the_payout_and_the_money_is_payable_again(world: World):
    """The reason is kept, nothing is retried, the batch is done, and a new batch can pay it elsewhere."""
    batch = world.pay({"an": (700, CLOSED)})
    progress = world.step()
    failed = world.history("an")
    world.clock.move(minutes=1)
    world.declare("an", FINE)
    world.approve(world.submit())
    world.step()
    world.clock.move(seconds=DELAY_S)
    world.step()

    assert Progress(failed=1, batches_done=1) == progress
    assert ("failed", "account_closed", None) == (
        failed.payout.state,
        failed.payout.reason,
        failed.payout.due_at,
    )
    assert "rejected" == failed.attempts[0].state
    assert "done" == world.batch(batch).state
    assert ([State.FAILED, State.PAID], 700) == ([one.state for one in world.payouts()], world.received("an"))
    assert NOTHING == world.books()


def test_without_funds_the_payout_fails_and_nothing_is_lost(world: World):
    """The provider proves that it did not pay; the next batch pays when there is money."""
    world.earn({"an": 700})
    world.declare("an", FINE)
    world.approve(world.submit())

    world.step()

    assert "insufficient_funds" == world.history("an").payout.reason
    assert NOTHING | {"creator_payable": 700} == world.books()


@pytest.mark.parametrize(
    ("cut", "reason", "is_carried_out"),
    [
        (Cut.CALL_LOST, "ConnectionResetError", False),
        (Cut.ANSWER_LOST, "TimeoutError", True),
        (Cut.UNCLEAR, "unclear", True),
    ],
)
def test_an_unclear_answer_is_unknown_and_never_failed(
    world: World, cut: Cut, reason: str, is_carried_out: bool
):
    """The money stays in transit, and is nobody's to pay again, whether or not the bank carried it out."""
    world.pay({"an": (700, FINE)})

    progress = world.step(Wire(world.bank, sends=[cut]))

    one = world.history("an")
    assert (Progress(unknown=1), State.UNKNOWN, reason) == (progress, one.payout.state, one.payout.reason)
    assert NOTHING | {"in_transit": 700, "provider_balance": 700} == world.books()
    assert (0 if is_carried_out else 700) == world.funds()


@pytest.mark.parametrize("cut", [Cut.CALL_LOST, Cut.ANSWER_LOST, Cut.UNCLEAR])
def test_an_unknown_payout_is_repeated_with_the_same_key_and_request(world: World, cut: Cut):
    """Not before its time; then the same call, and one transfer in all."""
    world.pay({"an": (700, FINE)})
    wire = Wire(world.bank, sends=[cut])
    world.step(wire)
    world.clock.move(seconds=PACE.retry_first_s - 1)
    too_early = world.step(wire)
    world.clock.move(seconds=1)

    progress = world.step(wire)

    one = world.history("an")
    assert (Progress(), Progress(sent=1)) == (too_early, progress)
    assert 2 == len(wire.calls)
    assert 1 == len(set(wire.calls))
    assert [(1, 2, "accepted")] == [(it.number, it.claim_count, it.state) for it in one.attempts]
    assert 1 == len(world.bank.look_up(str(one.payout.id)))


def test_the_waits_between_repeats_grow(world: World):
    """As long again as it has taken so far, up to an hour."""
    world.pay({"an": (700, FINE)})
    waits = []
    for _ in range(12):
        world.step(Wire(world.bank, sends=[Cut.CALL_LOST]))
        due_at = world.history("an").payout.due_at
        assert due_at is not None
        waits.append(int((due_at - world.clock.now).total_seconds()))
        world.clock.now = due_at

    assert [30, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600] == waits


def test_the_banks_own_lost_answers_end_well(world: World):
    """Accounts ...0004 and ...0005: paid once each, without anybody's help."""
    world.pay({"an": (700, ANSWER_LOST), "binh": (300, CALL_LOST)})

    for _ in range(4):
        world.step()
        world.clock.move(hours=1)
    world.step()

    assert {"an": State.PAID, "binh": State.PAID} == world.states()
    assert (700, 300) == (world.received("an"), world.received("binh"))
    assert NOTHING == world.books()


@pytest.mark.parametrize(("cut", "is_carried_out"), [(Cut.DEATH_BEFORE, False), (Cut.DEATH_AFTER, True)])
def test_after_a_death_another_worker_repeats_the_attempt(world: World, cut: Cut, is_carried_out: bool):
    """Not while the lease holds; then with the same key, so that the money moves once."""
    world.pay({"an": (700, FINE)})
    wire = Wire(world.bank, sends=[cut])
    with pytest.raises(Killed):
        world.step(wire, owner="first")
    left = (world.states(), world.funds())
    world.clock.move(seconds=PACE.lease_s - 1)
    leased = world.step(wire, owner="second")
    world.clock.move(seconds=1)

    progress = world.step(wire, owner="second")

    one = world.history("an")
    assert ({"an": State.SENDING}, 0 if is_carried_out else 700) == left
    assert (Progress(), Progress(sent=1)) == (leased, progress)
    assert 1 == len(set(wire.calls))
    assert [("second", 2)] == [(it.owner, it.claim_count) for it in one.attempts]
    assert [("first", 1), ("second", 2)] == [
        (step.detail["owner"], step.detail["claim"]) for step in one.steps if step.state is State.SENDING
    ]
    assert 1 == len(world.bank.look_up(str(one.payout.id)))


@pytest.mark.parametrize("second", ["second", "first"])
@pytest.mark.parametrize("late", [Cut.NONE, Cut.REJECTED, Cut.UNCLEAR])
def test_a_late_answer_does_not_count(world: World, late: Cut, second: str):
    """The lease passed and the attempt was repeated: what the earlier holder hears then changes nothing.

    Not even under the same name: each claim has its number.
    """
    world.pay({"an": (700, FINE)})

    def overtake(request: TransferRequest, key: str) -> None:
        world.clock.move(seconds=PACE.lease_s)
        world.step(owner=second)

    progress = world.step(Wire(world.bank, sends=[late], during_send=overtake), owner="first")

    one = world.history("an")
    assert Progress(refused=1) == replace(progress, looked_up=0)
    assert (State.SENT, "accepted", 2) == (
        one.payout.state,
        one.attempts[0].state,
        one.attempts[0].claim_count,
    )
    assert NOTHING | {"in_transit": 700, "provider_balance": 700} == world.books()


def test_the_answer_to_a_claim_that_passed_on_does_not_count_under_any_name(world: World):
    """Another of the same name holds the attempt and is still asking: a rejection now would pay twice."""
    world.pay({"an": (700, FINE)})

    def overtake(request: TransferRequest, key: str) -> None:
        world.clock.move(seconds=PACE.lease_s)
        with pytest.raises(Killed):
            world.step(Wire(world.bank, sends=[Cut.DEATH_AFTER]), owner="worker")

    progress = world.step(Wire(world.bank, sends=[Cut.REJECTED], during_send=overtake), owner="worker")

    one = world.history("an")
    assert Progress(refused=1) == progress
    assert (State.SENDING, "claimed", 2) == (
        one.payout.state,
        one.attempts[0].state,
        one.attempts[0].claim_count,
    )


def test_an_answer_after_the_lease_counts_if_nobody_took_over(world: World):
    """The nearest case: late, but still the latest claim."""
    world.pay({"an": (700, FINE)})

    progress = world.step(Wire(world.bank, during_send=lambda request, key: _let_pass(world)))

    assert 1 == progress.sent


def test_two_workers_at_once_send_each_payout_once(world: World):
    """Twenty payouts, two threads: twenty keys, each presented once, each creator paid once."""
    creators = {f"c{number:02}": (100 + number, f"9704180012{number + 10}") for number in range(20)}
    world.pay(creators)
    wire = Wire(world.bank)

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda name: world.step(wire, owner=name), ["first", "second"]))

    assert Progress(sent=20) == replace(done[0] + done[1], looked_up=0)
    assert {1} == set(Counter(key for key, _ in wire.calls).values())
    assert 20 == len(wire.calls)
    assert 0 == world.funds()


def test_while_one_worker_waits_for_an_answer_another_goes_on(world: World):
    """A slow call holds one payout, not the batch, and no lock."""
    world.pay({"an": (700, FINE), "binh": (300, "970418005678")})
    is_calling, may_answer = Event(), Event()

    def hang(request: TransferRequest, key: str) -> None:
        is_calling.set()
        assert may_answer.wait(30)

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(world.step, Wire(world.bank, during_send=hang), owner="slow", limit=1)
        assert is_calling.wait(30)
        quick = world.step(owner="quick")
        may_answer.set()
        late = slow.result(30)

    assert (Progress(sent=1), Progress(sent=1)) == (quick, late)


@pytest.mark.parametrize(
    ("number", "states", "reason"),
    [
        (RETURNED_EARLY, ["sent", "returned"], "account_unknown"),
        (FAILED_LATE, ["sent", "failed"], "refused_by_receiving_bank"),
        (RETURNED_LATE, ["sent", "paid", "returned"], "account_closed"),
    ],
)
def test_money_that_comes_back_is_payable_again(world: World, number: str, states: list[str], reason: str):
    """Before or after it was paid: the state says so, the bank has it again, and the creator is owed it."""
    batch = world.pay({"an": (700, number)})
    world.step()
    world.clock.move(seconds=DELAY_S)
    world.step()
    world.clock.move(days=2)
    world.step()

    one = world.history("an")
    assert states == [step.state for step in one.steps][-len(states) :]
    assert (reason, None) == (one.payout.reason, one.payout.due_at)
    assert NOTHING | {"creator_payable": 700, "provider_balance": 700} == world.books()
    assert ("done", 700, 0) == (world.batch(batch).state, world.funds(), world.trial_total())


def test_a_return_that_nobody_saw_being_paid_is_booked_right(world: World):
    """No look-up happened between arrival and return: from sent straight to returned."""
    world.pay({"an": (700, RETURNED_LATE)})
    world.step()
    world.clock.move(days=3)

    world.step()

    assert ["sent", "returned"] == [step.state for step in world.history("an").steps][-2:]
    assert NOTHING | {"creator_payable": 700, "provider_balance": 700} == world.books()


def test_a_paid_payout_is_watched_for_ten_days(world: World):
    """A look-up a day; then nothing is due any more."""
    world.pay({"an": (700, FINE)})
    world.step()
    world.clock.move(seconds=DELAY_S)
    world.step()
    looks = 0
    for _ in range(14):
        world.clock.move(days=1)
        looks += world.step().looked_up

    assert 10 == looks
    assert None is world.history("an").payout.due_at
    with db.transaction(world.database) as session:
        assert None is settlement.due_at(session, world.platform.id)


@pytest.mark.parametrize("known", [State.PAID, State.RETURNED])
@pytest.mark.parametrize("late", list(TransferState))
def test_a_late_look_up_changes_nothing_that_came_after_it(world: World, known: State, late: TransferState):
    """What was seen before is recorded after: paid stays paid unless the money came back; returned stays."""
    world.pay({"an": (700, RETURNED_LATE)})
    world.step()
    world.clock.move(seconds=DELAY_S)
    overtaken = _showing(world, late)

    def overtake() -> None:
        world.clock.move(seconds=PACE.lease_s)
        world.step()
        if known is State.RETURNED:
            world.clock.move(days=2)
            world.step()

    world.step(_Slow(overtaken, overtake))

    is_news = known is State.PAID and late in {TransferState.FAILED, TransferState.RETURNED}
    one = world.history("an").payout
    assert (State.RETURNED if is_news else known) == one.state
    assert (one.state is State.RETURNED) == (one.due_at is None), "what came back is looked up no more"
    assert 0 == world.trial_total()


@pytest.mark.parametrize(
    "change",
    [
        {"amount_minor": 701},
        {"currency": "USD"},
        {"reference": "another"},
        {"group": "another"},
    ],
)
def test_a_look_up_that_does_not_fit_changes_nothing_and_is_asked_again(world: World, change):
    """The provider shows something else than we sent: people have to look."""
    world.pay({"an": (700, FINE)})
    world.step()
    world.clock.move(seconds=DELAY_S)
    showing = _showing(world, TransferState.PAID)

    progress = world.step(replace(showing, views=[replace(showing.views[0], **change)]))

    one = world.history("an").payout
    assert (Progress(looked_up=1, unanswered=1), State.SENT) == (progress, one.state)
    assert one.due_at is not None
    assert world.clock.now < one.due_at


@pytest.mark.parametrize("count", [0, 2])
def test_no_transfer_or_several_are_no_answer(world: World, count: int):
    """Missing is not failed, and two may be a double payment: neither is booked."""
    world.pay({"an": (700, FINE)})
    world.step()
    world.clock.move(seconds=DELAY_S)
    showing = _showing(world, TransferState.PAID)

    progress = world.step(replace(showing, views=[*showing.views] * count))

    assert (Progress(looked_up=1, unanswered=1), {"an": State.SENT}) == (progress, world.states())


@pytest.mark.parametrize("cut", [Cut.CALL_LOST, Cut.ANSWER_LOST])
def test_a_look_up_without_an_answer_is_repeated_after_the_lease(world: World, cut: Cut):
    """The provider being away changes nothing."""
    world.pay({"an": (700, FINE)})
    world.step()
    world.clock.move(seconds=DELAY_S)
    progress = world.step(Wire(world.bank, look_ups=[cut]))
    world.clock.move(seconds=PACE.lease_s)

    later = world.step()

    assert (Progress(looked_up=1, unanswered=1), 1) == (progress, later.paid)


def test_a_request_that_changed_after_it_was_frozen_is_not_sent(world: World):
    """Somebody wrote to the row between two tries: nothing leaves until people have looked."""
    world.pay({"an": (700, FINE)})
    world.step(Wire(world.bank, sends=[Cut.CALL_LOST]))
    with db.transaction(world.database) as session:
        session.execute(
            update(payout).where(payout.c.platform_id == world.platform.id).values(amount_minor=7_000)
        )
    world.clock.move(hours=1)
    wire = Wire(world.bank)

    progress = world.step(wire)

    assert (Progress(unknown=1), []) == (progress, wire.calls)
    assert "request_changed" == world.history("an").payout.reason


def test_a_destination_that_no_key_opens_waits_and_is_sent_when_one_does(world: World):
    """A lost key is not a failed payout."""
    world.pay({"an": (700, FINE)})
    vault, world.vault = world.vault, Vault([Fernet.generate_key().decode()])
    closed = world.step()
    reason = world.history("an").payout.reason
    world.vault = Vault([*world.vault.keys, *vault.keys])
    world.clock.move(hours=1)

    opened = world.step()

    assert (Progress(unknown=1), "SealBroken", Progress(sent=1)) == (closed, reason, opened)


def test_payouts_of_another_provider_or_platform_are_left_alone(world: World):
    """A step is for one provider, and for one platform where it names one."""
    world.pay({"an": (700, FINE)})
    stranger = World(world.database, clock=world.clock)
    stranger.pay({"an": (900, FINE)})
    with db.transaction(world.database) as session:
        session.execute(
            update(payout).where(payout.c.platform_id == world.platform.id).values(provider="other")
        )

    done = (world.step(), stranger.step())

    assert (Progress(), Progress(sent=1)) == done
    assert ({"an": State.APPROVED}, {"an": State.SENT}) == (world.states(), stranger.states())


def test_a_submitted_batch_is_not_sent(world: World):
    """Before the second person, nothing is due."""
    world.earn({"an": 700})
    world.declare("an", FINE)
    world.submit()

    assert Progress() == world.step()


def test_a_step_ends_at_its_limit(world: World):
    """Two of three are sent; the third is due at once."""
    world.pay(dict.fromkeys(("an", "binh", "chau"), (100, FINE)))

    done = (world.step(limit=2), world.step(limit=2))

    assert (Progress(sent=2), Progress(sent=1)) == done


def test_drain_takes_steps_until_nothing_is_due(world: World):
    """One call sends all; what has to wait is left for later."""
    world.pay(dict.fromkeys(("an", "binh", "chau"), (100, FINE)))

    def drain() -> Progress:
        return settlement.drain(
            world.database,
            world.bank,
            world.vault,
            owner="worker",
            clock=world.clock,
            platform_id=world.platform.id,
            limit=2,
        )

    first = drain()
    world.clock.move(seconds=DELAY_S)
    second = drain()

    assert (Progress(sent=3), Progress(paid=3, looked_up=3, batches_done=1)) == (first, second)


def test_what_is_due_next_is_known_without_asking_the_provider(world: World):
    """Nothing; then the approval; then the first look-up."""
    with db.transaction(world.database) as session:
        nothing = settlement.due_at(session, world.platform.id)
    world.pay({"an": (700, FINE)})
    with db.transaction(world.database) as session:
        approved = settlement.due_at(session, world.platform.id)
    world.step()
    with db.transaction(world.database) as session:
        sent = settlement.due_at(session, world.platform.id)

    assert (None, NOON, NOON + timedelta(seconds=PACE.look_up_first_s)) == (nothing, approved, sent)


def test_a_batch_whose_last_worker_died_before_marking_it_is_found(world: World):
    """All is settled and the batch is not done: that alone is due, and one step does it."""
    batch = world.pay({"an": (700, CLOSED)})
    world.step()
    with db.transaction(world.database) as session:
        of_this = update(payout_batch).where(payout_batch.c.id == batch.id)
        session.execute(of_this.values(state="approved", done_at=None))
        waiting = settlement.due_at(session, world.platform.id)

    progress = world.step()

    assert (NOON, Progress(batches_done=1)) == (waiting, progress)
    assert "done" == world.batch(batch).state


def test_a_step_never_waits_zero_seconds():
    """With a wait of zero a drain would never end, so such a pace cannot be made."""
    with pytest.raises(AssertionError):
        Pace(retry_first_s=0)


def test_steps_are_written_once_and_the_rows_of_an_attempt_stay_together(world: World):
    """One attempt and four steps after a send; no orphan of either."""
    world.pay({"an": (700, FINE)})
    world.step()

    with db.transaction(world.database) as session:
        of_platform = [table.c.platform_id == world.platform.id for table in (payout_attempt, payout_step)]
        attempts = session.scalar(select(func.count()).select_from(payout_attempt).where(of_platform[0]))
        steps = session.scalar(select(func.count()).select_from(payout_step).where(of_platform[1]))

    assert (1, 4) == (attempts, steps)
    assert str(CHECKER) == world.history("an").steps[1].detail["by"]


class _Slow(Showing):
    """A provider whose look-up answers late: first the world moves on."""

    def __init__(self, showing: Showing, overtake) -> None:
        super().__init__(showing.bank, showing.views)
        self._overtake = overtake

    def look_up(self, group: str):
        """Show, after the world has moved on."""
        self._overtake()
        return self.views


def _showing(world: World, state: TransferState) -> Showing:
    """Show the one transfer of creator an in a state of the test's choice."""
    one = world.history("an").payout
    assert one.provider_reference is not None
    view = TransferView(
        reference=one.provider_reference,
        group=str(one.id),
        currency=one.currency,
        amount_minor=one.amount_minor,
        state=state,
        reason=None,
        changed_at=world.clock.now,
    )
    return Showing(world.bank, [view])


def _let_pass(world: World) -> None:
    world.clock.move(seconds=PACE.lease_s + 1)


def _open_transactions(world: World) -> int:
    """Count the transactions that are open in this database, the counting one apart."""
    query = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND state LIKE 'idle in transaction%' AND pid <> pg_backend_pid()"
    )
    with db.transaction(world.database) as session:
        return session.execute(query).scalar_one()
