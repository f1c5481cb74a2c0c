"""Statements out of the books: they tie with the split, with the ledger, and with each other."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from service.calendar import periods
from service.core.errors import NotFound
from service.ledger import journal
from service.ledger.accounts import Role
from service.ledger.journal import Filters
from service.parties import creators
from service.parties.actors import OPERATOR
from service.splits import shares
from service.statements import gather, numbering
from service.statements.gather import PeriodNotPosted
from service.statements.statement import EARNINGS, Balance, Kind, Line, Statement
from tests.statements.world import VAULT, World

E4 = 10_000
SEPTEMBER = datetime(2026, 9, 6, tzinfo=UTC)
OCTOBER = datetime(2026, 10, 6, tzinfo=UTC)
NOVEMBER = datetime(2026, 11, 6, tzinfo=UTC)
DECEMBER = datetime(2026, 12, 6, tzinfo=UTC)


def of(world: World, creator_id: str, period_id: str) -> Statement:
    return gather.creator_statement(world.session, world.platform, creator_id, period_id, VAULT)


def kinds(one: Statement) -> list[tuple[Kind, int]]:
    return [(line.kind, line.amount_minor) for line in one.lines]


def test_a_statement_walks_from_opening_to_closing(session: Session) -> None:
    """August's earnings are the opening of September, which has a share, a late share and a payout."""
    world = World(session)
    world.close("2026-08", 1_000, {("hoa", "2026-08"): 3 * E4, ("lan", "2026-08"): 1 * E4}, now=SEPTEMBER)
    payout_id = world.pay("hoa", 500, "sent", "paid")
    points = {("hoa", "2026-09"): 6 * E4, ("hoa", "2026-08"): 1 * E4, ("lan", "2026-09"): 3 * E4}
    world.close("2026-09", 2_000, points, now=OCTOBER)

    one = of(world, "hoa", "2026-09")

    period = periods.get(session, world.platform.id, "2026-09")
    posting = journal.listing(session, world.platform.id, Filters(kind="period_posted"))[-1]
    sent = journal.listing(session, world.platform.id, Filters(kind="payout_sent"))[-1]
    split = shares.latest(session, world.platform.id, "2026-09")
    assert split is not None
    last_at = period.span.end_at - timedelta(microseconds=1)
    own: dict[str, Any] = {"at": last_at, "reference": "2026-09/1", "entry_id": posting.id}
    assert one == Statement(
        platform_id=world.platform.id,
        issuer_name="Hoa Sen",
        creator_id="hoa",
        creator_name="Tên hoa",
        period_id="2026-09",
        span=period.span,
        time_zone="Asia/Ho_Chi_Minh",
        posted_at=OCTOBER,
        currency="VND",
        opening=Balance(payable_minor=525, held_minor=0, reserved_minor=0),
        lines=(
            Line(
                kind=Kind.PERIOD_SHARE, amount_minor=840, origin_period_id="2026-09", points_e4=60_000, **own
            ),
            Line(kind=Kind.LATE_SHARE, amount_minor=140, origin_period_id="2026-08", points_e4=10_000, **own),
            Line(
                kind=Kind.PAYOUT_SENT, at=SEPTEMBER, amount_minor=-500, reference=payout_id, entry_id=sent.id
            ),
        ),
        closing=Balance(payable_minor=1_005, held_minor=0, reserved_minor=0),
        split_version=1,
        shares_sha256=split.shares_sha256,
        rulebook_sha256=split.rulebook_sha256,
    )


@pytest.mark.parametrize("currency", ["VND", "USD", "KWD"])
def test_statements_are_in_the_currency_of_the_books(session: Session, currency: str) -> None:
    """Minor units stay minor units, whatever their decimals."""
    world = World(session, currency=currency)
    world.close("2026-08", 1_001, {("hoa", "2026-08"): 1}, now=SEPTEMBER)

    one = of(world, "hoa", "2026-08")

    assert (currency, 701) == (one.currency, one.closing.payable_minor)


