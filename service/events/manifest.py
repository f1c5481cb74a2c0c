"""The manifest: which files of the lake there are, what they hold, and the digest of each.

Owns `lake_file`, `lake_replacement` and `lake_removal`. Laws: a file is named only when it is whole, and what
is said of it never changes; a raw file is in force until a merge replaces it or it is removed, and each
accepted event that is in the lake and not removed is in exactly one raw file that is in force.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from service.core.errors import Conflict
from service.events.lake import Stored
from service.events.tables import lake_file, lake_removal, lake_replacement
from service.runtime import db

Kind = Literal["raw", "index", "counted", "verdicts", "exceptions"]
Reason = Literal["replaced", "retention"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeFile:
    """A line of the manifest. `day_on` belongs to raw files and indexes, `period_id` to a seal's files."""

    platform_id: str
    stored: Stored
    kind: Kind
    day_on: date | None
    period_id: str | None
    run_id: UUID | None
    row_count: int
    seq_first: int
    seq_last: int
    raw_path: str | None = None
    """Of an index: the raw file that it leads into."""


class EventsRemoved(Conflict):
    """The events were removed by the platform's retention policy."""

    slug = "events-removed"
    title = "The events were removed by policy"


@dataclass(frozen=True, slots=True)
class Removal:
    """That a file was removed, why and when. Its line and its digest stay."""

    path: str
    reason: Reason
    removed_at: datetime


_IN_FORCE: Final = (
    ~exists().where(
        lake_replacement.c.platform_id == lake_file.c.platform_id, lake_replacement.c.path == lake_file.c.path
    ),
    ~exists().where(
        lake_removal.c.platform_id == lake_file.c.platform_id, lake_removal.c.path == lake_file.c.path
    ),
)


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
            "raw_path": file.raw_path,
            "created_at": now,
        }
        for file in files
    ]
    if rows:
        session.execute(insert(lake_file), rows)


def raw_files(
    session: Session,
    platform_id: str,
    *,
    from_on: date,
    until_on: date | None = None,
    seq_max: int | None = None,
) -> list[LakeFile]:
    """Read the manifest of raw files that are in force, by path.

    Args:
        from_on: the first local day.
        until_on: the last local day, included; None has no end.
        seq_max: only files with a batch up to this one; None is all.
    """
    query = select(lake_file).where(
        lake_file.c.platform_id == platform_id,
        lake_file.c.kind == "raw",
        lake_file.c.day_on >= from_on,
        *_IN_FORCE,
    )
    if seq_max is not None:
        query = query.where(lake_file.c.seq_first <= seq_max)
    if until_on is not None:
        query = query.where(lake_file.c.day_on <= until_on)
    return [_file(row) for row in session.execute(query.order_by(lake_file.c.path))]


def in_force(session: Session, platform_id: str) -> list[LakeFile]:
    """Read the manifest of all raw files that are in force, by path."""
    rows = session.execute(
        select(lake_file)
        .where(lake_file.c.platform_id == platform_id, lake_file.c.kind == "raw", *_IN_FORCE)
        .order_by(lake_file.c.path)
    )
    return [_file(row) for row in rows]


def of_recent_days(session: Session, platform_id: str, since: datetime) -> list[tuple[LakeFile, datetime]]:
    """Read the raw files in force of those days for which one was written after `since`, by path.

    Returns:
        Each file with the instant at which it was named.
    """
    days = select(lake_file.c.day_on).where(
        lake_file.c.platform_id == platform_id, lake_file.c.created_at > since, lake_file.c.kind == "raw"
    )
    rows = session.execute(
        select(lake_file)
        .where(
            lake_file.c.platform_id == platform_id,
            lake_file.c.kind == "raw",
            lake_file.c.day_on.in_(days),
            *_IN_FORCE,
        )
        .order_by(lake_file.c.path)
    )
    return [(_file(row), row.created_at) for row in rows]


