"""How long a platform keeps raw events after their period is posted."""

from typing import Any

from service.api.answers import Answer
from service.api.calls import Call
from service.api.schemas import Document, Whole
from service.events import retention


class _Retention(Document):
    days = Whole(0, retention.DAYS_MAX, allow_none=True)


def get(call: Call) -> Answer:
    """Read the policy."""
    return Answer(value=_show(call, retention.days_of(call.session, call.platform.id)))


def put(call: Call) -> Answer:
    """Set the policy; the same again changes nothing."""
    wanted = call.document(_Retention())
    days = retention.set_days(call.session, call.platform.id, wanted["days"], actor=call.actor, now=call.now)
    return Answer(value=_show(call, days))


def _show(call: Call, days: int | None) -> dict[str, Any]:
    return {"platform": call.platform.id, "days": days}
