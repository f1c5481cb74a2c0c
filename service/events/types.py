"""The registry of event types: which names a platform's events may have, and what they may carry.

Law: the bounds of a type keep every sum of its quantities far from 64 bits; a rulebook's weights are checked
against them.
"""

from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.events.tables import event_type

ActorRule = Literal["required", "optional", "none"]


@dataclass(frozen=True, slots=True)
class EventType:
    """A kind of event.

    `actor` says whether its events name who acted. Quantities lie from `quantity_min` to `quantity_max`, both
    included; one below zero corrects what was counted before.
    """

    name: str
    actor: ActorRule
    quantity_min: int
    quantity_max: int


DEFAULTS: Final = (
    EventType("view", "optional", -100_000_000, 100_000_000),
    EventType("like", "optional", -100_000_000, 100_000_000),
    EventType("comment", "optional", -100_000_000, 100_000_000),
    EventType("share", "optional", -10_000_000, 10_000_000),
    EventType("follow", "optional", -10_000_000, 10_000_000),
    EventType("watch_second", "optional", -100_000_000, 100_000_000),
)
"""What a new platform starts with. The counters are wide enough for a day's change of a popular video."""


def seed(session: Session, platform_id: str) -> None:
    """Give a platform the default types; those that it has already stay as they are."""
    rows = [
        {
            "platform_id": platform_id,
            "name": one.name,
            "actor": one.actor,
            "quantity_min": one.quantity_min,
            "quantity_max": one.quantity_max,
        }
        for one in DEFAULTS
    ]
    session.execute(insert(event_type).on_conflict_do_nothing(), rows)


def of_platform(session: Session, platform_id: str) -> dict[str, EventType]:
    """Read a platform's types by name."""
    rows = session.execute(select(event_type).where(event_type.c.platform_id == platform_id))
    return {row.name: EventType(row.name, row.actor, row.quantity_min, row.quantity_max) for row in rows}
