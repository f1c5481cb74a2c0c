"""Retention: raw events go when the platform's policy says so and nothing is computed from them any more.

Owns `event_retention`, and decides when receipts go. What is removed are the files that say who did what:
raw events and their indexes, and the counted ones of sealed periods. What stays are the lines of the manifest
with their digests, the verdicts and exceptions (identities and fingerprints only), shares, walks and totals.
Laws: a period's events go only when it is posted, for as long as the policy says, and in no reach of a period
that is not posted; every removal is written down before the file goes; without a policy nothing is removed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import and_, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from service.calendar import periods
from service.calendar.periods import LATE_PERIODS, Period
from service.core.errors import FieldError, Invalid
from service.core.spans import Span, local_day
from service.events import manifest
from service.events.intake import FUTURE_TOLERANCE
from service.events.lake import Lake
from service.events.manifest import LakeFile
from service.events.tables import event_receipt, event_retention, lake_file
from service.parties import trail
from service.parties.actors import SYSTEM, Actor
from service.parties.platforms import Platform
from service.runtime import db
from service.runtime.db import Database

DAYS_MAX: Final = 36_500

RECEIPTS_AT_ONCE: Final = 20_000

_INSTANT: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Removed:
    """What a run removed: files of events of so many periods, the indexes not counted, and receipts."""

    period_count: int
    file_count: int
    receipt_count: int


def days_of(session: Session, platform_id: str) -> int | None:
    """Read a platform's policy: for how many days after posting events are kept; None keeps them."""
    return session.scalar(select(event_retention.c.days).where(event_retention.c.platform_id == platform_id))


def set_days(
    session: Session, platform_id: str, days: int | None, *, actor: Actor, now: datetime
) -> int | None:
    """Set a platform's policy; None keeps events for good.

    Raises:
        Invalid: a number below zero, or above DAYS_MAX.
    """
    if days is not None and not 0 <= days <= DAYS_MAX:
        detail = f"Give a number of days from 0 to {DAYS_MAX}, or none to keep events."
        raise Invalid(detail, errors=[FieldError("/days", detail)])
    before = days_of(session, platform_id)
    if days is None:
        session.execute(delete(event_retention).where(event_retention.c.platform_id == platform_id))
    else:
        session.execute(
            upsert(event_retention)
            .values(platform_id=platform_id, days=days)
            .on_conflict_do_update(index_elements=["platform_id"], set_={"days": days})
        )
    if days != before:
        trail.record(
            session,
            platform_id,
            actor,
            "platform.retention",
            "platform",
            platform_id,
            before={"days": before},
            after={"days": days},
            now=now,
        )
    return days


def run(
    database: Database,
    lake: Lake,
    platform: Platform,
    *,
    now: datetime,
    say: Callable[[str], None] = lambda _: None,
) -> Removed:
    """Remove what a platform's policy says, and receipts that nobody can use again.

    Args:
        say: is told of each step.

    Raises:
        LakeAway: a file could not be removed; it is written down, and the next sweep goes on.
    """
    with db.transaction(database) as session:
        manifest.lock(session, platform.id)
        chosen = plan(periods.listing(session, platform.id), days_of(session, platform.id), now)
        files = _files(session, platform, chosen)
        manifest.remove(session, files, "retention", now=now)
        concerned = [one for one in chosen if any(_is_of(file, one, platform) for file in files)]
        for one in concerned:
            count = sum(file.kind != "index" and _is_of(file, one, platform) for file in files)
            trail.record(
                session,
                platform.id,
                SYSTEM,
                "events.remove",
                "period",
                one.id,
                after={"file_count": count},
                now=now,
            )
    say(f"Wrote down {len(files)} removals.")
    for file in files:
        lake.remove(file.stored.path)
        say(f"Removed {file.stored.path}.")
    file_count = sum(file.kind != "index" for file in files)
    return Removed(len(concerned), file_count, _purge_receipts(database, platform.id, say))


def plan(known: Sequence[Period], days: int | None, now: datetime) -> list[Period]:
    """Choose the periods whose events may go. Pure.

    Args:
        known: all periods of a platform, earliest first.
        days: the policy.
    """
    if days is None:
        return []
    needed = [_reach(known, one) for one in known if one.posted_at is None]
    return [
        one
        for one in known
        if one.posted_at is not None
        and one.posted_at + timedelta(days=days) <= now
        and not any(span.start_at < one.span.end_at and one.span.start_at < span.end_at for span in needed)
    ]


def horizon_at(session: Session, platform_id: str) -> datetime | None:
    """Tell before which instant no event is taken any more; None if no period takes events."""
    return min((one.span.start_at for one in periods.window(session, platform_id)), default=None)


def _reach(known: Sequence[Period], period: Period) -> Span:
    """Find what the seal and the scoring of a period may read: as `sealing`, and all in between."""
    before = [one for one in known if one.span.end_at <= period.span.start_at]
    regular = [one for one in before if not one.is_historic]
    reached = [period, *before[-LATE_PERIODS:], *regular[-LATE_PERIODS:]]
    return Span(min(one.span.start_at for one in reached), period.span.end_at)


def _files(session: Session, platform: Platform, chosen: Sequence[Period]) -> list[LakeFile]:
    """Read which files of events these periods have that are not removed yet."""
    if not chosen:
        return []
    days = [_days(platform, one) for one in chosen]
    concerned = or_(
        and_(lake_file.c.kind == "counted", lake_file.c.period_id.in_([one.id for one in chosen])),
        and_(
            lake_file.c.kind.in_(["raw", "index"]),
            or_(*(lake_file.c.day_on.between(first_on, last_on) for first_on, last_on in days)),
        ),
    )
    return manifest.there(session, platform.id, concerned)


def _days(platform: Platform, period: Period) -> tuple[object, object]:
    """Name the first and the last local day of a period."""
    last_at = period.span.end_at - _INSTANT
    return local_day(period.span.start_at, platform.zone), local_day(last_at, platform.zone)


def _is_of(file: LakeFile, period: Period, platform: Platform) -> bool:
    if file.day_on is None:
        return file.period_id == period.id
    return (
        local_day(period.span.start_at, platform.zone)
        <= file.day_on
        <= local_day(period.span.end_at - _INSTANT, platform.zone)
    )


def _purge_receipts(database: Database, platform_id: str, say: Callable[[str], None]) -> int:
    """Remove receipts whose every event is too old: the same bytes would be refused now.

    No event is accepted that lies further ahead of its receipt than FUTURE_TOLERANCE.
    """
    count = 0
    while True:
        with db.transaction(database) as session:
            until_at = horizon_at(session, platform_id)
            if until_at is None:
                return count
            until_at -= FUTURE_TOLERANCE
            received_at = func.jsonb_extract_path_text(event_receipt.c.receipt, "received_at")
            chosen = (
                select(event_receipt.c.body_sha256)
                .where(
                    event_receipt.c.platform_id == platform_id,
                    event_receipt.c.created_at < until_at,
                    received_at.cast(event_receipt.c.created_at.type) < until_at,
                )
                .limit(RECEIPTS_AT_ONCE)
            )
            removed = session.execute(
                delete(event_receipt)
                .where(event_receipt.c.platform_id == platform_id, event_receipt.c.body_sha256.in_(chosen))
                .returning(event_receipt.c.batch_id)
            ).all()
        count += len(removed)
        if not removed:
            return count
        say(f"Removed {count} receipts.")
