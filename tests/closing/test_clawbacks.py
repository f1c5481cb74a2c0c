"""Corrections after the seal: what they take back of a posted split, with the expected books written out."""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.audit import recompute, replay
from service.calendar import periods
from service.closing import clawbacks, estimates, revenues, stages
from service.closing.clawbacks import Done, DueClawback
from service.closing.tools import Tools
from service.earnings import creator
from service.events import corrections
from service.events.corrections import Asked
from service.events.wire import Event
from service.ledger import journal
from service.parties import contributions
from service.parties.actors import OPERATOR
from service.parties.platforms import Platform
from service.payouts import batches, payees
from service.payouts.providers.sandbox import Sandbox
from service.rules import registry
from service.runtime import db
from service.runtime.db import Database
from service.splits import shares
from service.splits.methods import Share
from service.splits.scoring import Score
from service.statements import gather
from tests.events.worlds import Killed
from tests.world import LAN, MINH, VAULT, books, event, founded_platform, send, tools_in

START = datetime(2026, 9, 30, 17, tzinfo=UTC)
"""October in Ho Chi Minh City."""

ENDS = {
    "2026-10": datetime(2026, 10, 31, 17, tzinfo=UTC),
    "2026-11": datetime(2026, 11, 30, 17, tzinfo=UTC),
    "2026-12": datetime(2026, 12, 31, 17, tzinfo=UTC),
}
GRACE = timedelta(days=3)
HOUR = timedelta(hours=1)
AT = START + HOUR
SPLIT = {
    "clearing": 1_000_003,
    "platform_revenue": 300_001,
    "creator_payable/an": 525_002,
    "creator_payable/binh": 175_000,
}
"""October's: 12 points, An 9 and Bình 3; 70 % of 1,000,003 dong."""


@pytest.fixture
def tools(database: Database, tmp_path: Path) -> Tools:
    """Give a database, a lake and an engine of this test's own."""
    return tools_in(database, tmp_path)


def found(tools: Tools, **terms: Any) -> Platform:
    """Found the platform at the start of October; terms change the founding rulebook."""
    document = registry.founding_document() | terms
    with db.transaction(tools.database) as session:
        return founded_platform(session, now=START, creator_ids=("an", "binh", "chi"), document=document)


@pytest.fixture
def platform(tools: Tools) -> Platform:
    """Give the platform with the shipped rulebook."""
    return found(tools)


def earn(tools: Tools, platform: Platform, period_id: str, gross_minor: int, *, now: datetime) -> None:
    """Record a period's revenue."""
    with db.transaction(tools.database) as session:
        periods.ensure_current(session, platform, now)
        revenues.record(
            session,
            platform,
            stream="ads",
            reference=f"r-{period_id}",
            currency="VND",
            gross_minor=gross_minor,
            period_id=period_id,
            actor=OPERATOR,
            now=now,
        )


def like(event_id: str, creator: str, actor: str, at: datetime = AT, **more: Any) -> dict[str, Any]:
    """Write a like."""
    return event(event_id, "like", at, creator, actor=actor, **more)


def october(tools: Tools, platform: Platform) -> None:
    """Three likes for An, one for Bình."""
    earn(tools, platform, "2026-10", 1_000_003, now=START)
    likes = [like("1", "an", "f1"), like("2", "an", "f2"), like("3", "an", "f3"), like("4", "binh", "f1")]
    send(tools.database, platform, likes, now=AT + HOUR)


def close(tools: Tools, platform: Platform, period_id: str) -> None:
    """Seal, split and publish a period, and open the one that runs meanwhile."""
    at = ENDS[period_id] + GRACE
    with db.transaction(tools.database) as session:
        periods.ensure_current(session, platform, at)
    stages.close(tools, platform.id, period_id, actor=LAN, now=at)


def post(tools: Tools, platform: Platform, period_id: str) -> None:
    """Approve and post a period."""
    at = ENDS[period_id] + GRACE
    with db.transaction(tools.database) as session:
        stages.approve(session, platform.id, period_id, actor=MINH, now=at)
    with db.transaction(tools.database) as session:
        stages.post(session, platform.id, period_id, actor=LAN, now=at + GRACE)


