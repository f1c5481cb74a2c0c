"""A period from its first event to its last dong, with the expected ledger written out."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from service.calendar import periods
from service.calendar.periods import WrongState
from service.closing import revenues, stages
from service.closing.revenues import Deduction
from service.closing.stages import ChallengeWindowOpen, EarlierPeriodOpen, PeriodNotOver, SplitChanged
from service.closing.tools import Tools
from service.parties.actors import OPERATOR, SYSTEM
from service.parties.platforms import Platform
from service.parties.staff import RoleMissing, SamePerson
from service.rules import registry
from service.runtime import db
from service.runtime.db import Database
from service.splits import shares
from tests.world import LAN, MINH, books, event, founded_platform, send, tools_in

START = datetime(2026, 9, 30, 17, tzinfo=UTC)
"""October in Ho Chi Minh City."""

END = datetime(2026, 10, 31, 17, tzinfo=UTC)
GRACE = timedelta(hours=72)
CLOSE = END + GRACE
POST = CLOSE + GRACE
_HOUR = timedelta(hours=1)


@pytest.fixture
def tools(database: Database, tmp_path: Path) -> Tools:
    """Give a database, a lake and an engine of this test's own."""
    return tools_in(database, tmp_path)


@pytest.fixture
def platform(database: Database) -> Platform:
    """Give a platform founded at the start of October, with three creators."""
    with db.transaction(database) as session:
        return founded_platform(session, now=START, creator_ids=("an", "binh", "chi"))


def _fund(
    tools: Tools, platform: Platform, gross_minor: int, *, now: datetime = START, reference: str = "r1"
) -> None:
    with db.transaction(tools.database) as session:
        revenues.record(
            session,
            platform,
            stream="ads",
            reference=reference,
            currency="VND",
            gross_minor=gross_minor,
            period_id="2026-10",
            actor=OPERATOR,
            now=now,
        )


def _month(tools: Tools, platform: Platform) -> None:
    """Three likes for An by two fans, one for Bình, one by Bình for Bình; the same event twice."""
    at = START + _HOUR
    events = [
        event("1", "like", at, "an", actor="f1"),
        event("2", "like", at, "an", actor="f2"),
        event("3", "like", at, "an", actor="f2"),
        event("4", "like", at, "binh", actor="f1"),
        event("5", "like", at, "binh", actor="binh"),
        event("1", "like", at, "an", actor="f1"),
    ]
    send(tools.database, platform, events, now=at + _HOUR)


def _close(tools: Tools, now: datetime = CLOSE) -> periods.Period:
    return stages.close(tools, "sen", "2026-10", actor=LAN, now=now)


def _approve_and_post(tools: Tools, now: datetime = POST) -> None:
    with db.transaction(tools.database) as session:
        stages.approve(session, "sen", "2026-10", actor=MINH, now=CLOSE)
    with db.transaction(tools.database) as session:
        stages.post(session, "sen", "2026-10", actor=LAN, now=now)


def _books(tools: Tools) -> dict[str, int]:
    with db.transaction(tools.database) as session:
        return books(session, "sen")


def test_a_period_goes_from_events_to_the_books(tools: Tools, platform: Platform) -> None:
    """12 points: An 9, Bình 3; 70 % of 1,000,003 dong is divided by them, to the last dong."""
    _fund(tools, platform, 1_000_003)
    _month(tools, platform)
    closed = _close(tools)
    before = _books(tools)
    _approve_and_post(tools)

    assert ("published", {"clearing": 1_000_003, "revenue_pool/2026-10": 1_000_003}) == (closed.state, before)
    # Quotas: platform 300,000.9, An 525,001.575, Bình 175,000.525; two dong go to the largest remainders.
    assert {
        "clearing": 1_000_003,
        "platform_revenue": 300_001,
        "creator_payable/an": 525_002,
        "creator_payable/binh": 175_000,
    } == _books(tools)


def test_the_split_says_what_was_counted_and_what_was_not(tools: Tools, platform: Platform) -> None:
    """The repeated event and the one that Bình gave herself are named, not dropped in silence."""
    _fund(tools, platform, 1_000_003)
    _month(tools, platform)
    _close(tools)

    with db.transaction(tools.database) as session:
        split = shares.latest(session, "sen", "2026-10")
        (binh,) = [one for one in shares.of_period(session, "sen", "2026-10") if one.party_id == "binh"]
    assert _verdicts(counted=4, filtered=1, duplicate=1) == split.inputs["verdicts"]
    assert {"self_engagement": 1} == split.inputs["excluded"]
    assert {"like": {"events": 1, "quantity": "1", "points_e4": "30000"}} == binh.walk["excluded"][
        "self_engagement"
    ]


