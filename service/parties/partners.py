"""Partners: funds, charities, businesses that a rule may give a share to."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.core.errors import NotFound
from service.parties import inputs, trail
from service.parties.actors import Actor
from service.parties.tables import partner


@dataclass(frozen=True, slots=True)
class Partner:
    """One partner of a platform."""

    platform_id: str
    id: str
    name: str
    created_at: datetime


def register(
    session: Session, platform_id: str, partner_id: str, name: str, *, actor: Actor, now: datetime
) -> Partner:
    """Register a partner, or rename the one with this id.

    Raises:
        Invalid: an id or a name that cannot be used.
    """
    inputs.check_id(partner_id, "/id")
    name = inputs.check_name(name, "/name")
    session.execute(
        insert(partner)
        .values(platform_id=platform_id, id=partner_id, name=name, created_at=now)
        .on_conflict_do_update(index_elements=["platform_id", "id"], set_={"name": name})
    )
    trail.record(
        session, platform_id, actor, "partner.register", "partner", partner_id, after={"name": name}, now=now
    )
    return get(session, platform_id, partner_id)


def get(session: Session, platform_id: str, partner_id: str) -> Partner:
    """Read one partner.

    Raises:
        NotFound: the platform has none with this id.
    """
    row = session.execute(
        select(partner).where(partner.c.platform_id == platform_id, partner.c.id == partner_id)
    ).one_or_none()
    if row is None:
        raise NotFound(f"Platform {platform_id} has no partner {partner_id!r}; register the partner first.")
    return Partner(**row._mapping)


def listing(session: Session, platform_id: str) -> list[Partner]:
    """Read all partners of a platform by id."""
    rows = session.execute(select(partner).where(partner.c.platform_id == platform_id).order_by(partner.c.id))
    return [Partner(**row._mapping) for row in rows]
