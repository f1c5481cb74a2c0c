"""The one JSON loader of the API: what RFC 8259 means by JSON, without the parts on which readers differ.

Refuses as unreadable: bytes that are not UTF-8, a byte order mark, more bytes than allowed, deeper nesting
than DEPTH_MAX, a member named twice, NaN and Infinity. Refuses as invalid: numbers with a fraction or an
exponent (every number of this API is a whole one), whole numbers beyond 64 bits, NUL and lone surrogates.
Each refusal carries the JSON pointer of its place where there is one. Law: what it returns is made of dict,
list, str, int, bool and None only.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from service.core.errors import FieldError, Invalid, TooLarge, Unreadable

DEPTH_MAX: Final = 32
"""Arrays and objects within each other."""

INTEGER_MAX: Final = 2**63 - 1
"""The largest whole number, up or down."""

SIZE_MAX_BYTES: Final = 1_048_576
"""The largest document, unless an operation states its own limit."""

_INTEGER_DIGITS: Final = 20
_FIRST_SURROGATE: Final = "\ud800"
_LAST_SURROGATE: Final = "\udfff"


@dataclass(frozen=True, slots=True)
class _Refused:
    """Stands in the read value where something was that is not taken, until the walk names its place."""

    detail: str
    is_unreadable: bool = False


def load(body: bytes, *, size_bytes_max: int = SIZE_MAX_BYTES) -> Any:
    """Read one JSON document.

    Raises:
        TooLarge: more than `size_bytes_max` bytes.
        Unreadable: no JSON, or JSON that readers understand differently.
        Invalid: values that this API never takes; every one is named.
    """
    if len(body) > size_bytes_max:
        raise TooLarge(f"The body has {len(body)} bytes; send at most {size_bytes_max}.")
    value = _parse(_text(body))
    refused = list(_walk(value, "", 1))
    errors = [FieldError(pointer, one.detail) for pointer, one in refused]
    if any(one.is_unreadable for _, one in refused):
        raise Unreadable(f"The body is not JSON that can be read safely: {_first(errors)}.", errors=errors)
    if errors:
        raise Invalid(f"The body holds values that are not taken: {_first(errors)}.", errors=errors)
    return value


def _text(body: bytes) -> str:
    if body.startswith(b"\xef\xbb\xbf"):
        raise Unreadable("The body begins with a byte order mark; send UTF-8 without one.")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as fault:
        raise Unreadable(f"The body is not UTF-8 at byte {fault.start}; send JSON as UTF-8.") from None


def _parse(text: str) -> Any:
    try:
        return json.loads(
            text,
            object_pairs_hook=_members,
            parse_int=_integer,
            parse_float=_fraction,
            parse_constant=_constant,
        )
    except json.JSONDecodeError as fault:
        place = f"line {fault.lineno}, column {fault.colno}"
        raise Unreadable(f"The body is not JSON: {fault.msg} ({place}).") from None
    except RecursionError:
        raise Unreadable(f"The body nests deeper than {DEPTH_MAX} levels; flatten it.") from None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            members[name] = _Refused("this member is named twice; name it once", is_unreadable=True)
        else:
            members[name] = value
    return members


def _integer(text: str) -> int | _Refused:
    # Long texts are refused unread: reading digits takes a time that grows with the square of their number.
    if len(text) <= _INTEGER_DIGITS and abs(int(text)) <= INTEGER_MAX:
        return int(text)
    return _Refused(f"use a whole number from -{INTEGER_MAX} to {INTEGER_MAX}")


def _fraction(_text: str) -> _Refused:
    return _Refused("use a whole number, without fraction and exponent; amounts are in minor units")


def _constant(name: str) -> _Refused:
    return _Refused(f"{name} is no JSON number", is_unreadable=True)


def _walk(value: Any, pointer: str, depth: int) -> Iterator[tuple[str, _Refused]]:
    """Find every place that holds something refused."""
    if isinstance(value, _Refused):
        yield pointer, value
    elif isinstance(value, str):
        yield from ((pointer, fault) for fault in _faults_of(value))
    elif isinstance(value, dict | list):
        if depth > DEPTH_MAX:
            yield pointer, _Refused(f"nest at most {DEPTH_MAX} levels deep", is_unreadable=True)
            return
        members = value.items() if isinstance(value, dict) else enumerate(value)
        for name, member in members:
            if isinstance(name, str):
                yield from ((pointer, fault) for fault in _faults_of(name))
            yield from _walk(member, f"{pointer}/{escape(str(name))}", depth + 1)


def escape(name: str) -> str:
    """Write a member's name as one step of a JSON pointer (RFC 6901)."""
    return name.encode("utf-8", "backslashreplace").decode().replace("~", "~0").replace("/", "~1")


def _faults_of(text: str) -> Iterator[_Refused]:
    if "\0" in text:
        yield _Refused("remove the NUL character")
    if any(_FIRST_SURROGATE <= char <= _LAST_SURROGATE for char in text):
        yield _Refused("remove the half of a surrogate pair; it is no character")


def _first(errors: list[FieldError]) -> str:
    return f"{errors[0].pointer or 'the whole document'}: {errors[0].detail}"
