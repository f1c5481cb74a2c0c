"""The registry of event types: which names a platform's events may have, and what they may carry.

An engagement counts something (views, seconds); its quantity is in the type's `unit`. Attributed revenue
says how much of a recorded revenue stream is owed to a content: its quantity is in micro-units, millionths of
the currency's major unit, so that one minor unit is `micro_per_minor` of them (one dong 1,000,000, one cent
10,000).

Laws: the bounds of a type keep a quantity within what every JSON reader holds exactly, and any sum of them
far from 128 bits; what a type means (kind, stream, unit, currency) does not change once an event of it was
taken, because a change of it waits for the intakes in flight, and later ones look again; a rulebook's weights
are checked against the bounds where both are known (`closing.event_types`).
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Literal

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.calendar import seal_lock
from service.core import currencies
from service.core.digests import INTEGER_MAX
from service.core.errors import Conflict, Fault, FieldError, Invalid, NotFound
from service.events.tables import event_type
from service.parties import inputs, trail
from service.parties.actors import Actor
from service.runtime import db

ActorRule = Literal["required", "optional", "none"]
Kind = Literal["engagement", "attributed_revenue"]
AttributeKind = Literal["string", "integer", "boolean"]

KINDS: Final = ("engagement", "attributed_revenue")
ACTOR_RULES: Final = ("required", "optional", "none")
ATTRIBUTE_KINDS: Final = ("string", "integer", "boolean")

MICRO: Final = "micro"
"""The unit of attributed revenue: 10^-6 of the currency's major unit."""

TYPES_MAX: Final = 256
ENGAGEMENT_MAX: Final = 1_000_000_000
"""The greatest quantity of an engagement, up or down: what scoring counts in one event."""

ATTRIBUTED_MAX: Final = 9_000_000_000_000_000
"""The greatest quantity of attributed revenue: nine billion major units, below 2^53."""

ATTRIBUTES_MAX: Final = 16
ATTRIBUTE_VALUES_MAX: Final = 64
ATTRIBUTE_LENGTH_MAX: Final = 64

DOCUMENTS: Final = "SELECT jsonb_agg(to_jsonb(event_type)) FROM event_type WHERE platform_id = %s"
"""A platform's types as one value, for a statement that reads other things as well."""

_MICRO_EXPONENT: Final = 6
_UNIT: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
_ATTRIBUTE: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
_MEANING: Final = ("kind", "stream", "unit", "currency")


class TypeInUse(Conflict):
    """Events of the type were taken; what it means stays."""

    slug = "event-type-in-use"
    title = "The event type has events"


@dataclass(frozen=True, slots=True)
class Attribute:
    """A member that `data.attributes` of an event may have; without `values`, any value of the kind is taken.

    Texts have 1 to ATTRIBUTE_LENGTH_MAX characters, whole numbers lie within 2^53.
    """

    kind: AttributeKind
    values: tuple[str, ...] | tuple[int, ...] = ()
    is_required: bool = False

    def admits(self, value: object) -> bool:
        """Tell whether an event may carry this value."""
        match self.kind, value:
            case "boolean", bool():
                return True
            case "integer", int() if not isinstance(value, bool):
                is_fit = -INTEGER_MAX <= value <= INTEGER_MAX
            case "string", str():
                is_fit = 1 <= len(value) <= ATTRIBUTE_LENGTH_MAX
            case _:
                return False
        return is_fit and (not self.values or value in self.values)


@dataclass(frozen=True, slots=True)
class EventType:
    """A kind of event.

    `actor` says whether its events name who acted. Quantities lie from `quantity_min` to `quantity_max`, both
    included; one below zero corrects what was counted before. `stream` and `currency` are those of attributed
    revenue, None for an engagement. `is_used` tells that an event of it was taken.
    """

    name: str
    actor: ActorRule
    quantity_min: int
    quantity_max: int
    unit: str = "count"
    kind: Kind = "engagement"
    stream: str | None = None
    currency: str | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=lambda: MappingProxyType({}))
    is_used: bool = field(default=False, compare=False)

    @property
    def needs_content(self) -> bool:
        """Whether its events name the content that they are about."""
        return self.kind == "attributed_revenue"

    @property
    def is_plain(self) -> bool:
        """Whether its events may leave out and may name everything but attributes."""
        return (
            self.actor == "optional"
            and not self.needs_content
            and not any(one.is_required for one in self.attributes.values())
        )


DEFAULTS: Final = (
    EventType("view", "optional", -100_000_000, 100_000_000, "view"),
    EventType("like", "optional", -100_000_000, 100_000_000, "like"),
    EventType("comment", "optional", -100_000_000, 100_000_000, "comment"),
    EventType("share", "optional", -10_000_000, 10_000_000, "share"),
    EventType("follow", "optional", -10_000_000, 10_000_000, "follow"),
    EventType("watch_second", "optional", -100_000_000, 100_000_000, "second"),
)
"""What a new platform starts with. The counters are wide enough for a day's change of a popular video."""


