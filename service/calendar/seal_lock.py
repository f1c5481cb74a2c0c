"""The lock between intakes and a seal.

An intake holds it shared while it appends, a seal holds it alone: a seal therefore waits for the intakes in
flight and takes all that committed before it; whatever comes later for the period is late. Advisory, because
a row lock would write to the row at every intake; held to the end of the transaction.
"""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.core import digests


def share(session: Session, platform_id: str) -> None:
    """Hold the lock together with other intakes."""
    session.execute(select(func.pg_advisory_xact_lock_shared(_key(platform_id))))


def exclude(session: Session, platform_id: str) -> None:
    """Hold the lock alone; wait for the intakes in flight."""
    session.execute(select(func.pg_advisory_xact_lock(_key(platform_id))))


def _key(platform_id: str) -> int:
    frame = digests.framed(b"seal-lock", platform_id.encode())
    return int.from_bytes(digests.sha256(frame)[:8], "big", signed=True)
