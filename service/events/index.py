"""Indexes: beside each raw file, the identities of its events in order, and where each one's row stands.

Owns the form of an index and the search in files that are sorted by a column: their small row groups say in
the file's footer which values they hold, so that a look-up reads the footer and one group, by bisection.
Laws: equal raw files have equal indexes; a look-up finds every row of a value, and reads nothing else but for
files that are not sorted, which are read to the end. Loads pyarrow when it is used, not before.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from service.events.identities import DIGEST_BYTES
from service.events.lake import Lake, LakeAway
from service.events.manifest import LakeFile

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

GROUP_ROWS: Final = 16_384
"""Rows that a look-up reads. Fewer make the footer longer than what they save."""

Row = Mapping[str, Any]


def schema() -> "pa.Schema":
    """Give the columns of an index: an identity, and the number of its row within the raw file, from 0."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("identity", pa.binary(DIGEST_BYTES), nullable=False),
            pa.field("row", pa.int32(), nullable=False),
        ]
    )


def write(raw: Path, raw_path: str, target: Path) -> int:
    """Write the index of a raw file.

    Args:
        raw: the raw file, on this machine.
        raw_path: what it is called in the lake. The index says so itself: the same identities come again in
            other raw files, whose indexes are other files.

    Returns:
        How many rows it has: as many as the raw file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    identities = pq.read_table(raw, columns=["identity"], use_threads=False)["identity"]
    columns = [identities.cast(pa.binary(DIGEST_BYTES)), pa.array(range(len(identities)), pa.int32())]
    named = schema().with_metadata({"raw_path": raw_path})
    table = pa.Table.from_arrays(columns, schema=named)
    pq.write_table(
        table.sort_by([("identity", "ascending"), ("row", "ascending")]),
        target,
        # Digests are as good as random: neither a dictionary nor a compression makes them shorter.
        compression="none",
        use_dictionary=False,
        write_statistics=["identity"],
        row_group_size=GROUP_ROWS,
    )
    return len(identities)


def add(lake: Lake, raw: LakeFile, file: Path, scratch: Path) -> LakeFile:
    """Write the index of a raw file to the lake.

    Args:
        raw: the raw file as the manifest is going to name it.
        file: the same file on this machine.
        scratch: a folder of the caller's.

    Raises:
        LakeAway: it could not be written.
    """
    target = scratch / "index.parquet"
    row_count = write(file, raw.stored.path, target)
    return LakeFile(
        platform_id=raw.platform_id,
        stored=lake.add(f"{raw.platform_id}/index/{raw.day_on}", target),
        kind="index",
        day_on=raw.day_on,
        period_id=None,
        run_id=raw.run_id,
        row_count=row_count,
        seq_first=raw.seq_first,
        seq_last=raw.seq_last,
        raw_path=raw.stored.path,
    )


def equal_rows(lake: Lake, path: str, column: str, value: Any, wanted: Sequence[str]) -> list[Row]:
    """Read the rows of a file that is sorted by `column` where that is `value`, in their order.

    Args:
        wanted: the columns to give.

    Raises:
        LakeAway: the file is not there or cannot be read.
    """
    with _opened(lake, path) as file:
        found: list[Row] = []
        for number in range(_first_group(file, column, value), file.num_row_groups):
            least = _bounds(file, number, column)
            if least is not None and least[0] > value:
                break
            found += _matching(file, number, column, value, wanted)
        return found


def scanned_rows(lake: Lake, path: str, column: str, value: Any, wanted: Sequence[str]) -> list[Row]:
    """Read the rows of any file where `column` is `value`, in their order.

    Raises:
        LakeAway: the file is not there or cannot be read.
    """
    with _opened(lake, path) as file:
        found: list[Row] = []
        for number in range(file.num_row_groups):
            bounds = _bounds(file, number, column)
            if bounds is None or bounds[0] <= value <= bounds[1]:
                found += _matching(file, number, column, value, wanted)
        return found


def numbered_rows(lake: Lake, path: str, numbers: Sequence[int], wanted: Sequence[str]) -> list[Row]:
    """Read the rows of a file by their numbers, ascending.

    Raises:
        LakeAway: the file is not there or cannot be read.
    """
    with _opened(lake, path) as file:
        found: list[Row] = []
        begin = 0
        for group in range(file.num_row_groups):
            end = begin + file.metadata.row_group(group).num_rows
            here = [number - begin for number in sorted(numbers) if begin <= number < end]
            if here:
                found += _rows(file, group, here, wanted)
            begin = end
        return found


@contextmanager
def _opened(lake: Lake, path: str) -> Iterator["pq.ParquetFile"]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with lake.open(path) as source, pq.ParquetFile(source) as file:
            yield file
    except (OSError, pa.ArrowInvalid) as fault:
        raise LakeAway(f"The file {path} of the lake could not be read.") from fault


def _first_group(file: "pq.ParquetFile", column: str, value: Any) -> int:
    """Bisect for the first row group that can hold a value; the number of groups if none can."""
    low, high = 0, file.num_row_groups
    while low < high:
        middle = (low + high) // 2
        bounds = _bounds(file, middle, column)
        if bounds is not None and bounds[1] < value:
            low = middle + 1
        else:
            high = middle
    return low


def _bounds(file: "pq.ParquetFile", group: int, column: str) -> tuple[Any, Any] | None:
    """Read the least and the greatest value of a column in a row group; None where the footer is silent."""
    place = file.schema_arrow.get_field_index(column)
    statistics = file.metadata.row_group(group).column(place).statistics
    if statistics is None or not statistics.has_min_max:
        return None
    return statistics.min, statistics.max


def _matching(
    file: "pq.ParquetFile", group: int, column: str, value: Any, wanted: Sequence[str]
) -> list[Row]:
    import pyarrow as pa
    import pyarrow.compute as pc

    keys = file.read_row_group(group, columns=[column], use_threads=False)[column]
    here = pc.indices_nonzero(pc.equal(keys, pa.scalar(value, keys.type)))
    if not len(here):
        return []
    return _rows(file, group, here, wanted)


def _rows(
    file: "pq.ParquetFile", group: int, here: "Sequence[int] | pa.Array", wanted: Sequence[str]
) -> list[Row]:
    """Read some rows of a group; of a file that was written before there was a column, it is None."""
    missing = dict.fromkeys(set(wanted) - set(file.schema_arrow.names))
    present = [name for name in wanted if name not in missing]
    table = file.read_row_group(group, columns=present, use_threads=False).take(here)
    return [{**row, **missing} for row in table.to_pylist()]