def test_reserves_are_no_lines_but_say_where_the_money_lies(session: Session) -> None:
    """What is set aside is still owed; what is released is free again."""
    world = World(session)
    world.close("2026-08", 1_000, {("hoa", "2026-08"): 1}, now=SEPTEMBER)
    world.pay("hoa", 300)
    world.pay("hoa", 100, "released")
    world.close("2026-09", 0, {}, now=OCTOBER)

    one = of(world, "hoa", "2026-09")

    assert kinds(one) == []
    assert one.opening == Balance(payable_minor=700, held_minor=0, reserved_minor=0)
    assert one.closing == Balance(payable_minor=400, held_minor=0, reserved_minor=300)


def test_what_is_held_is_still_owed(session: Session) -> None:
    """A hold moves money within what is owed, and so does its release."""
    world = World(session)
    world.close("2026-08", 1_000, {("hoa", "2026-08"): 1}, now=SEPTEMBER)
    world.hold("hoa", 250)
    world.close("2026-09", 0, {}, now=OCTOBER)

    one = of(world, "hoa", "2026-09")

    assert kinds(one) == []
    assert one.closing == Balance(payable_minor=450, held_minor=250, reserved_minor=0)


def test_a_payout_that_fails_or_comes_back_is_owed_again(session: Session) -> None:
    """Each way out has its way back, as a line of its own."""
    world = World(session)
    world.close("2026-08", 1_000, {("hoa", "2026-08"): 1}, now=SEPTEMBER)
    world.pay("hoa", 300, "sent", "failed")
    world.pay("hoa", 200, "sent", "paid", "returned")
    world.close("2026-09", 0, {}, now=OCTOBER)

    one = of(world, "hoa", "2026-09")

    assert [
        (Kind.PAYOUT_SENT, -300),
        (Kind.PAYOUT_FAILED, 300),
        (Kind.PAYOUT_SENT, -200),
        (Kind.PAYOUT_RETURNED, 200),
    ] == kinds(one)
    assert one.opening == one.closing


def test_a_payout_is_on_the_statement_of_the_period_in_which_it_was_sent(session: Session) -> None:
    """A microsecond decides, on the platform's clocks."""
    world = World(session)
    world.close("2026-08", 1_000, {("hoa", "2026-08"): 1}, now=SEPTEMBER)
    end_at = periods.get(session, world.platform.id, "2026-09").span.end_at
    world.until(end_at - timedelta(microseconds=1))
    world.pay("hoa", 300, "sent", "paid")
    world.until(end_at)
    world.pay("hoa", 50, "sent", "paid")
    world.close("2026-09", 0, {}, now=OCTOBER)
    world.close("2026-10", 0, {}, now=NOVEMBER)

    statements = [of(world, "hoa", period_id) for period_id in ("2026-09", "2026-10")]

    assert [[(Kind.PAYOUT_SENT, -300)], [(Kind.PAYOUT_SENT, -50)]] == [kinds(one) for one in statements]


def test_a_reversal_after_the_posting_is_an_adjustment_of_the_next_statement(session: Session) -> None:
    """The statement that may be with the creator stays as it is."""
    world = World(session)
    world.close("2026-08", 1_000, {("hoa", "2026-08"): 1}, now=SEPTEMBER)
    before = of(world, "hoa", "2026-08")
    [posting] = journal.listing(session, world.platform.id, Filters(kind="period_posted"))
    world.until(SEPTEMBER + timedelta(days=1))
    journal.reverse(
        session,
        world.platform.id,
        posting.id,
        key="undo",
        cause_kind="correction",
        cause_id="case-7",
        now=world.now,
    )
    world.close("2026-09", 0, {}, now=OCTOBER)

    one = of(world, "hoa", "2026-09")

    assert before == of(world, "hoa", "2026-08")
    assert [(Kind.ADJUSTMENT, -700, "case-7", posting.effective_at)] == [
        (line.kind, line.amount_minor, line.reference, line.at) for line in one.lines
    ]
    assert one.closing.total_minor == 0


