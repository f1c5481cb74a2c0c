"""Digests: one way to turn values into bytes, and bytes into proofs.

Owns canonical JSON, SHA-256, unambiguous framing and the Merkle tree. Refuses every value whose text could
differ between programs: floats, integers beyond 2**53 - 1, lone surrogates. Laws: equal values have equal
bytes; different lists of parts have different frames; every leaf of a tree has one proof, which verifies and
which no other leaf, position, size or root shares.

Sources: RFC 8785 (JSON Canonicalization Scheme), RFC 9162 section 2.1 (Merkle trees), read 2026-11-21.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Final

from service.core.errors import FieldError, Invalid

INTEGER_MAX: Final = 2**53 - 1
"""The largest integer that every JSON reader keeps exact (RFC 8785 section 3.2.2.3, RFC 7493 section 2.2)."""

DIGEST_BYTES: Final = 32

_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"


class NotCanonical(Invalid):
    """The value has no canonical JSON text."""

    slug = "not-canonical"
    title = "The value has no canonical form"


def canonical_json(value: object) -> bytes:
    """Write a value as canonical JSON in UTF-8.

    Args: value: None, bool, int within ±INTEGER_MAX, str, list or tuple, or mapping with str keys, nested.
    Raises: NotCanonical, with the pointer of the first value that cannot be written.
    Laws: no blanks; keys sorted by UTF-16 code units; reading the text and writing it again changes nothing.
    Source: RFC 8785, restricted to integers.
    """
    return json.dumps(_canonical(value, ""), ensure_ascii=False, separators=(",", ":")).encode()


def _canonical(value: object, pointer: str) -> object:
    match value:
        case None | bool():
            return value
        case int():
            if not -INTEGER_MAX <= value <= INTEGER_MAX:
                raise _refused(pointer, "is an integer beyond 2**53 - 1; write it as a string")
            return value
        case str():
            return _text(value, pointer)
        case list() | tuple():
            return [_canonical(item, f"{pointer}/{index}") for index, item in enumerate(value)]
        case Mapping():
            return _members(value, pointer)
        case _:
            raise _refused(pointer, f"is a {type(value).__name__}, which canonical JSON does not know")


def _members(value: Mapping[object, object], pointer: str) -> dict[str, object]:
    members = {}
    for key in value:
        if not isinstance(key, str):
            raise _refused(pointer, "has a key that is not a string")
        members[_text(key, pointer)] = value[key]
    # Code units, not code points: the two orders differ once a key leaves the basic plane.
    keys = sorted(members, key=lambda key: key.encode("utf-16-be"))
    return {key: _canonical(members[key], f"{pointer}/{_escaped(key)}") for key in keys}


def _text(text: str, pointer: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _refused(pointer, "has a lone surrogate, which is no character; remove it") from None
    return text


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _refused(pointer: str, reason: str) -> NotCanonical:
    place = f"The value at {pointer}" if pointer else "The value"
    return NotCanonical(f"{place} {reason}.", errors=[FieldError(pointer, f"The value {reason}.")])


def sha256(data: bytes) -> bytes:
    """Return the SHA-256 of the bytes: 32 bytes."""
    return hashlib.sha256(data).digest()


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of the bytes as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def digest_of(value: object) -> str:
    """Return the SHA-256 of the value's canonical JSON as 64 lower-case hexadecimal digits.

    Raises: NotCanonical.
    """
    return sha256_hex(canonical_json(value))


def framed(*parts: bytes) -> bytes:
    """Join parts so that they can be told apart again: each is preceded by its length, 8 bytes big-endian.

    Laws: different lists of parts give different bytes; framed(a, b) == framed(a) + framed(b).
    """
    return b"".join([len(part).to_bytes(8, "big") + part for part in parts])


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Return the Merkle tree hash of the leaves in the given order: 32 bytes.

    The empty tree has the SHA-256 of nothing. Source: RFC 9162 section 2.1.1.
    """
    return _levels(leaves)[-1][0] if leaves else sha256(b"")


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the hashes, lowest first, that lead from the leaf at an index (0-based) to the root.

    Law: verify_inclusion(leaves[index], index, len(leaves), proof, merkle_root(leaves)) holds.
    Source: RFC 9162 section 2.1.3.1.
    """
    assert 0 <= index < len(leaves), "only a leaf of the tree has a proof"
    proof = []
    for level in _levels(leaves)[:-1]:
        beside = index ^ 1
        if beside < len(level):
            proof.append(level[beside])
        index >>= 1
    return proof


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Tell whether the proof leads from this leaf, at this index of a tree of this size, to this root.

    Never raises: everything may come from a stranger. Source: RFC 9162 section 2.1.3.2.
    """
    if not 0 <= index < size or any(len(step) != DIGEST_BYTES for step in proof):
        return False
    position, last = index, size - 1
    reached = sha256(_LEAF + leaf)
    for step in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            reached = sha256(_NODE + step + reached)
            # A last node without a neighbour rises unchanged until it is a right child.
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            reached = sha256(_NODE + reached + step)
        position >>= 1
        last >>= 1
    return last == 0 and reached == root


def _levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """Hash a non-empty tree from the leaves up; an odd last node rises to the next level unchanged.

    This is the tree of the standard, which is defined from the root down: each left subtree is the largest
    full one that is smaller than the whole, hence only the last node of a level can lack a neighbour.
    """
    level = [sha256(_LEAF + leaf) for leaf in leaves]
    levels = [level]
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        above = [sha256(_NODE + left + right) for left, right in pairs]
        if len(level) & 1:
            above.append(level[-1])
        levels.append(above)
        level = above
    return levels