def settle(tools: Tools, platform: Platform, period_id: str) -> None:
    """Close and post a period."""
    close(tools, platform, period_id)
    post(tools, platform, period_id)


def correct(tools: Tools, platform: Platform, *asked: Asked, now: datetime) -> None:
    """Record corrections and commit."""
    with db.transaction(tools.database) as session:
        corrections.record(session, tools.lake, platform, asked, actor=OPERATOR, now=now)


def void(tools: Tools, platform: Platform, *event_ids: str, now: datetime) -> None:
    """Void events."""
    asked = [Asked(source="app", event_id=one, reason="a robot") for one in event_ids]
    correct(tools, platform, *asked, now=now)


def replace(tools: Tools, platform: Platform, document: Mapping[str, Any], *, now: datetime) -> None:
    """Replace an event."""
    it = msgspec.json.decode(json.dumps(document), type=Event)
    correct(tools, platform, Asked(source="app", event_id=it.id, reason="wrong", event=it), now=now)


def claw(tools: Tools, platform: Platform, period_id: str = "2026-10", *, now: datetime) -> Done:
    """Run the job."""
    return clawbacks.run(tools, platform.id, period_id, now=now)


def due(tools: Tools, platform: Platform) -> list[DueClawback]:
    """Read what is due."""
    with db.transaction(tools.database) as session:
        return list(clawbacks.due(session, platform.id))


def read_books(tools: Tools, platform: Platform) -> dict[str, int]:
    """Read the accounts that are not at zero."""
    with db.transaction(tools.database) as session:
        return books(session, platform.id)


def check(tools: Tools, platform: Platform, *period_ids: str) -> None:
    """Everything agrees, and the splits come out again as they were posted."""
    assert () == replay.run(tools.database, tools.lake).findings
    for period_id in period_ids:
        again = recompute.run(tools, platform.id, period_id, now=ENDS["2026-12"])
        assert again.recorded_sha256 == again.recomputed_sha256


def lines_of(tools: Tools, platform: Platform, kind: str) -> list[tuple[str, str, int]]:
    """Read the lines of the entries of a kind: debit, credit, amount."""
    with db.transaction(tools.database) as session:
        return [
            (str(line.debit), str(line.credit), line.amount_minor)
            for entry in journal.listing(session, platform.id, journal.Filters(kind=kind))
            for line in journal.lines(session, platform.id, entry.id)
        ]


POSTED = ENDS["2026-10"] + 2 * GRACE


def test_a_void_after_posting_takes_back_what_the_event_carried(tools: Tools, platform: Platform) -> None:
    """A third of An's 9 points: 525,002 x 3 / 9, rounded down; it goes where nobody's money goes."""
    october(tools, platform)
    settle(tools, platform, "2026-10")
    before = read_books(tools, platform)
    void(tools, platform, "3", now=POSTED + HOUR)
    waiting = due(tools, platform)

    done = claw(tools, platform, now=POSTED + 2 * HOUR)

    assert before == SPLIT
    assert [DueClawback("2026-10", POSTED + HOUR)] == waiting
    assert (1, 175_000) == (done.line_count, done.amount_minor)
    assert {
        **SPLIT,
        "creator_payable/an": 350_002,
        "unallocated": 175_000,
    } == read_books(tools, platform)
    assert [("creator_payable:an", "unallocated", 175_000)] == lines_of(tools, platform, "claw_back")
    assert [] == due(tools, platform)
    check(tools, platform, "2026-10")


def test_several_voids_never_take_more_than_the_line(tools: Tools, platform: Platform) -> None:
    """Each by itself 175,000, 175,001 and 175,001: together exactly the line."""
    october(tools, platform)
    settle(tools, platform, "2026-10")
    taken = []
    for number, event_id in enumerate(("3", "1", "2")):
        void(tools, platform, event_id, now=POSTED + number * HOUR)
        taken.append(claw(tools, platform, now=POSTED + number * HOUR).amount_minor)

    assert [175_000, 175_001, 175_001] == taken
    assert {
        "clearing": 1_000_003,
        "platform_revenue": 300_001,
        "creator_payable/binh": 175_000,
        "unallocated": 525_002,
    } == read_books(tools, platform)
    check(tools, platform, "2026-10")


