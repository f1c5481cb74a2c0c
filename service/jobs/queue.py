"""Due runs: rows that are claimed, leased, and finished in the transaction of their effect.

What is due is data: a run is identified by platform, job, scope and due instant, so that asking twice makes
one run, and missed runs are there after any downtime. Law: of two processes, at most one finishes a run, and
its effect and its completion commit together; the other's transaction is refused (`LostLease`).
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.core import ids
from service.core.errors import Conflict, Fault, NotFound
from service.jobs.tables import job_run

LEASE_S = 120
ATTEMPTS_MAX = 8
BACKOFF_FIRST_S = 5
BACKOFF_MAX_S = 900


class LostLease(Conflict):
    """Another process took the run over; nothing of this attempt may be stored."""

    slug = "lost-lease"
    title = "Another process has taken this run over"


@dataclass(frozen=True, slots=True)
class Run:
    """One due run, as read."""

    id: uuid.UUID
    platform_id: str
    job: str
    scope: str
    due_at: datetime
    state: str
    owner: str | None
    attempt: int
    progress_done: int
    progress_total: int | None
    arguments: Mapping[str, Any]
    result: Mapping[str, Any] | None
    fault: Mapping[str, Any] | None
    requested_by: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


_COLUMNS = [job_run.c[name] for name in Run.__slots__]


def request(
    session: Session,
    *,
    platform_id: str,
    job: str,
    scope: str,
    due_at: datetime,
    requested_by: str,
    arguments: Mapping[str, Any] | None = None,
    now: datetime,
) -> uuid.UUID:
    """Ask for a run; asking again for the same one returns the one there is.

    Args:
        job: what to do.
        scope: what to do it to.
        due_at: when; part of the run's identity.
    """
    made: uuid.UUID | None = session.execute(
        insert(job_run)
        .values(
            id=ids.new(now),
            platform_id=platform_id,
            job=job,
            scope=scope,
            due_at=due_at,
            requested_by=requested_by,
            arguments=dict(arguments or {}),
            created_at=now,
        )
        .on_conflict_do_nothing()
        .returning(job_run.c.id)
    ).scalar_one_or_none()
    if made is not None:
        return made
    found: uuid.UUID | None = session.scalar(
        select(job_run.c.id).where(
            job_run.c.platform_id == platform_id,
            job_run.c.job == job,
            job_run.c.scope == scope,
            job_run.c.due_at == due_at,
        )
    )
    assert found is not None, "the row that the insert met is committed and never deleted"
    return found


def claim(session: Session, *, owner: str, now: datetime, lease_s: int = LEASE_S) -> Run | None:
    """Take the run that has waited longest, or one whose holder let its lease pass.

    Args:
        owner: names this process, and this attempt of it, uniquely.

    Returns:
        The run, now running under `owner`; None when nothing is due.
    """
    ready_at = func.coalesce(job_run.c.not_before_at, job_run.c.due_at)
    waiting = and_(job_run.c.state == "due", ready_at <= now)
    abandoned = and_(job_run.c.state == "running", job_run.c.lease_until <= now)
    found = session.scalar(
        select(job_run.c.id)
        .where(or_(waiting, abandoned))
        .order_by(job_run.c.due_at, job_run.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if found is None:
        return None
    row = session.execute(
        update(job_run)
        .where(job_run.c.id == found)
        .values(
            state="running",
            owner=owner,
            attempt=job_run.c.attempt + 1,
            lease_until=now + timedelta(seconds=lease_s),
            started_at=now,
        )
        .returning(*_COLUMNS)
    ).one()
    return _run(row)


def renew(
    session: Session,
    run: Run,
    *,
    now: datetime,
    done: int = 0,
    total: int | None = None,
    lease_s: int = LEASE_S,
) -> None:
    """Keep a run and report how far it is.

    Raises:
        LostLease: another process holds it.
    """
    _guarded(
        session,
        run,
        lease_until=now + timedelta(seconds=lease_s),
        progress_done=done,
        progress_total=total,
    )


def finish(session: Session, run: Run, *, result: Mapping[str, Any], now: datetime) -> None:
    """Mark a run done, in the transaction of its effect.

    Raises:
        LostLease: another process holds it; the caller's transaction must not commit.
    """
    _guarded(session, run, state="done", result=dict(result), fault=None, finished_at=now, lease_until=None)


def give_up(session: Session, run: Run, fault: Fault, *, now: datetime, is_final: bool = False) -> None:
    """Record a failed attempt: try again later, or after ATTEMPTS_MAX attempts no more.

    Args:
        is_final: the fault will be the same next time, so that trying again is of no use.

    Raises:
        LostLease: another process holds it.
    """
    is_over = is_final or run.attempt >= ATTEMPTS_MAX
    wait_s = min(BACKOFF_FIRST_S * 2 ** (run.attempt - 1), BACKOFF_MAX_S)
    _guarded(
        session,
        run,
        state="failed" if is_over else "due",
        fault={"slug": fault.slug, "title": fault.title, "detail": fault.detail},
        not_before_at=now + timedelta(seconds=wait_s),
        finished_at=now if is_over else None,
        lease_until=None,
    )


def get(session: Session, platform_id: str, run_id: uuid.UUID) -> Run:
    """Read one run.

    Raises:
        NotFound: the platform has none with this id.
    """
    row = session.execute(
        select(*_COLUMNS).where(job_run.c.platform_id == platform_id, job_run.c.id == run_id)
    ).one_or_none()
    if row is None:
        raise NotFound(f"Platform {platform_id} has no job {run_id}.")
    return _run(row)


def listing(session: Session, platform_id: str, *, states: Sequence[str] = (), limit: int = 100) -> list[Run]:
    """Read a platform's runs, newest first, of the given states or of all."""
    query = select(*_COLUMNS).where(job_run.c.platform_id == platform_id)
    if states:
        query = query.where(job_run.c.state.in_(states))
    return [_run(row) for row in session.execute(query.order_by(job_run.c.id.desc()).limit(limit))]


def known(session: Session, platform_id: str) -> set[tuple[str, str, datetime]]:
    """Read which runs of a platform are written down, as (job, scope, due instant).

    Only jobs with a scope can be due again long after they were done, so finished runs without one are left
    out: an act that is always due anew has a due instant that is new as well.
    """
    rows = session.execute(
        select(job_run.c.job, job_run.c.scope, job_run.c.due_at).where(
            job_run.c.platform_id == platform_id,
            or_(job_run.c.scope != "", job_run.c.state.in_(("due", "running"))),
        )
    )
    return {(row.job, row.scope, row.due_at) for row in rows}


def overdue_s(session: Session, now: datetime) -> int:
    """Tell for how many seconds the oldest unfinished run has been due; 0 when none is."""
    oldest_at = session.scalar(
        select(func.min(job_run.c.due_at)).where(
            job_run.c.state.in_(("due", "running")), job_run.c.due_at <= now
        )
    )
    return 0 if oldest_at is None else int((now - oldest_at).total_seconds())


def _guarded(session: Session, run: Run, **values: Any) -> None:
    kept = session.execute(
        update(job_run)
        .where(
            job_run.c.id == run.id,
            job_run.c.state == "running",
            job_run.c.owner == run.owner,
            job_run.c.attempt == run.attempt,
        )
        .values(values)
        .returning(job_run.c.id)
    ).one_or_none()
    if kept is None:
        raise LostLease(f"Run {run.id} ({run.job} {run.scope}) is not {run.owner}'s any more.")


def _run(row: Row[Any]) -> Run:
    return Run(**row._mapping)
