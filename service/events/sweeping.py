"""Sweeping: what nobody needs any more leaves the lake.

Removes files that a merge replaced, KEPT_FOR after it, so that whoever read the manifest before can finish;
and files that no line of the manifest names, which a process that was killed left behind. Laws: a file that
is in force is never removed; a removal is written down before the file goes, and one that was written down is
made good by the next sweep; a file that was just written is left alone, named or not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from service.events import compaction, manifest
from service.events.lake import Lake
from service.events.partitions import KEPT_FOR
from service.runtime import db
from service.runtime.db import Database


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep removed: raw files that were replaced, with their indexes, and files that nobody named."""

    replaced_count: int
    orphan_count: int


def run(
    database: Database,
    lake: Lake,
    platform_id: str,
    *,
    now: datetime,
    say: Callable[[str], None] = lambda _: None,
) -> Swept:
    """Sweep a platform's part of the lake.

    Args:
        say: is told of each step.

    Raises:
        LakeAway: a file could not be removed; the next sweep goes on.
    """
    with db.transaction(database) as session:
        manifest.lock(session, platform_id)
        replaced = manifest.replaced_before(session, platform_id, now - KEPT_FOR)
        manifest.remove(session, replaced, "replaced", now=now)
    say(f"Wrote down {len(replaced)} removals.")
    for file in replaced:
        lake.remove(file.stored.path)
        say(f"Removed {file.stored.path}.")
    orphans = _orphans(database, lake, platform_id, now)
    for path in orphans:
        # Looked at once more: whoever is about to name a file writes it anew before.
        if _is_old(lake, path, now):
            lake.remove(path)
            say(f"Removed {path}, which nobody names.")
    return Swept(sum(file.kind == "raw" for file in replaced), len(orphans))


def _orphans(database: Database, lake: Lake, platform_id: str, now: datetime) -> list[str]:
    """Find the files that no line in the manifest names as being there, and that are old enough."""
    there = lake.paths(platform_id)
    with db.transaction(database) as session:
        # A run that is begun again writes the files of the one that died, and old batches may be among its.
        oldest_at = compaction.due_at(session, platform_id, chunk_events=0)
        if oldest_at is not None and oldest_at + KEPT_FOR <= now:
            return []
        removed = manifest.removals(session, platform_id)
        named = {file.stored.path for file in manifest.listing(session, platform_id)} - removed.keys()
    return [path for path in there if path not in named and _is_old(lake, path, now)]


def _is_old(lake: Lake, path: str, now: datetime) -> bool:
    modified_at = lake.modified_at(path)
    return modified_at is not None and modified_at + KEPT_FOR <= now
