"""Who does something: a person, a key, or the service itself."""

from dataclasses import dataclass
from typing import Literal

ActorKind = Literal["operator", "key", "staff", "creator", "system"]


@dataclass(frozen=True, slots=True)
class Actor:
    """One who acts, as the audit trail names them."""

    kind: ActorKind
    id: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"


SYSTEM = Actor("system", "scheduler")
"""The service acting by itself, when something is due."""

OPERATOR = Actor("operator", "cli")
"""Whoever holds the machine and uses the command line."""
