"""The kinds of events that a platform may send."""

from typing import Any

from service.api import paging
from service.api.answers import Answer
from service.api.calls import Call
from service.events import types
from service.events.types import EventType


def listing(call: Call) -> Answer:
    """List the platform's event types by name."""
    page = call.page()
    known = sorted(types.of_platform(call.session, call.platform.id).values(), key=_name)
    return paging.answer(page, paging.cut(page, known, _name), _show, _name)


def _name(one: EventType) -> str:
    return one.name


def _show(one: EventType) -> dict[str, Any]:
    return {
        "name": one.name,
        "actor": one.actor,
        "quantity_min": one.quantity_min,
        "quantity_max": one.quantity_max,
    }
