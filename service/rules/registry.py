"""The registry of rulebooks: which one is in force for a platform at an instant, and which were before.

Owns publishing and the history. Refuses a rule for the past: a new rulebook comes in force at the start of a
period that has not begun, after every rulebook published before it. Laws: a version never changes; the same
document published again is the same version; every instant has exactly one rulebook in force, and instants
before the founding one have the founding one. A historic period that a backfill filled is computed by the
rulebook that two people named for it: its pin goes before the dates.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Any, cast

from sqlalchemy import Row, insert, select
from sqlalchemy.orm import Session

from service.core import spans
from service.core.errors import Conflict, FieldError, NotFound
from service.core.spans import PeriodUnit, Span
from service.events import types
from service.parties import partners, trail
from service.parties.actors import Actor
from service.parties.platforms import Platform
from service.rules import rulebook as rulebooks
from service.rules.rulebook import Rulebook, Surroundings
from service.rules.tables import rulebook as rulebook_table
from service.rules.tables import rulebook_pin
from service.runtime import db


class RetroactiveRule(Conflict):
    """The rulebook would come in force for a period that has begun, or before one that is published."""

    slug = "retroactive-rule"
    title = "A rule does not apply to what has begun"


class AlreadyFounded(Conflict):
    """The platform has a founding rulebook, and it is another one."""

    slug = "already-founded"
    title = "The platform has a founding rulebook"


class AlreadyPublished(Conflict):
    """The same document is published with another date."""

    slug = "rulebook-published"
    title = "This rulebook is published already"


@dataclass(frozen=True, slots=True)
class Published:
    """One version of a platform's rulebook, as it was published."""

    platform_id: str
    sha256: str
    version: int
    """1 is the founding rulebook."""
    rulebook: Rulebook
    document: Mapping[str, Any]
    in_force_from_at: datetime
    """Periods that start at or after it are computed by it, until the next version's."""
    published_at: datetime
    published_by: str


class OtherRulebookPinned(Conflict):
    """A backfill named another rulebook for the period before."""

    slug = "rulebook-pinned"
    title = "The period has another rulebook"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """The rulebook that a backfill named for a historic period, and two people approved."""

    platform_id: str
    span: Span
    sha256: str
    backfill_id: uuid.UUID
    pinned_at: datetime
    pinned_by: str


def founding_document(currency: str = "VND") -> dict[str, Any]:
    """Read the founding rulebook that ships with the service.

    Its minimum payout is meant in dong; for another currency there is none until a platform says so.
    """
    text = resources.files("service.rules").joinpath("founding.json").read_text(encoding="utf-8")
    document = cast("dict[str, Any]", json.loads(text))
    return document if currency == "VND" else {**document, "minimum_payout_minor": 0}


def publish(
    session: Session,
    platform: Platform,
    document: object,
    *,
    in_force_from_at: datetime,
    actor: Actor,
    now: datetime,
) -> Published:
    """Publish the next version of a platform's rulebook.

    Args:
        document: JSON values, as service.rules.rulebook.load reads them.
        in_force_from_at: the start of one of the platform's periods, at or after `now` and after the start
            of every version before it.

    Returns:
        The new version, or the one that this very document already is.

    Raises:
        InvalidRulebook: with everything that is wrong with it.
        RetroactiveRule: the date has passed, is no period's start, or precedes another version's.
        AlreadyPublished: the document is published with another date.
        NotFound: the platform has no founding rulebook yet.
    """
    # One publication of a platform at a time counts the versions and adds the next; meanwhile no event type
    # changes that the document is checked against.
    db.lock(session, "rulebook", platform.id)
    loaded = rulebooks.load(document, _surroundings(session, platform))
    versions = history(session, platform.id)
    if not versions:
        raise NotFound(f"Platform {platform.id} has no founding rulebook; publish that one first.")
    sha256 = rulebooks.sha256(rulebooks.to_document(loaded))
    known = next((one for one in versions if one.sha256 == sha256), None)
    if known is not None:
        if known.in_force_from_at != in_force_from_at:
            since = spans.to_text(known.in_force_from_at)
            raise AlreadyPublished(
                f"This document is version {known.version}, in force from {since}; to publish it anew, "
                "give it another title."
            )
        return known
    _check_date(platform, versions[-1], in_force_from_at, now)
    return _record(session, platform, loaded, len(versions) + 1, in_force_from_at, actor=actor, now=now)


