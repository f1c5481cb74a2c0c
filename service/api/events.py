"""Intake of events. The body's own digest is its key: sending the same bytes again changes nothing."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from service.api import answers, inflating, preferences
from service.api.answers import Answer
from service.api.calls import Call
from service.api.preferences import Preferences
from service.api.problems import UnsupportedMediaType
from service.core.errors import FieldError, Invalid, TooLarge, Unreadable
from service.events import backfills, intake, throttle, wire
from service.events.intake import Receipt
from service.events.throttle import QuotaExceeded, Standing
from service.runtime import metrics

ERRORS_MAX: Final = 100
"""How many wrong places a refused batch names in `errors`; `items` names them all."""


class BatchRejected(Invalid):
    """All or nothing was asked for, and something would be rejected."""

    slug = "batch-rejected"
    title = "An item of the batch cannot be taken, so none was"


def receive(call: Call) -> Answer:
    """Take a batch of events; every item is accepted, or rejected with its reasons."""
    wanted = preferences.read(call.prefer)
    try:
        receipt, content = _receive(call)
    except QuotaExceeded as fault:
        fault.headers = _quota_headers(fault.standing) | {"Retry-After": str(fault.standing.renews_in_s)}
        raise
    except TooLarge as fault:
        fault.extra.update(wire.LIMITS, limits="/v1/limits")
        raise
    if wanted.is_strict and receipt.rejected:
        raise _refusal(receipt, content, wanted)
    if not receipt.is_replay:
        metrics.ingested(receipt.accepted_count, len(receipt.rejected))
    document = receipt.to_document()
    if not wanted.is_minimal:
        document["items"] = list(_items(receipt, content, taken="accepted"))
    headers = _quota_headers(throttle.standing(call.system.throttle, call.platform.id, call.now))
    if wanted.applied:
        headers[preferences.APPLIED_HEADER] = wanted.applied
    return Answer(
        # Thousands of items: this writer is ten times as quick as the one that serves the other operations.
        content=msgspec.json.encode(document),
        media_type=answers.JSON_TYPE,
        status=207 if receipt.rejected else 200,
        headers=headers,
    )


def _receive(call: Call) -> tuple[Receipt, bytes]:
    """Pay for the bytes, unpack them, pay for the events, store them."""
    quota, platform = call.system.throttle, call.platform
    throttle.check(quota, platform.id, call.now)
    coding = inflating.coding_of(call.body.coding)
    if coding is None:
        raise _unknown_coding(call.operation.media_types)
    sent = call.body.content
    # As sent first, so that damage and bombs are not free; then what unpacking added.
    throttle.spend(quota, platform.id, size_bytes=len(sent), now=call.now)
    content = inflating.inflate(sent, coding, size_bytes_max=call.operation.size_bytes_max)
    if not content:
        raise Unreadable("The body is empty; send at least one event.")
    throttle.spend(quota, platform.id, size_bytes=max(0, len(content) - len(sent)), now=call.now)
    backfill_id = call.parameters["backfill"]
    if backfill_id is None:
        take = partial(intake.receive, call.session, platform)
    else:
        take = partial(backfills.receive, call.session, platform, backfill_id)
    receipt = take(
        content,
        call.body.media_type,
        channel="http",
        now=call.now,
        admit=lambda count: throttle.spend(quota, platform.id, events=count, now=call.now),
    )
    return receipt, content


def _unknown_coding(media_types: Sequence[str]) -> UnsupportedMediaType:
    codings = ", ".join(inflating.CODINGS)
    fault = UnsupportedMediaType(
        f"The Content-Encoding is not one that is read here; send one of {codings}, or none.",
        media_types=list(media_types),
        content_codings=list(inflating.CODINGS),
    )
    fault.headers = {"Accept-Encoding": codings}
    return fault


def _items(receipt: Receipt, content: bytes, *, taken: str) -> Iterator[dict[str, Any]]:
    """List every item in the order of the body.

    Args:
        taken: the verdict of the items that this very request brings; the other good ones are accepted
            since an earlier one.
    """
    rejected = {one["index"]: one for one in receipt.to_document()["items"]}
    item_count = receipt.accepted_count + len(rejected)
    fresh = receipt.taken_ids
    # A replay brings nothing; what it is called is read from the body, which is the same.
    ids = fresh if len(fresh) == receipt.accepted_count else wire.ids(content, receipt.media_type)
    for index in range(item_count):
        if index in rejected:
            yield rejected[index]
        else:
            yield {
                "index": index,
                "id": ids[index],
                "verdict": taken if index in fresh else "accepted",
            }


def _refusal(receipt: Receipt, content: bytes, wanted: Preferences) -> BatchRejected:
    is_single = receipt.media_type == wire.SINGLE
    errors = [
        FieldError(error.pointer if is_single else f"/{one.index}{error.pointer}", error.detail)
        for one in receipt.rejected
        for error in one.errors
    ]
    fault = BatchRejected(
        f"{len(receipt.rejected)} of the items would be rejected, and Prefer: handling=strict asks for all or"
        " nothing: this request stored nothing. Correct them, or send the batch without the preference.",
        errors=errors[:ERRORS_MAX],
        items=receipt.to_document()["items"]
        if wanted.is_minimal
        else list(_items(receipt, content, taken="withheld")),
    )
    fault.headers = {preferences.APPLIED_HEADER: wanted.applied}
    return fault


def _quota_headers(standing: Standing) -> dict[str, str]:
    """Write how the quota stands (draft-ietf-httpapi-ratelimit-headers-10).

    The draft's own unit for bytes is content-bytes; here they are counted unpacked.
    """
    window_s = int(throttle.WINDOW.total_seconds())
    limit, left, reset_s = standing.limit, standing.left, standing.renews_in_s
    return {
        "RateLimit-Policy": f'"events";q={limit.events};w={window_s};qu="events",'
        f' "bytes";q={limit.size_bytes};w={window_s};qu="content-bytes"',
        "RateLimit": f'"events";r={left.events};t={reset_s}, "bytes";r={left.size_bytes};t={reset_s}',
    }
