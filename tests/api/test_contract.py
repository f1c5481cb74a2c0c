"""The contract: a valid document, bound to the code in both directions, true to the rooms' constants."""

import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import jsonschema_rs
import pytest
import yaml
from openapi_spec_validator import validate

import service
from service.api import contract, idempotency, inflating, nouns, paging, strict_json
from service.api.contract import Contract, ContractBroken
from service.calendar.tables import STATES
from service.core.errors import catalogue
from service.events import types, wire
from service.events.tables import BACKFILL_STATES
from service.ledger.accounts import Role
from service.parties import platforms
from service.parties.scopes import ROLES, SCOPES
from service.payouts.due import Standing
from service.payouts.tables import BATCH_STATES
from service.payouts.transitions import State
from tests.api.client import Rules, closed

KNOWN = contract.load()
DOCUMENT = KNOWN.document
SCHEMAS = DOCUMENT["components"]["schemas"]


def examples(item: Any, place: str = "") -> Iterator[tuple[str, Mapping[str, Any], Any]]:
    """Find every example of the contract with its schema."""
    if isinstance(item, list):
        for index, one in enumerate(item):
            yield from examples(one, f"{place}/{index}")
    if not isinstance(item, dict):
        return
    if "schema" in item and "example" in item:
        yield f"{place}/example", item["schema"], item["example"]
    if isinstance(item.get("examples"), list):
        schema = {name: value for name, value in item.items() if name != "examples"}
        for index, one in enumerate(item["examples"]):
            yield f"{place}/examples/{index}", schema, one
    for name, one in item.items():
        if name not in {"example", "examples"}:
            yield from examples(one, f"{place}/{name}")


EXAMPLES = {place: (schema, example) for place, schema, example in examples(DOCUMENT)}


def test_the_document_is_openapi() -> None:
    """Any tool of the standard can read it."""
    validate(dict(DOCUMENT))


@pytest.mark.parametrize("place", EXAMPLES)
def test_an_example_is_of_its_schema(place: str) -> None:
    """Whoever copies an example sends something right."""
    schema, example = EXAMPLES[place]
    whole = {**schema, "components": closed(DOCUMENT["components"])}

    jsonschema_rs.Draft202012Validator(whole, validate_formats=True).validate(example)


def test_every_request_schema_has_an_example() -> None:
    """The tests of bad input begin from them."""
    bodies = {
        media["schema"]["$ref"].rpartition("/")[2]
        for path in DOCUMENT["paths"].values()
        for method, item in path.items()
        if method in contract.METHODS
        for name, media in item.get("requestBody", {}).get("content", {}).items()
        if name == "application/json"
    }

    # A rulebook's example is the founding rulebook that ships with the service.
    assert {"RulebookRequest"} == {name for name in bodies if not SCHEMAS[name].get("examples")}


def test_a_request_schema_is_closed() -> None:
    """What nobody knows is refused, and the contract says so."""
    open_ones = {
        name
        for name, schema in SCHEMAS.items()
        if name.endswith("Request") and schema.get("additionalProperties") is not False
    }

    assert set() == open_ones


