"""Intake: bytes in, one durable batch and a receipt out.

Owns the log of batches (`event_batch`) and the receipts. Appends what was sent as one row a batch, never a
row an event. Laws: a receipt that was given stands for a committed batch; the same bytes sent again give the
stored receipt and append nothing, unless an item that was rejected for the platform's state would be taken
now; an item is accepted at most once for the same bytes; every accepted event lies in a period that will
settle it, because the calendar is read under the lock that a seal takes alone; an event is taken by what its
type means now, and by no other meaning ever after. What is rejected is kept in quarantine, once.

Locks are taken in one order (the seal lock, new creators, types that are used for the first time, the
receipt), so that intakes never wait in a ring. What is read is read together: every statement is a journey,
and none of them costs more as periods, batches, receipts or creators become many.
"""

import uuid
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import zstandard
from sqlalchemy import ColumnElement, Table, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from service.calendar import periods, seal_lock
from service.calendar.periods import Period
from service.core import digests, ids
from service.core.errors import Fault, FieldError
from service.core.spans import Span, parse_instant, to_text
from service.events import partitions, quarantine, types, wire
from service.events.tables import event_batch, event_receipt
from service.events.types import EventType
from service.events.wire import Decoded, Event, Rejection
from service.parties import creators, inputs
from service.parties.platforms import Platform
from service.runtime import db

Channel = Literal["http", "import", "retry"]

FUTURE_TOLERANCE: Final = timedelta(minutes=5)
"""How far a sender's clock may be ahead."""

STATEFUL_CODES: Final = frozenset(
    {"unknown_type", "type_mismatch", "unknown_creator", "in_future", "too_old", "no_period"}
)
"""Rejections that another day, or an act of the platform, may turn into acceptance."""

ACCEPTED_BEFORE: Final = "accepted_before"
"""Marks, in a batch that repeats an earlier one's bytes, the items that the earlier one brought."""

ZSTD_LEVEL: Final = 3

_LOOK_UP: Final = f"""
SELECT
    (SELECT receipt FROM event_receipt WHERE platform_id = %s AND body_sha256 = %s) AS receipt,
    ({types.DOCUMENTS}) AS types
"""
_CALENDAR: Final = f"""
SELECT taking.*, ARRAY({creators.UNKNOWN}) AS unknown FROM ({periods.WINDOW}) AS taking ORDER BY start_at
"""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where batches and their receipts go: the log, or what a backfill stages.

    `key` holds the columns that say whose they are, beside the platform. With a `span`, times within it are
    taken; without one the calendar says which are. What is rejected on its way to the log is quarantined.
    """

    batches: Table
    receipts: Table
    key: Mapping[str, Any]
    span: Span | None


LOG: Final = Destination(event_batch, event_receipt, {}, None)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the sender is told: every item is accepted, or named among the rejected.

    `taken_count` says how many of the accepted items this very request brought, and `taken_ids` which, by
    index; a replay brings none.
    """

    batch_id: uuid.UUID
    body_sha256: bytes
    media_type: str
    received_at: datetime
    accepted_count: int
    rejected: tuple[Rejection, ...]
    taken_count: int
    is_replay: bool
    taken_ids: Mapping[int, str] = field(default_factory=dict)

    def to_document(self) -> dict[str, Any]:
        """Write the receipt as JSON values."""
        return {
            "batch_id": str(self.batch_id),
            "sha256": self.body_sha256.hex(),
            "received_at": to_text(self.received_at),
            "counts": {"accepted": self.accepted_count, "rejected": len(self.rejected)},
            "items": [{**_rejection_document(one), "verdict": "rejected"} for one in self.rejected],
            "replayed": self.is_replay,
        }