def test_a_run_that_is_repeated_changes_nothing(tools: Tools, platform: Platform) -> None:
    """Nor does a void that is asked for again."""
    october(tools, platform)
    settle(tools, platform, "2026-10")
    void(tools, platform, "3", now=POSTED)
    first = claw(tools, platform, now=POSTED)
    after = read_books(tools, platform)

    void(tools, platform, "3", now=POSTED + HOUR)
    again = claw(tools, platform, now=POSTED + HOUR)

    assert ((1, 175_000), (0, 0)) == (
        (first.line_count, first.amount_minor),
        (again.line_count, again.amount_minor),
    )
    assert after == read_books(tools, platform)


def test_what_was_set_aside_is_owed_and_repaid_by_the_next_posting(tools: Tools, platform: Platform) -> None:
    """The payout keeps its money; An owes 175,000 until November earns it."""
    october(tools, platform)
    settle(tools, platform, "2026-10")
    submit(tools, platform, now=POSTED)
    void(tools, platform, "3", now=POSTED + HOUR)
    claw(tools, platform, now=POSTED + HOUR)
    owing = read_books(tools, platform)
    earn(tools, platform, "2026-11", 400_000, now=POSTED + HOUR)
    november = [like("5", "an", "f1", POSTED), like("6", "binh", "f1", POSTED)]
    send(tools.database, platform, november, now=POSTED + HOUR)
    settle(tools, platform, "2026-11")

    assert {
        **{name: amount for name, amount in SPLIT.items() if name != "creator_payable/an"},
        "reserved/an": 525_002,
        "clawback_receivable/an": 175_000,
        "unallocated": 175_000,
    } == owing
    # An's 140,000 of November repay as much; the rest stays owed.
    assert {
        "clearing": 1_400_003,
        "platform_revenue": 420_001,
        "creator_payable/binh": 315_000,
        "reserved/an": 525_002,
        "clawback_receivable/an": 35_000,
        "unallocated": 175_000,
    } == read_books(tools, platform)
    assert [("creator_payable:an", "clawback_receivable:an", 140_000)] == lines_of(
        tools, platform, "claw_back_recovered"
    )
    check(tools, platform, "2026-10", "2026-11")


def submit(tools: Tools, platform: Platform, *, now: datetime) -> None:
    """Put what An has into a payout batch."""
    with db.transaction(tools.database) as session:
        payees.declare(
            session,
            platform.id,
            "an",
            provider=Sandbox(database=tools.database),
            destination={"account_number": "970418001234", "holder": "AN"},
            vault=VAULT,
            actor=OPERATOR,
            now=now,
        )
        batches.submit(session, platform, actor=LAN, now=now)


def test_what_the_payable_covers_in_part_is_owed_for_the_rest(tools: Tools, platform: Platform) -> None:
    """525,002 are set aside, 140,000 of November are free, and all of October's likes are void."""
    october(tools, platform)
    settle(tools, platform, "2026-10")
    submit(tools, platform, now=POSTED)
    earn(tools, platform, "2026-11", 200_000, now=POSTED + HOUR)
    send(tools.database, platform, [like("5", "an", "f1", POSTED)], now=POSTED + HOUR)
    settle(tools, platform, "2026-11")
    at = ENDS["2026-11"] + 2 * GRACE
    void(tools, platform, "1", "2", "3", now=at)

    claw(tools, platform, now=at)

    assert [
        ("creator_payable:an", "unallocated", 140_000),
        ("clawback_receivable:an", "unallocated", 385_002),
    ] == lines_of(tools, platform, "claw_back")
    assert 385_002 == read_books(tools, platform)["clawback_receivable/an"]
    check(tools, platform, "2026-10", "2026-11")


def test_a_void_before_the_posting_waits_for_it(tools: Tools, platform: Platform) -> None:
    """What is published stays as it is; the same is taken back afterwards."""
    october(tools, platform)
    close(tools, platform, "2026-10")
    void(tools, platform, "3", now=ENDS["2026-10"] + GRACE)
    early = claw(tools, platform, now=ENDS["2026-10"] + GRACE)
    waiting = due(tools, platform)
    post(tools, platform, "2026-10")
    booked = read_books(tools, platform)

    done = claw(tools, platform, now=POSTED)

    assert (Done("2026-10", None, 0, 0), []) == (early, waiting)
    assert SPLIT == booked
    assert 175_000 == done.amount_minor
    check(tools, platform, "2026-10")