def publish_founding(
    session: Session, platform: Platform, document: object, *, actor: Actor, now: datetime
) -> Published:
    """Publish a platform's first rulebook, in force from the start of the period of `now`.

    It also covers every earlier period, so that history can be brought in.

    Returns:
        The new version, or the one that this very document already is.

    Raises:
        InvalidRulebook: with everything that is wrong with it.
        AlreadyFounded: the platform has another founding rulebook.
    """
    # As above.
    db.lock(session, "rulebook", platform.id)
    loaded = rulebooks.load(document, _surroundings(session, platform))
    versions = history(session, platform.id)
    if versions:
        if versions[0].rulebook != loaded:
            founded = spans.to_text(versions[0].published_at)
            raise AlreadyFounded(
                f"Platform {platform.id} was founded with another rulebook on {founded}; publish this "
                "document as the next version, in force from the start of a coming period."
            )
        return versions[0]
    start_at = spans.period_of(now, platform.zone, cast("PeriodUnit", platform.period_unit)).span.start_at
    return _record(session, platform, loaded, 1, start_at, actor=actor, now=now)


def in_force(session: Session, platform_id: str, at: datetime) -> Published:
    """Find the rulebook that computes a period which starts at `at`: the one pinned to it, or the last begun.

    Raises:
        NotFound: the platform has no rulebook at all.
    """
    pinned = session.scalar(
        select(rulebook_pin.c.sha256).where(
            rulebook_pin.c.platform_id == platform_id,
            rulebook_pin.c.start_at <= at,
            rulebook_pin.c.end_at > at,
        )
    )
    if pinned is not None:
        return get(session, platform_id, pinned)
    versions = history(session, platform_id)
    if not versions:
        raise NotFound(f"Platform {platform_id} has no rulebook; publish its founding rulebook first.")
    begun = [one for one in versions if one.in_force_from_at <= at]
    return begun[-1] if begun else versions[0]


def get(session: Session, platform_id: str, sha256: str) -> Published:
    """Read one version by the digest of its document.

    Raises:
        NotFound: the platform has published no such document.
    """
    row = session.execute(
        select(rulebook_table).where(
            rulebook_table.c.platform_id == platform_id, rulebook_table.c.sha256 == sha256
        )
    ).one_or_none()
    if row is None:
        raise NotFound(f"Platform {platform_id} has no rulebook {sha256}; its history lists those there are.")
    return _published(row)


def history(session: Session, platform_id: str) -> list[Published]:
    """Read all versions of a platform's rulebook, the founding one first."""
    rows = session.execute(
        select(rulebook_table)
        .where(rulebook_table.c.platform_id == platform_id)
        .order_by(rulebook_table.c.version)
    )
    return [_published(row) for row in rows]


def pin(
    session: Session,
    platform_id: str,
    wanted: Sequence[tuple[str, Span]],
    sha256: str,
    *,
    backfill_id: uuid.UUID,
    actor: Actor,
    now: datetime,
) -> None:
    """Let a published rulebook compute historic periods, for good; those that have it already keep their pin.

    Args:
        wanted: names and spans of open historic periods.

    Raises:
        NotFound: the platform has published no such rulebook.
        OtherRulebookPinned: as `check_pins` says.
    """
    get(session, platform_id, sha256)
    check_pins(session, platform_id, wanted, sha256)
    known = {one.span.start_at for one in pins(session, platform_id)}
    values = [
        {
            "platform_id": platform_id,
            "start_at": span.start_at,
            "end_at": span.end_at,
            "sha256": sha256,
            "backfill_id": backfill_id,
            "pinned_at": now,
            "pinned_by": str(actor),
        }
        for _, span in wanted
        if span.start_at not in known
    ]
    if values:
        session.execute(insert(rulebook_pin), values)