def receive(
    session: Session,
    platform: Platform,
    body: bytes,
    media_type: str,
    *,
    channel: Channel,
    now: datetime,
    admit: Callable[[int], None] = lambda _: None,
    into: Destination = LOG,
) -> Receipt:
    """Take a batch: judge each item, append the body, give the receipt.

    Args:
        body: as sent, without transfer or content coding.
        media_type: the Content-Type header.
        admit: is told how many items are to be judged, and may refuse them; a replay judges none.
        into: where it goes; the same bytes are known again within one destination.

    Raises:
        UnknownMediaType, TooLarge, Unreadable: as `wire.decode` says; nothing is stored.

    Law: when the transaction commits, every accepted item is durable.
    """
    kind = wire.media_type_of(media_type)
    body_sha256 = digests.sha256(body)
    earlier, known = _look_up(session, into, platform.id, body_sha256)
    if earlier is not None and _is_final(earlier, kind):
        return earlier
    decoded = wire.decode(body, kind, known)
    admit(decoded.item_count)
    body_zstd = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(body)
    # Everything above is work of this process alone. From here to the end of the transaction a seal waits.
    seal_lock.share(session, platform.id)
    unused = {event.type for event in decoded.events.values() if not known[event.type].is_used}
    if unused and (present := types.of_platform(session, platform.id)) != known:
        # What a type means may change until its first event is taken, but not while the lock is held.
        decoded = wire.decode(body, kind, present)
    if into.span is None:
        window, unknown = _read_calendar(session, platform.id, decoded)
        decoded = _judge_times(decoded, window, platform.id, now)
    else:
        decoded = _judge_span(decoded, into.span)
        unknown = creators.unknown(
            session, platform.id, {one.data.creator for one in decoded.events.values()}
        )
    decoded = _judge_creators(session, platform, decoded, unknown, now)
    if unused:
        types.mark_used(session, platform.id, {event.type for event in decoded.events.values()}, now=now)
    receipt = Receipt(
        batch_id=ids.new(now),
        body_sha256=body_sha256,
        media_type=kind,
        received_at=now,
        accepted_count=len(decoded.events),
        rejected=tuple(decoded.rejected),
        taken_count=len(decoded.events),
        is_replay=False,
        taken_ids={index: event.id for index, event in decoded.events.items()},
    )
    events, is_repeat = decoded.events, False
    if not _write_receipt(session, into, platform.id, receipt):
        # Somebody sent these bytes before. Their receipt is held until this transaction ends.
        earlier = _read_receipt(session, into, platform.id, body_sha256, is_locked=True)
        assert earlier is not None, "a receipt goes when its bytes are too old to be sent again"
        is_repeat = earlier.media_type == kind
        if is_repeat:
            receipt, events = _merge(earlier, receipt, decoded)
            if _verdicts(receipt) == _verdicts(earlier):
                return earlier
        _replace_receipt(session, into, platform.id, receipt)
    _append(session, into, platform.id, receipt, decoded.item_count, events, body_zstd, channel)
    if channel != "retry" and into is LOG:
        _set_aside(session, platform.id, receipt, body, events if is_repeat else {})
    return receipt


def known_receipt(
    session: Session, into: Destination, platform_id: str, body: bytes, media_type: str
) -> Receipt | None:
    """Read the receipt that was given for these bytes, without judging anything anew."""
    earlier = _read_receipt(session, into, platform_id, digests.sha256(body))
    is_same = earlier is not None and earlier.media_type == wire.media_type_of(media_type)
    return earlier if is_same else None


def _is_final(earlier: Receipt, media_type: str) -> bool:
    """Tell whether a stored receipt answers the same bytes for good.

    Under another media type the same bytes are other items: they are judged anew.
    """
    is_same = earlier.media_type == media_type
    return is_same and not any(one.code in STATEFUL_CODES for one in earlier.rejected)


def _look_up(
    session: Session, into: Destination, platform_id: str, body_sha256: bytes
) -> tuple[Receipt | None, dict[str, EventType]]:
    """Read what an intake needs before it decodes: the receipt of these bytes, if any, and the types."""
    if into is not LOG:
        known = types.of_platform(session, platform_id)
        return _read_receipt(session, into, platform_id, body_sha256), known
    (row,) = db.rows(session, _LOOK_UP, platform_id, body_sha256, platform_id)
    earlier = None if row.receipt is None else _receipt_of(row.receipt, body_sha256)
    return earlier, types.of_documents(row.types)


def _read_calendar(session: Session, platform_id: str, decoded: Decoded) -> tuple[list[Period], set[str]]:
    """Read the periods that take events, and which of the events' creators are not registered."""
    if not decoded.events:
        return [], set()
    wanted = {event.data.creator for event in decoded.events.values()}
    window = (platform_id,) * periods.WINDOW_PARAMETERS
    # The decoder lets no line break through.
    rows = db.rows(session, _CALENDAR, "\n".join(wanted), platform_id, *window)
    # Without a period no event is taken, and it does not matter whose it is.
    return [periods.of_row(row) for row in rows], set(rows[0].unknown) if rows else set()