def test_a_void_before_the_seal_leaves_nothing_to_take_back(tools: Tools, platform: Platform) -> None:
    """It never counted: An has 6 points, Bình 3, and the estimate says so too."""
    october(tools, platform)
    void(tools, platform, "3", now=AT + 2 * HOUR)
    run = estimates.refresh(tools, platform.id, now=AT + 3 * HOUR)
    settle(tools, platform, "2026-10")

    assert 90_000 == run.points_e4
    assert [] == due(tools, platform)
    assert Done("2026-10", None, 0, 0) == claw(tools, platform, now=POSTED)
    # Quotas: An 466,668.07, Bình 233,334.03, platform 300,000.9.
    assert {
        "clearing": 1_000_003,
        "platform_revenue": 300_001,
        "creator_payable/an": 466_668,
        "creator_payable/binh": 233_334,
    } == read_books(tools, platform)


def test_a_replacement_after_the_seal_is_taken_back_and_counts_late(tools: Tools, platform: Platform) -> None:
    """Three likes become one comment: October loses 3 points, November's pool has 8 of October."""
    october(tools, platform)
    settle(tools, platform, "2026-10")
    replace(tools, platform, event("3", "comment", AT, "an", actor="f3"), now=POSTED)
    claw(tools, platform, now=POSTED)
    earn(tools, platform, "2026-11", 100_000, now=POSTED)
    send(tools.database, platform, [event("9", "comment", POSTED, "binh", actor="f1")], now=POSTED + HOUR)
    settle(tools, platform, "2026-11")

    with db.transaction(tools.database) as session:
        made = shares.of_period(session, platform.id, "2026-11")
    assert [("an", "2026-10", 80_000, 35_000), ("binh", "2026-11", 80_000, 35_000)] == [
        (one.party_id, one.origin_period_id, one.points_e4, one.amount_minor)
        for one in made
        if one.party_kind == "creator"
    ]
    assert {
        "clearing": 1_100_003,
        "platform_revenue": 330_001,
        "creator_payable/an": 385_002,
        "creator_payable/binh": 210_000,
        "unallocated": 175_000,
    } == read_books(tools, platform)
    check(tools, platform, "2026-10", "2026-11")


def test_a_late_line_loses_what_its_voided_events_carried(tools: Tools, platform: Platform) -> None:
    """Two late likes of October are half of November's points; one of them is void afterwards."""
    october(tools, platform)
    settle(tools, platform, "2026-10")
    late = [like("7", "chi", "f1"), like("8", "chi", "f2"), like("9", "binh", "f1", POSTED)]
    send(tools.database, platform, [*late, like("10", "binh", "f2", POSTED)], now=POSTED + HOUR)
    earn(tools, platform, "2026-11", 100_000, now=POSTED)
    settle(tools, platform, "2026-11")
    at = ENDS["2026-11"] + 2 * GRACE
    void(tools, platform, "8", now=at)

    assert ["2026-10", "2026-11"] == [one.period_id for one in due(tools, platform)]
    first, second = claw(tools, platform, now=at), claw(tools, platform, "2026-11", now=at)

    assert (0, 17_500) == (first.amount_minor, second.amount_minor)
    with db.transaction(tools.database) as session:
        (taken,) = clawbacks.of_creator(session, platform.id, "chi")
    assert ("2026-11", "2026-10", 30_000, 17_500) == (
        taken.period_id,
        taken.origin_period_id,
        taken.lost_e4,
        taken.amount_minor,
    )
    assert [] == due(tools, platform)
    check(tools, platform, "2026-10", "2026-11")


def shared(event_id: str) -> dict[str, Any]:
    """Write that a fan shared something of An's, on the first of October."""
    return event(event_id, "share", AT, "an", actor="f1")


