"""The audit trail of a platform: who did what to what, in the order in which it was written."""

from typing import Any

from service.api import paging
from service.api.answers import Answer, instant
from service.api.calls import Call
from service.parties import trail
from service.parties.trail import Record


def listing(call: Call) -> Answer:
    """List acts, oldest first."""
    page = call.page()
    found = trail.listing(call.session, call.platform.id, after=page.after or 0, limit=page.limit + 1)
    return paging.answer(page, found, _show, lambda one: one.id)


def _show(one: Record) -> dict[str, Any]:
    return {
        "id": one.id,
        "at": instant(one.at),
        "actor": {"kind": one.actor_kind, "id": one.actor_id},
        "act": one.act,
        "subject": {"kind": one.subject_kind, "id": one.subject_id},
        "before": one.before,
        "after": one.after,
        "request_id": one.request_id,
    }
