"""The ticker: every few seconds, write down what is due, then do it.

APScheduler is only the metronome; losing it loses nothing, because what is due is data. Run as many replicas
as you like: runs are claimed with SKIP LOCKED, leased and fenced.
"""

import os
import secrets
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog
from apscheduler.schedulers.blocking import BlockingScheduler
from sqlalchemy.orm import Session

from service.core.errors import Fault, Unavailable
from service.events import quarantine
from service.jobs import queue
from service.jobs.queue import LostLease, Run
from service.parties import platforms
from service.runtime import clock, db, metrics
from service.scheduler import due, duties
from service.scheduler.duties import Shift
from service.wiring import System

RUNS_PER_TICK = 200

log = structlog.get_logger("scheduler")


class Broken(Fault):
    """A run ended in an error of ours; the log has the whole of it."""

    status = 500
    slug = "job-broken"
    title = "The job ended in an error"


@dataclass(frozen=True, slots=True)
class Ticked:
    """What one tick did."""

    done_count: int
    failed_count: int


def owner() -> str:
    """Name this process uniquely, also after its id was used again."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def tick(
    system: System,
    *,
    owner: str,
    now_of: Callable[[Session], datetime] = clock.now,
    runs_max: int = RUNS_PER_TICK,
) -> Ticked:
    """Write down what is due and do it, oldest first, until nothing is left or `runs_max` are done.

    Args:
        owner: names this process.
        now_of: reads the clock; tests give their own.
    """
    due.plan(system.database, now_of)
    done_count = failed_count = 0
    while done_count + failed_count < runs_max:
        with db.transaction(system.database) as session:
            now = now_of(session)
            run = queue.claim(session, owner=owner, now=now)
        if run is None:
            break
        if _do(Shift(system=system, run=run, now=now, now_of=now_of)):
            done_count += 1
            _plan_next(system, run, now_of)
        else:
            failed_count += 1
    with db.transaction(system.database) as session:
        now = now_of(session)
        metrics.ticked(now, overdue_s=queue.overdue_s(session, now))
        open_count, oldest_at = quarantine.overview(session)
        oldest_s = 0 if oldest_at is None else int((now - oldest_at).total_seconds())
        metrics.quarantined(open_count, oldest_s=oldest_s)
    return Ticked(done_count=done_count, failed_count=failed_count)


def run_forever(system: System) -> None:
    """Tick at the interval of the settings until the process is told to stop."""
    me = owner()
    scheduler = BlockingScheduler(timezone="UTC")

    def beat() -> None:
        try:
            tick(system, owner=me)
        except Unavailable as fault:
            log.warning("tick.unavailable", detail=fault.detail)

    def stop(_number: int, _frame: object) -> None:
        scheduler.shutdown(wait=False)

    scheduler.add_job(
        beat,
        "interval",
        seconds=system.settings.scheduler_interval_s,
        coalesce=True,
        max_instances=1,
        misfire_grace_time=None,
        next_run_time=datetime.now(scheduler.timezone),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    log.info("scheduler.start", owner=me)
    scheduler.start()
    log.info("scheduler.stop", owner=me)


def _plan_next(system: System, run: Run, now_of: Callable[[Session], datetime]) -> None:
    """Write down what has become due by a run, so that one tick carries a period as far as it can go."""
    if not run.platform_id:
        return
    with db.transaction(system.database) as session:
        platform = platforms.get(session, run.platform_id)
    due.plan_one(system.database, platform, now_of)


def _do(shift: Shift) -> bool:
    """Do one run; tell whether it was done. A fault is recorded, an error of ours is logged whole too."""
    run = shift.run
    try:
        result = duties.do(shift)
    except LostLease:
        log.warning("job.lost", job=run.job, scope=run.scope, platform_id=run.platform_id)
        return False
    except Unavailable:
        # The lease runs out by itself; the next tick that reaches the database takes the run again.
        raise
    except Fault as fault:
        log.warning(
            "job.refused", job=run.job, scope=run.scope, platform_id=run.platform_id, fault=fault.slug
        )
        _give_up(shift, run, fault)
        return False
    except Exception as error:
        log.exception("job.broken", job=run.job, scope=run.scope, platform_id=run.platform_id)
        _give_up(shift, run, Broken(f"{type(error).__name__}; the scheduler's log has the whole of it."))
        return False
    log.info("job.done", job=run.job, scope=run.scope, platform_id=run.platform_id, **result)
    return True


def _give_up(shift: Shift, run: Run, fault: Fault) -> None:
    with db.transaction(shift.system.database) as session:
        queue.give_up(session, run, fault, now=shift.now_of(session))
