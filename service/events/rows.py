"""Rows of the lake's raw files: one an accepted event, in Arrow columns.

Owns their schema and how events become them. Laws: equal events at equal places give equal bytes; a row's day
is the local day of the platform's zone that holds its instant. Loads pyarrow when it is used, not before.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from service.core import spans
from service.core.spans import BadPeriodName
from service.events.identities import DIGEST_BYTES, attributes_text, fingerprint_of, identity_of
from service.events.lake import Lake, LakeAway
from service.events.wire import Event

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP_ROWS: Final = 131_072
ZSTD_LEVEL: Final = 3

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_ON: Final = date(1970, 1, 1)
_MICROSECOND: Final = timedelta(microseconds=1)
_DAY: Final = timedelta(days=1)


def schema() -> "pa.Schema":
    """Give the columns of a raw file.

    `at` is in UTC; `seq` and `position` say where the event stands in the log; `identity` and `fingerprint`
    are those of the module `identities`. `attributes` is canonical JSON; files that were written before there
    were any lack the column, so readers of several files join them by name.
    """
    import pyarrow as pa

    digest = pa.binary(DIGEST_BYTES)
    return pa.schema(
        [
            pa.field("seq", pa.int64(), nullable=False),
            pa.field("position", pa.int32(), nullable=False),
            pa.field("source", pa.string(), nullable=False),
            pa.field("id", pa.string(), nullable=False),
            pa.field("type", pa.string(), nullable=False),
            pa.field("at", pa.timestamp("us"), nullable=False),
            pa.field("day_on", pa.date32(), nullable=False),
            pa.field("creator", pa.string(), nullable=False),
            pa.field("content", pa.string()),
            pa.field("actor", pa.string()),
            pa.field("quantity", pa.int64(), nullable=False),
            pa.field("identity", digest, nullable=False),
            pa.field("fingerprint", digest, nullable=False),
            pa.field("attributes", pa.string()),
        ]
    )


def table_of(seq: int, events: Mapping[int, Event], days: "Days") -> "pa.Table":
    """Make the rows of one batch.

    Args:
        seq: the batch's number.
        events: its accepted events by index.
    """
    import pyarrow as pa

    known = list(events.values())
    times = pa.array([event.time for event in known], pa.timestamp("us", tz="UTC")).cast(pa.int64())
    at_us = times.to_pylist()
    data = [event.data for event in known]
    fingerprints = [
        fingerprint_of(
            event.source,
            event.id,
            event.type,
            at,
            it.creator,
            it.content,
            it.actor,
            it.quantity,
            it.attributes,
        )
        for event, it, at in zip(known, data, at_us, strict=True)
    ]
    columns = [
        [seq] * len(known),
        list(events),
        [event.source for event in known],
        [event.id for event in known],
        [event.type for event in known],
        times.cast(pa.timestamp("us")),
        pa.array([days.number_of(at) for at in at_us], pa.int32()).cast(pa.date32()),
        [it.creator for it in data],
        [it.content for it in data],
        [it.actor for it in data],
        [it.quantity for it in data],
        [identity_of(event.source, event.id) for event in known],
        fingerprints,
        [attributes_text(it.attributes) for it in data],
    ]
    return pa.Table.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, schema(), strict=True)],
        schema=schema(),
    )


def by_day(tables: Sequence["pa.Table"]) -> Iterator[tuple[date, "pa.Table"]]:
    """Join tables and cut them by day; each day's rows are in order of creator, then of the log."""
    import pyarrow as pa
    import pyarrow.compute as pc

    joined = pa.concat_tables(tables)
    order = [(name, "ascending") for name in ("day_on", "creator", "seq", "position")]
    joined = joined.sort_by(order)
    days = joined["day_on"].combine_chunks()
    runs = pc.run_end_encode(days)
    start = 0
    for day, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
        yield day, joined.slice(start, end - start)
        start = end


def write(table: "pa.Table", path: Path) -> None:
    """Write a table as one Parquet file."""
    write_stream([table], path)


def write_stream(tables: Iterable["pa.Table"], path: Path) -> int:
    """Write tables, one after the other, as one Parquet file, holding about a row group of them at a time.

    Returns:
        How many rows were written.

    Law: the file depends on the rows alone, not on how they were cut into tables.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    row_count, waiting = 0, schema().empty_table()
    with pq.ParquetWriter(path, schema(), **_WRITING) as writer:
        for table in tables:
            waiting = pa.concat_tables([waiting, table])
            while waiting.num_rows >= ROW_GROUP_ROWS:
                writer.write_table(waiting.slice(0, ROW_GROUP_ROWS), row_group_size=ROW_GROUP_ROWS)
                row_count += ROW_GROUP_ROWS
                waiting = waiting.slice(ROW_GROUP_ROWS)
        if waiting.num_rows or not row_count:
            writer.write_table(waiting, row_group_size=ROW_GROUP_ROWS)
    return row_count + len(waiting)


def read_stream(lake: Lake, path: str) -> Iterator["pa.Table"]:
    """Read a raw file of the lake, a row group at a time; columns that it does not have are null.

    Raises:
        LakeAway: it is not there, or cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with lake.open(path) as source, pq.ParquetFile(source) as file:
            for batch in file.iter_batches(ROW_GROUP_ROWS):
                columns = [
                    batch[field.name].cast(field.type)
                    if field.name in batch.schema.names
                    else pa.nulls(batch.num_rows, field.type)
                    for field in schema()
                ]
                yield pa.Table.from_arrays(columns, schema=schema())
    except (OSError, pa.ArrowInvalid) as fault:
        raise LakeAway(f"The file {path} of the lake could not be read.") from fault


_WRITING: Final[Mapping[str, Any]] = {
    "compression": "zstd",
    "compression_level": ZSTD_LEVEL,
    # Ids and digests do not repeat: a dictionary of them would only be thrown away again.
    "use_dictionary": ["source", "type", "day_on", "creator", "content", "actor", "attributes"],
    "store_schema": False,
}


def seq_bounds(table: "pa.Table") -> tuple[int, int]:
    """Find the first and the last batch that rows come from."""
    import pyarrow.compute as pc

    bounds = pc.min_max(table["seq"]).as_py()
    return bounds["min"], bounds["max"]


class Days:
    """The local days of a zone, found by bisection: as `spans.local_day`, for many instants."""

    def __init__(self, zone: ZoneInfo, first_at: datetime, last_at: datetime) -> None:
        """Know the days from that of `first_at` to that of `last_at`."""
        first_on, last_on = spans.local_day(first_at, zone), spans.local_day(last_at, zone)
        self._starts_us: list[int] = []
        self._numbers: list[int] = []
        for number in range((first_on - _EPOCH_ON).days, (last_on - _EPOCH_ON).days + 1):
            try:
                start_at = spans.day_span(_EPOCH_ON + number * _DAY, zone).start_at
            except BadPeriodName:  # The zone left this date out.
                continue
            self._starts_us.append((start_at - _EPOCH) // _MICROSECOND)
            self._numbers.append(number)

    def number_of(self, at_us: int) -> int:
        """Find the day of an instant between the two: days since 1970-01-01.

        Args:
            at_us: microseconds since 1970-01-01T00:00:00Z.
        """
        return self._numbers[bisect_right(self._starts_us, at_us) - 1]