def test_a_period_without_events_leaves_the_creators_part_unearned(tools: Tools, platform: Platform) -> None:
    """It is booked to an account of its own, never lost."""
    _fund(tools, platform, 1_000_000)
    _close(tools)
    _approve_and_post(tools)

    assert {"clearing": 1_000_000, "platform_revenue": 300_000, "unallocated": 700_000} == _books(tools)


def test_a_period_without_revenue_is_posted_without_an_entry(tools: Tools, platform: Platform) -> None:
    """Nothing to share is a result too."""
    _month(tools, platform)
    _close(tools)
    _approve_and_post(tools)

    assert {} == _books(tools)


def test_a_deficit_is_carried_and_recovered_before_the_next_pool_is_shared(
    tools: Tools, platform: Platform
) -> None:
    """October is 50,000 short; November's 130,000 give that back and share 80,000."""
    _fund(tools, platform, -50_000)
    _close(tools)
    _approve_and_post(tools)
    october = _books(tools)
    november_end = datetime(2026, 11, 30, 17, tzinfo=UTC)
    with db.transaction(tools.database) as session:
        periods.ensure_current(session, platform, november_end)
        revenues.record(
            session,
            platform,
            stream="ads",
            reference="r2",
            currency="VND",
            gross_minor=130_000,
            period_id="2026-11",
            actor=OPERATOR,
            now=POST,
        )
    stages.close(tools, "sen", "2026-11", actor=LAN, now=november_end + GRACE)
    with db.transaction(tools.database) as session:
        stages.approve(session, "sen", "2026-11", actor=MINH, now=november_end + GRACE)
        stages.post(session, "sen", "2026-11", actor=LAN, now=november_end + 2 * GRACE)

    assert {"clearing": -50_000, "deficit_carried": 50_000} == october
    assert {"clearing": 80_000, "platform_revenue": 24_000, "unallocated": 56_000} == _books(tools)


def test_late_events_join_the_next_pool_under_their_own_period(tools: Tools, platform: Platform) -> None:
    """October's amounts stay; November divides by November's points and October's late ones."""
    _fund(tools, platform, 100_000)
    _month(tools, platform)
    _close(tools)
    _approve_and_post(tools)
    sent_at = CLOSE + _HOUR
    november_end = datetime(2026, 11, 30, 17, tzinfo=UTC)
    with db.transaction(tools.database) as session:
        periods.ensure_current(session, platform, november_end)
    late = [
        event("9", "like", START + _HOUR, "chi", actor="f1"),
        event("1", "like", START + _HOUR, "an", actor="f1"),
    ]
    send(tools.database, platform, late, now=sent_at)
    send(tools.database, platform, [event("10", "like", CLOSE, "an", actor="f1")], now=sent_at)
    _record_november(tools, platform, 100_000)
    stages.close(tools, "sen", "2026-11", actor=LAN, now=november_end + GRACE)

    with db.transaction(tools.database) as session:
        made = shares.of_period(session, "sen", "2026-11")
        split = shares.latest(session, "sen", "2026-11")
    creators_part = [(one.party_id, one.origin_period_id, one.amount_minor) for one in made if one.points_e4]
    assert [("an", "2026-11", 35_000), ("chi", "2026-10", 35_000)] == creators_part
    assert _verdicts(counted=1, late=1, duplicate=1) == split.inputs["verdicts"]


def _verdicts(**counts: int) -> dict[str, int]:
    return {"counted": 0, "late": 0, "filtered": 0, "duplicate": 0, "conflict": 0, "voided": 0} | counts


def _record_november(tools: Tools, platform: Platform, gross_minor: int) -> None:
    with db.transaction(tools.database) as session:
        revenues.record(
            session,
            platform,
            stream="ads",
            reference="november",
            currency="VND",
            gross_minor=gross_minor,
            period_id="2026-11",
            actor=OPERATOR,
            now=POST,
        )


def test_a_childs_parent_share_is_revenue_of_the_parent(tools: Tools, platform: Platform) -> None:
    """A tenth of the kitchen's pool is booked on both sides when the kitchen's period is posted."""
    document = registry.founding_document()
    document["shares_bp"] = {"platform": 2_000, "parent": 1_000, "partners": {}, "creators": 7_000}
    with db.transaction(tools.database) as session:
        child = founded_platform(session, "sen.bep", now=START, parent_id="sen", document=document)
        revenues.record(
            session,
            child,
            stream="ads",
            reference="r1",
            currency="VND",
            gross_minor=100_000,
            period_id="2026-10",
            actor=OPERATOR,
            now=START,
        )
    stages.close(tools, "sen.bep", "2026-10", actor=LAN, now=CLOSE)
    with db.transaction(tools.database) as session:
        stages.approve(session, "sen.bep", "2026-10", actor=MINH, now=CLOSE)
        stages.post(session, "sen.bep", "2026-10", actor=LAN, now=POST)

    with db.transaction(tools.database) as session:
        child_books = books(session, "sen.bep")
    assert {
        "clearing": 100_000,
        "platform_revenue": 20_000,
        "parent_share/sen": 10_000,
        "unallocated": 70_000,
    } == child_books
    assert {"clearing": 10_000, "revenue_pool/2026-11": 10_000} == _books(tools)


