"""The clock: the one reader of the present instant.

It is the database's clock, so that every process of every machine reads the same one. An act's edge reads it
once and hands `now` on; SQL and acts never ask again, and a test passes an instant of its own.
"""

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from service.runtime import db


def now(session: Session) -> datetime:
    """Read the present instant from the database: aware, UTC, in microseconds."""
    instant: datetime = db.rows(session, "SELECT clock_timestamp()")[0][0]
    assert instant.tzinfo is not None, "clock_timestamp() carries its zone"
    return instant.astimezone(UTC)