def micro_per_minor(currency: str) -> int:
    """Tell how many micro-units of attributed revenue make one minor unit of a currency; always exact.

    Raises:
        UnknownCurrency: there is no such currency.
    """
    spare = _MICRO_EXPONENT - currencies.exponent_of(currency)
    assert spare >= 0, "no currency has more decimals than a micro-unit"
    per_minor: int = 10**spare
    return per_minor


def seed(session: Session, platform_id: str) -> None:
    """Give a platform the default types; those that it has already stay as they are."""
    rows = [_row(platform_id, one) for one in DEFAULTS]
    session.execute(insert(event_type).on_conflict_do_nothing(), rows)


def define(
    session: Session,
    platform_id: str,
    wanted: Sequence[EventType],
    *,
    currency: str,
    pointers: Sequence[str],
    actor: Actor,
    now: datetime,
    request_id: str | None = None,
) -> list[EventType]:
    """Create types, or change those that there are; all of them or none. Others stay as they are.

    Args:
        currency: the platform's.
        pointers: where in the request each type stands.

    Returns:
        The types that were created or changed; those that were so before are none.

    Raises:
        Invalid: a type that cannot be, with every place that is wrong.
        TypeInUse: another meaning for a type whose events were taken.

    Law: a change counts for the batches whose intake begins after it.
    """
    errors = [*_repeats(wanted, pointers)]
    for one, pointer in zip(wanted, pointers, strict=True):
        errors += (FieldError(pointer + error.pointer, error.detail) for error in _misfits(one, currency))
    if errors:
        others = f" ({len(errors) - 1} more are listed in errors)" if len(errors) > 1 else ""
        raise Invalid(f"{errors[0].pointer}: {errors[0].detail}{others}.", errors=errors)
    db.lock(session, "event-types", platform_id)
    known = of_platform(session, platform_id)
    if any(one.name in known and _meaning(one) != _meaning(known[one.name]) for one in wanted):
        # Alone with the calendar: an intake that decoded by the old meaning has ended, or looks again.
        seal_lock.exclude(session, platform_id)
        known = of_platform(session, platform_id)
    for one, pointer in zip(wanted, pointers, strict=True):
        if one.name in known and known[one.name].is_used:
            _check_meaning(known[one.name], one, pointer)
    if len(known.keys() | {one.name for one in wanted}) > TYPES_MAX:
        detail = f"a platform has at most {TYPES_MAX} event types"
        raise Invalid(f"The event types: {detail}.", errors=[FieldError("", detail)])
    changed = [one for one in wanted if known.get(one.name) != one]
    for one in changed:
        row = _row(platform_id, one)
        rest = {name: value for name, value in row.items() if name not in {"platform_id", "name"}}
        session.execute(
            insert(event_type)
            .values(row)
            .on_conflict_do_update(index_elements=["platform_id", "name"], set_=rest)
        )
        before = known.get(one.name)
        trail.record(
            session,
            platform_id,
            actor,
            "event_type.define",
            "event_type",
            one.name,
            before=None if before is None else to_document(before),
            after=to_document(one),
            now=now,
            request_id=request_id,
        )
    return changed


def get(session: Session, platform_id: str, name: str) -> EventType:
    """Read one type.

    Raises:
        NotFound: the platform has none of this name.
    """
    one = of_platform(session, platform_id).get(name)
    if one is None:
        raise NotFound(f"Platform {platform_id} has no event type {name!r}; register it first.")
    return one


def of_platform(session: Session, platform_id: str) -> dict[str, EventType]:
    """Read a platform's types by name."""
    return of_documents(db.rows(session, f"SELECT ({DOCUMENTS}) AS types", platform_id)[0].types)


def of_documents(rows: Iterable[Mapping[str, Any]] | None) -> dict[str, EventType]:
    """Read what DOCUMENTS selected, by name."""
    return {row["name"]: _type(row) for row in rows or ()}


def mark_used(session: Session, platform_id: str, names: Iterable[str], *, now: datetime) -> None:
    """Note that events of these types are taken. The caller holds the seal lock together with others."""
    rows = (
        select(event_type.c.name)
        .where(event_type.c.platform_id == platform_id, event_type.c.name.in_(sorted(names)))
        .where(event_type.c.first_event_at.is_(None))
        # In one order, so that two intakes never wait for each other in a ring.
        .order_by(event_type.c.name)
        .with_for_update()
    )
    session.execute(
        update(event_type)
        .where(event_type.c.platform_id == platform_id, event_type.c.name.in_(rows))
        .values(first_event_at=now)
    )


def to_document(one: EventType) -> dict[str, Any]:
    """Write a type as JSON values."""
    return {
        "name": one.name,
        "kind": one.kind,
        "actor": one.actor,
        "unit": one.unit,
        "quantity_min": one.quantity_min,
        "quantity_max": one.quantity_max,
        "stream": one.stream,
        "currency": one.currency,
        "attributes": _attributes_document(one.attributes),
    }