def test_closing_twice_is_refused_and_changes_nothing(tools: Tools, platform: Platform) -> None:
    """The second close says what state the period is in."""
    _fund(tools, platform, 1_000_000)
    _close(tools)

    with pytest.raises(WrongState, match="published"):
        _close(tools)
    assert 1 == _version_count(tools)


def _version_count(tools: Tools) -> int:
    with db.transaction(tools.database) as session:
        return len(shares.versions(session, "sen", "2026-10"))


@pytest.mark.parametrize(
    ("now", "fault"),
    [
        (END - timedelta(microseconds=1), PeriodNotOver),
        (END, PeriodNotOver),
        (CLOSE - timedelta(microseconds=1), PeriodNotOver),
    ],
)
def test_a_period_is_not_closed_before_its_grace_has_ended(
    tools: Tools, platform: Platform, now: datetime, fault: type[Exception]
) -> None:
    """One microsecond before is too early."""
    with pytest.raises(fault):
        _close(tools, now)
    assert "published" == _close(tools, CLOSE).state


def test_periods_are_closed_in_order(tools: Tools, platform: Platform) -> None:
    """November waits for October."""
    with db.transaction(tools.database) as session:
        periods.ensure_current(session, platform, datetime(2026, 12, 10, tzinfo=UTC))

    with pytest.raises(EarlierPeriodOpen, match="2026-10"):
        stages.close(tools, "sen", "2026-11", actor=LAN, now=datetime(2026, 12, 10, tzinfo=UTC))


def test_who_closed_cannot_approve_and_a_checker_cannot_close(tools: Tools, platform: Platform) -> None:
    """Two people, each in their own role."""
    with pytest.raises(RoleMissing):
        stages.close(tools, "sen", "2026-10", actor=MINH, now=CLOSE)
    _close(tools)

    with pytest.raises(SamePerson), db.transaction(tools.database) as session:
        stages.approve(session, "sen", "2026-10", actor=LAN, now=CLOSE)
    with pytest.raises(RoleMissing), db.transaction(tools.database) as session:
        stages.approve(session, "sen", "2026-10", actor=SYSTEM, now=CLOSE)


def test_nothing_is_posted_unapproved_early_or_twice(tools: Tools, platform: Platform) -> None:
    """Approval first, then the challenge window, then once."""
    _fund(tools, platform, 1_000_000)
    _close(tools)

    with pytest.raises(WrongState), db.transaction(tools.database) as session:
        stages.post(session, "sen", "2026-10", actor=LAN, now=POST)
    with pytest.raises(ChallengeWindowOpen):
        _approve_and_post(tools, POST - timedelta(microseconds=1))
    with db.transaction(tools.database) as session:
        stages.post(session, "sen", "2026-10", actor=LAN, now=POST)
    with pytest.raises(WrongState), db.transaction(tools.database) as session:
        stages.post(session, "sen", "2026-10", actor=LAN, now=POST)
    assert 1_000_000 == _books(tools)["clearing"]


def test_shares_that_were_tampered_with_are_not_approved(
    tools: Tools, platform: Platform, database_urls: object
) -> None:
    """Going around the guards as superuser, one dong moves from An to Bình; approval refuses."""
    _fund(tools, platform, 1_000_003)
    _month(tools, platform)
    _close(tools)
    superuser = db.connect(database_urls.superuser_url, application_name="tamper")
    with db.transaction(superuser) as session:
        session.execute(text("SET LOCAL session_replication_role = replica"))
        session.execute(text("UPDATE share SET amount_minor = amount_minor - 1 WHERE party_id = 'an'"))
        session.execute(text("UPDATE share SET amount_minor = amount_minor + 1 WHERE party_id = 'binh'"))
    db.close(superuser)

    with pytest.raises(SplitChanged), db.transaction(tools.database) as session:
        stages.approve(session, "sen", "2026-10", actor=MINH, now=CLOSE)


def test_deductions_are_named_and_taken_off(tools: Tools, platform: Platform) -> None:
    """The pool receives the net."""
    with db.transaction(tools.database) as session:
        made = revenues.record(
            session,
            platform,
            stream="ads",
            reference="r1",
            currency="VND",
            gross_minor=1_000,
            deductions=[Deduction("network fee", 120), Deduction("tax", 80)],
            period_id="2026-10",
            actor=OPERATOR,
            now=START,
        )

    assert (800, {"clearing": 800, "revenue_pool/2026-10": 800}) == (made.net_minor, _books(tools))
