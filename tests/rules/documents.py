"""Rulebooks to change and to break."""

import copy
from typing import Any

from service.rules import registry
from service.rules.rulebook import Surroundings

SURROUNDINGS = Surroundings(
    quantity_max={"view": 100_000_000, "like": 100_000_000, "watch_second": 3_600},
    partner_ids={"fund"},
    has_parent=False,
)
MISSING = object()


def founding() -> dict[str, Any]:
    """The rulebook that ships with the service."""
    return registry.founding_document()


def small() -> dict[str, Any]:
    """A rulebook that fits SURROUNDINGS."""
    return changed("weights", {"view": 1, "like": 3})


def changed(path: str, value: object, document: dict[str, Any] | None = None) -> dict[str, Any]:
    """Copy a rulebook with the value at a path such as "shares_bp/platform" set, or taken out if MISSING."""
    document = copy.deepcopy(founding() if document is None else document)
    *parents, name = path.split("/")
    inner = document
    for parent in parents:
        inner = inner[parent]
    if value is MISSING:
        del inner[name]
    else:
        inner[name] = value
    return document