def _set_aside(
    session: Session, platform_id: str, receipt: Receipt, body: bytes, resolved: Mapping[int, Event]
) -> None:
    """Keep what is rejected in quarantine, and let go what was rejected of these bytes before.

    Args:
        resolved: events that were rejected when the same bytes were sent before, and are accepted now.
    """
    place = (platform_id, receipt.batch_id, receipt.body_sha256, receipt.media_type)
    if receipt.rejected:
        items = wire.cut(body, receipt.media_type)
        rejected = [(one, items[one.index]) for one in receipt.rejected]
        quarantine.add_rejected(session, *place, rejected, now=receipt.received_at)
    if resolved:
        quarantine.resolve_sent_again(session, *place, resolved, now=receipt.received_at)


def _judge_times(decoded: Decoded, window: Sequence[Period], platform_id: str, now: datetime) -> Decoded:
    """Reject the events whose time lies in no period that takes events."""
    if not decoded.events:
        return decoded
    latest_at = now + FUTURE_TOLERANCE
    times = [event.time for event in decoded.events.values()]
    first_at, last_at = min(times), max(times)
    if last_at <= latest_at and any(
        one.span.contains(first_at) and one.span.contains(last_at) for one in window
    ):
        return decoded
    starts = [one.span.start_at for one in window]
    return _without(
        decoded,
        {
            index: rejection
            for index, event in decoded.events.items()
            if (rejection := _time_rejection(index, event, window, starts, platform_id, latest_at))
        },
    )


def _judge_span(decoded: Decoded, span: Span) -> Decoded:
    """Reject the events whose time lies outside of what a backfill takes."""
    bounds = f"from {to_text(span.start_at)} until, and without, {to_text(span.end_at)}"
    error = FieldError("/time", f"The backfill takes times {bounds}; send others where they belong.")
    return _without(
        decoded,
        {
            index: Rejection(index, event.id, "no_period", (error,))
            for index, event in decoded.events.items()
            if not span.contains(event.time)
        },
    )


def _time_rejection(
    index: int,
    event: Event,
    window: Sequence[Period],
    starts: Sequence[datetime],
    platform_id: str,
    latest_at: datetime,
) -> Rejection | None:
    if event.time > latest_at:
        minutes = FUTURE_TOLERANCE // timedelta(minutes=1)
        error = FieldError("/time", f"The time is more than {minutes} minutes in the future.")
        return Rejection(index, event.id, "in_future", (error,))
    place = bisect_right(starts, event.time) - 1
    if place >= 0 and window[place].span.contains(event.time):
        return None
    day = event.time.astimezone(UTC).date().isoformat()
    remedy = (
        "a closed period takes no more events; one that was never opened is opened with "
        f"`benefit-ledger period open --platform {platform_id} --from {day}`"
    )
    if place < 0:
        error = FieldError("/time", f"The time is before the periods that take events: {remedy}.")
        return Rejection(index, event.id, "too_old", (error,))
    error = FieldError("/time", f"No period that takes events holds this time: {remedy}.")
    return Rejection(index, event.id, "no_period", (error,))


def _judge_creators(
    session: Session, platform: Platform, decoded: Decoded, unknown: Set[str], now: datetime
) -> Decoded:
    """Reject the events of creators that are not known, or register them, as the platform chose."""
    unknown = unknown & {event.data.creator for event in decoded.events.values()}
    if not unknown:
        return decoded
    rejected_ids = unknown
    detail = "The platform has no creator of this id; register the creator first."
    if platform.unknown_creators == "register":
        rejected_ids = {one for one in unknown if not _can_register(one)}
        creators.ensure(session, platform.id, unknown - rejected_ids, now=now)
        detail = "No creator can have this id: use letters, digits and . _ : @ -, first a letter or a digit."
    error = FieldError("/data/creator", detail)
    return _without(
        decoded,
        {
            index: Rejection(index, event.id, "unknown_creator", (error,))
            for index, event in decoded.events.items()
            if event.data.creator in rejected_ids
        },
    )


def _can_register(creator_id: str) -> bool:
    try:
        inputs.check_id(creator_id, "/data/creator")
    except Fault:
        return False
    return True


def _without(decoded: Decoded, rejections: Mapping[int, Rejection]) -> Decoded:
    """Move the events of the given rejections to the rejected ones."""
    return replace(
        decoded,
        events={index: event for index, event in decoded.events.items() if index not in rejections},
        rejected=sorted([*decoded.rejected, *rejections.values()], key=lambda one: one.index),
    )


