"""Retention: raw events go by policy, when nothing needs them, and everything that is published stays."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from service.audit import replay
from service.calendar import periods
from service.calendar.periods import Period
from service.core.errors import Invalid
from service.core.spans import Span
from service.events import batch_verdicts, compaction, intake, manifest, merging, retention, verdicts, wire
from service.events.lake import Lake
from service.events.manifest import EventsRemoved
from service.events.retention import Removed
from service.events.tables import event_receipt
from service.parties.actors import OPERATOR
from service.parties.platforms import Platform
from service.parties.tables import audit_trail
from service.runtime import db
from service.runtime.db import Database
from tests.events import worlds
from tests.events.worlds import DAY, NOW, event


def at(month: int, day: int = 1) -> datetime:
    """Name an instant of 2026."""
    return datetime(2026, month, day, tzinfo=UTC)


def period(month: int, *, posted_at: datetime | None = None, is_historic: bool = False) -> Period:
    """Make a period of a month."""
    return Period(
        platform_id="p",
        id=f"2026-{month:02}",
        span=Span(at(month), at(month + 1)),
        time_zone="UTC",
        state="open" if posted_at is None else "posted",
        is_historic=is_historic,
        opened_at=at(1),
        sealed_at=posted_at,
        cut_seq=None if posted_at is None else 1,
        published_at=posted_at,
        posted_at=posted_at,
    )


POSTED = [period(month, posted_at=at(month + 1, 10)) for month in range(1, 8)]
OPEN = period(8)


def names(found: list[Period]) -> list[str]:
    """Name periods by their months."""
    return [one.id[-2:] for one in found]


def test_without_a_policy_everything_is_kept() -> None:
    """Nobody asked for anything to be removed."""
    assert [] == retention.plan([*POSTED, OPEN], None, at(11))


def test_what_is_posted_long_enough_and_out_of_reach_goes() -> None:
    """The two periods before the open one are what it may still have to look at."""
    assert ["01", "02", "03", "04", "05"] == names(retention.plan([*POSTED, OPEN], 0, at(11)))


def test_the_days_are_counted_from_the_posting() -> None:
    """To the microsecond."""
    due_at = at(3, 10) + 30 * DAY

    early = retention.plan([*POSTED, OPEN], 30, due_at - timedelta(microseconds=1))

    assert ["01"] == names(early)
    assert ["01", "02"] == names(retention.plan([*POSTED, OPEN], 30, due_at))


def test_a_period_that_is_sealed_and_not_posted_needs_what_is_before_it() -> None:
    """It may be scored again until it is posted."""
    sealed = replace(period(5), state="published", sealed_at=at(6), cut_seq=1)
    known = [*POSTED[:4], sealed, *POSTED[5:], OPEN]

    assert ["01", "02"] == names(retention.plan(known, 0, at(11)))


def test_open_history_needs_its_own_time_and_the_two_periods_before() -> None:
    """Not everything since."""
    known = [*POSTED[:2], period(3, is_historic=True), *POSTED[3:], OPEN]

    assert ["04", "05"] == names(retention.plan(known, 0, at(11)))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Give an empty lake."""
    return worlds.lake_in(tmp_path)


@pytest.fixture
def platform(database: Database) -> Platform:
    """Found a platform."""
    return worlds.founded(database)


def set_days(database: Database, platform: Platform, days: int | None, *, now: datetime = NOW) -> None:
    """Set the policy and commit."""
    with db.transaction(database) as session:
        retention.set_days(session, platform.id, days, actor=OPERATOR, now=now)


def test_a_policy_is_set_changed_and_taken_back_on_the_record(database: Database, platform: Platform) -> None:
    """Setting what is set already is no act."""
    for days in (30, 30, 7, None):
        set_days(database, platform, days)

    with db.transaction(database) as session:
        acts = session.execute(
            select(audit_trail.c.before, audit_trail.c.after)
            .where(audit_trail.c.act == "platform.retention")
            .order_by(audit_trail.c.id)
        ).all()
        assert retention.days_of(session, platform.id) is None
    assert [
        ({"days": None}, {"days": 30}),
        ({"days": 30}, {"days": 7}),
        ({"days": 7}, {"days": None}),
    ] == [tuple(one) for one in acts]


@pytest.mark.parametrize("days", [-1, retention.DAYS_MAX + 1])
def test_a_policy_of_nonsense_is_refused(database: Database, platform: Platform, days: int) -> None:
    """The nearest good numbers are taken."""
    with pytest.raises(Invalid):
        set_days(database, platform, days)
    set_days(database, platform, min(max(days, 0), retention.DAYS_MAX))


