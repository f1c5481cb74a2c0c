"""The manifest: which files of the lake there are, what they hold, and the digest of each.

Owns `lake_file`. Law: a file is named only when it is whole, and what is said of it never changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from service.events.lake import Stored
from service.events.tables import lake_file

Kind = Literal["raw", "counted", "verdicts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeFile:
    """A line of the manifest. `day_on` belongs to raw files, `period_id` to a seal's."""

    platform_id: str
    stored: Stored
    kind: Kind
    day_on: date | None
    period_id: str | None
    run_id: UUID | None
    row_count: int
    seq_first: int
    seq_last: int


def register(session: Session, files: Sequence[LakeFile], *, now: datetime) -> None:
    """Write files into the manifest; each is already in the lake."""
    rows = [
        {
            "platform_id": file.platform_id,
            "path": file.stored.path,
            "kind": file.kind,
            "day_on": file.day_on,
            "period_id": file.period_id,
            "run_id": file.run_id,
            "row_count": file.row_count,
            "size_bytes": file.stored.size_bytes,
            "sha256": file.stored.sha256,
            "seq_first": file.seq_first,
            "seq_last": file.seq_last,
            "created_at": now,
        }
        for file in files
    ]
    if rows:
        session.execute(insert(lake_file), rows)


def raw_files(
    session: Session, platform_id: str, *, from_on: date, until_on: date | None = None, seq_max: int
) -> list[LakeFile]:
    """Read the manifest of raw files by path.

    Args:
        from_on: the first local day.
        until_on: the last local day, included; None has no end.
        seq_max: only files with a batch up to this one.
    """
    query = select(lake_file).where(
        lake_file.c.platform_id == platform_id,
        lake_file.c.kind == "raw",
        lake_file.c.day_on >= from_on,
        lake_file.c.seq_first <= seq_max,
    )
    if until_on is not None:
        query = query.where(lake_file.c.day_on <= until_on)
    return [_file(row) for row in session.execute(query.order_by(lake_file.c.path))]


def files_of_period(session: Session, platform_id: str, period_id: str, kind: Kind) -> list[LakeFile]:
    """Read the manifest of what a period's seal wrote, by path."""
    rows = session.execute(
        select(lake_file)
        .where(
            lake_file.c.platform_id == platform_id,
            lake_file.c.period_id == period_id,
            lake_file.c.kind == kind,
        )
        .order_by(lake_file.c.path)
    )
    return [_file(row) for row in rows]


def listing(session: Session, platform_id: str) -> list[LakeFile]:
    """Read the whole manifest of a platform by path."""
    rows = session.execute(
        select(lake_file).where(lake_file.c.platform_id == platform_id).order_by(lake_file.c.path)
    )
    return [_file(row) for row in rows]


def _file(row: Any) -> LakeFile:
    return LakeFile(
        platform_id=row.platform_id,
        stored=Stored(row.path, row.size_bytes, bytes(row.sha256)),
        kind=row.kind,
        day_on=row.day_on,
        period_id=row.period_id,
        run_id=row.run_id,
        row_count=row.row_count,
        seq_first=row.seq_first,
        seq_last=row.seq_last,
    )