def test_what_a_cap_left_out_costs_nothing(tools: Tools) -> None:
    """A fan gives An at most 10 points a day; of two shares one may go for nothing."""
    platform = found(tools, caps={"actor_creator_day_points": 10})
    earn(tools, platform, "2026-10", 100_000, now=START)
    send(tools.database, platform, [shared("1"), shared("2")], now=AT + HOUR)
    settle(tools, platform, "2026-10")
    void(tools, platform, "1", now=POSTED)
    first = claw(tools, platform, now=POSTED)
    void(tools, platform, "2", now=POSTED + HOUR)
    second = claw(tools, platform, now=POSTED + HOUR)

    assert (0, 70_000) == (first.amount_minor, second.amount_minor)
    check(tools, platform, "2026-10")


def test_a_late_event_fills_the_cap_that_a_void_made_room_under(tools: Tools) -> None:
    """What is void is left out of both sides of the difference: the late share counts in full."""
    platform = found(tools, caps={"actor_creator_day_points": 10})
    earn(tools, platform, "2026-10", 100_000, now=START)
    send(tools.database, platform, [shared("1")], now=AT + HOUR)
    settle(tools, platform, "2026-10")
    void(tools, platform, "1", now=POSTED)
    send(tools.database, platform, [shared("2")], now=POSTED + HOUR)
    earn(tools, platform, "2026-11", 100_000, now=POSTED)
    settle(tools, platform, "2026-11")
    claw(tools, platform, now=POSTED)

    with db.transaction(tools.database) as session:
        made = shares.of_period(session, platform.id, "2026-11")
    assert [("2026-10", 100_000)] == [
        (one.origin_period_id, one.points_e4) for one in made if one.party_kind == "creator"
    ]
    assert {"clearing": 200_000, "platform_revenue": 60_000, "creator_payable/an": 70_000} == {
        name: amount for name, amount in read_books(tools, platform).items() if name != "unallocated"
    }
    check(tools, platform, "2026-10", "2026-11")


def test_what_contributors_shared_is_taken_back_from_each(tools: Tools, platform: Platform) -> None:
    """Bình made 40 % of An's video."""
    with db.transaction(tools.database) as session:
        contributions.register_content(session, platform.id, "video", "an", actor=OPERATOR, now=START)
        contributions.declare(
            session,
            platform.id,
            "video",
            {"an": 6_000, "binh": 4_000},
            from_at=START,
            actor=OPERATOR,
            now=START,
        )
    earn(tools, platform, "2026-10", 100_000, now=START)
    likes = [like("1", "an", "f1", content="video"), like("2", "an", "f2")]
    send(tools.database, platform, likes, now=AT + HOUR)
    settle(tools, platform, "2026-10")
    void(tools, platform, "1", now=POSTED)

    claw(tools, platform, now=POSTED)

    # An has 4.8 points, Bình 1.2; of An's 56,000 the video made 1.8 / 4.8.
    assert [
        ("creator_payable:an", "unallocated", 21_000),
        ("creator_payable:binh", "unallocated", 14_000),
    ] == lines_of(tools, platform, "claw_back")
    check(tools, platform, "2026-10")


def test_contributors_who_are_named_afterwards_change_nothing_that_is_posted(
    tools: Tools, platform: Platform
) -> None:
    """A content's first contributors may reach back; October was divided without them."""
    with db.transaction(tools.database) as session:
        contributions.register_content(session, platform.id, "video", "an", actor=OPERATOR, now=START)
    earn(tools, platform, "2026-10", 100_000, now=START)
    likes = [like("1", "an", "f1", content="video"), like("2", "an", "f2", content="video")]
    send(tools.database, platform, likes, now=AT + HOUR)
    settle(tools, platform, "2026-10")
    with db.transaction(tools.database) as session:
        shares_bp = {"an": 5_000, "binh": 5_000}
        contributions.declare(
            session, platform.id, "video", shares_bp, from_at=START, actor=OPERATOR, now=POSTED
        )
    void(tools, platform, "1", now=POSTED)

    claw(tools, platform, now=POSTED)

    assert [("creator_payable:an", "unallocated", 35_000)] == lines_of(tools, platform, "claw_back")
    check(tools, platform, "2026-10")


