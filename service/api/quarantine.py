"""Events that were not taken, or that a seal found in conflict: looked at, sent again, given up."""

import base64
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from marshmallow import fields

from service.api import paging
from service.api.answers import Answer, instant
from service.api.calls import Call
from service.api.schemas import Choice, Document, Words
from service.core.errors import FieldError
from service.core.spans import parse_instant
from service.events import quarantine, retries
from service.events.intake import Receipt
from service.events.quarantine import Quarantined
from service.events.retries import RETRIABLE
from service.runtime import metrics


class _Retry(Document):
    event = fields.Dict(
        load_default=None, allow_none=True, error_messages={"invalid": "use a JSON object: the event"}
    )


class _RetryMany(Document):
    code = Choice(*RETRIABLE)


class _Discard(Document):
    reason = Words()


def listing(call: Call) -> Answer:
    """List quarantined events in the order in which they were received."""
    page = call.page()
    found = quarantine.listing(
        call.session,
        call.platform.id,
        state=call.parameters["state"],
        code=call.parameters["code"],
        batch_id=call.parameters["batch"],
        after=_after(page.after),
        limit=page.limit + 1,
    )
    totals = quarantine.totals(call.session, call.platform.id)
    return paging.answer(
        page,
        found,
        _head,
        lambda one: [instant(one.received_at), str(one.id)],
        open_count=totals.open_count,
        missed_count=totals.missed_count,
    )


def get(call: Call) -> Answer:
    """Read one quarantined event with its bytes."""
    return Answer(value=_show(_one(call)))


def retry(call: Call) -> Answer:
    """Send one event through intake again, as it was or put right."""
    wanted = call.document(_Retry())
    receipt = retries.retry(
        call.session,
        call.platform,
        call.parameters["quarantined"],
        wanted["event"],
        actor=call.actor,
        now=call.now,
        request_id=call.request_id,
    )
    _count([receipt])
    return Answer(value={"quarantined": _show(_one(call)), "receipt": receipt.to_document()})


def retry_many(call: Call) -> Answer:
    """Send the open events of a code through intake again, as they are."""
    wanted = call.document(_RetryMany())
    done = retries.retry_many(
        call.session,
        call.platform,
        wanted["code"],
        actor=call.actor,
        now=call.now,
        request_id=call.request_id,
    )
    _count(done.receipts)
    value = {
        "tried_count": done.tried_count,
        "retried_count": done.retried_count,
        "open_count": quarantine.totals(call.session, call.platform.id).open_count,
        "batches": [
            {
                "batch_id": str(one.batch_id),
                "accepted_count": one.accepted_count,
                "rejected_count": len(one.rejected),
            }
            for one in done.receipts
        ],
    }
    return Answer(value=value)


def discard(call: Call) -> Answer:
    """Give one event up for good."""
    wanted = call.document(_Discard())
    done = retries.discard(
        call.session,
        call.platform,
        call.parameters["quarantined"],
        wanted["reason"],
        actor=call.actor,
        now=call.now,
        request_id=call.request_id,
    )
    return Answer(value=_show(done))


def _one(call: Call) -> Quarantined:
    return quarantine.get(call.session, call.platform.id, call.parameters["quarantined"])


def _count(receipts: Iterable[Receipt]) -> None:
    for one in receipts:
        if not one.is_replay:
            metrics.ingested(one.accepted_count, len(one.rejected))


def _after(place: Any) -> tuple[datetime, uuid.UUID] | None:
    return None if place is None else (parse_instant(place[0]), uuid.UUID(place[1]))


def _head(one: Quarantined) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "state": one.state,
        "code": one.code,
        "errors": [_error(error) for error in one.errors],
        "batch_id": None if one.batch_id is None else str(one.batch_id),
        "index": one.position,
        "source": one.source,
        "event_id": one.event_id,
        "happened_at": instant(one.happened_at),
        "received_at": instant(one.received_at),
        "size_bytes": one.size_bytes,
        "is_retriable": one.state == "open" and one.is_whole and one.code in RETRIABLE,
        "conflict": one.conflict,
        "tried_at": instant(one.tried_at),
        "resolved_at": instant(one.resolved_at),
        "resolved_by": one.resolved_by,
        "reason": one.reason,
        "retry_batch_id": None if one.retry_batch_id is None else str(one.retry_batch_id),
    }


def _show(one: Quarantined) -> dict[str, Any]:
    content = None if one.raw is None else base64.b64encode(one.raw).decode()
    return _head(one) | {"content_base64": content, "is_whole": one.is_whole}


def _error(error: FieldError) -> dict[str, str]:
    return {"pointer": error.pointer, "detail": error.detail}
