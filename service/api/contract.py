"""The contract: openapi.yaml, read at start-up, and bound to the functions that keep it.

Owns the reading of the file and the binding of each operation id (`noun.verb`) to the function `verb` of the
module `noun`. Refuses to start on an operation without a function, a function without an operation, a scope
that no key can hold, or a parameter whose check it would not know how to make.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import yaml

import service
from service.api import idempotency, inflating, preferences
from service.api.parameters import Parameter
from service.api.strict_json import SIZE_MAX_BYTES
from service.parties.scopes import SCOPES

METHODS: Final = ("get", "put", "post", "delete", "patch")
SIZE_MEMBER: Final = "x-size-bytes-max"
PACKING_MEMBER: Final = "x-content-codings"

_FILE: Final = Path(service.__file__).resolve().parent / "openapi.yaml"
"""In the repository a link to the file at its top level; in a wheel the file itself."""


class ContractBroken(Exception):  # noqa: N818 — the start is refused for the sentence that it carries.
    """The contract and the code say different things."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation of the contract.

    Args:
        scopes: what a key needs to hold, all of them; None for an operation that takes no key.
        media_types: of the body; none for an operation that takes no body.
        is_body_needed: whether the body may not be left out.
        is_packing_taken: whether the body may come in a content coding.
        needs_key: whether it takes an Idempotency-Key, which is then required.
    """

    id: str
    method: str
    path: str
    scopes: frozenset[str] | None
    parameters: tuple[Parameter, ...]
    media_types: tuple[str, ...]
    is_body_needed: bool
    size_bytes_max: int
    is_packing_taken: bool
    needs_key: bool

    @property
    def rule(self) -> str:
        """The path as Flask writes it."""
        return self.path.replace("{", "<").replace("}", ">")

    @property
    def is_public(self) -> bool:
        """Whether anyone may call it."""
        return self.scopes is None


@dataclass(frozen=True, slots=True)
class Contract:
    """The file as it was read: its text, its document, its operations in order."""

    text: bytes
    document: Mapping[str, Any]
    operations: tuple[Operation, ...]


def load(path: Path | None = None) -> Contract:
    """Read the contract that ships with the package, or another one.

    Raises:
        ContractBroken: an operation says something that this service cannot keep.
    """
    text = (path or _FILE).read_bytes()
    document = yaml.load(text, yaml.CSafeLoader)
    operations = tuple(
        _operation(document, path, method, shared, item)
        for path, shared in document["paths"].items()
        for method, item in shared.items()
        if method in METHODS
    )
    return Contract(text, document, operations)


def bind(operations: Iterable[Operation], modules: Iterable[ModuleType]) -> dict[str, Callable[[Any], Any]]:
    """Find the function of each operation; every public function of a noun's module is an operation.

    Raises:
        ContractBroken: an operation without a function, or a function without an operation.
    """
    views: dict[str, Callable[[Any], Any]] = {
        f"{module.__name__.rpartition('.')[2]}.{name}": function
        for module in modules
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    }
    wanted = [operation.id for operation in operations]
    faults = [f"operation {name} has no function" for name in wanted if name not in views]
    faults += [f"function {name} has no operation" for name in views if name not in wanted]
    faults += [f"operation id {name} is used twice" for name in set(wanted) if wanted.count(name) > 1]
    if faults:
        raise ContractBroken("openapi.yaml and the code differ: " + "; ".join(sorted(faults)) + ".")
    return views


def resolve(document: Mapping[str, Any], item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference within the document, if `item` is one."""
    found: Any = item
    while "$ref" in found:
        at: Any = document
        for step in found["$ref"].removeprefix("#/").split("/"):
            at = at[step]
        found = at
    resolved: Mapping[str, Any] = found
    return resolved


def _operation(
    document: Mapping[str, Any], path: str, method: str, shared: Mapping[str, Any], item: Mapping[str, Any]
) -> Operation:
    parameters = [
        resolve(document, one) for one in [*shared.get("parameters", ()), *item.get("parameters", ())]
    ]
    body = resolve(document, item.get("requestBody", {}))
    headers = [one["name"] for one in parameters if one["in"] == "header"]
    name = item["operationId"]
    if headers not in ([], [idempotency.HEADER], [inflating.HEADER, preferences.HEADER]):
        raise ContractBroken(f"{name}: no code reads the headers {headers}.")
    codings = body.get(PACKING_MEMBER, [])
    if codings not in ([], list(inflating.CODINGS)) or bool(codings) != (inflating.HEADER in headers):
        raise ContractBroken(
            f"{name}: no code unpacks {codings}, or the header {inflating.HEADER} is missing."
        )
    placed = set(re.findall(r"{(\w+)}", path))
    if placed != {one["name"] for one in parameters if one["in"] == "path"}:
        raise ContractBroken(f"{name}: the path {path} and its parameters differ.")
    scopes = _scopes(name, item.get("security", document.get("security", [])))
    if scopes is not None and "platform" not in {one["name"] for one in parameters}:
        raise ContractBroken(f"{name}: every operation with a key takes the parameter platform.")
    try:
        read = tuple(
            Parameter.of(one, resolve(document, one["schema"])) for one in parameters if one["in"] != "header"
        )
    except ValueError as fault:
        raise ContractBroken(f"{name}: {fault}.") from fault
    return Operation(
        id=name,
        method=method.upper(),
        path=path,
        scopes=scopes,
        parameters=read,
        media_types=tuple(body.get("content", ())),
        is_body_needed=body.get("required", False),
        size_bytes_max=body.get(SIZE_MEMBER, SIZE_MAX_BYTES),
        is_packing_taken=bool(codings),
        needs_key=idempotency.HEADER in headers,
    )


def _scopes(name: str, security: list[Mapping[str, list[str]]]) -> frozenset[str] | None:
    if not security:
        return None
    if len(security) != 1 or list(security[0]) != ["key"]:
        raise ContractBroken(f"{name}: this service knows one kind of security, an API key.")
    scopes = security[0]["key"]
    unknown = sorted(set(scopes) - SCOPES.keys())
    if unknown:
        raise ContractBroken(f"{name}: no key can hold the scopes {', '.join(unknown)}.")
    return frozenset(scopes)
