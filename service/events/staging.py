"""What backfills stage: batches and receipts of their own, as the log's, until they are moved or forgotten.

Owns `backfill_batch` and `backfill_receipt`. Laws: the digest of what is staged covers every batch, in order,
and which of its items count; a move keeps the order of the batches; a staged row looks as the log's rows do.
"""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import zstandard
from sqlalchemy import delete, func, insert, literal, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from service.core.digests import canonical_json, framed
from service.events import partitions, rows, wire
from service.events.sealing import StagedFile
from service.events.tables import backfill_batch, backfill_receipt, event_batch, event_receipt
from service.parties.platforms import Platform
from service.runtime import db
from service.runtime.db import Database

STAGED_SEQ: Final = 1 << 40
"""Staged batches are looked at as if they stood here in the log: after every batch that it will ever hold."""

FETCH_BATCHES: Final = 25
FILE_EVENTS: Final = 250_000

_MOVED: Final = ("id", "channel", "media_type", "item_count", "accepted_count", "first_at", "last_at")
_BODY: Final = ("body_sha256", "body_zstd", "rejections")


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What is staged: batches, events by verdict, their times, and a digest of it all in order."""

    batch_count: int
    accepted_count: int
    rejected_count: int
    first_at: datetime | None
    last_at: datetime | None
    batches_sha256: str


def totals(session: Session, platform_id: str, backfill_id: uuid.UUID) -> Totals:
    """Add up what is staged now; after a commit or a drop that is nothing any more, see `Backfill.frozen`."""
    batches = session.execute(
        select(
            backfill_batch.c.id,
            backfill_batch.c.accepted_count,
            backfill_batch.c.first_at,
            backfill_batch.c.last_at,
            backfill_batch.c.body_sha256,
            backfill_batch.c.rejections,
        )
        .where(*_staged(platform_id, backfill_id))
        .order_by(backfill_batch.c.seq)
        .execution_options(yield_per=1_000)
    )
    digest = sha256()
    batch_count = accepted_count = 0
    times: list[datetime] = []
    for row in batches:
        # What a batch brings are its bytes, without the items at these places.
        skipped = canonical_json([one["index"] for one in row.rejections])
        digest.update(framed(row.id.bytes, bytes(row.body_sha256), skipped))
        batch_count += 1
        accepted_count += row.accepted_count
        bounds = [at for at in (*times, row.first_at, row.last_at) if at is not None]
        times = [min(bounds), max(bounds)] if bounds else []
    return Totals(
        batch_count=batch_count,
        accepted_count=accepted_count,
        rejected_count=sum(rejected(session, platform_id, backfill_id).values()),
        first_at=times[0] if times else None,
        last_at=times[1] if times else None,
        batches_sha256=digest.hexdigest(),
    )


def rejected(session: Session, platform_id: str, backfill_id: uuid.UUID) -> dict[str, int]:
    """Count the items that were rejected, by code, as the receipts in force say."""
    items = func.jsonb_array_elements(backfill_receipt.c.receipt["items"]).table_valued("value").lateral()
    code = items.c.value.op("->>")("code")
    found = session.execute(
        select(code, func.count())
        .select_from(backfill_receipt.join(items, literal(True)))
        .where(backfill_receipt.c.platform_id == platform_id, backfill_receipt.c.backfill_id == backfill_id)
        .group_by(code)
        .order_by(code)
    )
    return {name: count for name, count in found if name is not None}


def move(session: Session, platform_id: str, backfill_id: uuid.UUID, *, now: datetime) -> None:
    """Append what is staged to the log, in its order, and forget the batches here; their receipts stay."""
    staged = _staged(platform_id, backfill_id)
    kept = [backfill_batch.c[name] for name in (*_MOVED, *_BODY)]
    partitions.ensure(session, [partitions.day_of(now)])
    session.execute(
        insert(event_batch).from_select(
            ["platform_id", "received_at", *_MOVED, *_BODY],
            select(backfill_batch.c.platform_id, literal(now), *kept)
            .where(*staged)
            .order_by(backfill_batch.c.seq),
            include_defaults=False,
        )
    )
    known = [backfill_receipt.c[name] for name in event_receipt.columns.keys()]  # noqa: SIM118
    session.execute(
        upsert(event_receipt)
        .from_select(
            list(event_receipt.columns.keys()),
            select(*known).where(
                backfill_receipt.c.platform_id == platform_id, backfill_receipt.c.backfill_id == backfill_id
            ),
        )
        .on_conflict_do_nothing()
    )
    session.execute(delete(backfill_batch).where(*staged))


def forget(session: Session, platform_id: str, backfill_id: uuid.UUID) -> None:
    """Remove what is staged, receipts included."""
    session.execute(delete(backfill_batch).where(*_staged(platform_id, backfill_id)))
    session.execute(
        delete(backfill_receipt).where(
            backfill_receipt.c.platform_id == platform_id, backfill_receipt.c.backfill_id == backfill_id
        )
    )


def files(database: Database, platform: Platform, backfill_id: uuid.UUID, folder: Path) -> list[StagedFile]:
    """Write what is staged as raw files of the lake's form into a local folder, some at a time."""
    with db.transaction(database) as session:
        seqs = list(
            session.scalars(
                select(backfill_batch.c.seq)
                .where(*_staged(platform.id, backfill_id))
                .order_by(backfill_batch.c.seq)
            )
        )
    written: list[StagedFile] = []
    tables: list[Any] = []
    for table in _tables(database, platform, backfill_id, seqs):
        tables.append(table)
        if sum(known.num_rows for known in tables) >= FILE_EVENTS:
            written += _write(tables, folder, len(written))
            tables = []
    return written + _write(tables, folder, len(written))


def _tables(
    database: Database, platform: Platform, backfill_id: uuid.UUID, seqs: Sequence[int]
) -> Iterator[Any]:
    expand = zstandard.ZstdDecompressor().decompress
    number = STAGED_SEQ
    for start in range(0, len(seqs), FETCH_BATCHES):
        with db.transaction(database) as session:
            batches = session.execute(
                select(backfill_batch)
                .where(
                    *_staged(platform.id, backfill_id),
                    backfill_batch.c.seq.in_(seqs[start : start + FETCH_BATCHES]),
                )
                .order_by(backfill_batch.c.seq)
            ).all()
        for batch in batches:
            number += 1
            if batch.accepted_count:
                skipped = {rejection["index"] for rejection in batch.rejections}
                events = wire.read_again(expand(batch.body_zstd), batch.media_type, skipped)
                days = rows.Days(platform.zone, batch.first_at, batch.last_at)
                yield rows.table_of(number, events, days)


def _write(tables: Sequence[Any], folder: Path, count: int) -> list[StagedFile]:
    if not tables:
        return []
    files = []
    for number, (day_on, table) in enumerate(rows.by_day(tables), count):
        path = folder / f"staged-{number}.parquet"
        rows.write(table, path)
        seqs = table["seq"].to_pylist()
        files.append(StagedFile(str(path), day_on, min(seqs), max(seqs)))
    return files


def _staged(platform_id: str, backfill_id: uuid.UUID) -> tuple[Any, Any]:
    return (backfill_batch.c.platform_id == platform_id, backfill_batch.c.backfill_id == backfill_id)
