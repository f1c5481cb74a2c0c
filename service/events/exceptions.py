"""Exceptions: the settled events of a period that do not plainly count, in the order of the log.

Owns the file `exceptions` of each seal, which is made when the rulebook has said what it leaves out. With it,
what became of a batch's events is read without reading the batch: what is settled and no exception counts.
Law: the counts of the exceptions and of what counts add up to what the seal settled.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from service.calendar.periods import Period
from service.events.lake import Lake, LakeAway
from service.events.manifest import LakeFile
from service.events.sealing import Settled
from service.runtime import duck


@dataclass(frozen=True, slots=True)
class Exceptions:
    """What became of all that a seal settled.

    `counts` says how many events have which verdict: those that a clause left out are `filtered`, and neither
    counted nor late any more. `clauses` says how many each clause left out.
    """

    file: LakeFile
    counts: Mapping[str, int]
    clauses: Mapping[str, int]


def gather(
    lake: Lake, period: Period, settled: Settled, excluded: Sequence[Path], scratch: Path
) -> Exceptions:
    """Write the exceptions of a seal to the lake; the caller names the file in the manifest.

    Args:
        excluded: files on this machine with the events that a clause of the rulebook left out, as rows (seq,
            position, origin_period_id, clause); there may be none.
        scratch: a folder of the caller's.

    Raises:
        LakeAway: the lake cannot be read or written.
    """
    import duckdb

    assert period.cut_seq is not None, "only a sealed period is settled"
    target = scratch / "exceptions.parquet"
    verdicts = [lake.location(file.stored.path) for file in settled.verdicts]
    given = {
        "verdicts": verdicts,
        "excluded": [str(one) for one in (*excluded, _empty(scratch))],
        "target": str(target),
    }
    with closing(duck.connect(temp_dir=scratch)) as connection:
        lake.attach(connection)
        try:
            connection.execute(_statement(), given)
        except duckdb.IOException as fault:
            raise LakeAway(f"The verdicts of {period.id} could not be read from the lake.") from fault
        tallies = connection.execute(
            "SELECT verdict, clause, origin_period_id = $period_id, count(*) FROM read_parquet($file)"
            " GROUP BY ALL ORDER BY ALL",
            {"period_id": period.id, "file": str(target)},
        ).fetchall()
    counts = {**settled.counts, "filtered": 0}
    clauses: dict[str, int] = {}
    for verdict, clause, is_own, row_count in tallies:
        if verdict == "filtered":
            counts["counted" if is_own else "late"] -= row_count
            counts["filtered"] += row_count
            clauses[clause] = clauses.get(clause, 0) + row_count
    file = LakeFile(
        platform_id=period.platform_id,
        stored=lake.add(f"{period.platform_id}/exceptions/{period.id}", target),
        kind="exceptions",
        day_on=None,
        period_id=period.id,
        run_id=None,
        row_count=sum(row[-1] for row in tallies),
        seq_first=0,
        seq_last=period.cut_seq,
    )
    return Exceptions(file, counts, clauses)


def _empty(scratch: Path) -> Path:
    """Write a file without rows, so that there is always one to read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole, text = pa.int64(), pa.string()
    columns = {"seq": whole, "position": whole, "origin_period_id": text, "clause": text}
    pq.write_table(pa.schema(list(columns.items())).empty_table(), scratch / "empty.parquet")
    return scratch / "empty.parquet"


def _statement() -> str:
    return resources.files("service.events").joinpath("sql/exceptions.sql").read_text(encoding="utf-8")
