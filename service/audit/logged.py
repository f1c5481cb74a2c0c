"""The event log and the lake against what was written down of them.

Law: no batch and no file differs from the digest that was kept of it, and compaction lost no event.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import zstandard
from sqlalchemy import text
from sqlalchemy.orm import Session

from service.audit.findings import BOOK, Notes, differences, stream
from service.core.digests import sha256_hex
from service.events.lake import Lake, LakeAway
from service.events.manifest import LakeFile, Removal
from service.parties.platforms import Platform


def batches(session: Session, platform: Platform, notes: Notes) -> None:
    """Each batch of the log holds the bytes that were sent, and a verdict for each of their items.

    What is kept of it beside the lake says the same; of one that has left the log it is all there is.
    """
    expand = zstandard.ZstdDecompressor().decompress
    for row in stream(session, platform.id, _BATCHES):
        notes.see()
        try:
            found = sha256_hex(expand(row.body_zstd))
        except zstandard.ZstdError:
            found = "no bytes, as the body is damaged"
        notes.compare(f"batch {row.seq} body", bytes(row.body_sha256).hex(), found)
        notes.compare(f"batch {row.seq} verdicts", row.item_count, row.accepted_count + row.rejected_count)
    differences(session, notes, _HEADERS)


def compaction(session: Session, platform: Platform, notes: Notes) -> None:
    """Each compaction wrote a row for every event that was accepted in the batches it took.

    And each merge wrote a row for every row of the files that it replaced.
    """
    notes.see(session.execute(_RUN_COUNT, {"platform_id": platform.id}).scalar_one())
    differences(session, notes, _RUNS)
    differences(session, notes, _MERGES)


def files(lake: Lake, known: Sequence[LakeFile], removed: Mapping[str, Removal], notes: Notes) -> None:
    """Each file of the lake has the length and the digest that the manifest says, unless it was removed."""
    for file in known:
        if file.stored.path in removed:
            continue
        notes.see()
        try:
            found = lake.digest(file.stored.path)
        except LakeAway as fault:
            notes.compare(file.stored.path, file.stored.sha256.hex(), fault.detail)
            continue
        notes.compare(f"{file.stored.path} size", file.stored.size_bytes, found.size_bytes)
        notes.compare(f"{file.stored.path} digest", file.stored.sha256.hex(), found.sha256.hex())
    dates = Counter(one.removed_at.date() for one in removed.values() if one.reason == "retention")
    for removed_on, count in sorted(dates.items()):
        notes.remark(f"{count} files of events were removed by policy on {removed_on}")


CHECKS: Final[Mapping[str, Callable[[Session, Platform, Notes], None]]] = {
    "events.batches": batches,
    "events.compaction": compaction,
}

_BATCHES: Final = text(
    """
    SELECT seq, body_sha256, body_zstd, item_count, accepted_count,
           jsonb_array_length(rejections) AS rejected_count
      FROM event_batch
     WHERE platform_id = :platform_id
     ORDER BY seq
    """
)

_HEADERS: Final = text(
    f"""
    WITH {BOOK}
    SELECT 'batch ' || compacted.seq || ' header' AS subject,
           coalesce(event_batch.item_count, compacted.item_count) AS expected,
           compacted.accepted_count + jsonb_array_length(compacted.rejections) AS found
      FROM book
      JOIN compacted USING (platform_id)
      LEFT JOIN event_batch
        ON event_batch.platform_id = compacted.platform_id AND event_batch.seq = compacted.seq
     WHERE compacted.accepted_count + jsonb_array_length(compacted.rejections) <> compacted.item_count
        OR (event_batch.id, event_batch.item_count, event_batch.accepted_count, event_batch.body_sha256)
           <> (compacted.batch_id, compacted.item_count, compacted.accepted_count, compacted.body_sha256)
     ORDER BY compacted.seq
    """
)

_RUN_COUNT: Final = text("SELECT count(DISTINCT run_id) FROM compacted WHERE platform_id = :platform_id")

_RUNS: Final = text(
    f"""
    WITH {BOOK},
    taken AS MATERIALIZED (
        SELECT run_id, sum(accepted_count) AS event_count
          FROM book
          JOIN compacted USING (platform_id)
         GROUP BY run_id
    ),
    written AS MATERIALIZED (
        SELECT lake_file.run_id, sum(lake_file.row_count) AS row_count
          FROM book
          JOIN lake_file USING (platform_id)
         WHERE lake_file.kind = 'raw'
           AND NOT EXISTS (
               SELECT FROM lake_replacement
                WHERE lake_replacement.platform_id = lake_file.platform_id
                  AND lake_replacement.run_id = lake_file.run_id
           )
         GROUP BY lake_file.run_id
    )
    SELECT 'run ' || run_id || ' rows' AS subject, CAST(coalesce(taken.event_count, 0) AS bigint) AS expected,
           CAST(coalesce(written.row_count, 0) AS bigint) AS found
      FROM taken
      FULL JOIN written USING (run_id)
     WHERE coalesce(taken.event_count, 0) <> coalesce(written.row_count, 0)
     ORDER BY run_id
    """
)

_MERGES: Final = text(
    f"""
    WITH {BOOK},
    replaced AS MATERIALIZED (
        SELECT lake_replacement.run_id, sum(lake_file.row_count) AS row_count
          FROM book
          JOIN lake_replacement USING (platform_id)
          JOIN lake_file USING (platform_id, path)
         WHERE lake_file.kind = 'raw'
         GROUP BY lake_replacement.run_id
    ),
    written AS MATERIALIZED (
        SELECT lake_file.run_id, sum(lake_file.row_count) AS row_count
          FROM book
          JOIN lake_file USING (platform_id)
         WHERE lake_file.kind = 'raw'
         GROUP BY lake_file.run_id
    )
    SELECT 'merge ' || run_id || ' rows' AS subject, CAST(replaced.row_count AS bigint) AS expected,
           CAST(coalesce(written.row_count, 0) AS bigint) AS found
      FROM replaced
      LEFT JOIN written USING (run_id)
     WHERE replaced.row_count <> coalesce(written.row_count, 0)
     ORDER BY run_id
    """
)
