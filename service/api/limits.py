"""The bounds of what one request may carry, as data."""

from service.api import inflating, paging, strict_json
from service.api.answers import Answer
from service.api.calls import Call
from service.calendar import periods
from service.events import intake, throttle, wire


def get(call: Call) -> Answer:
    """Name every limit that a client can run into."""
    quota = throttle.limit_of(call.session, call.platform.id, call.system.throttle.default)
    events = {
        **wire.LIMITS,
        "events_per_minute": quota.events,
        "bytes_per_minute": quota.size_bytes,
        "content_codings": list(inflating.CODINGS),
        "future_tolerance_s": int(intake.FUTURE_TOLERANCE.total_seconds()),
        "late_periods": periods.LATE_PERIODS,
    }
    json = {"body_bytes_max": strict_json.SIZE_MAX_BYTES, "depth_max": strict_json.DEPTH_MAX}
    page = {"limit_max": paging.LIMIT_MAX, "limit_default": paging.LIMIT_DEFAULT}
    return Answer(value={"platform": call.platform.id, "events": events, "json": json, "page": page})
