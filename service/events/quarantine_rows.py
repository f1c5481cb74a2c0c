"""Rows of the quarantine, made from rejections and conflicts. Pure.

Law: the same event at the same place of the same bytes makes a row of the same id.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from service.core import ids
from service.core.errors import FieldError
from service.core.spans import to_text
from service.events import wire
from service.events.wire import Rejection

CONFLICT: Final = "conflict"

WHOLE_BYTES_MAX: Final = wire.ITEM_BYTES_MAX
PREFIX_BYTES: Final = 1024
"""What is kept of an event that is too long to be taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictRow:
    """An event that a seal found to differ from an earlier one of its identity.

    Args:
        event: the later one, as its columns are in the lake.
    """

    seq: int
    position: int
    event: Mapping[str, Any]
    fingerprint: bytes
    first_seq: int
    first_position: int
    first_fingerprint: bytes


def id_of(platform_id: str, body_sha256: bytes, media_type: str, index: int) -> UUID:
    """Derive the id of a rejected item: the same bytes, read in the same way, have the same one again."""
    return ids.derived("quarantine", platform_id, body_sha256.hex(), media_type, str(index))


def of_rejection(
    platform_id: str, batch_id: UUID, row_id: UUID, one: Rejection, raw: bytes, now: datetime
) -> dict[str, Any]:
    """Make the row of a rejected item.

    Args:
        row_id: as `id_of` derives it.
        raw: the item's bytes.
    """
    is_whole = len(raw) <= WHOLE_BYTES_MAX
    source, event_id = wire.name_of(raw) if is_whole else (None, None)
    happened_at = wire.time_of(raw) if is_whole else None
    return {
        "platform_id": platform_id,
        "id": row_id,
        "state": "open",
        "code": one.code,
        "errors": errors_document(one.errors),
        "batch_id": batch_id,
        "position": one.index,
        "source": source,
        "event_id": event_id,
        "happened_at": happened_at or now,
        "received_at": now,
        "raw": raw if is_whole else raw[:PREFIX_BYTES],
        "size_bytes": len(raw),
        "is_whole": is_whole,
        "conflict": None,
    }


def of_conflict(
    platform_id: str, one: ConflictRow, batches: Mapping[int, UUID], now: datetime
) -> dict[str, Any]:
    """Make the row of a conflict, with the later event written as it can be sent.

    Args:
        batches: the ids of batches by their numbers, as far as they are known.
    """
    event = one.event
    happened_at = event["at"].replace(tzinfo=UTC)
    data = {name: event[name] for name in ("creator", "content", "actor", "quantity")}
    if event["attributes"] is not None:
        data["attributes"] = json.loads(event["attributes"])
    document = {
        "specversion": "1.0",
        "id": event["id"],
        "source": event["source"],
        "type": event["type"],
        "time": to_text(happened_at),
        "data": {name: value for name, value in data.items() if value is not None},
    }
    raw = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    first_batch = batches.get(one.first_seq)
    return {
        "platform_id": platform_id,
        "id": ids.derived("conflict", platform_id, str(one.seq), str(one.position)),
        "state": "open",
        "code": CONFLICT,
        "errors": errors_document(
            [FieldError("/id", "An event of this source and id was taken before, and it is another one.")]
        ),
        "batch_id": batches.get(one.seq),
        "position": one.position,
        "source": event["source"],
        "event_id": event["id"],
        "happened_at": happened_at,
        "received_at": now,
        "raw": raw,
        "size_bytes": len(raw),
        "is_whole": True,
        "conflict": {
            "fingerprint": one.fingerprint.hex(),
            "first_fingerprint": one.first_fingerprint.hex(),
            "first_batch_id": None if first_batch is None else str(first_batch),
            "first_index": one.first_position,
        },
    }


def errors_document(errors: Iterable[FieldError]) -> list[dict[str, str]]:
    """Write errors as JSON values."""
    return [{"pointer": one.pointer, "detail": one.detail} for one in errors]
