"""One snapshot for readers: which raw files are in force, and which batches wait, at one instant.

Law: reading a snapshot gives every event that was accepted and committed when it was taken exactly once, and
nothing else, whatever compaction, merges, sweeps and prunes do meanwhile, for KEPT_FOR. What is compacted
stays in the log, and what is merged stays in the lake, for as long. Removal by policy is not waited for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from service.events import compaction, manifest, rows
from service.events.lake import Lake, LakeAway
from service.events.manifest import LakeFile
from service.parties import platforms
from service.runtime import db
from service.runtime.db import Database

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was accepted up to an instant: rows of these files, and the events of these batches of the log.

    `event_count` counts both.
    """

    platform_id: str
    zone: ZoneInfo
    files: tuple[LakeFile, ...]
    seqs: tuple[int, ...]
    event_count: int


def of(database: Database, platform_id: str) -> Snapshot:
    """Take a snapshot in a transaction of its own.

    Raises:
        NotFound: there is no such platform.
    """
    with db.transaction(database) as session:
        # Files and batches as of one instant: a batch is compacted before it, or after it.
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        return take(session, platform_id)


def take(session: Session, platform_id: str) -> Snapshot:
    """Take a snapshot.

    Args:
        session: in a REPEATABLE READ transaction.

    Raises:
        NotFound: there is no such platform.
    """
    zone = platforms.get(session, platform_id).zone
    files = tuple(manifest.in_force(session, platform_id))
    waiting = compaction.waiting(session, platform_id)
    return Snapshot(
        platform_id=platform_id,
        zone=zone,
        files=files,
        seqs=tuple(waiting),
        event_count=sum(file.row_count for file in files) + sum(waiting.values()),
    )


def read(database: Database, lake: Lake, snapshot: Snapshot) -> Iterator["pa.Table"]:
    """Read the rows of a snapshot, a piece at a time, in the columns of raw files.

    Raises:
        LakeAway: the lake cannot be read, or the snapshot is older than KEPT_FOR and parts of it are gone.
    """
    count = 0
    for table in compaction.tables(database, snapshot.platform_id, snapshot.zone, snapshot.seqs):
        count += table.num_rows
        yield table
    for file in snapshot.files:
        for table in rows.read_stream(lake, file.stored.path):
            count += table.num_rows
            yield table
    if count != snapshot.event_count:
        msg = f"{count} of {snapshot.event_count} events are still where they were: take a new snapshot."
        raise LakeAway(msg)