def test_a_share_of_nothing_is_shown_and_names_no_entry(session: Session) -> None:
    """Points that earned less than half a dong are points, alone or beside others."""
    world = World(session)
    points = {("hoa", "2026-08"): 10**9, ("hoa", "2026-07"): 1, ("lan", "2026-08"): 1}
    world.close("2026-08", 10, points, now=SEPTEMBER)

    shown = {creator_id: of(world, creator_id, "2026-08").lines for creator_id in ("hoa", "lan")}

    [posting] = journal.listing(session, world.platform.id, Filters(kind="period_posted"))
    assert {
        "hoa": [(Kind.PERIOD_SHARE, 7, 10**9, posting.id), (Kind.LATE_SHARE, 0, 1, None)],
        "lan": [(Kind.PERIOD_SHARE, 0, 1, None)],
    } == {
        creator_id: [(line.kind, line.amount_minor, line.points_e4, line.entry_id) for line in lines]
        for creator_id, lines in shown.items()
    }
    assert len({line.at for lines in shown.values() for line in lines}) == 1


def test_a_pool_below_zero_gives_statements_of_nothing(session: Session) -> None:
    """A deficit is carried; nobody owes it."""
    world = World(session)
    world.close("2026-08", -500, {("hoa", "2026-08"): E4}, now=SEPTEMBER)

    one = of(world, "hoa", "2026-08")

    assert [(Kind.PERIOD_SHARE, 0)] == kinds(one)
    assert one.closing.total_minor == 0


def test_a_creator_who_did_nothing_has_a_statement_without_lines(session: Session) -> None:
    """Registered is enough to ask."""
    world = World(session)
    world.close("2026-08", 1_000, {("hoa", "2026-08"): 1}, now=SEPTEMBER)
    creators.ensure(session, world.platform.id, ["moi"], now=world.now)

    one = of(world, "moi", "2026-08")

    assert (None, (), 0) == (one.creator_name, one.lines, one.closing.total_minor)


def test_history_that_is_posted_later_leaves_issued_statements_as_they_are(session: Session) -> None:
    """July is opened, closed and posted after August: it comes after it in the chain."""
    world = World(session)
    world.close("2026-08", 1_000, {("hoa", "2026-08"): 1}, now=SEPTEMBER)
    issued = numbering.issue(session, of(world, "hoa", "2026-08"), now=world.now)
    world.until(SEPTEMBER + timedelta(days=1))
    from_at = datetime(2026, 7, 10, tzinfo=UTC)
    periods.open_from(session, world.platform, from_at, actor=OPERATOR, now=world.now)
    world.close("2026-07", 100, {("hoa", "2026-07"): 1}, now=SEPTEMBER + timedelta(days=2))
    world.close("2026-09", 0, {}, now=OCTOBER)

    july, august, september = (of(world, "hoa", f"2026-0{month}") for month in (7, 8, 9))

    assert issued == numbering.issue(session, august, now=OCTOBER)
    assert [(700, 70), (770, 0)] == [(one.opening.total_minor, one.earned_minor) for one in (july, september)]


def test_a_period_that_is_not_posted_has_no_statement(session: Session) -> None:
    """Published amounts may still be challenged."""
    world = World(session)
    world.register("hoa")
    world.until(SEPTEMBER)
    world.recognise("2026-08", 1_000)
    world.publish("2026-08", {("hoa", "2026-08"): 1})

    with pytest.raises(PeriodNotPosted, match="2026-08 is published"):
        of(world, "hoa", "2026-08")


@pytest.mark.parametrize(("creator_id", "period_id"), [("lan", "2026-08"), ("hoa", "2026-07")])
def test_there_is_no_statement_of_what_is_not_there(
    session: Session, creator_id: str, period_id: str
) -> None:
    """Neither of an unknown creator nor of an unknown period."""
    world = World(session)
    world.close("2026-08", 1_000, {("hoa", "2026-08"): 1}, now=SEPTEMBER)

    with pytest.raises(NotFound):
        of(world, creator_id, period_id)


