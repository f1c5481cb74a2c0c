"""What waits for whom: the next step of a period or a batch, and whether the person who looks can take it.

Decides nothing by itself: it says beforehand what the acts would answer, so that a page offers those buttons
only that will work. Laws: a button is offered to a person exactly if the act would not be refused to them for
what they are; whoever prepared something is told who else has to approve it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy.orm import Session

from service.calendar import periods
from service.calendar.periods import Period, Step
from service.closing import stages
from service.jobs import queue
from service.jobs.queue import Run
from service.payouts.batches import Batch
from service.web.desk import Desk

UNFINISHED_MAX = 500
"""Jobs that are looked through for those of a period; more do not pile up while a scheduler runs."""

_CLOSING = ("sealed", "scored", "split")


class Wait(StrEnum):
    """What a period or a batch waits for."""

    END = "end"
    """The period is not over."""
    GRACE = "grace"
    """Late events still count."""
    EARLIER = "earlier"
    """An earlier period is closed first."""
    CLOSE = "close"
    """A maker, or the service by itself where the period is not history."""
    AT_WORK = "at_work"
    """A job that was asked for."""
    RESUME = "resume"
    """A close that was begun and given up."""
    APPROVE = "approve"
    """A checker who did not prepare it."""
    WINDOW = "window"
    """The challenge window."""
    POST = "post"
    """A maker, or the service by itself where the period is not history."""
    SENDING = "sending"
    """The provider."""
    NOTHING = "nothing"


_ACTS = {
    Wait.CLOSE: "close",
    Wait.RESUME: "close",
    Wait.APPROVE: "approve",
    Wait.POST: "post",
}
_ROLES = {"close": "finance_maker", "approve": "finance_checker", "post": "finance_maker"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """The next step.

    Args:
        at: when what is waited for ends.
        by_itself: the service takes the step without being asked.
        act: the act that the person who looks may do now, if there is one.
        is_own: the person holds the role, and prepared what another has to approve.
        other_id: the earlier period that is waited for.
        job: the close or posting at work; failed: the last one that was given up.
    """

    wait: Wait
    at: datetime | None = None
    by_itself: bool = False
    act: str | None = None
    is_own: bool = False
    other_id: str | None = None
    job: Run | None = None
    failed: Run | None = None

    @property
    def needs_person(self) -> bool:
        """Whether nothing goes on until somebody decides."""
        if self.wait in {Wait.APPROVE, Wait.RESUME}:
            return True
        return self.wait in {Wait.CLOSE, Wait.POST} and not self.by_itself


@dataclass(frozen=True, slots=True)
class Calendar:
    """What the next steps of a platform's periods depend on, read once."""

    oldest_open: Period | None
    jobs: Sequence[Run]
    """Those that are at work or were given up, the latest first."""

    def job_of(self, period: Period, *states: str) -> Run | None:
        """Find the latest close or posting of a period in one of some states."""
        return next(
            (
                run
                for run in self.jobs
                if run.job in {"close", "post"} and run.scope == period.id and run.state in states
            ),
            None,
        )


def calendar(session: Session, platform_id: str) -> Calendar:
    """Read what the next steps of a platform's periods depend on."""
    jobs = queue.listing(session, platform_id, states=("due", "running", "failed"), limit=UNFINISHED_MAX)
    return Calendar(periods.oldest_unsealed(session, platform_id), jobs)


def is_at_work(session: Session, platform_id: str, period_id: str, job: str) -> bool:
    """Tell whether a job of a period was asked for and is not finished."""
    unfinished = queue.listing(session, platform_id, states=("due", "running"), limit=UNFINISHED_MAX)
    return any(run.job == job and run.scope == period_id for run in unfinished)


def of_period(session: Session, desk: Desk, known: Calendar, period: Period, steps: Sequence[Step]) -> Next:
    """Tell what a period waits for."""
    wait, at = _period_wait(session, desk, known, period)
    sealed = next((step for step in steps if step.state == "sealed"), None)
    is_own = wait is Wait.APPROVE and sealed is not None and desk.is_me(sealed.actor)
    return Next(
        wait=wait,
        at=at,
        by_itself=not period.is_historic,
        act=_act(desk, wait, is_own=is_own),
        is_own=is_own and desk.holds("finance_checker"),
        other_id=known.oldest_open.id if wait is Wait.EARLIER and known.oldest_open else None,
        job=known.job_of(period, "due", "running"),
        failed=known.job_of(period, "failed"),
    )


def of_batch(desk: Desk, batch: Batch) -> Next:
    """Tell what a batch waits for."""
    wait = {"submitted": Wait.APPROVE, "approved": Wait.SENDING}.get(batch.state, Wait.NOTHING)
    is_own = wait is Wait.APPROVE and desk.is_me(batch.submitted_by)
    return Next(
        wait=wait,
        by_itself=wait is Wait.SENDING,
        act=_act(desk, wait, is_own=is_own),
        is_own=is_own and desk.holds("finance_checker"),
    )


def _act(desk: Desk, wait: Wait, *, is_own: bool) -> str | None:
    act = _ACTS.get(wait)
    return act if act is not None and not is_own and desk.holds(_ROLES[act]) else None


def _period_wait(
    session: Session, desk: Desk, known: Calendar, period: Period
) -> tuple[Wait, datetime | None]:
    now = desk.visit.now
    if known.job_of(period, "due", "running") is not None:
        return Wait.AT_WORK, None
    if period.state in _CLOSING:
        return Wait.RESUME, None
    if period.state == "open":
        return _opening_wait(session, known, period, now)
    if period.state == "published":
        return Wait.APPROVE, stages.postable_at(session, period)
    if period.state == "approved":
        at = stages.postable_at(session, period)
        return (Wait.WINDOW, at) if now < at and not period.is_historic else (Wait.POST, None)
    return Wait.NOTHING, None


def _opening_wait(
    session: Session, known: Calendar, period: Period, now: datetime
) -> tuple[Wait, datetime | None]:
    if now < period.span.end_at:
        return Wait.END, stages.closable_at(session, period)
    at = stages.closable_at(session, period)
    if now < at:
        return Wait.GRACE, at
    earlier = known.oldest_open
    if not period.is_historic and earlier is not None and earlier.span.start_at < period.span.start_at:
        return Wait.EARLIER, None
    return Wait.CLOSE, None
