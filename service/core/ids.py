"""Identifiers: new ones that sort by time, and derived ones that a retried act finds again.

Owns how a UUID is made. Refuses to read the clock: the instant is given. Laws: of two instants at least a
microsecond apart the later has the greater id; the same parts always derive the same id, and different lists
of parts different ones.

Source: RFC 9562 sections 5.7, 5.8 and 6.2 (method 3), read 2026-11-21.
"""

import os
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from service.core.digests import framed, sha256

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def new(now: datetime, entropy: Callable[[int], bytes] = os.urandom) -> uuid.UUID:
    """Make a fresh UUIDv7 of an instant.

    Args: now: aware, 1970 or later; entropy: gives that many random bytes.
    Laws: ordered by the microsecond of now; within one microsecond 62 bits tell ids apart.
    """
    since = (now - _EPOCH) // _MICROSECOND
    assert since >= 0, "a UUIDv7 counts from 1970"
    milliseconds, microseconds = divmod(since, 1000)
    # The 12 bits after the version carry the fraction of the millisecond, which RFC 9562 6.2 allows.
    fraction = microseconds * 4096 // 1000
    random = int.from_bytes(entropy(8), "big")
    return _marked(milliseconds << 80 | fraction << 64 | random, version=7)


def derived(*parts: str) -> uuid.UUID:
    """Make the UUIDv8 that belongs to these parts, in this order: the SHA-256 of their frames, cut to fit.

    Name the kind of thing first, then what identifies it: derived("payout", batch, party).
    """
    assert parts, "an id is derived from something"
    digest = sha256(framed(*(part.encode() for part in parts)))
    return _marked(int.from_bytes(digest[:16], "big"), version=8)


def _marked(bits: int, *, version: int) -> uuid.UUID:
    bits = bits & ~(0xF << 76) | version << 76
    bits = bits & ~(0b11 << 62) | 0b10 << 62
    return uuid.UUID(int=bits)