def test_every_type_of_problem_is_explained() -> None:
    """docs/problems.md has a section for each fault that the service may answer with."""
    for module in pkgutil.walk_packages(service.__path__, "service."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    text = (Path(__file__).parents[2] / "docs" / "problems.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## (\S+)\n\n\*\*(.+)\*\* \(([0-9]+)\)\n", text, re.MULTILINE)
    kinds = [kind for kind in catalogue() if kind.__module__.startswith("service.")]

    assert [(kind.slug, kind.title, str(kind.status)) for kind in kinds] == sections


SAME = {
    "Scope": SCOPES,
    "StaffRole": ROLES,
    "PeriodState": STATES,
    "PayoutState": [one.value for one in State],
    "BatchState": BATCH_STATES,
    "BackfillState": BACKFILL_STATES,
    "Role": [one.value for one in Role],
}


@pytest.mark.parametrize("name", SAME)
def test_a_list_of_words_is_the_code_s_own(name: str) -> None:
    """Words that the contract lists are those that the rooms use, in their order."""
    assert list(SAME[name]) == SCHEMAS[name]["enum"]


def test_words_within_schemas_are_the_code_s_own() -> None:
    """The same for words that stand in one place only."""
    platform = SCHEMAS["PlatformRequest"]["properties"]
    receipt = SCHEMAS["ReceiptItem"]["properties"]

    assert list(platforms.LOCALES) == platform["locale"]["enum"]
    assert list(platforms.PERIOD_UNITS) == platform["period_unit"]["enum"]
    assert list(platforms.UNKNOWN_CREATORS) == platform["unknown_creators"]["enum"]
    assert list(get_args(wire.Code)) == receipt["code"]["enum"]
    assert list(get_args(types.ActorRule)) == SCHEMAS["EventType"]["properties"]["actor"]["enum"]
    assert [one.value for one in Standing] == SCHEMAS["Due"]["properties"]["verdict"]["enum"]


def test_limits_are_the_code_s_own() -> None:
    """Limits that the contract states are those that are kept."""
    limit = DOCUMENT["components"]["parameters"]["Limit"]["schema"]
    events = DOCUMENT["paths"]["/v1/events"]["post"]["requestBody"]
    batch = events["content"][wire.BATCH]["schema"]

    assert (paging.LIMIT_MAX, paging.LIMIT_DEFAULT) == (limit["maximum"], limit["default"])
    assert (wire.BODY_BYTES_MAX, wire.ITEMS_MAX) == (events[contract.SIZE_MEMBER], batch["maxItems"])
    assert {wire.BATCH, wire.SINGLE, wire.LINES} == set(events["content"])
    assert list(inflating.CODINGS) == events[contract.PACKING_MEMBER]
    assert strict_json.INTEGER_MAX == SCHEMAS["AmountMinor"]["maximum"] == -SCHEMAS["AmountMinor"]["minimum"]


def test_every_post_but_the_events_takes_an_idempotency_key() -> None:
    """Events are their own key: the digest of their bytes."""
    without = {one.id for one in KNOWN.operations if one.method == "POST" and not one.needs_key}

    assert {"events.receive"} == without


def test_every_operation_but_health_needs_a_key() -> None:
    """Nothing of a platform is open by mistake."""
    assert {"health.live", "health.ready"} == {one.id for one in KNOWN.operations if one.is_public}


def test_code_and_contract_are_bound() -> None:
    """The start of the service makes the same check."""
    bound = contract.bind(KNOWN.operations, nouns.ALL)

    assert {one.id for one in KNOWN.operations} == set(bound)


def test_a_function_without_an_operation_refuses_the_start() -> None:
    """What is not in the contract is not served."""
    with pytest.raises(ContractBroken, match=r"function limits\.get has no operation"):
        contract.bind([one for one in KNOWN.operations if one.id != "limits.get"], nouns.ALL)


def test_an_operation_without_a_function_refuses_the_start() -> None:
    """What is in the contract is served."""
    fewer = [one for one in nouns.ALL if one.__name__ != "service.api.limits"]

    with pytest.raises(ContractBroken, match=r"operation limits\.get has no function"):
        contract.bind(KNOWN.operations, fewer)


def test_an_operation_id_that_is_used_twice_refuses_the_start() -> None:
    """One name, one function."""
    with pytest.raises(ContractBroken, match=r"operation id limits\.get is used twice"):
        contract.bind(
            [*KNOWN.operations, *(one for one in KNOWN.operations if one.id == "limits.get")], nouns.ALL
        )


def test_a_private_function_is_no_operation(tmp_path: Path) -> None:
    """A module may have helpers of its own."""
    module = ModuleType("service.api.noun")
    exec("def _help(): pass\ndef get(call): pass", module.__dict__)  # noqa: S102 — a module made here.

    assert ["noun.get"] == list(contract.bind(changed(tmp_path, {}).operations, [module]))


def changed(folder: Path, operation: Mapping[str, Any]) -> Contract:
    """Read a contract of one operation, which is sound but for what is given."""
    sound = {
        "operationId": "noun.get",
        "security": [{"key": []}],
        "parameters": [{"name": "platform", "in": "query", "schema": {"type": "string"}}],
        "responses": {},
    }
    file = folder / "openapi.yaml"
    paths = {"/v1/noun": {"get": {**sound, **operation}}}
    file.write_text(yaml.safe_dump({"paths": paths}), encoding="utf-8")
    return contract.load(file)


BROKEN = {
    "a scope that no key can hold": {"security": [{"key": ["everything"]}]},
    "another kind of security": {"security": [{"basic": []}]},
    "security by choice": {"security": [{"key": []}, {}]},
    "no parameter platform": {"parameters": []},
    "a header that nobody reads": {
        "parameters": [{"name": "X-It", "in": "header", "schema": {"type": "string"}}]
    },
    "a parameter that is not in the path": {
        "parameters": [{"name": "it", "in": "path", "required": True, "schema": {"type": "string"}}]
    },
    "a schema that is not checked": {
        "parameters": [{"name": "platform", "in": "query", "schema": {"type": "number"}}]
    },
    "a cookie": {"parameters": [{"name": "platform", "in": "cookie", "schema": {"type": "string"}}]},
}


@pytest.mark.parametrize("operation", BROKEN.values(), ids=BROKEN.keys())
def test_a_contract_that_cannot_be_kept_refuses_the_start(tmp_path: Path, operation: dict[str, Any]) -> None:
    """What the contract says is done, or nothing starts."""
    with pytest.raises(ContractBroken, match=r"noun\.get"):
        changed(tmp_path, operation)


def test_the_rules_notice_a_member_that_the_contract_does_not_name() -> None:
    """The tests' own tool works: a test that cannot fail is none."""
    rules = Rules.load()

    with pytest.raises(AssertionError, match="extra"):
        rules.validate(
            {"$ref": "#/components/schemas/Money"}, {"amount_minor": 1, "currency": "VND", "extra": 1}
        )


def test_the_header_of_idempotency_is_the_contract_s() -> None:
    """One spelling."""
    assert idempotency.HEADER == DOCUMENT["components"]["parameters"]["IdempotencyKey"]["name"]
