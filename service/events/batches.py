"""Batches: what the log says of each, whether its body is still there or not.

Owns no table. Gives the head of a batch (all but its body), by id, by number, or as a list, and the body as
long as the log keeps it. Law: a batch that was committed has a head for good.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import zstandard
from sqlalchemy import ColumnElement, and_, exists, false, select, true, tuple_, union_all
from sqlalchemy.orm import Session

from service.core.errors import NotFound
from service.core.spans import Span
from service.events import compaction, marks
from service.events.tables import compacted, event_batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A batch without its body.

    `rejections` names the items that it does not bring, as `event_batch` keeps them; `first_at` and `last_at`
    are the times of its accepted events, None without any.
    """

    platform_id: str
    seq: int
    id: UUID
    received_at: datetime
    channel: str
    media_type: str
    item_count: int
    accepted_count: int
    first_at: datetime | None
    last_at: datetime | None
    body_sha256: bytes
    rejections: Sequence[Mapping[str, Any]]
    is_compacted: bool


def get(session: Session, platform_id: str, batch_id: UUID) -> Head:
    """Read the head of one batch.

    Raises:
        NotFound: the platform sent none with this id.
    """
    found = _read(session, platform_id, lambda its: its.id == batch_id)
    if not found:
        raise NotFound(f"Platform {platform_id} has no event batch {batch_id}; its receipt names the batch.")
    return found[0]


def listing(
    session: Session,
    platform_id: str,
    *,
    from_at: datetime | None = None,
    until_at: datetime | None = None,
    after: tuple[datetime, int] | None = None,
    limit: int,
) -> list[Head]:
    """Read the heads of batches by the instants at which they were received, then by number.

    Args:
        from_at: received at this instant or later.
        until_at: received before this instant.
        after: instant and number of the last batch that was read.
    """

    def condition(its: Any) -> ColumnElement[bool]:
        wanted: list[ColumnElement[bool]] = [true()]
        if from_at is not None:
            wanted.append(its.received_at >= from_at)
        if until_at is not None:
            wanted.append(its.received_at < until_at)
        if after is not None:
            wanted += [its.received_at >= after[0], tuple_(its.received_at, its.seq) > after]
        return and_(*wanted)

    return _read(session, platform_id, condition, limit=limit)


def by_seq(session: Session, platform_id: str, seqs: Iterable[int]) -> dict[int, Head]:
    """Read the heads of batches by their numbers."""
    wanted = sorted(set(seqs))
    found = _read(session, platform_id, lambda its: its.seq.in_(wanted)) if wanted else []
    return {one.seq: one for one in found}


def waiting(session: Session, platform_id: str, spans: Sequence[Span] | None, *, limit: int) -> list[Head]:
    """Read the heads of batches that are not in the lake yet and bring events, in the order of the log.

    Args:
        spans: only batches whose events may lie in one of these; None is any time.
        limit: how many at most.
    """
    seqs = list(compaction.waiting(session, platform_id))[:limit]
    heads = by_seq(session, platform_id, seqs)
    found = [heads[seq] for seq in seqs]
    return [one for one in found if spans is None or any(_touches(one, span) for span in spans)]


def body(session: Session, head: Head) -> bytes | None:
    """Read a batch's bytes as they were sent; None when the log has given them back."""
    query = select(event_batch.c.body_zstd).where(
        event_batch.c.platform_id == head.platform_id,
        event_batch.c.seq == head.seq,
        event_batch.c.received_at == head.received_at,
    )
    packed = session.scalar(query)
    return None if packed is None else zstandard.ZstdDecompressor().decompress(packed)


def _touches(one: Head, span: Span) -> bool:
    assert one.first_at is not None
    assert one.last_at is not None
    return one.first_at < span.end_at and span.start_at <= one.last_at


def _read(
    session: Session,
    platform_id: str,
    condition: Callable[[Any], ColumnElement[bool]],
    *,
    limit: int | None = None,
) -> list[Head]:
    """Read heads where they are kept: of compacted batches beside the lake, of the others in the log."""
    names = [column.name for column in compacted.columns if column.name in event_batch.c]
    kept = select(
        compacted.c.batch_id.label("id"), *(compacted.c[name] for name in names), true().label("is_compacted")
    ).where(compacted.c.platform_id == platform_id)
    is_compacted = exists().where(
        compacted.c.platform_id == event_batch.c.platform_id, compacted.c.seq == event_batch.c.seq
    )
    logged = select(
        event_batch.c.id, *(event_batch.c[name] for name in names), false().label("is_compacted")
    ).where(
        event_batch.c.platform_id == platform_id,
        event_batch.c.seq > marks.of(session, platform_id),
        ~is_compacted,
    )
    parts = []
    for part in (kept, logged):
        its = part.subquery()
        found = select(its).where(condition(its.c)).order_by(its.c.received_at, its.c.seq).limit(limit)
        parts.append(found.subquery().select())
    both = union_all(*parts).subquery()
    query = select(both).order_by(both.c.received_at, both.c.seq).limit(limit)
    return [Head(**row._mapping) for row in session.execute(query)]
