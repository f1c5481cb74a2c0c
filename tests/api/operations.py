"""Every operation that changes something, with a sound address and a sound body, made from the contract."""

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from service.api import contract
from service.api.contract import Operation
from service.rules import registry
from tests.api.world import World

KNOWN = contract.load()
CHANGING = [one for one in KNOWN.operations if one.method != "GET"]
READING = [one for one in KNOWN.operations if one.method == "GET" and not one.is_public]
WITH_JSON = [one for one in CHANGING if one.media_types == ("application/json",)]

UUID = "00000000-0000-7000-8000-000000000000"
VALUES: Mapping[str, Any] = {
    "number": 1.5,
    "integer": 7,
    "text": "text",
    "true": True,
    "null": None,
    "list": [],
    "object": {},
}
"""One value of each kind that JSON has."""


@dataclass(frozen=True)
class Wrong:
    """A body that is wrong in one place."""

    pointer: str
    what: str
    document: Any

    def is_at(self, pointer: str) -> bool:
        """Tell whether a pointer leads to the wrong place, into it, or to the object that it stands in."""
        is_around = pointer in {self.pointer, self.pointer.rpartition("/")[0]}
        return is_around or pointer.startswith(f"{self.pointer}/")


def address(operation: Operation, world: World) -> str:
    """Fill in a path with ids that are there, or could be."""
    filled = {
        "creator": "linh",
        "content": "video-7",
        "period": world.past_period,
        "key": "00000000",
        "revenue": UUID,
        "correction": UUID,
        "job": UUID,
        "payout": UUID,
        "batch": UUID,
        "backfill": UUID,
        "entry": "1",
        "event_type": "wave",
        "quarantined": UUID,
        "rulebook": "0" * 64,
    }
    return operation.path.format_map(filled)


def query(operation: Operation, world: World) -> dict[str, str]:
    """Give the query parameters that an operation needs."""
    filled = {"role": "bank", "period": world.past_period, "source": "app", "id": "e-1"}
    return {
        one.name: filled[one.name] for one in operation.parameters if one.place == "query" and one.is_required
    }


def body(operation: Operation) -> dict[str, Any]:
    """Give the contract's first example of an operation's body."""
    if operation.id == "rulebooks.publish":
        return {"document": registry.founding_document(), "in_force_from_at": "2099-12-31T17:00:00Z"}
    document: dict[str, Any] = copy.deepcopy(schema(operation)["examples"][0])
    return document


def schema(operation: Operation) -> Mapping[str, Any]:
    """Give the schema of an operation's body."""
    item = KNOWN.document["paths"][operation.path][operation.method.lower()]
    return contract.resolve(KNOWN.document, item["requestBody"]["content"]["application/json"]["schema"])


def wrongs(operation: Operation) -> Iterator[Wrong]:
    """Make every body that differs from the sound one in one place, as the schema sees it.

    These are: a member that nobody knows in each object, each needed member left out, and in each place a
    value of every kind that does not belong there.
    """
    sound = body(operation)
    valid = jsonschema_rs.Draft202012Validator(
        {**schema(operation), "components": KNOWN.document["components"]}, validate_formats=True
    )
    assert valid.is_valid(sound), "the example is sound"
    for steps, value in list(places(sound)):
        if isinstance(value, dict):
            yield from _kept(valid, sound, [*steps, "unknown"], "added")
            for name in value:
                yield from _kept(valid, sound, [*steps, name], None)
        for kind in VALUES:
            yield from _kept(valid, sound, steps, kind)


def places(value: Any, steps: tuple[Any, ...] = ()) -> Iterator[tuple[list[Any], Any]]:
    """Walk over every place of a document."""
    yield list(steps), value
    members: Any = ()
    if isinstance(value, dict):
        members = value.items()
    elif isinstance(value, list):
        members = enumerate(value)
    for name, member in members:
        yield from places(member, (*steps, name))


def _kept(valid: Any, sound: Any, steps: list[Any], kind: str | None) -> Iterator[Wrong]:
    """Change one place: to a value of a kind, or (None) to nothing; keep what the schema refuses."""
    document = copy.deepcopy(sound)
    if not steps:
        if kind is None:
            return
        document = VALUES[kind]
    else:
        parent = document
        for step in steps[:-1]:
            parent = parent[step]
        if kind is None:
            del parent[steps[-1]]
        else:
            parent[steps[-1]] = VALUES.get(kind, kind)
    if not valid.is_valid(document):
        what = {None: "left out", "added": "added"}.get(kind, f"made {kind}")
        pointer = "".join(f"/{step}" for step in steps)
        yield Wrong(pointer, what, json.loads(json.dumps(document)))
