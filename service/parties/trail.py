"""The audit trail: who did what to what, before and after; written once, in the act's transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from service.parties.actors import Actor
from service.parties.tables import audit_trail

PAGE_MAX = 500


@dataclass(frozen=True, slots=True)
class Record:
    """One act."""

    id: int
    platform_id: str
    at: datetime
    actor_kind: str
    actor_id: str
    act: str
    subject_kind: str
    subject_id: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    request_id: str | None


def record(
    session: Session,
    platform_id: str,
    actor: Actor,
    act: str,
    subject_kind: str,
    subject_id: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    now: datetime,
    request_id: str | None = None,
) -> None:
    """Write down one act.

    Args:
        act: noun and verb, such as `period.approve`.
        before, after: what changed, as JSON values, free of names and bank details.
    """
    session.execute(
        insert(audit_trail).values(
            platform_id=platform_id,
            at=now,
            actor_kind=actor.kind,
            actor_id=actor.id,
            act=act,
            subject_kind=subject_kind,
            subject_id=subject_id,
            before=before,
            after=after,
            request_id=request_id,
        )
    )


def listing(session: Session, platform_id: str, *, after: int = 0, limit: int = 100) -> list[Record]:
    """Read acts in the order in which they were written, from the one after id `after`."""
    rows = session.execute(
        select(audit_trail)
        .where(audit_trail.c.platform_id == platform_id, audit_trail.c.id > after)
        .order_by(audit_trail.c.id)
        .limit(min(limit, PAGE_MAX))
    ).mappings()
    return [Record(**row) for row in rows]
