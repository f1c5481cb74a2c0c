"""Compaction: batches of the log become Parquet files of the lake, each event a row, each batch once.

Owns `compacted` and the raw files. Work goes in bounded chunks: read bodies, write files, and only then, in
one transaction, name the files in the manifest and the batches as compacted. Laws: a batch is compacted
exactly once, because a second worker's record of it breaks a key and fails whole; a run that ended anywhere
leaves nothing that the next one does not find again; equal batches give equal files.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID
from zoneinfo import ZoneInfo

import zstandard
from sqlalchemy import BigInteger, CursorResult, Select, func, insert, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.core import ids
from service.events import manifest, marks, rows, wire
from service.events.lake import Lake
from service.events.manifest import LakeFile
from service.events.raw_files import Draft, add_raw
from service.events.tables import compacted, event_batch
from service.parties import platforms
from service.runtime import db, scratch
from service.runtime.db import Database

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK_EVENTS: Final = 250_000
"""Events that wait at most before a run is due at once, and that one chunk holds, but for its last batch."""

CHUNK_BATCHES: Final = 10_000
"""Batches of one chunk at most: small ones are many."""

WAIT_MAX: Final = timedelta(seconds=60)
"""How long an event waits at most before a run is due."""

FETCH_BATCHES: Final = 25
"""Bodies that are read, and held, at a time."""

_UNIQUE_VIOLATION: Final = "23505"


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a run moved into the lake."""

    batch_count: int
    row_count: int
    file_count: int


@dataclass(frozen=True, slots=True)
class _Chunk:
    run_id: UUID
    seqs: tuple[int, ...]
    event_count: int


def run(
    database: Database,
    lake: Lake,
    platform_id: str,
    *,
    up_to_seq: int | None = None,
    chunk_events: int = CHUNK_EVENTS,
    now: datetime,
    say: Callable[[str], None] = lambda _: None,
) -> Compacted:
    """Move what waits in a platform's log into the lake.

    Args:
        up_to_seq: the last batch to take; None takes all that are there.
        chunk_events: how many events are held and recorded at a time, about.
        say: is told of each step.

    Raises:
        NotFound: there is no such platform.
        LakeAway: a file could not be written; what was recorded before stays.

    Law: when it returns, every batch up to `up_to_seq` that was committed before the call is compacted, by
    this worker or by another.
    """
    with db.transaction(database) as session:
        zone = platforms.get(session, platform_id).zone
    done = Compacted(0, 0, 0)
    lost: _Chunk | None = None
    while True:
        with db.transaction(database) as session:
            chunk = _next_chunk(session, platform_id, up_to_seq, chunk_events)
        if chunk is None:
            return done
        assert chunk != lost, "a chunk that another worker recorded is no longer waiting"
        say(f"Compacting {len(chunk.seqs)} batches with {chunk.event_count} events.")
        files = _write_files(database, lake, platform_id, zone, chunk, say)
        if _record(database, platform_id, chunk, files, now):
            raw = [file for file in files if file.kind == "raw"]
            done = Compacted(
                done.batch_count + len(chunk.seqs),
                done.row_count + sum(file.row_count for file in raw),
                done.file_count + len(raw),
            )
            say(f"Recorded {len(raw)} files.")
        else:
            lost = chunk
            say("Another worker has recorded these batches.")


def due_at(session: Session, platform_id: str, *, chunk_events: int = CHUNK_EVENTS) -> datetime | None:
    """Tell from when on a run is due: when a batch has waited WAIT_MAX, or at once for `chunk_events` events.

    Returns:
        None if nothing waits.
    """
    query = select(func.min(event_batch.c.received_at), func.sum(event_batch.c.accepted_count))
    oldest_at, event_count = session.execute(_waiting(session, query, platform_id, None)).one()
    if oldest_at is None:
        return None
    since: datetime = oldest_at
    return since if event_count >= chunk_events else since + WAIT_MAX


def newest_seq(session: Session, platform_id: str) -> int:
    """Tell the number of the last batch that was ever in the log; 0 before the first."""
    newest: int | None = session.scalar(
        select(func.max(event_batch.c.seq)).where(event_batch.c.platform_id == platform_id)
    )
    # All partitions of a platform that sent nothing for days may be gone.
    return max(newest or 0, last_compacted_seq(session, platform_id))


def last_compacted_seq(session: Session, platform_id: str) -> int:
    """Name the last batch that is compacted; 0 if there is none. Earlier ones may still wait."""
    query = select(func.max(compacted.c.seq)).where(compacted.c.platform_id == platform_id)
    return session.scalar(query) or 0


def waiting(session: Session, platform_id: str) -> dict[int, int]:
    """Read which batches with accepted events are not compacted: by number, how many events."""
    query = select(event_batch.c.seq, event_batch.c.accepted_count).where(event_batch.c.accepted_count > 0)
    found = session.execute(_waiting(session, query, platform_id, None).order_by(event_batch.c.seq))
    return {row.seq: row.accepted_count for row in found}


