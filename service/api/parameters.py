"""Parameters of path and query: read and checked as the contract says, before a view sees them.

Refuses unknown and repeated query parameters, and values outside their schema. A path parameter that does not
fit names nothing, so the answer is that there is no such thing. Law: no keyword of a parameter's schema is
ignored; the start is refused for one that this module cannot check.
"""

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from werkzeug.datastructures import MultiDict

from service.api.problems import ParameterInvalid
from service.core.errors import NotFound
from service.core.spans import BadInstant, parse_instant

_NOTES: Final = {"description", "example", "examples", "title"}
_CHECKED: Final = {
    "string": {"type", "pattern", "minLength", "maxLength", "enum", "format", "default"},
    "integer": {"type", "minimum", "maximum", "default"},
    "boolean": {"type", "default"},
}
_FORMATS: Final = {"uuid", "date-time"}
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of an operation: its name, its place (path or query), its schema."""

    name: str
    place: str
    is_required: bool
    schema: Mapping[str, Any]

    @classmethod
    def of(cls, item: Mapping[str, Any], schema: Mapping[str, Any]) -> "Parameter":
        """Read a parameter object of the contract.

        Raises:
            ValueError: its schema says something that `_read` would not check.
        """
        known = _CHECKED.get(schema.get("type", ""), set())
        unchecked = set(schema) - known - _NOTES
        if not known or unchecked or item["in"] not in {"path", "query"}:
            reason = ", ".join(sorted(unchecked)) or "its type"
            msg = f"the parameter {item['name']} cannot be checked ({reason})"
            raise ValueError(msg)
        if schema.get("format", "uuid") not in _FORMATS:
            msg = f"the parameter {item['name']} has a format that is not checked"
            raise ValueError(msg)
        return cls(item["name"], item["in"], item.get("required", False), schema)


def read(
    parameters: Sequence[Parameter], path: Mapping[str, str], query: "MultiDict[str, str]"
) -> dict[str, Any]:
    """Read every parameter of a request.

    Returns:
        By name: str, int, bool, datetime or UUID as the schema says; a parameter that was not given has its
        default, or None.

    Raises:
        NotFound: a path parameter that names nothing.
        ParameterInvalid: query parameters that cannot be taken, each with its reason.
    """
    values: dict[str, Any] = {}
    faults = [
        {"in": "query", "name": name, "detail": "this operation has no such parameter"}
        for name in query
        if not any(one.name == name and one.place == "query" for one in parameters)
    ]
    for one in parameters:
        try:
            if one.place == "path":
                values[one.name] = _read(path[one.name], one.schema)
            else:
                values[one.name] = _of_query(one, query.getlist(one.name))
        except ValueError as fault:
            if one.place == "path":
                raise NotFound(f"There is no {one.name} {path[one.name]!r}.") from None
            faults.append({"in": one.place, "name": one.name, "detail": str(fault)})
    if faults:
        first = faults[0]
        raise ParameterInvalid(f"The parameter {first['name']}: {first['detail']}.", parameters=faults)
    return values


def _of_query(one: Parameter, given: list[str]) -> Any:
    if len(given) > 1:
        msg = "give it once"
        raise ValueError(msg)
    if given:
        return _read(given[0], one.schema)
    if one.is_required:
        msg = "it is needed"
        raise ValueError(msg)
    return one.schema.get("default")


def _read(text: str, schema: Mapping[str, Any]) -> Any:
    if schema["type"] == "integer":
        return _whole(text, schema)
    if schema["type"] == "boolean":
        if text not in {"true", "false"}:
            msg = "use true or false"
            raise ValueError(msg)
        return text == "true"
    return _text(text, schema)


def _whole(text: str, schema: Mapping[str, Any]) -> int:
    low, high = schema.get("minimum"), schema.get("maximum")
    wanted = f"use a whole number from {low} to {high}"
    if not _INTEGER.fullmatch(text):
        raise ValueError(wanted)
    value = int(text)
    if (low is not None and value < low) or (high is not None and value > high):
        raise ValueError(wanted)
    return value


def _text(text: str, schema: Mapping[str, Any]) -> str | datetime | uuid.UUID:
    if "enum" in schema and text not in schema["enum"]:
        msg = f"choose from {', '.join(schema['enum'])}"
        raise ValueError(msg)
    if not schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", len(text)):
        msg = f"use {schema.get('minLength', 0)} to {schema.get('maxLength')} characters"
        raise ValueError(msg)
    if "pattern" in schema and not re.fullmatch(schema["pattern"], text):
        msg = f"it has to match {schema['pattern']}"
        raise ValueError(msg)
    if schema.get("format") == "uuid":
        if not _UUID.fullmatch(text):
            msg = "use a UUID in lower case"
            raise ValueError(msg)
        return uuid.UUID(text)
    if schema.get("format") == "date-time":
        try:
            return parse_instant(text)
        except BadInstant as fault:
            raise ValueError(fault.detail.rstrip(".")) from None
    return text
