"""Numbers of statements: gapless within a platform and period, given when a statement is issued.

Owns the register of issued statements. Refuses to issue other values under a number that was given. Laws: a
creator and period have one number for ever; numbers of a period are 1 to n without a gap, whoever asks at the
same time; what was issued is never changed (the database refuses it).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, insert, select
from sqlalchemy.orm import Session

from service.core.errors import Conflict
from service.runtime import db
from service.statements.statement import Statement
from service.statements.tables import statement as statement_table


class StatementChanged(Conflict):
    """The books give other values than those that were issued under the number."""

    slug = "statement-changed"
    title = "The statement was issued with other values"


@dataclass(frozen=True, slots=True)
class Issued:
    """An issued statement: its number ("2026-10/000001"), the digest of its values, and since when."""

    platform_id: str
    number: str
    period_id: str
    creator_id: str
    ordinal: int
    values_sha256: str
    issued_at: datetime


def issue(session: Session, one: Statement, *, now: datetime) -> Issued:
    """Give a statement its number, or find the one that it has.

    Raises:
        StatementChanged: it was issued with other values.
    """
    known = find(session, one.platform_id, one.period_id, one.creator_id)
    if known is None:
        # One at a time counts and adds; who waited reads again, in a statement of its own.
        db.lock(session, "statement", one.platform_id, one.period_id)
        known = find(session, one.platform_id, one.period_id, one.creator_id)
    if known is None:
        known = _add(session, one, now)
    if known.values_sha256 != one.values_sha256:
        raise StatementChanged(
            f"Statement {known.number} of {one.creator_id} was issued with other values than the books give"
            " now; run `benefit-ledger audit`, which names what differs."
        )
    return known


def find(session: Session, platform_id: str, period_id: str, creator_id: str) -> Issued | None:
    """Find what was issued to a creator for a period."""
    row = session.execute(
        select(statement_table).where(
            statement_table.c.platform_id == platform_id,
            statement_table.c.period_id == period_id,
            statement_table.c.creator_id == creator_id,
        )
    ).one_or_none()
    return None if row is None else _issued(row)


def listing(
    session: Session, platform_id: str, period_id: str, *, after: int = 0, limit: int = 100
) -> list[Issued]:
    """Read a period's issued statements by ordinal, from the one after `after`."""
    rows = session.execute(
        select(statement_table)
        .where(
            statement_table.c.platform_id == platform_id,
            statement_table.c.period_id == period_id,
            statement_table.c.ordinal > after,
        )
        .order_by(statement_table.c.ordinal)
        .limit(limit)
    )
    return [_issued(row) for row in rows]


def _add(session: Session, one: Statement, now: datetime) -> Issued:
    last = session.scalar(
        select(func.max(statement_table.c.ordinal)).where(
            statement_table.c.platform_id == one.platform_id, statement_table.c.period_id == one.period_id
        )
    )
    ordinal = (last or 0) + 1
    row = session.execute(
        insert(statement_table)
        .values(
            platform_id=one.platform_id,
            number=f"{one.period_id}/{ordinal:06}",
            period_id=one.period_id,
            creator_id=one.creator_id,
            ordinal=ordinal,
            values_sha256=one.values_sha256,
            issued_at=now,
        )
        .returning(statement_table)
    ).one()
    return _issued(row)


def _issued(row: Row[Any]) -> Issued:
    return Issued(**row._mapping)
