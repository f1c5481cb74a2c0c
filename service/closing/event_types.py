"""Event types as far as rulebooks depend on them: the one place where both are known.

Law: no rulebook that computes a period to come, or one that still takes events, gives an event more points
than scoring counts.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from service.calendar import periods
from service.core.errors import Conflict, FieldError
from service.events import types
from service.events.types import EventType
from service.parties.actors import Actor
from service.parties.platforms import Platform
from service.rules import registry
from service.rules.registry import Published
from service.rules.rulebook import EVENT_POINTS_MAX
from service.runtime import db


class TypeBreaksRulebook(Conflict):
    """A rulebook in force gives such an event more points than one event may have."""

    slug = "event-type-breaks-rulebook"
    title = "A rulebook in force does not allow this event type"


def define(
    session: Session,
    platform: Platform,
    wanted: Sequence[EventType],
    *,
    pointers: Sequence[str] = ("",),
    actor: Actor,
    now: datetime,
    request_id: str | None = None,
) -> list[EventType]:
    """Create or change event types, all of them or none.

    Args:
        pointers: where in the request each type stands.

    Returns:
        Those that were created or changed.

    Raises:
        Invalid, TypeInUse: as `types.define` says.
        TypeBreaksRulebook: a rulebook's weight times the new bounds is beyond EVENT_POINTS_MAX, or it weighs
            what would be no engagement.
    """
    # Held by whoever publishes a rulebook, which is checked against the types.
    db.lock(session, "rulebook", platform.id)
    changed = types.define(
        session,
        platform.id,
        wanted,
        currency=platform.currency,
        pointers=pointers,
        actor=actor,
        now=now,
        request_id=request_id,
    )
    rulebooks = _concerned(session, platform.id, now)
    for one, pointer in zip(wanted, pointers, strict=True):
        for published in rulebooks:
            errors = [FieldError(pointer + at, detail) for at, detail in _breaks(one, published)]
            if errors:
                raise TypeBreaksRulebook(
                    f"Rulebook version {published.version} weighs {one.name}: {errors[0].detail}.",
                    errors=errors,
                    rulebook=published.sha256,
                )
    return changed


def _concerned(session: Session, platform_id: str, now: datetime) -> list[Published]:
    """Find the rulebooks that compute a period which takes events, or one to come."""
    versions = registry.history(session, platform_id)
    window = periods.window(session, platform_id)
    from_at = min([now, *(one.span.start_at for one in window)])
    begun = [one for one in versions if one.in_force_from_at <= from_at]
    first = begun[-1:] or versions[:1]
    return [*first, *(one for one in versions if one.in_force_from_at > from_at and one not in first)]


def _breaks(one: EventType, published: Published) -> Iterator[tuple[str, str]]:
    points = published.rulebook.weights.get(one.name, 0)
    if not points:
        return
    if one.kind != "engagement":
        yield "/kind", "it gives points to this name, and only engagements earn points"
        return
    limit = EVENT_POINTS_MAX // points
    for name, quantity in (("quantity_min", one.quantity_min), ("quantity_max", one.quantity_max)):
        if abs(quantity) > limit:
            yield f"/{name}", f"at {points} points each, use at most {limit}, up or down"
