"""Raw files and what belongs to them: the one place where compaction and merges put events into the lake."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from uuid import UUID

from service.events import index
from service.events.lake import Lake
from service.events.manifest import LakeFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A Parquet file of events of one local day, in a scratch folder, not yet in the lake.

    `run_id` names the compaction or the merge; `seq_first` and `seq_last` are of the events in it.
    """

    platform_id: str
    day_on: date
    run_id: UUID
    file: Path
    row_count: int
    seq_first: int
    seq_last: int


def add_raw(lake: Lake, draft: Draft) -> list[LakeFile]:
    """Put a draft into the lake, with all that belongs to a raw file.

    Returns:
        The lines for the manifest: the raw file, and its index.

    Raises:
        LakeAway: a file could not be written.

    Law: equal drafts give equal lines, and adding one again changes nothing.
    """
    raw = LakeFile(
        platform_id=draft.platform_id,
        stored=lake.add(f"{draft.platform_id}/raw/{draft.day_on}", draft.file),
        kind="raw",
        day_on=draft.day_on,
        period_id=None,
        run_id=draft.run_id,
        row_count=draft.row_count,
        seq_first=draft.seq_first,
        seq_last=draft.seq_last,
    )
    return [raw, index.add(lake, raw, draft.file, draft.file.parent)]