def replace(session: Session, platform_id: str, paths: Sequence[str], *, run_id: UUID, now: datetime) -> None:
    """Mark files as replaced by those of a merge.

    Raises:
        IntegrityError: one of them is replaced already; its key is the fence between two merges.
    """
    rows = [
        {"platform_id": platform_id, "path": path, "run_id": run_id, "replaced_at": now}
        for path in sorted(paths)
    ]
    session.execute(insert(lake_replacement), rows)


def replaced_before(session: Session, platform_id: str, until: datetime) -> list[LakeFile]:
    """Read what was replaced up to an instant and is not removed yet, with its indexes, by path."""
    rows = session.execute(
        select(lake_file)
        .join(
            lake_replacement,
            and_(
                lake_replacement.c.platform_id == lake_file.c.platform_id,
                # An index goes with the raw file that it leads into.
                lake_replacement.c.path == func.coalesce(lake_file.c.raw_path, lake_file.c.path),
            ),
        )
        .where(lake_file.c.platform_id == platform_id, lake_replacement.c.replaced_at <= until, _IN_FORCE[1])
        .order_by(lake_file.c.path)
    )
    return [_file(row) for row in rows]


def remove(session: Session, files: Sequence[LakeFile], reason: Reason, *, now: datetime) -> None:
    """Write down that files are removed; those that were already are left as they are."""
    rows = [
        {
            "platform_id": file.platform_id,
            "path": file.stored.path,
            "sha256": file.stored.sha256,
            "reason": reason,
            "removed_at": now,
        }
        for file in files
    ]
    if rows:
        session.execute(upsert(lake_removal).on_conflict_do_nothing(), rows)


def removals(session: Session, platform_id: str, paths: Sequence[str] | None = None) -> dict[str, Removal]:
    """Read which files were removed, by path: of all, or of those that are named."""
    query = select(lake_removal).where(lake_removal.c.platform_id == platform_id)
    if paths is not None:
        query = query.where(lake_removal.c.path.in_(paths))
    return {row.path: Removal(row.path, row.reason, row.removed_at) for row in session.execute(query)}


def there(session: Session, platform_id: str, condition: ColumnElement[bool]) -> list[LakeFile]:
    """Read the lines of files that are not removed, replaced ones included, by path."""
    rows = session.execute(
        select(lake_file)
        .where(lake_file.c.platform_id == platform_id, condition, _IN_FORCE[1])
        .order_by(lake_file.c.path)
    )
    return [_file(row) for row in rows]


def check_there(session: Session, platform_id: str, files: Sequence[LakeFile]) -> None:
    """Refuse files that were removed.

    Raises:
        EventsRemoved: one of them was.
    """
    removed = removals(session, platform_id, [file.stored.path for file in files])
    for one in removed.values():
        period_id = next(file.period_id for file in files if file.stored.path == one.path)
        raise EventsRemoved(
            f"The events of {period_id} were removed by policy on {one.removed_at.date()}; their digests, "
            "verdicts, shares and totals stay."
        )


def lock(session: Session, platform_id: str) -> None:
    """Hold the lock of whoever takes files out of force, until the transaction ends."""
    db.lock(session, "lake", platform_id)


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


def indexes(session: Session, platform_id: str, raw_paths: Sequence[str]) -> dict[str, LakeFile]:
    """Read the manifest of the indexes of raw files, by the path of the raw file.

    A file that was written before there were indexes has none.
    """
    rows = session.execute(
        select(lake_file).where(lake_file.c.platform_id == platform_id, lake_file.c.raw_path.in_(raw_paths))
    )
    return {row.raw_path: _file(row) for row in rows}


def of_seals(session: Session, platform_id: str, period_ids: Sequence[str]) -> list[LakeFile]:
    """Read the manifest of what the seals of some periods wrote, by path."""
    rows = session.execute(
        select(lake_file)
        .where(lake_file.c.platform_id == platform_id, lake_file.c.period_id.in_(period_ids))
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
        raw_path=row.raw_path,
    )