def test_what_is_recovered_goes_where_the_rule_sends_what_nobody_earned(tools: Tools) -> None:
    """Here to the platform."""
    platform = found(tools, unearned_to="platform")
    october(tools, platform)
    settle(tools, platform, "2026-10")
    void(tools, platform, "3", now=POSTED)

    claw(tools, platform, now=POSTED)

    assert {
        **SPLIT,
        "creator_payable/an": 350_002,
        "platform_revenue": 475_001,
    } == read_books(tools, platform)
    check(tools, platform, "2026-10")


def test_counters_that_go_down_after_the_seal_count_by_difference(tools: Tools, platform: Platform) -> None:
    """No clawback: a quantity below zero of October lowers An's points of November."""
    earn(tools, platform, "2026-10", 100_000, now=START)
    send(tools.database, platform, [event("1", "view", AT, "an", quantity=10)], now=AT + HOUR)
    settle(tools, platform, "2026-10")
    down = [event("2", "view", AT, "an", quantity=-4), event("3", "view", POSTED, "an", quantity=6)]
    send(tools.database, platform, [*down, event("4", "view", POSTED, "binh", quantity=2)], now=POSTED + HOUR)
    earn(tools, platform, "2026-11", 100_000, now=POSTED)
    settle(tools, platform, "2026-11")

    assert [] == due(tools, platform)
    with db.transaction(tools.database) as session:
        made = shares.of_period(session, platform.id, "2026-11")
    assert [("an", "2026-10", 0), ("an", "2026-11", 20_000), ("binh", "2026-11", 20_000)] == [
        (one.party_id, one.origin_period_id, one.points_e4) for one in made if one.party_kind == "creator"
    ]


def test_workers_at_the_same_time_take_it_back_once(tools: Tools, platform: Platform) -> None:
    """Both compute it; one of them books, and the other finds that."""
    october(tools, platform)
    settle(tools, platform, "2026-10")
    void(tools, platform, "3", now=POSTED)

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: claw(tools, platform, now=POSTED), range(2)))

    assert 175_000 == sum(one.amount_minor for one in done)
    check(tools, platform, "2026-10")


def test_a_payout_batch_and_a_clawback_do_not_take_the_same_money(tools: Tools, platform: Platform) -> None:
    """Whichever comes first: neither fails, and what the batch set aside too much An owes."""
    october(tools, platform)
    settle(tools, platform, "2026-10")
    void(tools, platform, "3", now=POSTED)

    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(submit, tools, platform, now=POSTED),
            pool.submit(claw, tools, platform, now=POSTED),
        ]
        for job in jobs:
            job.result()

    held = read_books(tools, platform)
    assert 175_000 == held["unallocated"]
    assert 350_002 == held["reserved/an"] - held.get("clawback_receivable/an", 0)
    check(tools, platform, "2026-10")


# The end comes while a cursor is open, which the process that ends would take with it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_run_that_is_ended_anywhere_is_finished_by_the_next_one(tools: Tools, platform: Platform) -> None:
    """Before each statement and commit in turn; the books are those of an undisturbed run."""
    october(tools, platform)
    settle(tools, platform, "2026-10")
    void(tools, platform, "3", now=POSTED)
    undisturbed = {**SPLIT, "creator_payable/an": 350_002, "unallocated": 175_000}
    point = 0
    while True:
        with ended_at(tools.database, point) as is_reached:
            try:
                claw(tools, platform, now=POSTED)
            except Killed:
                assert read_books(tools, platform) in (SPLIT, undisturbed)
        if not is_reached():
            break
        point += 1

    assert point > 10
    claw(tools, platform, now=POSTED)
    assert undisturbed == read_books(tools, platform)
    check(tools, platform, "2026-10")


@contextmanager
def ended_at(database: Database, point: int) -> Iterator[Any]:
    """End the work before its n-th statement or commit."""
    seen = 0

    def listener(moment: str, _text: str) -> None:
        nonlocal seen
        if moment.startswith("before"):
            seen += 1
            if seen == point + 1:
                raise Killed

    stop = db.on_statement(database, listener)
    try:
        yield lambda: seen > point
    finally:
        stop()