def _merge(earlier: Receipt, fresh: Receipt, decoded: Decoded) -> tuple[Receipt, dict[int, Event]]:
    """Judge a repeat of the same bytes: what was accepted stays accepted, and is not taken a second time.

    Returns:
        The receipt of the whole, and what this batch brings: the items that only now are accepted.
    """
    open_before = {one.index for one in earlier.rejected}
    rejected = tuple(one for one in fresh.rejected if one.index in open_before)
    accepted_count = decoded.item_count - len(rejected)
    brought = {index: event for index, event in decoded.events.items() if index in open_before}
    receipt = replace(
        fresh,
        rejected=rejected,
        accepted_count=accepted_count,
        taken_count=len(brought),
        taken_ids={index: event.id for index, event in brought.items()},
    )
    return receipt, brought


def _verdicts(receipt: Receipt) -> list[tuple[int, str]]:
    return [(one.index, one.code) for one in receipt.rejected]


def _append(
    session: Session,
    into: Destination,
    platform_id: str,
    receipt: Receipt,
    item_count: int,
    events: Mapping[int, Event],
    body_zstd: bytes,
    channel: Channel,
) -> None:
    skipped = [_rejection_document(one) for one in receipt.rejected]
    if len(skipped) + len(events) < item_count:
        rejected = {one.index for one in receipt.rejected}
        skipped += [
            {"index": index, "code": ACCEPTED_BEFORE}
            for index in range(item_count)
            if index not in events and index not in rejected
        ]
    times = [event.time for event in events.values()]
    values = {
        "platform_id": platform_id,
        "id": receipt.batch_id,
        "received_at": receipt.received_at,
        "channel": channel,
        "media_type": receipt.media_type,
        "item_count": item_count,
        "accepted_count": len(events),
        "first_at": min(times, default=None),
        "last_at": max(times, default=None),
        "body_sha256": receipt.body_sha256,
        "body_zstd": body_zstd,
        "rejections": skipped,
    }
    if into is LOG:
        partitions.append(session, values)
    else:
        session.execute(insert(into.batches).values(values | dict(into.key)))


def _write_receipt(session: Session, into: Destination, platform_id: str, receipt: Receipt) -> bool:
    """Store a receipt; False if these bytes have one. Waits for whoever is about to store one for them."""
    written = session.execute(
        upsert(into.receipts)
        .values(
            **into.key,
            platform_id=platform_id,
            body_sha256=receipt.body_sha256,
            batch_id=receipt.batch_id,
            created_at=receipt.received_at,
            receipt=_stored_document(receipt),
        )
        .on_conflict_do_nothing()
        .returning(into.receipts.c.batch_id)
    )
    return written.one_or_none() is not None


def _replace_receipt(session: Session, into: Destination, platform_id: str, receipt: Receipt) -> None:
    session.execute(
        update(into.receipts)
        .where(*_of_body(into, platform_id, receipt.body_sha256))
        .values(batch_id=receipt.batch_id, receipt=_stored_document(receipt))
    )


def _of_body(into: Destination, platform_id: str, body_sha256: bytes) -> list[ColumnElement[bool]]:
    receipts = into.receipts.c
    owned = [receipts[name] == value for name, value in into.key.items()]
    return [receipts.platform_id == platform_id, receipts.body_sha256 == body_sha256, *owned]


def _read_receipt(
    session: Session, into: Destination, platform_id: str, body_sha256: bytes, *, is_locked: bool = False
) -> Receipt | None:
    query = select(into.receipts.c.receipt).where(*_of_body(into, platform_id, body_sha256))
    stored = session.scalar(query.with_for_update() if is_locked else query)
    return None if stored is None else _receipt_of(stored, body_sha256)


def _receipt_of(stored: Mapping[str, Any], body_sha256: bytes) -> Receipt:
    return Receipt(
        batch_id=uuid.UUID(stored["batch_id"]),
        body_sha256=body_sha256,
        media_type=stored["media_type"],
        received_at=parse_instant(stored["received_at"]),
        accepted_count=stored["counts"]["accepted"],
        rejected=tuple(
            Rejection(
                one["index"], one["id"], one["code"], tuple(FieldError(**error) for error in one["errors"])
            )
            for one in stored["items"]
        ),
        taken_count=0,
        is_replay=True,
    )


def _stored_document(receipt: Receipt) -> dict[str, Any]:
    return {**receipt.to_document(), "media_type": receipt.media_type}


def _rejection_document(one: Rejection) -> dict[str, Any]:
    errors = [{"pointer": error.pointer, "detail": error.detail} for error in one.errors]
    return {"index": one.index, "id": one.id, "code": one.code, "errors": errors}
