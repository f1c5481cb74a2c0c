"""Contents and who contributed to them, in basis points, from a date on.

Laws: the shares of one content that hold at an instant make 10,000 basis points or there are none, in which
case the owner earns all; a declaration never changes what held before its date.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from service.core.errors import Conflict, FieldError, Invalid, NotFound
from service.core.spans import Span
from service.parties import creators, inputs, trail
from service.parties.actors import Actor
from service.parties.tables import content, contribution

WHOLE_BP = 10_000
CONTRIBUTORS_MAX = 50


class ContributionOverlap(Conflict):
    """A declaration from that date on, or a later one, is there already."""

    slug = "contribution-overlap"
    title = "Contributions are declared from a later date already"


@dataclass(frozen=True, slots=True)
class Content:
    """One thing that a creator made."""

    platform_id: str
    id: str
    creator_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Contribution:
    """One contributor's part of a content's points while it holds."""

    content_id: str
    creator_id: str
    from_at: datetime
    until_at: datetime | None
    share_bp: int


_COLUMNS = (
    contribution.c.content_id,
    contribution.c.creator_id,
    contribution.c.from_at,
    contribution.c.until_at,
    contribution.c.share_bp,
)


def register_content(
    session: Session, platform_id: str, content_id: str, creator_id: str, *, actor: Actor, now: datetime
) -> Content:
    """Register a content and its owner; the same again changes nothing.

    Raises:
        Invalid: an id that cannot be used.
        NotFound: the owner is not registered.
        Conflict: the content has another owner.
    """
    inputs.check_id(content_id, "/id")
    creators.get(session, platform_id, creator_id)
    made = session.execute(
        upsert(content)
        .values(platform_id=platform_id, id=content_id, creator_id=creator_id, created_at=now)
        .on_conflict_do_nothing()
        .returning(content.c.id)
    ).one_or_none()
    found = get_content(session, platform_id, content_id)
    if found.creator_id != creator_id:
        raise Conflict(f"Content {content_id} belongs to {found.creator_id}; an owner does not change.")
    if made is not None:
        after = {"creator_id": creator_id}
        trail.record(
            session, platform_id, actor, "content.register", "content", content_id, after=after, now=now
        )
    return found


def get_content(session: Session, platform_id: str, content_id: str) -> Content:
    """Read one content.

    Raises:
        NotFound: the platform has none with this id.
    """
    row = session.execute(
        select(content).where(content.c.platform_id == platform_id, content.c.id == content_id)
    ).one_or_none()
    if row is None:
        raise NotFound(f"Platform {platform_id} has no content {content_id!r}; register the content first.")
    return Content(**row._mapping)


def declare(
    session: Session,
    platform_id: str,
    content_id: str,
    shares_bp: Mapping[str, int],
    *,
    from_at: datetime,
    actor: Actor,
    now: datetime,
) -> list[Contribution]:
    """Declare who contributes to a content from `from_at` on; what held until then ends there.

    Args:
        shares_bp: creator ids and their basis points, 10,000 in all.
        from_at: not before `now`, so that nothing that is counted already changes hands; the first
            declaration of a content may reach back to the content's registration.

    Raises:
        Invalid: shares that do not make 10,000, too many contributors, or a date in the past.
        NotFound: an unknown content or creator.
        ContributionOverlap: declared from that date or later already.
    """
    _check_shares(shares_bp)
    owned = get_content(session, platform_id, content_id)
    missing = sorted(creators.unknown(session, platform_id, shares_bp.keys()))
    if missing:
        errors = [FieldError(f"/shares_bp/{one}", "register this creator first") for one in missing]
        raise NotFound(f"Platform {platform_id} has no creators {', '.join(missing)}.", errors=errors)
    held = of_content(session, platform_id, content_id)
    earliest_at = now if held else owned.created_at
    if from_at < earliest_at:
        detail = (
            f"choose {earliest_at.isoformat()} or later: contributions do not change what is counted already"
        )
        raise Invalid(f"from_at: {detail}.", errors=[FieldError("/from_at", detail)])
    if any(one.from_at >= from_at for one in held):
        raise ContributionOverlap(
            f"Content {content_id} has contributions from {held[-1].from_at.isoformat()} on."
        )
    of_this = (contribution.c.platform_id == platform_id, contribution.c.content_id == content_id)
    session.execute(
        update(contribution).where(*of_this, contribution.c.until_at.is_(None)).values(until_at=from_at)
    )
    session.execute(
        insert(contribution),
        [
            {
                "platform_id": platform_id,
                "content_id": content_id,
                "creator_id": creator_id,
                "from_at": from_at,
                "share_bp": share_bp,
                "declared_at": now,
            }
            for creator_id, share_bp in sorted(shares_bp.items())
        ],
    )
    after = {"shares_bp": dict(shares_bp), "from_at": from_at.isoformat()}
    trail.record(
        session, platform_id, actor, "contribution.declare", "content", content_id, after=after, now=now
    )
    return of_content(session, platform_id, content_id)


def of_content(session: Session, platform_id: str, content_id: str) -> list[Contribution]:
    """Read all declarations of a content, oldest first."""
    rows = session.execute(
        select(*_COLUMNS)
        .where(contribution.c.platform_id == platform_id, contribution.c.content_id == content_id)
        .order_by(contribution.c.from_at, contribution.c.creator_id)
    )
    return [Contribution(**row._mapping) for row in rows]


def in_force_rows(
    session: Session, platform_id: str, span: Span, *, known_at: datetime | None = None
) -> list[Contribution]:
    """Read every declaration that holds at some instant of `span`, by content, date and creator.

    Args:
        known_at: only those that were declared by then; a content's first one may reach back.
    """
    query = select(*_COLUMNS).where(
        contribution.c.platform_id == platform_id,
        contribution.c.from_at < span.end_at,
        or_(contribution.c.until_at.is_(None), contribution.c.until_at > span.start_at),
    )
    if known_at is not None:
        query = query.where(contribution.c.declared_at <= known_at)
    rows = session.execute(
        query.order_by(contribution.c.content_id, contribution.c.from_at, contribution.c.creator_id)
    )
    return [Contribution(**row._mapping) for row in rows]


def _check_shares(shares_bp: Mapping[str, int]) -> None:
    errors = [
        FieldError(f"/shares_bp/{creator_id}", f"use a whole number from 1 to {WHOLE_BP}")
        for creator_id, share_bp in shares_bp.items()
        if not 1 <= share_bp <= WHOLE_BP
    ]
    total_bp = sum(shares_bp.values())
    if total_bp != WHOLE_BP:
        errors.append(FieldError("/shares_bp", f"the shares make {total_bp}; they have to make {WHOLE_BP}"))
    if len(shares_bp) > CONTRIBUTORS_MAX:
        errors.append(FieldError("/shares_bp", f"name at most {CONTRIBUTORS_MAX} contributors"))
    if errors:
        raise Invalid(f"shares_bp: {errors[0].detail}.", errors=errors)
