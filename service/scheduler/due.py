"""What is due: found in the data, written down as runs. Finding twice writes nothing new.

Law: every due instant comes from a fact in the database, so that any number of schedulers at any time write
the same rows, and what was missed while none ran is found by the next one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from service.calendar import periods
from service.closing import clawbacks, estimates, stages
from service.events import compaction, merging, quarantine
from service.jobs import queue
from service.ledger import balances
from service.parties import platforms
from service.parties.actors import SYSTEM
from service.parties.platforms import Platform
from service.payouts import settlement
from service.runtime import db
from service.runtime.db import Database

FOLD_EVERY_S = 60
PURGE_EVERY_S = 24 * 60 * 60
MERGE_EVERY_S = 60
PRUNE_EVERY_S = 21_600
TIDY_EVERY_S = 86_400


@dataclass(frozen=True, slots=True)
class Due:
    """One run that should exist."""

    job: str
    scope: str
    due_at: datetime


def plan(database: Database, now_of: Callable[[Session], datetime]) -> int:
    """Write down every run that is due, platform by platform; return how many platforms were looked at."""
    with db.transaction(database) as session:
        known = platforms.listing(session)
        plan_service(session, now=now_of(session))
    for platform in known:
        plan_one(database, platform, now_of)
    return len(known)


def plan_service(session: Session, *, now: datetime) -> None:
    """Write down what is due for the service as a whole: the upkeep of the event log, four times a day."""
    _request(session, "", Due("prune", "", slot_of(now, PRUNE_EVERY_S)), now=now)


def plan_one(database: Database, platform: Platform, now_of: Callable[[Session], datetime]) -> None:
    """Write down every run of one platform that is due."""
    with db.transaction(database) as session:
        plan_platform(session, platform, now=now_of(session))


def plan_platform(session: Session, platform: Platform, *, now: datetime) -> None:
    """Open the period of `now` if it is missing, and write down what is due for one platform."""
    periods.ensure_current(session, platform, now)
    known = queue.known(session, platform.id)
    for one in find(session, platform, now=now):
        if (one.job, one.scope, one.due_at) in known:
            continue
        _request(session, platform.id, one, now=now)


def find(session: Session, platform: Platform, *, now: datetime) -> Iterator[Due]:
    """Find what is due for one platform, in the order in which the data flows."""
    yield from _of_events(session, platform, now)
    for stage in stages.due(session, platform.id):
        if stage.due_at <= now:
            yield Due(stage.job, stage.period_id, stage.due_at)
    yield from _clawbacks(session, platform, now)
    for period in periods.listing(session, platform.id):
        if period.posted_at is not None and not period.is_historic:
            yield Due("pay", period.id, period.posted_at)
    estimate_at = estimates.due_at(session, platform.id, now=now)
    if estimate_at is not None and estimate_at <= now:
        yield Due("estimate", "", estimate_at)
    settle_at = settlement.due_at(session, platform.id)
    if settle_at is not None and settle_at <= now:
        yield Due("settle", "", settle_at)
    if balances.has_tallies(session, platform.id):
        yield Due("fold", "", slot_of(now, FOLD_EVERY_S))


def _of_events(session: Session, platform: Platform, now: datetime) -> Iterator[Due]:
    """Find what keeps the log short, the lake in few files, and both free of what is too old."""
    compact_at = compaction.due_at(session, platform.id)
    if compact_at is not None and compact_at <= now:
        yield Due("compact", "", compact_at)
    if merging.is_due(session, platform.id, now=now):
        yield Due("merge", "", slot_of(now, MERGE_EVERY_S))
    yield Due("tidy", "", slot_of(now, TIDY_EVERY_S))
    if quarantine.has_old(session, platform.id, now):
        yield Due("purge_quarantine", "", slot_of(now, PURGE_EVERY_S))


def _clawbacks(session: Session, platform: Platform, now: datetime) -> Iterator[Due]:
    """Find the posted periods that corrections concern."""
    for one in clawbacks.due(session, platform.id):
        if one.due_at <= now:
            yield Due(clawbacks.JOB, one.period_id, one.due_at)


def slot_of(now: datetime, every_s: int) -> datetime:
    """Find the beginning of the slot of `every_s` seconds that `now` lies in."""
    elapsed_s = int(now.timestamp())
    return datetime.fromtimestamp(elapsed_s - elapsed_s % every_s, UTC)


def _request(session: Session, platform_id: str, one: Due, *, now: datetime) -> None:
    queue.request(
        session,
        platform_id=platform_id,
        job=one.job,
        scope=one.scope,
        due_at=one.due_at,
        requested_by=str(SYSTEM),
        now=now,
    )