def test_creators_see_what_was_taken_back_and_their_statements_tie(tools: Tools, platform: Platform) -> None:
    """October's statements stay; November's show what was taken back and what was kept back.

    An's payout of October is set aside, so that the void finds nothing; An's like of November pays for it.
    """
    october(tools, platform)
    settle(tools, platform, "2026-10")
    before = statement(tools, platform, "an", "2026-10")
    void(tools, platform, "4", now=POSTED)
    claw(tools, platform, now=POSTED)
    submit(tools, platform, now=POSTED)
    void(tools, platform, "3", now=POSTED + HOUR)
    claw(tools, platform, now=POSTED + HOUR)
    with db.transaction(tools.database) as session:
        summary = creator.summary(session, platform, "an", now=POSTED + HOUR)
        earned = creator.of_period(session, platform, "an", "2026-10")
    earn(tools, platform, "2026-11", 400_000, now=POSTED + HOUR)
    send(tools.database, platform, [like("5", "an", "f1", POSTED)], now=POSTED + HOUR)
    settle(tools, platform, "2026-11")

    assert (0, 525_002, 175_000) == (summary.payable_minor, summary.reserved_minor, summary.owed_back_minor)
    assert (525_002, [("2026-10", 30_000, 175_000, 175_000)]) == (
        earned.amount_minor,
        [
            (one.origin_period_id, one.lost_e4, one.amount_minor, one.receivable_minor)
            for one in earned.taken_back
        ],
    )
    assert before == statement(tools, platform, "an", "2026-10")
    assert [("period_share", 280_000), ("claw_back_recovered", -175_000)] == statement(
        tools, platform, "an", "2026-11"
    )
    assert [("claw_back", -175_000)] == statement(tools, platform, "binh", "2026-11")
    check(tools, platform, "2026-10", "2026-11")


def statement(tools: Tools, platform: Platform, creator_id: str, period_id: str) -> list[tuple[str, int]]:
    """Read the kinds and amounts of a statement's lines; that it ties is asserted where it is made."""
    with db.transaction(tools.database) as session:
        one = gather.creator_statement(session, platform, creator_id, period_id, VAULT)
    return [(line.kind.value, line.amount_minor) for line in one.lines]


def test_the_day_of_a_correction_is_a_hint(tools: Tools, platform: Platform) -> None:
    """In the platform's own days: an hour into October there is the first of it."""
    october(tools, platform)
    asked = Asked(source="app", event_id="3", reason="x", day_on=date(2026, 10, 1))

    correct(tools, platform, asked, now=AT + 2 * HOUR)

    with db.transaction(tools.database) as session:
        assert 1 == len(corrections.of_event(session, platform.id, "app", "3"))


@given(
    points_e4=st.integers(1, 10**20),
    line_minor=st.integers(0, 10**15),
    left=st.lists(st.integers(0, 10**20), min_size=1, max_size=6),
)
def test_runs_take_together_what_the_greatest_loss_is_worth(
    points_e4: int, line_minor: int, left: list[int]
) -> None:
    """Whatever is left from run to run: never more than the line, rounded down once."""
    made = [Share("creator", "an", "2026-10", points_e4, line_minor, {})]
    taken = 0
    for left_e4 in left:
        found = clawbacks.losses(
            "2026-10",
            made,
            [Score("an", "2026-10", left_e4, {})],
            concerned={"2026-10"},
            taken={("an", "2026-10"): taken},
        )
        taken += sum(one.amount_minor for one in found)

    lost_e4 = max(points_e4 - min(left), 0)
    assert line_minor * lost_e4 // points_e4 == taken
    assert 0 <= taken <= line_minor


def test_a_line_that_gains_gives_nothing_and_one_that_others_lowered_loses_its_part() -> None:
    """A late correction took 40 of An's 100 points; without the void 30 remain of the 60 that took part."""
    made = [
        Share("creator", "an", "2026-10", 0, 0, {"scored_e4": "-40"}),
        Share("creator", "an", "2026-11", 60, 6_000, {"scored_e4": "100"}),
        Share("creator", "binh", "2026-11", 10, 1_000, {}),
    ]

    found = clawbacks.losses(
        "2026-11",
        made,
        [Score("an", "2026-11", 70, {}), Score("binh", "2026-11", 20, {})],
        concerned={"2026-11"},
        taken={},
    )

    assert [("an", "2026-11", 30, 3_000)] == [
        (one.creator_id, one.origin_period_id, one.lost_e4, one.total_minor) for one in found
    ]
