"""Inflating: the bytes of a packed body, out of it and within bounds.

Owns the content codings that intake takes. Refuses whatever does not end as its coding says, and stops as
soon as a limit is passed, so that a bomb costs no more than a body of the largest size that is taken. Laws:
never more than twice the limit is held (gzip: a byte more than the limit); the same content packed in any
way, into any number of members, gives the same bytes.

Sources: RFC 9110 section 8.4, RFC 1952 (members follow each other), RFC 8878 (frames follow each other; a
window of 8 MiB is what a decoder of the web supports), read 2026-11-21.
"""

import zlib
from collections.abc import Callable
from typing import Final

import zstandard

from service.core.errors import TooLarge, Unreadable

CODINGS: Final = ("gzip", "zstd")
"""Besides identity, the names of the codings as a refusal names them."""

HEADER: Final = "Content-Encoding"
IDENTITY: Final = "identity"
MEMBERS_MAX: Final = 1_000
"""Members or frames of one body; each costs its set-up, however little it holds."""

WINDOW_BYTES_MAX: Final = 8 * 1024 * 1024

_ALIASES: Final = {"x-gzip": "gzip"}
_GZIP_WINDOW: Final = 31
_GZIP_SLICE_BYTES: Final = 65_536
_ZSTD_SLICE_BYTES: Final = 256
"""A block of 4 packed bytes makes at most 128 KiB: a slice makes at most 8 MiB."""


def coding_of(header: str) -> str | None:
    """Name the coding that a Content-Encoding header announces.

    Returns:
        One of CODINGS, IDENTITY, or None for one that is not taken; several codings at once are not.
    """
    name = header.strip().lower() or IDENTITY
    name = _ALIASES.get(name, name)
    return name if name in (*CODINGS, IDENTITY) else None


def inflate(content: bytes, coding: str, *, size_bytes_max: int) -> bytes:
    """Give the bytes that were packed.

    Args:
        content: as sent, at most `size_bytes_max` long.
        coding: as `coding_of` names it.
        size_bytes_max: of what comes out.

    Raises:
        TooLarge: more comes out.
        Unreadable: what is sent is not whole, is damaged, or is followed by something else.
    """
    if coding == IDENTITY:
        return content
    if not content:
        raise Unreadable(f"The body is empty; as {coding} even nothing has some bytes.")
    return _UNPACK[coding](content, size_bytes_max)


def _gunzip(content: bytes, size_bytes_max: int) -> bytes:
    made = bytearray()
    place, member_count = 0, 0
    while place < len(content):
        member_count = _count_member(member_count, "gzip")
        member = zlib.decompressobj(wbits=_GZIP_WINDOW)
        while not member.eof:
            packed = member.unconsumed_tail
            if not packed:
                packed = content[place : place + _GZIP_SLICE_BYTES]
                place += len(packed)
                if not packed:
                    raise _truncated("gzip")
            try:
                made += member.decompress(packed, size_bytes_max + 1 - len(made))
            except zlib.error:
                raise _damaged("gzip", member_count) from None
            _check_size(made, size_bytes_max)
        place -= len(member.unused_data)
    return bytes(made)


def _unzstd(content: bytes, size_bytes_max: int) -> bytes:
    made = bytearray()
    decompressor = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES_MAX)
    place, frame_count = 0, 0
    while place < len(content):
        frame_count = _count_member(frame_count, "zstd")
        frame = decompressor.decompressobj()
        while not frame.eof:
            packed = content[place : place + _ZSTD_SLICE_BYTES]
            place += len(packed)
            if not packed:
                raise _truncated("zstd")
            try:
                made += frame.decompress(packed)
            except zstandard.ZstdError:
                raise _damaged("zstd", frame_count) from None
            _check_size(made, size_bytes_max)
        place -= len(frame.unused_data)
    return bytes(made)


_UNPACK: Final[dict[str, Callable[[bytes, int], bytes]]] = {"gzip": _gunzip, "zstd": _unzstd}


def _count_member(before: int, coding: str) -> int:
    if before >= MEMBERS_MAX:
        raise Unreadable(f"The body has more than {MEMBERS_MAX} members of {coding}; pack it as one.")
    return before + 1


def _check_size(made: bytearray, size_bytes_max: int) -> None:
    if len(made) > size_bytes_max:
        raise TooLarge(
            f"Unpacked, the body is larger than the {size_bytes_max} bytes that are taken at a time."
        )


def _truncated(coding: str) -> Unreadable:
    return Unreadable(f"The body ends before its {coding} does; it was cut short. Send it whole.")


def _damaged(coding: str, number: int) -> Unreadable:
    if number > 1:
        return Unreadable(f"Something that is no {coding} follows the body, or its part {number} is damaged.")
    return Unreadable(
        f"The body is no {coding}, or is damaged, or needs a window beyond {WINDOW_BYTES_MAX} bytes."
    )