def _misfits(one: EventType, currency: str) -> Iterator[FieldError]:
    """Find what is wrong with a type, by places within it."""
    try:
        inputs.check_id(one.name, "/name")
    except Fault as fault:
        yield from fault.errors
    limit = ATTRIBUTED_MAX if one.kind == "attributed_revenue" else ENGAGEMENT_MAX
    for name in ("quantity_min", "quantity_max"):
        if not -limit <= getattr(one, name) <= limit:
            yield FieldError(f"/{name}", f"use a whole number from {-limit} to {limit}")
    if one.quantity_min > one.quantity_max:
        yield FieldError("/quantity_min", "use at most quantity_max")
    if one.kind == "attributed_revenue":
        yield from _attributed_misfits(one, currency)
    else:
        if not _UNIT.fullmatch(one.unit) or one.unit == MICRO:
            yield FieldError("/unit", f"use a word of 1 to 32 of a-z, 0-9 and _, other than {MICRO}")
        for name in ("stream", "currency"):
            if getattr(one, name) is not None:
                yield FieldError(f"/{name}", "leave it out: it belongs to attributed_revenue alone")
    yield from _attribute_misfits(one.attributes)


def _attributed_misfits(one: EventType, currency: str) -> Iterator[FieldError]:
    if one.unit != MICRO:
        yield FieldError("/unit", f"use {MICRO}: attributed revenue is counted in millionths of {currency}")
    if one.currency != currency:
        yield FieldError("/currency", f"use {currency}, the platform's currency")
    if one.stream is None:
        yield FieldError("/stream", "name the revenue stream that these events distribute")
        return
    try:
        is_tidy = inputs.check_name(one.stream, "/stream") == one.stream
    except Fault as fault:
        yield from fault.errors
        return
    if not is_tidy:
        yield FieldError("/stream", "write the stream as it is recorded: without outer blanks, in NFC")


def _attribute_misfits(attributes: Mapping[str, Attribute]) -> Iterator[FieldError]:
    if len(attributes) > ATTRIBUTES_MAX:
        yield FieldError("/attributes", f"declare at most {ATTRIBUTES_MAX}")
    for name, one in attributes.items():
        pointer = f"/attributes/{name.replace('~', '~0').replace('/', '~1')}"
        if not _ATTRIBUTE.fullmatch(name):
            yield FieldError(pointer, "use 1 to 32 of a-z, 0-9 and _, beginning with a letter")
        if one.kind == "boolean" and one.values:
            yield FieldError(f"{pointer}/values", "leave it out: a boolean is true or false")
        if len(one.values) > ATTRIBUTE_VALUES_MAX or len(set(one.values)) < len(one.values):
            yield FieldError(f"{pointer}/values", f"give at most {ATTRIBUTE_VALUES_MAX}, each once")
        free = Attribute(one.kind)
        for index, value in enumerate(one.values):
            if one.kind != "boolean" and not (free.admits(value) and str(value).isprintable()):
                yield FieldError(
                    f"{pointer}/values/{index}",
                    f"use a {one.kind} of 1 to {ATTRIBUTE_LENGTH_MAX} printable characters"
                    if one.kind == "string"
                    else f"use a whole number within {INTEGER_MAX}",
                )


def _repeats(wanted: Sequence[EventType], pointers: Sequence[str]) -> Iterator[FieldError]:
    seen: set[str] = set()
    for one, pointer in zip(wanted, pointers, strict=True):
        if one.name in seen:
            yield FieldError(f"{pointer}/name", "name each type once")
        seen.add(one.name)


def _meaning(one: EventType) -> tuple[str | None, ...]:
    return (one.kind, one.stream, one.unit, one.currency)


def _check_meaning(known: EventType, one: EventType, pointer: str) -> None:
    """Refuse another meaning for a type that has events."""
    errors = [
        FieldError(f"{pointer}/{name}", f"keep {getattr(known, name)!r}: events of this type were taken")
        for name in _MEANING
        if getattr(known, name) != getattr(one, name)
    ]
    if errors:
        raise TypeInUse(
            f"Events of {one.name} were taken, so its {errors[0].pointer.rpartition('/')[2]} stays as it is;"
            " register another name for what is new.",
            errors=errors,
        )


def _row(platform_id: str, one: EventType) -> dict[str, Any]:
    return {"platform_id": platform_id, **to_document(one)}


def _type(row: Mapping[str, Any]) -> EventType:
    return EventType(
        name=row["name"],
        actor=row["actor"],
        quantity_min=row["quantity_min"],
        quantity_max=row["quantity_max"],
        unit=row["unit"],
        kind=row["kind"],
        stream=row["stream"],
        currency=row["currency"],
        attributes=MappingProxyType(attributes_of(row["attributes"])),
        is_used=row["first_event_at"] is not None,
    )


def attributes_of(document: Mapping[str, Mapping[str, Any]]) -> dict[str, Attribute]:
    """Read declared attributes from JSON values of the right shape."""
    return {
        name: Attribute(one["kind"], tuple(one.get("values") or ()), one.get("is_required", False))
        for name, one in document.items()
    }


def _attributes_document(attributes: Mapping[str, Attribute]) -> dict[str, Any]:
    return {
        name: {"kind": one.kind, "values": list(one.values), "is_required": one.is_required}
        for name, one in attributes.items()
    }
