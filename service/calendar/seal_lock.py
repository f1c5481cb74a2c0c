"""The lock between intakes and a seal.

An intake holds it shared while it appends, a seal holds it alone: a seal therefore waits for the intakes in
flight and takes all that committed before it; whatever comes later for the period is late. Advisory, because
a row lock would write to the row at every intake; held to the end of the transaction.
"""

from sqlalchemy.orm import Session

from service.runtime import db


def share(session: Session, platform_id: str) -> None:
    """Hold the lock together with other intakes."""
    db.lock(session, "seal", platform_id, is_shared=True)


def exclude(session: Session, platform_id: str) -> None:
    """Hold the lock alone; wait for the intakes in flight."""
    db.lock(session, "seal", platform_id)
