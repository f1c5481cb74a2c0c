"""Answers: what a view gives back, and how values look in JSON.

Laws: money is {"amount_minor", "currency"}; instants are UTC texts; numbers that may pass 2**53 are texts, so
that every reader keeps them exact.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO, Any

from service.core.spans import Span, to_text

JSON_TYPE = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer: a JSON value, or bytes of another media type, or a file that is sent and then closed.

    Args:
        value: what becomes the JSON body, unless content or file is given.
        kept: what an Idempotency-Key keeps instead of value, where value holds a secret that is shown once.
        later: makes the real answer when the request's transaction is over, where files are read for it.
    """

    value: Any = None
    content: bytes | None = None
    file: IO[bytes] | None = None
    media_type: str = JSON_TYPE
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    kept: Any = None
    later: "Callable[[], Answer] | None" = None

    def body(self) -> bytes:
        """Give the bytes of an answer that is not a file."""
        assert self.file is None, "a file is streamed"
        return self.content if self.content is not None else encode(self.value)

    def kept_body(self) -> bytes:
        """Give the bytes that a replay may show."""
        return self.body() if self.kept is None else encode(self.kept)


def encode(value: Any) -> bytes:
    """Write a JSON value compactly, as UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def money(amount_minor: int, currency: str) -> dict[str, Any]:
    """Write an amount of money."""
    return {"amount_minor": amount_minor, "currency": currency}


def instant(at: datetime | None) -> str | None:
    """Write an instant, or null where there is none."""
    return None if at is None else to_text(at)


def span(value: Span) -> dict[str, Any]:
    """Write a half-open span."""
    return {"start_at": to_text(value.start_at), "end_at": to_text(value.end_at)}
