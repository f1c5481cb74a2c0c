"""Parameters: read as the contract says, and nothing of their schema ignored."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from werkzeug.datastructures import MultiDict

from service.api import parameters
from service.api.parameters import Parameter
from service.api.problems import ParameterInvalid
from service.core.errors import NotFound

ID = uuid.UUID("0198f2c4-7b1e-7cc0-8f5e-3b1f6f1d2a90")


def parameter(place: str = "query", **schema: Any) -> Parameter:
    """Make a parameter named `it`."""
    item = {"name": "it", "in": place, "required": schema.pop("required", False)}
    return Parameter.of(item, schema)


def read(one: Parameter, *texts: str) -> Any:
    """Read the parameter from a request that gives it these texts."""
    if one.place == "path":
        return parameters.read([one], {"it": texts[0]}, MultiDict())["it"]
    return parameters.read([one], {}, MultiDict([("it", text) for text in texts]))["it"]


READ = [
    ({"type": "string"}, "a b", "a b"),
    ({"type": "string", "enum": ["vi", "en"]}, "vi", "vi"),
    ({"type": "string", "pattern": "^[a-z]{2}$"}, "ab", "ab"),
    ({"type": "integer", "minimum": 1, "maximum": 200}, "200", 200),
    ({"type": "integer", "minimum": -5}, "-5", -5),
    ({"type": "boolean"}, "true", True),
    ({"type": "boolean"}, "false", False),
    ({"type": "string", "format": "uuid"}, str(ID), ID),
    (
        {"type": "string", "format": "date-time"},
        "2026-11-21T20:00:00+07:00",
        datetime(2026, 11, 21, 13, tzinfo=UTC),
    ),
]

REFUSED = [
    ({"type": "string", "enum": ["vi", "en"]}, "fr"),
    ({"type": "string", "pattern": "^[a-z]{2}$"}, "ab\n"),
    ({"type": "string", "pattern": "^[a-z]{2}$"}, "abc"),
    ({"type": "string", "minLength": 1}, ""),
    ({"type": "string", "maxLength": 3}, "four"),
    ({"type": "integer", "minimum": 1, "maximum": 200}, "201"),
    ({"type": "integer", "minimum": 1, "maximum": 200}, "0"),
    ({"type": "integer"}, "1.0"),
    ({"type": "integer"}, "1e2"),
    ({"type": "integer"}, " 1"),
    ({"type": "integer"}, "+1"),
    ({"type": "integer"}, "0x1"),
    ({"type": "integer"}, "١"),
    ({"type": "integer"}, "9" * 5_000),
    ({"type": "boolean"}, "True"),
    ({"type": "boolean"}, "1"),
    ({"type": "string", "format": "uuid"}, str(ID).upper()),
    ({"type": "string", "format": "uuid"}, ID.hex),
    ({"type": "string", "format": "uuid"}, f"{{{ID}}}"),
    ({"type": "string", "format": "date-time"}, "2026-11-21T20:00:00"),
    ({"type": "string", "format": "date-time"}, "2026-02-30T00:00:00Z"),
    ({"type": "string", "format": "date-time"}, "2026-11-21"),
]


@pytest.mark.parametrize(("schema", "text", "value"), READ)
def test_a_parameter_is_read_as_its_schema_says(schema: dict[str, Any], text: str, value: Any) -> None:
    """A view gets values, never texts that it has to check again."""
    assert value == read(parameter(**schema), text)


@pytest.mark.parametrize(("schema", "text"), REFUSED)
def test_a_query_parameter_outside_its_schema_is_named(schema: dict[str, Any], text: str) -> None:
    """The answer says which parameter, and why."""
    with pytest.raises(ParameterInvalid) as refusal:
        read(parameter(**schema), text)

    assert [("query", "it")] == [(one["in"], one["name"]) for one in refusal.value.extra["parameters"]]


@pytest.mark.parametrize(("schema", "text"), REFUSED)
def test_a_path_parameter_outside_its_schema_names_nothing(schema: dict[str, Any], text: str) -> None:
    """What cannot be an id is answered like an id that is not there."""
    with pytest.raises(NotFound):
        read(parameter("path", **schema), text)


def test_a_query_parameter_that_is_given_twice_is_refused() -> None:
    """Which of the two would count is anybody's guess."""
    with pytest.raises(ParameterInvalid):
        read(parameter(type="string"), "a", "b")


def test_a_query_parameter_that_nobody_knows_is_refused() -> None:
    """A misspelt filter would silently show everything."""
    with pytest.raises(ParameterInvalid) as refusal:
        parameters.read([parameter(type="string")], {}, MultiDict([("its", "a")]))

    assert "its" == refusal.value.extra["parameters"][0]["name"]


def test_a_needed_query_parameter_that_is_missing_is_refused() -> None:
    """There is nothing to fill in for it."""
    with pytest.raises(ParameterInvalid):
        read(parameter(type="string", required=True))


def test_a_query_parameter_that_is_not_given_has_its_default() -> None:
    """The contract says what leaving it out means."""
    assert 50 == read(parameter(type="integer", default=50))
    assert read(parameter(type="integer")) is None


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "number"},
        {"type": "array", "items": {"type": "string"}},
        {"type": "string", "format": "email"},
        {"type": "integer", "multipleOf": 5},
        {"type": "string", "const": "a"},
        {},
    ],
)
def test_a_schema_that_would_not_be_checked_is_refused_at_the_start(schema: dict[str, Any]) -> None:
    """Law: no keyword of the contract is ignored."""
    with pytest.raises(ValueError, match="the parameter it"):
        parameter(**schema)
