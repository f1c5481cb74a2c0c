"""Checks of what people choose: slugs, ids, names. Each refusal names the field and the remedy."""

import re
import unicodedata
from collections.abc import Sequence

from service.core.errors import FieldError, Invalid

_SLUG = re.compile(r"[a-z][a-z0-9-]{1,62}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}")
NAME_LENGTH_MAX = 200


def check_slug(value: str, pointer: str) -> str:
    """Return `value` if it can name a platform, else refuse it."""
    if not _SLUG.fullmatch(value):
        raise _invalid(pointer, "use 2 to 63 lower-case letters, digits and hyphens, beginning with a letter")
    return value


def check_id(value: str, pointer: str) -> str:
    """Return `value` if it can be a platform's own id of a party or a content, else refuse it."""
    if not _ID.fullmatch(value):
        raise _invalid(
            pointer, "use 1 to 64 letters, digits and . _ : @ -, beginning with a letter or a digit"
        )
    return value


def check_name(value: str, pointer: str) -> str:
    """Return the name in NFC without outer blanks, or refuse it."""
    name = unicodedata.normalize("NFC", value).strip()
    if not name or len(name) > NAME_LENGTH_MAX:
        raise _invalid(pointer, f"give a name of 1 to {NAME_LENGTH_MAX} characters")
    if any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn"} for char in name):
        raise _invalid(pointer, "remove control and invisible characters")
    return name


def check_members(values: Sequence[str], known: dict[str, str], pointer: str) -> list[str]:
    """Return the distinct values in order if each is known and there is at least one, else refuse."""
    if not values:
        raise _invalid(pointer, f"name at least one of {', '.join(known)}")
    for index, value in enumerate(values):
        if value not in known:
            raise _invalid(f"{pointer}/{index}", f"{value!r} is unknown; choose from {', '.join(known)}")
    return list(dict.fromkeys(values))


def _invalid(pointer: str, detail: str) -> Invalid:
    return Invalid(
        f"{pointer.removeprefix('/') or 'The value'}: {detail}.", errors=[FieldError(pointer, detail)]
    )
