"""Merging: many small raw files of a day become one, with the same rows in the same order.

Compaction writes a file a minute; a month has tens of thousands of them. Files of a like size are
merged when there are FILES_MIN of them, so that a row is rewritten a few times at most, and what is left of a
day once a day. Laws: every row is in exactly one file that is in force, before, while and after; of two
workers one records, because a file is replaced once; a run that ended anywhere leaves files that nobody names
(`sweeping` removes them) and nothing else; what a merge reads is what was written, or it refuses.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.core import ids
from service.events import manifest, rows
from service.events.lake import Lake, LakeAway
from service.events.manifest import LakeFile
from service.events.raw_files import Draft, add_raw
from service.runtime import db, duck, scratch
from service.runtime.db import Database

if TYPE_CHECKING:
    import pyarrow as pa

FILES_MIN: Final = 16
"""Files of a like size that are merged at once."""

SMALL_ROWS: Final = 1_000_000
"""A file of so many rows is left as it is."""

ROWS_MAX: Final = 4_000_000
"""Rows of a merged file at most."""

WAIT_MAX: Final = timedelta(hours=24)
"""After so long also a few files of a day are merged."""

MEMORY_LIMIT: Final = "512MiB"

_LOOK_BACK: Final = timedelta(days=3)
_UNIQUE_VIOLATION: Final = "23505"

_SORTED: Final = """
SELECT {columns} FROM read_parquet($files, union_by_name = true) ORDER BY creator, seq, position
"""


@dataclass(frozen=True, slots=True)
class Merged:
    """What a run did."""

    merge_count: int
    replaced_count: int
    row_count: int


@dataclass(frozen=True, slots=True)
class Merge:
    """Raw files of one day that become one."""

    day_on: date
    files: tuple[LakeFile, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """Where they are, in order."""
        return tuple(file.stored.path for file in self.files)

    @property
    def row_count(self) -> int:
        """How many rows they have together."""
        return sum(file.row_count for file in self.files)


def run(
    database: Database,
    lake: Lake,
    platform_id: str,
    *,
    now: datetime,
    say: Callable[[str], None] = lambda _: None,
) -> Merged:
    """Merge what is due of a platform's raw files.

    Args:
        say: is told of each step.

    Raises:
        LakeAway: a file could not be read or written, or is not what was written; what was recorded stays.
    """
    done = Merged(0, 0, 0)
    lost: Merge | None = None
    while True:
        with db.transaction(database) as session:
            merge = next(iter(find(session, platform_id, now=now)), None)
        if merge is None:
            return done
        assert merge != lost, "a merge that another worker recorded is no longer due"
        say(f"Merging {len(merge.files)} files of {merge.day_on} with {merge.row_count} events.")
        run_id = ids.derived("merge", platform_id, *merge.paths)
        files = _write(lake, platform_id, merge, run_id)
        say(f"Wrote {merge.row_count} events of {merge.day_on}.")
        if _record(database, platform_id, merge, run_id, files, now):
            done = Merged(
                done.merge_count + 1,
                done.replaced_count + len(merge.files),
                done.row_count + merge.row_count,
            )
            say(f"Replaced {len(merge.files)} files.")
        else:
            lost = merge
            say("Another worker has taken these files.")


def find(session: Session, platform_id: str, *, now: datetime) -> list[Merge]:
    """Find the merges that are due, by day."""
    return plan(manifest.of_recent_days(session, platform_id, now - _LOOK_BACK), now)


def is_due(session: Session, platform_id: str, *, now: datetime) -> bool:
    """Tell whether a run would merge something."""
    return bool(find(session, platform_id, now=now))


def plan(files: Sequence[tuple[LakeFile, datetime]], now: datetime) -> list[Merge]:
    """Choose what is merged of raw files and the instants at which they were named. Pure.

    Law: no file is in two merges, no merge has more than ROWS_MAX rows or less than two files.
    """
    days: dict[date, list[tuple[LakeFile, datetime]]] = {}
    for file, created_at in sorted(files, key=lambda one: (one[0].row_count, one[0].stored.path)):
        assert file.day_on is not None, "a raw file has a day"
        if file.row_count < SMALL_ROWS:
            days.setdefault(file.day_on, []).append((file, created_at))
    found = []
    for day_on, small in sorted(days.items()):
        merge = _of_day(day_on, small, now)
        if merge is not None:
            found.append(merge)
    return found


def _of_day(day_on: date, small: Sequence[tuple[LakeFile, datetime]], now: datetime) -> Merge | None:
    """Choose among the small files of a day, which are in order of size."""
    tiers: dict[int, list[LakeFile]] = {}
    for file, _ in small:
        tiers.setdefault(file.row_count.bit_length() // 4, []).append(file)
    for tier in tiers.values():
        if len(tier) >= FILES_MIN:
            return _fitting(day_on, tier)
    # The largest may be what was merged yesterday: by itself it waits for nothing.
    if any(created_at + WAIT_MAX <= now for _, created_at in small[:-1]):
        return _fitting(day_on, [file for file, _ in small])
    return None


def _fitting(day_on: date, files: Sequence[LakeFile]) -> Merge:
    """Take the first files, as many as fit into one; two small ones always do."""
    taken: list[LakeFile] = []
    row_count = 0
    for file in files:
        row_count += file.row_count
        if row_count > ROWS_MAX:
            break
        taken.append(file)
    return Merge(day_on, tuple(sorted(taken, key=lambda one: one.stored.path)))


def _write(lake: Lake, platform_id: str, merge: Merge, run_id: UUID) -> list[LakeFile]:
    """Write the merged file and what belongs to it, and describe them."""
    for file in merge.files:
        # Damage must not be handed on under a new digest.
        if lake.digest(file.stored.path) != file.stored:
            raise LakeAway(f"The file {file.stored.path} of the lake is not what was written; run the audit.")
    with scratch.folder() as folder:
        target = folder / "raw.parquet"
        row_count = rows.write_stream(_sorted(lake, merge, folder), target)
        assert row_count == merge.row_count, f"{row_count} of {merge.row_count} rows were read"
        draft = Draft(
            platform_id=platform_id,
            day_on=merge.day_on,
            run_id=run_id,
            file=target,
            row_count=row_count,
            seq_first=min(file.seq_first for file in merge.files),
            seq_last=max(file.seq_last for file in merge.files),
        )
        return add_raw(lake, draft)


def _sorted(lake: Lake, merge: Merge, folder: Path) -> Iterator["pa.Table"]:
    """Read the rows of all files in order, a piece at a time; the engine spills what it cannot hold."""
    import duckdb
    import pyarrow as pa

    # An empty file brings columns that older files do not have.
    empty = folder / "empty.parquet"
    rows.write(rows.schema().empty_table(), empty)
    files = [str(empty), *(lake.location(path) for path in merge.paths)]
    columns = ", ".join(f'"{name}"' for name in rows.schema().names)
    with closing(duck.connect(memory_limit=MEMORY_LIMIT, temp_dir=folder)) as connection:
        lake.attach(connection)
        try:
            result = connection.sql(_SORTED.format(columns=columns), params={"files": files})
            for batch in result.to_arrow_reader(rows.ROW_GROUP_ROWS):
                yield pa.Table.from_batches([batch]).cast(rows.schema())
        except duckdb.IOException as fault:
            raise LakeAway(f"The files of {merge.day_on} could not be read from the lake.") from fault


def _record(
    database: Database,
    platform_id: str,
    merge: Merge,
    run_id: UUID,
    files: Sequence[LakeFile],
    now: datetime,
) -> bool:
    """Name the new file and mark the old ones; False if one of them is not in force any more."""
    try:
        with db.transaction(database) as session:
            manifest.lock(session, platform_id)
            if manifest.removals(session, platform_id, merge.paths):
                return False
            manifest.replace(session, platform_id, merge.paths, run_id=run_id, now=now)
            manifest.register(session, files, now=now)
    except IntegrityError as fault:
        if getattr(fault.orig, "sqlstate", None) == _UNIQUE_VIOLATION:
            return False
        raise
    return True
