"""The JSON Schema of an event of one type, for senders who check before they send. Pure.

Law: what the schema accepts the decoder takes, and the reverse, as far as JSON Schema can say it. It cannot
say that a number is written without a fraction (1.0 is whole to it and refused here), nor that an instant is
within the calendar once its offset is taken away, which matters in the first and the last day of it. It asks
for the T between date and time, where the decoder takes a blank as well.

Source: JSON Schema 2020-12 (core and validation), CloudEvents 1.0.2, RFC 3339, read 2026-11-21.
"""

from typing import Any, Final

from service.core.digests import INTEGER_MAX
from service.core.spans import FIRST_YEAR, LAST_YEAR
from service.events import types, wire
from service.events.types import Attribute, EventType

MEDIA_TYPE: Final = "application/schema+json"

_CLEAN: Final = r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$"
"""No control character and no line separator."""

_YEARS: Final = r"(19[7-9]\d|2[01]\d\d)"
_TIME: Final = (
    rf"^{_YEARS}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[Tt]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{{1,6}})?"
    r"([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$"
)
assert (FIRST_YEAR, LAST_YEAR) == (1970, 2199), "the pattern of years says the same"


def of_type(one: EventType) -> dict[str, Any]:
    """Write the schema of one event of a type, as CloudEvents JSON."""
    known = {
        "specversion": {"const": "1.0"},
        "id": _text(wire.ID_LENGTH_MAX),
        "source": _text(wire.SOURCE_LENGTH_MAX),
        "type": {"const": one.name},
        "time": {
            "type": "string",
            "format": "date-time",
            "pattern": _TIME,
            "description": "RFC 3339 with a zone, to the microsecond at most.",
        },
        "data": _data(one),
        "datacontenttype": {
            "type": ["string", "null"],
            "maxLength": wire.IGNORED_LENGTH_MAX,
            "pattern": r"^[A-Za-z0-9.+-]+/([A-Za-z0-9.+-]*\+)?[Jj][Ss][Oo][Nn](\s*;.*)?$",
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"An event of the type {one.name}",
        "type": "object",
        "properties": known,
        "required": ["specversion", "id", "source", "type", "time", "data"],
        "propertyNames": {"pattern": "^[a-z0-9]{1,64}$"},
        "additionalProperties": {
            "description": "An extension attribute, which has no meaning here.",
            "type": ["string", "integer", "boolean", "null"],
            "maxLength": wire.IGNORED_LENGTH_MAX,
        },
    }


def _data(one: EventType) -> dict[str, Any]:
    needed = ["creator"]
    members: dict[str, Any] = {
        "creator": _text(wire.ID_LENGTH_MAX),
        "content": _text(wire.ID_LENGTH_MAX, or_null=not one.needs_content),
        "actor": {"type": "null"} if one.actor == "none" else _text(wire.ID_LENGTH_MAX, or_null=True),
        "quantity": {
            "type": "integer",
            "minimum": one.quantity_min,
            "maximum": one.quantity_max,
            "default": 1,
            "description": _words(one),
        },
        "attributes": _attributes(one),
    }
    if one.needs_content:
        needed.append("content")
    if one.actor == "required":
        members["actor"] = _text(wire.ID_LENGTH_MAX)
        needed.append("actor")
    if not one.quantity_min <= 1 <= one.quantity_max:
        # What is left out is 1.
        needed.append("quantity")
    if any(declared.is_required for declared in one.attributes.values()):
        needed.append("attributes")
    return {"type": "object", "properties": members, "required": needed, "additionalProperties": False}


def _attributes(one: EventType) -> dict[str, Any]:
    needed = [name for name, declared in one.attributes.items() if declared.is_required]
    return {
        "type": "object" if needed else ["object", "null"],
        "properties": {name: _attribute(declared) for name, declared in one.attributes.items()},
        "required": needed,
        "additionalProperties": False,
    }


def _attribute(declared: Attribute) -> dict[str, Any]:
    if declared.values:
        return {"type": declared.kind, "enum": list(declared.values)}
    if declared.kind == "string":
        return _text(types.ATTRIBUTE_LENGTH_MAX)
    if declared.kind == "integer":
        return {"type": "integer", "minimum": -INTEGER_MAX, "maximum": INTEGER_MAX}
    return {"type": "boolean"}


def _words(one: EventType) -> str:
    if one.currency is None:
        return f"In {one.unit}. Below zero takes back what was counted before."
    per_minor = types.micro_per_minor(one.currency)
    return (
        f"In millionths of one {one.currency}: {per_minor} of them are one minor unit. It is this content's"
        f" part of the revenue stream {one.stream}."
    )


def _text(length_max: int, *, or_null: bool = False) -> dict[str, Any]:
    return {
        "type": ["string", "null"] if or_null else "string",
        "minLength": 1,
        "maxLength": length_max,
        "pattern": _CLEAN,
    }