def tables(database: Database, platform_id: str, zone: ZoneInfo, seqs: Sequence[int]) -> Iterator["pa.Table"]:
    """Read batches of the log, some at a time, and make the rows of those that have accepted events.

    Args:
        zone: the platform's.
        seqs: the batches' numbers; those that are not in the log any more are left out.
    """
    expand = zstandard.ZstdDecompressor().decompress
    for start in range(0, len(seqs), FETCH_BATCHES):
        with db.transaction(database) as session:
            batches = session.execute(
                select(event_batch)
                .where(
                    event_batch.c.platform_id == platform_id,
                    event_batch.c.seq.in_(seqs[start : start + FETCH_BATCHES]),
                    event_batch.c.accepted_count > 0,
                )
                .order_by(event_batch.c.seq)
            ).all()
        for batch in batches:
            skipped = {one["index"] for one in batch.rejections}
            events = wire.read_again(expand(batch.body_zstd), batch.media_type, skipped)
            assert len(events) == batch.accepted_count, f"batch {batch.seq} is not what intake judged"
            yield rows.table_of(batch.seq, events, rows.Days(zone, batch.first_at, batch.last_at))


def _next_chunk(
    session: Session, platform_id: str, up_to_seq: int | None, chunk_events: int
) -> _Chunk | None:
    query = select(event_batch.c.seq, event_batch.c.accepted_count)
    waiting = session.execute(
        _waiting(session, query, platform_id, up_to_seq).order_by(event_batch.c.seq).limit(CHUNK_BATCHES)
    )
    seqs: list[int] = []
    event_count = 0
    for row in waiting:
        seqs.append(row.seq)
        event_count += row.accepted_count
        if event_count >= chunk_events:
            break
    if not seqs:
        return None
    # The same batches make the same run: its files are found again, by name and by content.
    run_id = ids.derived("compaction", platform_id, *(str(seq) for seq in seqs))
    return _Chunk(run_id, tuple(seqs), event_count)


def _waiting(session: Session, query: Select[Any], platform_id: str, up_to_seq: int | None) -> Select[Any]:
    """Restrict a query to batches that are not compacted.

    Above the mark these are found one by one: a batch may be committed after one with a higher number.
    """
    is_compacted = (
        select(compacted.c.seq)
        .where(compacted.c.platform_id == event_batch.c.platform_id, compacted.c.seq == event_batch.c.seq)
        .exists()
    )
    mark = marks.of(session, platform_id)
    query = query.where(event_batch.c.platform_id == platform_id, event_batch.c.seq > mark, ~is_compacted)
    return query if up_to_seq is None else query.where(event_batch.c.seq <= up_to_seq)


def _write_files(
    database: Database,
    lake: Lake,
    platform_id: str,
    zone: ZoneInfo,
    chunk: _Chunk,
    say: Callable[[str], None],
) -> list[LakeFile]:
    """Write a chunk's events to the lake, a file for each local day, and describe the files."""
    made = list(tables(database, platform_id, zone, chunk.seqs))
    say("Read the batches.")
    files: list[LakeFile] = []
    if not made:
        return files
    with scratch.folder() as folder:
        file = folder / "raw.parquet"
        for day_on, table in rows.by_day(made):
            rows.write(table, file)
            first, last = rows.seq_bounds(table)
            files += add_raw(
                lake,
                Draft(
                    platform_id=platform_id,
                    day_on=day_on,
                    run_id=chunk.run_id,
                    file=file,
                    row_count=table.num_rows,
                    seq_first=first,
                    seq_last=last,
                ),
            )
            say(f"Wrote {table.num_rows} events of {day_on}.")
    return files


def _record(
    database: Database, platform_id: str, chunk: _Chunk, files: Sequence[LakeFile], now: datetime
) -> bool:
    """Name the files and the batches; False if another worker has recorded one of the batches before."""
    header = [column.name for column in compacted.columns if column.name in event_batch.c]
    seqs = literal(list(chunk.seqs), ARRAY(BigInteger))
    batches = (
        select(
            literal(chunk.run_id, compacted.c.run_id.type),
            literal(now, compacted.c.compacted_at.type),
            event_batch.c.id,
            *(event_batch.c[name] for name in header),
        )
        .where(event_batch.c.platform_id == platform_id, event_batch.c.seq == func.any(seqs))
        .order_by(event_batch.c.seq)
    )
    record = insert(compacted).from_select(["run_id", "compacted_at", "batch_id", *header], batches)
    try:
        with db.transaction(database) as session:
            noted = marks.note(session)
            # The batches come first: their keys are the fence, and a second worker waits here for the first.
            named = session.execute(record, execution_options={"preserve_rowcount": True})
            count = cast("CursorResult[Any]", named).rowcount
            assert len(chunk.seqs) == count, "a batch that waits is in the log"
            manifest.register(session, files, now=now)
            marks.advance(session, platform_id, noted)
    except IntegrityError as fault:
        if getattr(fault.orig, "sqlstate", None) == _UNIQUE_VIOLATION:
            return False
        raise
    return True
