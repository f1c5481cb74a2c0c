"""Periods: opened, closed by a job, approved by a second person, posted by a job."""

from collections.abc import Sequence
from typing import Any

from service.api import paging
from service.api.answers import Answer, instant, span
from service.api.calls import Call
from service.api.schemas import At, Document, Id
from service.calendar import periods
from service.calendar.periods import Period, Step, WrongState
from service.closing import control_totals, estimates, stages


class _Acting(Document):
    staff = Id(data_key="as", required=False, load_default=None)


class _Approval(Document):
    staff = Id(data_key="as")


class _Opening(Document):
    from_at = At(data_key="from")


def listing(call: Call) -> Answer:
    """List the platform's periods, earliest first."""
    page = call.page()
    known = periods.listing(call.session, call.platform.id)
    return paging.answer(page, paging.cut(page, known, _place), _show, _place)


def get(call: Call) -> Answer:
    """Read one period with the steps that it took."""
    return Answer(value=_whole(call, _named(call)))


def open_from(call: Call) -> Answer:
    """Open history: every missing period from an instant up to the present one."""
    wanted = call.document(_Opening())
    opened = periods.open_from(call.session, call.platform, wanted["from_at"], actor=call.actor, now=call.now)
    return Answer(value={"items": [_show(one) for one in opened]}, status=201 if opened else 200)


def close(call: Call) -> Answer:
    """Ask for a period to be closed: sealed, scored, split and published."""
    actor = call.acting(call.document(_Acting())["staff"])
    run_id = stages.request_close(
        call.session, call.platform, call.parameters["period"], actor=actor, now=call.now
    )
    return call.accepted(run_id)


def approve(call: Call) -> Answer:
    """Approve a published period in the name of a person who did not close it."""
    actor = call.acting(call.document(_Approval())["staff"])
    approved = stages.approve(
        call.session, call.platform.id, call.parameters["period"], actor=actor, now=call.now
    )
    return Answer(value=_whole(call, approved))


def post(call: Call) -> Answer:
    """Ask for an approved period to be booked."""
    run_id = stages.request_post(
        call.session, call.platform, call.parameters["period"], actor=call.actor, now=call.now
    )
    return call.accepted(run_id)


def estimate(call: Call) -> Answer:
    """Ask for a new estimate of the open period."""
    wanted = _named(call)
    estimated = periods.oldest_unsealed(call.session, call.platform.id)
    if estimated is None or estimated.id != wanted.id:
        known = "none" if estimated is None else estimated.id
        raise WrongState(f"Period {wanted.id} is {wanted.state}; the one that is estimated is {known}.")
    return call.accepted(estimates.request(call.session, call.platform, actor=call.actor, now=call.now))


def _named(call: Call) -> Period:
    return periods.get(call.session, call.platform.id, call.parameters["period"])


def _place(one: Period) -> str:
    return str(instant(one.span.start_at))


def _whole(call: Call, one: Period) -> dict[str, Any]:
    steps = periods.steps(call.session, call.platform.id, one.id)
    return _show(one) | {
        "steps": [_step(each) for each in steps],
        "verdicts": _verdicts(steps),
        "control_totals": _control_totals(call, one),
    }


def _verdicts(steps: Sequence[Step]) -> dict[str, Any] | None:
    """Say how many events the seal settled, by verdict, once the rulebook has spoken."""
    scored = next((one for one in steps if one.state == "scored"), None)
    return None if scored is None else dict(scored.detail["verdicts"])


def _control_totals(call: Call, one: Period) -> dict[str, int] | None:
    counts = control_totals.tallies(call.session, call.platform.id, one.id)
    is_compared = bool(counts) and None not in counts
    return {name: counts.get(name, 0) for name in control_totals.VERDICTS} if is_compared else None


def _step(one: Step) -> dict[str, Any]:
    return {
        "state": one.state,
        "at": instant(one.at),
        "actor": {"kind": one.actor_kind, "id": one.actor_id},
    }


def _show(one: Period) -> dict[str, Any]:
    return {
        "id": one.id,
        "span": span(one.span),
        "time_zone": one.time_zone,
        "state": one.state,
        "is_historic": one.is_historic,
        "opened_at": instant(one.opened_at),
        "sealed_at": instant(one.sealed_at),
        "published_at": instant(one.published_at),
        "posted_at": instant(one.posted_at),
    }