def check_pins(session: Session, platform_id: str, wanted: Sequence[tuple[str, Span]], sha256: str) -> None:
    """Refuse a rulebook for periods that have another one.

    Raises:
        OtherRulebookPinned: names the first such period and its rulebook.
    """
    known = {one.span.start_at: one.sha256 for one in pins(session, platform_id)}
    for name, span in wanted:
        held = known.get(span.start_at, sha256)
        if held != sha256:
            raise OtherRulebookPinned(
                f"Period {name} is computed by rulebook {held}, which an earlier backfill named for it; "
                "name that one, or leave the period out.",
                errors=[FieldError("/rulebook", f"period {name} has rulebook {held}")],
            )


def pins(session: Session, platform_id: str) -> list[Pin]:
    """Read which historic periods have a rulebook of their own, earliest first."""
    rows = session.execute(
        select(rulebook_pin)
        .where(rulebook_pin.c.platform_id == platform_id)
        .order_by(rulebook_pin.c.start_at)
    )
    return [
        Pin(
            platform_id=row.platform_id,
            span=Span(row.start_at, row.end_at),
            sha256=row.sha256,
            backfill_id=row.backfill_id,
            pinned_at=row.pinned_at,
            pinned_by=row.pinned_by,
        )
        for row in rows
    ]


def _surroundings(session: Session, platform: Platform) -> Surroundings:
    known = types.of_platform(session, platform.id)
    # Attributed revenue says by itself whose it is; it earns no points.
    engagements = {name: one for name, one in known.items() if one.kind == "engagement"}
    return Surroundings(
        quantity_max={
            name: max(abs(one.quantity_min), abs(one.quantity_max)) for name, one in engagements.items()
        },
        partner_ids=frozenset(one.id for one in partners.listing(session, platform.id)),
        has_parent=platform.parent_id is not None,
    )


def _check_date(platform: Platform, last: Published, in_force_from_at: datetime, now: datetime) -> None:
    unit = cast("PeriodUnit", platform.period_unit)
    start_at = spans.period_of(in_force_from_at, platform.zone, unit).span.start_at
    if in_force_from_at < now:
        reason = "it has passed; choose the start of a period to come"
    elif in_force_from_at != start_at:
        reason = f"no {unit} of {platform.time_zone} starts then; the one that holds it starts at "
        reason += spans.to_text(start_at)
    elif in_force_from_at <= last.in_force_from_at:
        reason = f"version {last.version} comes in force at {spans.to_text(last.in_force_from_at)}"
        reason += "; choose a later period"
    else:
        return
    error = FieldError("/in_force_from_at", reason)
    raise RetroactiveRule(f"in_force_from_at {spans.to_text(in_force_from_at)}: {reason}.", errors=[error])


def _record(
    session: Session,
    platform: Platform,
    loaded: Rulebook,
    version: int,
    in_force_from_at: datetime,
    *,
    actor: Actor,
    now: datetime,
) -> Published:
    document = rulebooks.to_document(loaded)
    made = Published(
        platform_id=platform.id,
        sha256=rulebooks.sha256(document),
        version=version,
        rulebook=loaded,
        document=document,
        in_force_from_at=in_force_from_at,
        published_at=now,
        published_by=str(actor),
    )
    session.execute(
        insert(rulebook_table).values(
            {column.name: getattr(made, column.name) for column in rulebook_table.columns}
        )
    )
    after = {"version": version, "in_force_from_at": spans.to_text(in_force_from_at)}
    trail.record(
        session, platform.id, actor, "rulebook.publish", "rulebook", made.sha256, after=after, now=now
    )
    return made


def _published(row: Row[Any]) -> Published:
    assert rulebooks.sha256(row.document) == row.sha256, "a published document never changes"
    return Published(rulebook=rulebooks.load(row.document), **row._mapping)
