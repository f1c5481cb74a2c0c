"""Preferences: what a client asks for beyond the operation itself (the Prefer header).

Owns the two preferences that this service honours. Laws: an unknown preference, or one with a value that is
not known, is ignored; of a preference that is named twice the first counts; names and values are compared
without regard to case.

Source: RFC 7240 sections 2, 4.2 and 4.4, read 2026-11-21.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from werkzeug.http import parse_list_header, unquote_header_value

HEADER: Final = "Prefer"
APPLIED_HEADER: Final = "Preference-Applied"

_KNOWN: Final = {"return": ("minimal", "representation"), "handling": ("strict", "lenient")}


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the client prefers.

    Args:
        is_minimal: to be told only what it cannot know by itself.
        is_strict: to have all or nothing done.
        applied: the preferences that were understood, as Preference-Applied names them; "" for none.
    """

    is_minimal: bool = False
    is_strict: bool = False
    applied: str = ""


def read(headers: Iterable[str]) -> Preferences:
    """Read the Prefer headers of a request, in their order."""
    found: dict[str, str] = {}
    for one in parse_list_header(", ".join(headers)):
        preference, _, _parameters = one.partition(";")
        name, _, value = preference.partition("=")
        found.setdefault(name.strip().lower(), unquote_header_value(value.strip()).lower())
    known = {name: found[name] for name, values in _KNOWN.items() if found.get(name) in values}
    return Preferences(
        is_minimal=known.get("return") == "minimal",
        is_strict=known.get("handling") == "strict",
        applied=", ".join(f"{name}={value}" for name, value in known.items()),
    )
