"""What makes two events the same, and what makes them equal. Pure.

An identity is the event's name within its platform: source and id, compared as bytes. A fingerprint is all
that counts about an event, normalised: equal fingerprints under one identity are a repeat, different ones a
conflict. Laws: two events have one identity only if source and id are equal, and one fingerprint only if
every field that counts is; neither depends on how the event was written down.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

import msgspec

from service.core.digests import framed

DIGEST_BYTES: Final = 16

_ENCODE: Final = msgspec.json.Encoder().encode
_ENCODE_SORTED: Final = msgspec.json.Encoder(order="deterministic").encode


def identity_of(source: str, event_id: str) -> bytes:
    """Digest an event's name: BLAKE2b-128 of the frames of source and id in UTF-8."""
    return blake2b(framed(source.encode(), event_id.encode()), digest_size=DIGEST_BYTES).digest()


def fingerprint_of(
    source: str,
    event_id: str,
    type_name: str,
    at_us: int,
    creator: str,
    content: str | None,
    actor: str | None,
    quantity: int,
    attributes: Mapping[str, str | int | bool] | None = None,
) -> bytes:
    """Digest what counts about an event: BLAKE2b-128 of the canonical JSON of these arguments as one array.

    Attributes are the array's ninth member where there are any; without, it has eight.

    Args:
        at_us: microseconds since 1970-01-01T00:00:00Z.
        attributes: by declared names, which are ASCII.
    """
    # For strings without control characters and integers this encoder writes canonical JSON, at once.
    fields = (source, event_id, type_name, at_us, creator, content, actor, quantity)
    text = _ENCODE_SORTED((*fields, attributes)) if attributes else _ENCODE(fields)
    return blake2b(text, digest_size=DIGEST_BYTES).digest()


def attributes_text(attributes: Mapping[str, str | int | bool] | None) -> str | None:
    """Write an event's attributes as canonical JSON, or None where there are none."""
    return _ENCODE_SORTED(attributes).decode() if attributes else None
