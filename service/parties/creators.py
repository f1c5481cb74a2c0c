"""Creators: who earns. Their ids are the platform's pseudonyms; their names are sealed and live apart."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Text, func, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Session
from sqlalchemy.sql.expression import bindparam

from service.core.errors import NotFound
from service.parties import inputs, trail
from service.parties.actors import Actor
from service.parties.tables import creator, creator_identity
from service.runtime import db
from service.runtime.vault import Vault

PAGE_MAX = 500

UNKNOWN = """
SELECT wanted.id
FROM unnest(string_to_array(%s, E'\\n')) AS wanted (id)
WHERE NOT EXISTS (SELECT FROM creator WHERE creator.platform_id = %s AND creator.id = wanted.id)
"""
"""Which ids are not registered: parameters are the ids as lines, and the platform's."""


@dataclass(frozen=True, slots=True)
class Creator:
    """One creator of a platform."""

    platform_id: str
    id: str
    created_at: datetime


def register(
    session: Session,
    platform_id: str,
    creator_id: str,
    *,
    display_name: str | None,
    vault: Vault,
    actor: Actor,
    now: datetime,
) -> Creator:
    """Register a creator, or rename the one with this id.

    Args:
        display_name: what pages show; None leaves it as it is.

    Raises:
        Invalid: an id or a name that cannot be used.
    """
    inputs.check_id(creator_id, "/id")
    name = None if display_name is None else inputs.check_name(display_name, "/display_name")
    is_new = ensure(session, platform_id, [creator_id], now=now) == 1
    if name is not None:
        sealed = vault.seal(name)
        session.execute(
            insert(creator_identity)
            .values(
                platform_id=platform_id, creator_id=creator_id, display_name_sealed=sealed, updated_at=now
            )
            .on_conflict_do_update(
                index_elements=["platform_id", "creator_id"],
                set_={"display_name_sealed": sealed, "updated_at": now},
            )
        )
    if is_new or name is not None:
        act = "creator.register" if is_new else "creator.rename"
        trail.record(session, platform_id, actor, act, "creator", creator_id, now=now)
    return get(session, platform_id, creator_id)


def ensure(session: Session, platform_id: str, ids: Collection[str], *, now: datetime) -> int:
    """Register those of `ids` that are not known yet; return how many were new. One statement, any number."""
    if not ids:
        return 0
    wanted = func.unnest(bindparam("ids", sorted(set(ids)), type_=ARRAY(Text))).column_valued("id")
    rows = select(bindparam("platform_id", platform_id, type_=Text), wanted, bindparam("now", now))
    done = session.execute(
        insert(creator)
        .from_select(["platform_id", "id", "created_at"], rows)
        .on_conflict_do_nothing()
        .returning(creator.c.id)
    )
    return len(done.all())


def get(session: Session, platform_id: str, creator_id: str) -> Creator:
    """Read one creator.

    Raises:
        NotFound: the platform has none with this id.
    """
    row = session.execute(
        select(creator).where(creator.c.platform_id == platform_id, creator.c.id == creator_id)
    ).one_or_none()
    if row is None:
        raise NotFound(f"Platform {platform_id} has no creator {creator_id!r}; register the creator first.")
    return Creator(**row._mapping)


def unknown(session: Session, platform_id: str, ids: Collection[str]) -> set[str]:
    """Tell which of `ids` are not registered. One statement, any number."""
    # They travel as lines of one text, because the driver takes ten times as long for an array of as many.
    # What is no line is no creator's id either.
    odd = {one for one in ids if not one or "\n" in one}
    lines = "\n".join(one for one in ids if one not in odd) if odd else "\n".join(ids)
    return odd | {row.id for row in db.rows(session, UNKNOWN, lines, platform_id)}


def names(session: Session, platform_id: str, ids: Collection[str], vault: Vault) -> dict[str, str]:
    """Open the display names of those of `ids` that have one."""
    if not ids:
        return {}
    wanted = func.any(bindparam("ids", list(ids), type_=ARRAY(Text)))
    rows = session.execute(
        select(creator_identity.c.creator_id, creator_identity.c.display_name_sealed).where(
            creator_identity.c.platform_id == platform_id, creator_identity.c.creator_id == wanted
        )
    )
    return {creator_id: vault.open(sealed) for creator_id, sealed in rows}


def listing(
    session: Session, platform_id: str, *, after: str | None = None, limit: int = 100
) -> list[Creator]:
    """Read creators by id, from the one after `after`, at most PAGE_MAX at a time."""
    query = select(creator).where(creator.c.platform_id == platform_id).order_by(creator.c.id)
    if after is not None:
        query = query.where(creator.c.id > after)
    return [Creator(**row._mapping) for row in session.execute(query.limit(min(limit, PAGE_MAX)))]


def count(session: Session, platform_id: str) -> int:
    """Count a platform's creators."""
    query = select(func.count()).select_from(creator).where(creator.c.platform_id == platform_id)
    return session.scalar(query) or 0
