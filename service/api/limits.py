"""The bounds of what one request may carry, as data."""

from service.api import paging, strict_json
from service.api.answers import Answer
from service.api.calls import Call
from service.calendar import periods
from service.events import intake, wire


def get(call: Call) -> Answer:
    """Name every limit that a client can run into."""
    events = {
        "items_max": wire.ITEMS_MAX,
        "body_bytes_max": wire.BODY_BYTES_MAX,
        "item_bytes_max": wire.ITEM_BYTES_MAX,
        "future_tolerance_s": int(intake.FUTURE_TOLERANCE.total_seconds()),
        "late_periods": periods.LATE_PERIODS,
    }
    json = {"body_bytes_max": strict_json.SIZE_MAX_BYTES, "depth_max": strict_json.DEPTH_MAX}
    page = {"limit_max": paging.LIMIT_MAX, "limit_default": paging.LIMIT_DEFAULT}
    return Answer(value={"platform": call.platform.id, "events": events, "json": json, "page": page})
