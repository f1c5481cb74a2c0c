"""Events, batches and receipts: values and pure functions.

A batch is NDJSON: a line an event, so that a file that events were appended to is a batch as it stands.
"""

import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from benefit_ledger_client.errors import BadEvent, Rejected

MEDIA_TYPE: Final = "application/x-ndjson"
EVENT_BYTES_MAX: Final = 64 * 1024
BATCH_EVENTS_MAX: Final = 10_000
BATCH_BYTES_MAX: Final = 8 * 1024 * 1024
"""What the service takes in one batch; `GET /v1/limits` names the same."""

Event = Mapping[str, Any] | bytes
"""An event as values, or as its JSON object already written."""

Pack = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Receipt:
    """The service's word for a batch: what was accepted is durable there, and what was not is listed."""

    batch_id: str
    accepted_count: int
    rejected: tuple[Rejected, ...]
    is_replay: bool


def event(
    *,
    id: str,  # noqa: A002 — it is the name in CloudEvents.
    source: str,
    type: str,  # noqa: A002
    time: datetime | str,
    creator: str,
    content: str | None = None,
    actor: str | None = None,
    quantity: int = 1,
    attributes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write an event.

    Args:
        id: yours, and the same whenever you send this event again: `source` and `id` are its identity.
        time: when it happened, with its zone.
    """
    data = {
        "creator": creator,
        "content": content,
        "actor": actor,
        "quantity": quantity,
        "attributes": dict(attributes) if attributes else None,
    }
    return {
        "specversion": "1.0",
        "id": id,
        "source": source,
        "type": type,
        "time": time,
        "data": {name: value for name, value in data.items() if value is not None},
    }


def line(one: Event) -> bytes:
    """Write an event as a line.

    Raises:
        BadEvent: it has no id, is no JSON, holds a time without zone, or is longer than EVENT_BYTES_MAX.
    """
    if isinstance(one, bytes):
        # A line end is white space in JSON, never part of a text: it can be another white space.
        text = one.replace(b"\r", b" ").replace(b"\n", b" ").strip()
        if not text.startswith(b"{"):
            raise BadEvent("The event is no JSON object.")
    else:
        if not isinstance(one.get("id"), str) or not one["id"]:
            raise BadEvent("The event has no id; give it one that it keeps whenever it is sent again.")
        try:
            whole = one if "specversion" in one else {"specversion": "1.0", **one}
            text = json.dumps(
                whole, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain
            ).encode()
        except (TypeError, ValueError, RecursionError) as fault:
            raise BadEvent(f"The event cannot be written as JSON: {fault}.") from fault
    if len(text) > EVENT_BYTES_MAX:
        raise BadEvent(f"The event has {len(text)} bytes; at most {EVENT_BYTES_MAX} are taken.")
    return text + b"\n"


def _plain(value: object) -> Any:
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            reason = "a time names no zone"
            raise BadEvent(f"The event cannot be written as JSON: {reason}.")
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def batches(lines: Sequence[bytes], events_max: int, bytes_max: int) -> Iterator[bytes]:
    """Join lines to batches within limits, in order; a line longer than `bytes_max` is one by itself."""
    taken: list[bytes] = []
    size_bytes = 0
    for one in lines:
        if taken and (len(taken) == events_max or size_bytes + len(one) > bytes_max):
            yield b"".join(taken)
            taken, size_bytes = [], 0
        taken.append(one)
        size_bytes += len(one)
    if taken:
        yield b"".join(taken)


def halves(body: bytes) -> tuple[bytes, bytes]:
    """Cut a batch of several events in two."""
    lines = body.splitlines(keepends=True)
    middle = len(lines) // 2
    assert middle, "one event that is too large is refused, not cut"
    return b"".join(lines[:middle]), b"".join(lines[middle:])


def codings() -> list[tuple[str, Pack]]:
    """List how a body can be packed, the best first; the last one leaves it as it is."""
    known: list[tuple[str, Pack]] = [("gzip", lambda body: gzip.compress(body, 6, mtime=0)), ("", bytes)]
    try:
        import zstandard
    except ImportError:
        return known
    # A compressor of zstandard is not for several threads at once; making one is cheap.
    return [("zstd", lambda body: zstandard.ZstdCompressor(level=3).compress(body)), *known]


def receipt_of(answer: bytes, body: bytes) -> Receipt | None:
    """Read the receipt of a batch.

    Returns:
        None if the answer is no receipt, or one of other bytes: then nobody knows what became of the batch.
    """
    lines = body.splitlines()
    try:
        document = json.loads(answer)
        counts = document["counts"]
        is_whole = counts["accepted"] + counts["rejected"] == len(lines)
        if document["sha256"] != sha256(body).hexdigest() or not is_whole:
            return None
        batch_id = str(document["batch_id"])
        rejected = tuple(
            Rejected(
                event=_event_of(lines[one["index"]]),
                index=one["index"],
                id=one.get("id"),
                code=one["code"],
                errors=tuple(one.get("errors", ())),
                batch_id=batch_id,
            )
            for one in document["items"]
            if one["verdict"] == "rejected"
        )
        if len(rejected) != counts["rejected"]:
            return None
        return Receipt(batch_id, counts["accepted"], rejected, bool(document["replayed"]))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return None


def refused(body: bytes, document: Mapping[str, Any], status: int) -> tuple[Rejected, ...]:
    """List the events of a batch that was refused as a whole."""
    detail = str(document.get("detail") or document.get("title") or f"The service answered {status}.")
    errors = ({"pointer": "", "detail": detail},)
    return tuple(
        Rejected(made, index, made.get("id") if isinstance(made, Mapping) else None, "refused", errors, "")
        for index, made in enumerate(map(_event_of, body.splitlines()))
    )


def _event_of(text: bytes) -> Mapping[str, Any] | str:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else text.decode(errors="replace")