def test_another_platforms_creator_is_unknown(session: Session) -> None:
    """The same id elsewhere is another person."""
    world, other = World(session), World(session)
    world.close("2026-08", 1_000, {("hoa", "2026-08"): 1}, now=SEPTEMBER)
    other.close("2026-08", 900, {("lan", "2026-08"): 1}, now=SEPTEMBER)

    with pytest.raises(NotFound):
        of(other, "hoa", "2026-08")
    assert of(world, "hoa", "2026-08").earned_minor == 700


NOTHING = Balance(payable_minor=0, held_minor=0, reserved_minor=0)
CREATORS = ("hoa", "lan", "mai")
PERIODS = ("2026-08", "2026-09", "2026-10", "2026-11")
POSTED_AT = (SEPTEMBER, OCTOBER, NOVEMBER, DECEMBER)
STEPS = ((), ("released",), ("sent",), ("sent", "paid"), ("sent", "failed"), ("sent", "paid", "returned"))

payouts_drawn = st.lists(
    st.tuples(st.sampled_from(CREATORS), st.integers(1, 100), st.sampled_from(STEPS), st.booleans()),
    max_size=4,
)
months = st.tuples(
    st.integers(-2_000, 5_000),
    st.dictionaries(st.sampled_from(CREATORS), st.integers(0, 10**6), max_size=3),
    st.dictionaries(st.sampled_from(CREATORS), st.integers(0, 10**6), max_size=2),
    payouts_drawn,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(months, min_size=3, max_size=3), st.sampled_from(("VND", "USD", "KWD")))
def test_statements_tie_whatever_was_booked(
    session: Session,
    drawn: list[tuple[int, dict[str, int], dict[str, int], list[tuple[str, int, tuple[str, ...], bool]]]],
    currency: str,
) -> None:
    """The laws, over ledgers of any kind.

    The sum of the statements' earnings is what the posting credited to creators; a statement opens where the
    one before closed; every movement is on one statement; once nothing is left to show, the last closing
    balances are what is owed.
    """
    world = World(session, currency=currency)
    world.register(*CREATORS)
    for index, (pool_minor, own, late, paid) in enumerate(drawn):
        points = {(creator_id, PERIODS[index]): points_e4 for creator_id, points_e4 in own.items()}
        if index:
            points |= {(creator_id, PERIODS[index - 1]): points_e4 for creator_id, points_e4 in late.items()}
        world.close(PERIODS[index], pool_minor, points, now=POSTED_AT[index])
        for creator_id, amount_minor, steps, is_backdated in paid:
            world.until(world.now + timedelta(seconds=1))
            if world.balance(Role.CREATOR_PAYABLE, creator_id) >= amount_minor:
                at = world.now - timedelta(days=10) if is_backdated else world.now
                world.pay(creator_id, amount_minor, *steps, at=at)
    world.close(PERIODS[-1], 0, {}, now=POSTED_AT[-1])

    chains = {
        creator_id: [of(world, creator_id, period_id) for period_id in PERIODS] for creator_id in CREATORS
    }

    for index, period_id in enumerate(PERIODS):
        postings = Filters(period_id=period_id, kind="period_posted")
        credited_minor = sum(
            line.amount_minor
            for _, line in journal.walk(session, world.platform.id, postings)
            if line.credit.role is Role.CREATOR_PAYABLE
        )
        assert credited_minor == sum(chain[index].earned_minor for chain in chains.values())
    for creator_id, chain in chains.items():
        assert [NOTHING, *(one.closing for one in chain[:-1])] == [one.opening for one in chain]
        moved = [line.entry_id for one in chain for line in one.lines if line.kind not in EARNINGS]
        assert len(set(moved)) == len(moved)
        assert world.owed([creator_id]) == chain[-1].closing.total_minor
