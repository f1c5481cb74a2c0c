"""What a due run does: one function a job. Each may be run again after any interruption.

A duty that is one transaction commits its effect and the run's completion together. A duty of several steps
(a close, a settlement) guards every step by state, so that running it again changes nothing, and is marked
done after its last step.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from service.calendar import periods
from service.closing import backfilling, clawbacks, estimates, stages
from service.events import compaction, merging, partitions, quarantine, retention, sweeping
from service.jobs import queue
from service.jobs.queue import Run
from service.ledger import balances
from service.parties import platforms
from service.parties.actors import Actor, ActorKind
from service.payouts import batches, settlement
from service.payouts.batches import NothingDue
from service.runtime import db
from service.wiring import System, owner_address, tools

Result = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Shift:
    """One run being done: by whom, at which instant, and how to read the clock again in long work."""

    system: System
    run: Run
    now: datetime
    now_of: Callable[[Session], datetime]

    @property
    def actor(self) -> Actor:
        """Whoever asked for the run."""
        kind, _, actor_id = self.run.requested_by.partition(":")
        return Actor(_kind(kind), actor_id)


def do(shift: Shift) -> Result:
    """Do a run and mark it done.

    Raises:
        Fault: what stopped it; the caller records the failed attempt.
        LostLease: another process holds the run by now.
    """
    return DUTIES[shift.run.job](shift)


def compact(shift: Shift) -> Result:
    """Move the event log into the lake."""
    system = shift.system
    done = compaction.run(system.database, system.lake, shift.run.platform_id, now=shift.now)
    return _finish(shift, asdict(done))


def prune(shift: Shift) -> Result:
    """Make the event log's partitions ahead, and drop those that the lake has, where the owner is known."""
    owner_url = owner_address(shift.system)
    if owner_url is None:
        with db.transaction(shift.system.database) as session:
            made_count = partitions.ensure_ahead(session, shift.now)
        return _finish(shift, {"made_count": made_count, "dropped": [], "is_blocked": False})
    return _finish(shift, asdict(partitions.prune(owner_url, now=shift.now)))


def merge(shift: Shift) -> Result:
    """Merge the small files that compaction wrote."""
    system = shift.system
    done = merging.run(system.database, system.lake, shift.run.platform_id, now=shift.now)
    return _finish(shift, asdict(done))


def tidy(shift: Shift) -> Result:
    """Remove what the platform's policy says, what merges replaced, and what killed processes left."""
    system, run = shift.system, shift.run
    with db.transaction(system.database) as session:
        platform = platforms.get(session, run.platform_id)
    removed = retention.run(system.database, system.lake, platform, now=shift.now)
    swept = sweeping.run(system.database, system.lake, run.platform_id, now=shift.now)
    return _finish(shift, {**asdict(removed), **asdict(swept)})


def close(shift: Shift) -> Result:
    """Seal a period, score and split it, publish the result."""

    def report(done: int, total: int | None) -> None:
        with db.transaction(shift.system.database) as session:
            queue.renew(session, shift.run, now=shift.now_of(session), done=done, total=total)

    run = shift.run
    with db.transaction(shift.system.database) as session:
        period = periods.get(session, run.platform_id, run.scope)
    # Published already: by a person, or by a holder of this run that died before it could say so.
    if period.published_at is None:
        period = stages.close(
            tools(shift.system), run.platform_id, run.scope, actor=shift.actor, now=shift.now, report=report
        )
    return _finish(shift, {"period": period.id, "state": period.state})


def post(shift: Shift) -> Result:
    """Book an approved split, unless a person has."""
    run = shift.run
    with db.transaction(shift.system.database) as session:
        period = periods.get(session, run.platform_id, run.scope)
        if period.posted_at is None:
            period = stages.post(session, run.platform_id, run.scope, actor=shift.actor, now=shift.now)
        result = {"period": period.id, "state": period.state}
        queue.finish(session, run, result=result, now=shift.now)
    return result


def claw_back(shift: Shift) -> Result:
    """Take back what corrections cost the lines of a posted period."""
    system, run = shift.system, shift.run
    done = clawbacks.run(tools(system), run.platform_id, run.scope, now=shift.now)
    return _finish(shift, asdict(done))


def estimate(shift: Shift) -> Result:
    """Compute the open period's estimate anew, from everything that arrived until now."""
    system, run = shift.system, shift.run
    compaction.run(system.database, system.lake, run.platform_id, now=shift.now)
    made = estimates.refresh(tools(system), run.platform_id, now=shift.now)
    return _finish(shift, {"period": made.period_id, "event_count": made.event_count})


def preview(shift: Shift) -> Result:
    """Compute what the commit of a backfill would do."""
    system, run = shift.system, shift.run

    def report(done: int, total: int | None) -> None:
        with db.transaction(system.database) as session:
            queue.renew(session, run, now=shift.now_of(session), done=done, total=total)

    made = backfilling.preview(
        tools(system), run.platform_id, uuid.UUID(run.scope), now=shift.now, report=report
    )
    return _finish(shift, {"backfill": run.scope, "accepted_count": made["accepted_count"]})


def pay(shift: Shift) -> Result:
    """Put everything that is due into a batch for approval."""
    run = shift.run
    with db.transaction(shift.system.database) as session:
        platform = platforms.get(session, run.platform_id)
        result: Result
        try:
            result = {"batch": str(batches.submit(session, platform, actor=shift.actor, now=shift.now).id)}
        except NothingDue:
            result = {"batch": None}
        queue.finish(session, run, result=result, now=shift.now)
    return result


def settle(shift: Shift) -> Result:
    """Send approved payouts and look up those on their way."""
    system, run = shift.system, shift.run
    assert run.owner is not None, "a claimed run has an owner"
    done = settlement.drain(
        system.database,
        system.provider,
        system.vault,
        platform_id=run.platform_id,
        owner=run.owner,
        clock=shift.now_of,
    )
    return _finish(shift, asdict(done))


def fold(shift: Shift) -> Result:
    """Fold the tallies of busy accounts into their balances."""
    run = shift.run
    with db.transaction(shift.system.database) as session:
        count = balances.fold(session, run.platform_id)
        result = {"tally_count": count}
        queue.finish(session, run, result=result, now=shift.now)
    return result


def purge_quarantine(shift: Shift) -> Result:
    """Remove what has been in quarantine long enough, some at a time."""
    run, count = shift.run, 0
    while True:
        with db.transaction(shift.system.database) as session:
            gone = quarantine.purge(session, run.platform_id, shift.now)
        count += gone
        if gone < quarantine.PURGE_ROWS:
            return _finish(shift, {"event_count": count})


DUTIES: Mapping[str, Callable[[Shift], Result]] = {
    "compact": compact,
    "prune": prune,
    "merge": merge,
    "tidy": tidy,
    "close": close,
    "post": post,
    clawbacks.JOB: claw_back,
    "estimate": estimate,
    "preview": preview,
    "pay": pay,
    "settle": settle,
    "fold": fold,
    "purge_quarantine": purge_quarantine,
}


def _finish(shift: Shift, result: Result) -> Result:
    with db.transaction(shift.system.database) as session:
        queue.finish(session, shift.run, result=result, now=shift.now_of(session))
    return result


def _kind(text: str) -> ActorKind:
    kinds: tuple[ActorKind, ...] = ("operator", "key", "staff", "creator", "system")
    return next(kind for kind in kinds if kind == text)
