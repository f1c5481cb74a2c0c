"""Retries: quarantined events put through intake again, as they were or put right.

A retry is a batch of its own, so its events keep their identities: an id that was rejected was never taken.
Laws: an event leaves quarantine only when intake accepted it in the same transaction; whatever is rejected
again stays open, with the present reason.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy.orm import Session

from service.core.errors import FieldError, Invalid
from service.events import intake, quarantine, wire
from service.events.intake import Receipt
from service.events.quarantine import Quarantined, QuarantineState
from service.events.quarantine_rows import CONFLICT
from service.parties import trail
from service.parties.actors import Actor
from service.parties.platforms import Platform

RETRY_MAX: Final = 10_000
"""Events of one retry of many."""

RETRY_BATCHES_MAX: Final = 4
"""Batches of one retry of many; what does not fit waits for the next one."""

RETRIABLE: Final = (
    "invalid",
    "unknown_type",
    "type_mismatch",
    "unknown_creator",
    "in_future",
    "too_old",
    "no_period",
)
"""Codes whose events can be sent again as they are: by now they may be taken."""


@dataclass(frozen=True, slots=True)
class Retried:
    """What a retry of many did: the receipts of its batches, and how many events it tried and took."""

    receipts: tuple[Receipt, ...]
    tried_count: int
    retried_count: int


def retry(
    session: Session,
    platform: Platform,
    quarantined_id: UUID,
    event: Mapping[str, Any] | None,
    *,
    actor: Actor,
    now: datetime,
    request_id: str | None = None,
) -> Receipt:
    """Send one quarantined event through intake again.

    Args:
        event: the event put right; None sends the same bytes.

    Returns:
        The receipt of the batch that it makes; the event is retried if nothing in it is rejected.

    Raises:
        NotFound: the platform has no such quarantined event.
        QuarantineState: it is not open, or could only be taken when it is put right.
        Invalid: a conflicting event under the same source and id again.
    """
    held = quarantine.get(session, platform.id, quarantined_id, lock=True)
    if held.state != "open":
        raise QuarantineState(f"The event {held.id} is {held.state}; only an open one is retried.")
    if event is None and (held.code not in RETRIABLE or not held.is_whole):
        raise QuarantineState(
            f"The event {held.id} ({held.code}) can never be taken as it is; send it put right as `event`,"
            " or discard it."
        )
    if event is not None and held.code == CONFLICT and _is_same(held, event):
        error = FieldError("/event/id", "use another id: an event of this source and id was taken before")
        raise Invalid(f"event: {error.detail}.", errors=[error])
    assert held.raw is not None, "an open event has its bytes"
    body = held.raw if event is None else msgspec.json.encode(event)
    receipt = intake.receive(session, platform, body, wire.SINGLE, channel="retry", now=now)
    if receipt.rejected:
        # What is wrong with a correction is in its receipt; the event's own reason stays.
        reason = receipt.rejected[0] if event is None else None
        quarantine.try_failed(session, platform.id, held.id, reason, now=now)
    else:
        quarantine.resolve(
            session, platform.id, [held.id], "retried", by=str(actor), batch_id=receipt.batch_id, now=now
        )
    _record(session, platform, actor, "quarantine.retry", str(held.id), receipt, now, request_id)
    return receipt


def retry_many(
    session: Session,
    platform: Platform,
    code: str,
    *,
    actor: Actor,
    now: datetime,
    request_id: str | None = None,
) -> Retried:
    """Send open events of a code through intake again, as they are: up to RETRY_MAX, in batches.

    Those that were tried longest ago come first.

    Args:
        code: one of RETRIABLE.
    """
    assert code in RETRIABLE, "other codes are refused by the caller"
    receipts: list[Receipt] = []
    tried = retried = 0
    for wanted in _parts(quarantine.waiting(session, platform.id, code, limit=RETRY_MAX)):
        part = quarantine.hold(session, platform.id, wanted)
        if not part:
            continue
        body = b"[" + b",".join(one.raw or b"" for one in part) + b"]"
        receipt = intake.receive(session, platform, body, wire.BATCH, channel="retry", now=now)
        rejected = {one.index: one for one in receipt.rejected}
        for index, rejection in rejected.items():
            quarantine.try_failed(session, platform.id, part[index].id, rejection, now=now)
        taken = [one.id for index, one in enumerate(part) if index not in rejected]
        retried += quarantine.resolve(
            session, platform.id, taken, "retried", by=str(actor), batch_id=receipt.batch_id, now=now
        )
        tried += len(part)
        receipts.append(receipt)
        _record(session, platform, actor, "quarantine.retry_many", code, receipt, now, request_id)
    return Retried(tuple(receipts), tried, retried)


def discard(
    session: Session,
    platform: Platform,
    quarantined_id: UUID,
    reason: str,
    *,
    actor: Actor,
    now: datetime,
    request_id: str | None = None,
) -> Quarantined:
    """Give an event up for good.

    Raises:
        NotFound: the platform has no such quarantined event.
        QuarantineState: it is not open.
    """
    held = quarantine.get(session, platform.id, quarantined_id, lock=True)
    if held.state != "open":
        raise QuarantineState(f"The event {held.id} is {held.state}; only an open one is discarded.")
    quarantine.resolve(session, platform.id, [held.id], "discarded", by=str(actor), reason=reason, now=now)
    trail.record(
        session,
        platform.id,
        actor,
        "quarantine.discard",
        "quarantine",
        str(held.id),
        after={"code": held.code, "reason": reason},
        now=now,
        request_id=request_id,
    )
    return quarantine.get(session, platform.id, held.id)


def _parts(waiting: Sequence[tuple[UUID, int]]) -> Iterator[list[UUID]]:
    """Cut events into batches that intake takes, at most RETRY_BATCHES_MAX."""
    part: list[UUID] = []
    body_bytes, part_count = 2, 0
    for one, size_bytes in waiting:
        if part and body_bytes + size_bytes + 1 > wire.BODY_BYTES_MAX:
            yield part
            part_count += 1
            if part_count == RETRY_BATCHES_MAX:
                return
            part, body_bytes = [], 2
        part.append(one)
        body_bytes += size_bytes + 1
    if part:
        yield part


def _is_same(held: Quarantined, event: Mapping[str, Any]) -> bool:
    return (held.source, held.event_id) == (event.get("source"), event.get("id"))


def _record(
    session: Session,
    platform: Platform,
    actor: Actor,
    act: str,
    subject_id: str,
    receipt: Receipt,
    now: datetime,
    request_id: str | None,
) -> None:
    after = {
        "batch": str(receipt.batch_id),
        "accepted": receipt.accepted_count,
        "rejected": len(receipt.rejected),
    }
    trail.record(
        session,
        platform.id,
        actor,
        act,
        "quarantine",
        subject_id,
        after=after,
        now=now,
        request_id=request_id,
    )
