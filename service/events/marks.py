"""The low-water mark of compaction: no batch up to it waits, or ever will.

Owns `compaction_mark`. What waits is looked for above the mark only, so that the cost depends on what waits
and not on history. Batches are committed out of the order of their numbers, so that a number may be missing
today and be there tomorrow. Therefore a mark is moved in two steps: first the last number that was given out
is noted beside a transaction id that is younger; when all older transactions have ended, every number up to
it is decided. Laws: a mark never moves back, and never past a batch that is not compacted, whoever is slow;
nobody waits for anybody.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.events.tables import compaction_mark


@dataclass(frozen=True, slots=True)
class Noted:
    """The last number that had been given out, read before the transaction had an id."""

    seq: int


def of(session: Session, platform_id: str) -> int:
    """Read a platform's mark; 0 before the first."""
    query = select(compaction_mark.c.seq).where(compaction_mark.c.platform_id == platform_id)
    return session.scalar(query) or 0


def note(session: Session) -> Noted:
    """Read the last number that was given out to anybody: the first statement of its transaction.

    Whoever was given a number up to it has a transaction id already, and this transaction gets its own later.
    """
    assert session.scalar(_XACT) is None, "the number is read before the transaction writes"
    return Noted(session.scalar(_LAST_SEQ) or 0)


def advance(session: Session, platform_id: str, noted: Noted) -> None:
    """Move the mark as far as it is proven, and note the next place to prove.

    Args:
        noted: from the beginning of this transaction, which has written since.
    """
    now = session.execute(_SNAPSHOT).one()
    mark = session.execute(
        select(compaction_mark).where(compaction_mark.c.platform_id == platform_id).with_for_update()
    ).one_or_none()
    seq, next_seq, next_xact = (0, None, None) if mark is None else (mark.seq, mark.next_seq, mark.next_xact)
    if next_xact is not None and next_xact > now.own_xact:
        # From another server's count: the database was restored. Nothing of that time is running any more.
        next_xact = 0
    is_proven = next_xact is not None and next_xact <= now.oldest_xact
    # Asked also where nothing is proven, of nothing: so that whoever else is at work changes no run's way.
    oldest = session.scalar(
        _OLDEST_WAITING,
        {"platform_id": platform_id, "after_seq": seq, "up_to_seq": next_seq if is_proven else seq},
    )
    if is_proven and oldest is None:
        seq, next_seq, next_xact = next_seq, None, None
    elif is_proven:
        seq = oldest - 1
    if next_xact is None:
        next_seq, next_xact = noted.seq, now.own_xact
    values = {"seq": seq, "next_seq": next_seq, "next_xact": next_xact}
    session.execute(
        insert(compaction_mark)
        .values(platform_id=platform_id, **values)
        .on_conflict_do_update(
            index_elements=["platform_id"],
            set_={**values, "seq": func.greatest(compaction_mark.c.seq, seq)},
        )
    )


_XACT: Final = text("SELECT pg_current_xact_id_if_assigned()")

_LAST_SEQ: Final = text("SELECT CASE WHEN is_called THEN last_value END FROM event_batch_seq")

_SNAPSHOT: Final = text(
    """
    SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint) AS own_xact,
           CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) AS oldest_xact
    """
)

_OLDEST_WAITING: Final = text(
    """
    SELECT batch.seq
      FROM event_batch AS batch
     WHERE batch.platform_id = :platform_id AND batch.seq > :after_seq AND batch.seq <= :up_to_seq
       AND NOT EXISTS (
           SELECT FROM compacted
            WHERE compacted.platform_id = batch.platform_id AND compacted.seq = batch.seq
       )
     ORDER BY batch.seq
     LIMIT 1
    """
)