def test_the_verdict_of_a_removed_event_is_still_found(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """What was sent is gone; what became of it is not. A month that is kept has both."""
    now = months(database, lake, platform) + 200 * DAY
    set_days(database, platform, 90)
    retention.run(database, lake, platform, now=now)

    for month, is_kept in (("2026-11", False), ("2027-01", True)):
        day = date.fromisoformat(f"{month}-20")
        (one,) = verdicts.look_up(database, lake, platform, "app", f"e-{month}", day=day).occurrences
        (item,) = batch_verdicts.look_up(database, lake, platform, one.place.batch_id).items
        assert ("counted", month) == (one.standing.verdict, one.standing.settled_in)
        assert ("counted", month) == (item.standing.verdict, item.standing.settled_in)
        assert is_kept == (one.sent is not None)


def sealed_and_posted(
    database: Database, lake: Lake, platform: Platform, period_id: str, now: datetime
) -> None:
    """Carry a period to posted without money: what matters here is when."""
    from service.events import sealing

    with db.transaction(database) as session:
        one = periods.get(session, platform.id, period_id)
    sealing.settle(database, lake, platform, worlds.seal(database, platform, one.id, now=now), now=now)
    for state in ("scored", "split", "published", "approved", "posted"):
        with db.transaction(database) as session:
            one = periods.get(session, platform.id, period_id)
            periods.advance(session, one, state, actor=OPERATOR, now=now)


def months(database: Database, lake: Lake, platform: Platform) -> datetime:
    """Send an event a month from November on and post all but the last; tell when the last was posted."""
    now = NOW
    for month in ("2026-11", "2026-12", "2027-01", "2027-02"):
        sent_at = datetime(int(month[:4]), int(month[5:]), 20, 5, tzinfo=UTC)
        with db.transaction(database) as session:
            periods.ensure_current(session, platform, sent_at)
        worlds.send(database, platform, event(f"e-{month}", time=f"{month}-20T04:00:00Z"), now=sent_at)
        now = sent_at + 20 * DAY
        with db.transaction(database) as session:
            periods.ensure_current(session, platform, now)
        sealed_and_posted(database, lake, platform, month, now)
    return now


def kinds(database: Database, lake: Lake, platform: Platform) -> dict[str, list[str]]:
    """Name the files that are there, by kind, with the month of each."""
    with db.transaction(database) as session:
        known = manifest.listing(session, platform.id)
    found: dict[str, list[str]] = {"raw": [], "counted": [], "verdicts": []}
    for one in known:
        if lake.modified_at(one.stored.path) is not None and one.kind in found:
            found[one.kind].append(str(one.period_id or one.day_on)[:7])
    return {kind: sorted(named) for kind, named in found.items()}


def test_a_run_removes_events_and_keeps_what_was_published(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """November is out of reach, December and January are not; a second run finds nothing."""
    now = months(database, lake, platform) + 200 * DAY
    all_months = ["2026-11", "2026-12", "2027-01", "2027-02"]
    set_days(database, platform, 90)

    done = retention.run(database, lake, platform, now=now)
    again = retention.run(database, lake, platform, now=now)

    assert (2, 4) == (done.period_count, done.file_count)
    assert Removed(0, 0, 0) == again
    assert {
        "raw": all_months[2:],
        "counted": all_months[2:],
        "verdicts": all_months,
    } == kinds(database, lake, platform)
    report = replay.run(database, lake)
    assert [] == [one for one in report.findings if one.check.startswith("events.")]
    assert (f"tiktak: 6 files of events were removed by policy on {now.date()}",) == report.remarks
    with db.transaction(database) as session:
        known = manifest.files_of_period(session, platform.id, "2026-11", "counted")
        with pytest.raises(EventsRemoved, match=f"2026-11 were removed by policy on {now.date()}"):
            manifest.check_there(session, platform.id, known)
        manifest.check_there(
            session, platform.id, manifest.files_of_period(session, platform.id, "2027-01", "counted")
        )
        acts = session.execute(
            select(audit_trail.c.subject_id, audit_trail.c.after).where(audit_trail.c.act == "events.remove")
        ).all()
    assert [("2026-11", {"file_count": 2}), ("2026-12", {"file_count": 2})] == sorted(
        (one.subject_id, one.after) for one in acts
    )


def test_files_that_a_merge_replaced_go_with_their_period(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """Nothing of those days is left, under whatever name."""
    for number in range(merging.FILES_MIN):
        worlds.send(database, platform, event(f"more-{number}"))
    compaction.run(database, lake, platform.id, chunk_events=1, now=NOW)
    merging.run(database, lake, platform.id, now=NOW)
    now = months(database, lake, platform) + 200 * DAY
    set_days(database, platform, 0)

    retention.run(database, lake, platform, now=now)

    assert ["2027-01", "2027-02"] == kinds(database, lake, platform)["raw"]


def test_receipts_go_when_their_bytes_are_too_old_to_be_sent_again(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """The same bytes are then refused; a younger receipt is still given for its bytes."""
    now = months(database, lake, platform)
    old, young = (
        worlds.batch(event("e-2026-11")),
        worlds.batch(event("e-2027-02", time="2027-02-20T04:00:00Z")),
    )

    done = retention.run(database, lake, platform, now=now)

    assert 2 == done.receipt_count
    with db.transaction(database) as session:
        assert 2 == session.scalar(select(func.count()).select_from(event_receipt))
        again = intake.receive(session, platform, old, wire.BATCH, channel="http", now=now)
        replayed = intake.receive(session, platform, young, wire.BATCH, channel="http", now=now)
    assert (False, ["too_old"]) == (again.is_replay, [one.code for one in again.rejected])
    assert (True, ()) == (replayed.is_replay, replayed.rejected)
