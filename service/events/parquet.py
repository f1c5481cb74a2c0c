"""Parquet files that people import, read as rows of text, as the other forms are.

A column inside a struct is named with dots. Its type says what becomes of a value: whole numbers and decimals
are written out, instants in UTC to the microsecond, dates as such, null is empty text. Refuses, before a row
is read, columns whose values have no one text: floating point, lists, binary. Laws: no value is rounded; the
rows in memory are those of one batch, whatever the size of the file.

Source: https://arrow.apache.org/docs/python/parquet.html and the format's logical types (read 2026-11-21).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, get_args

from service.core.errors import FieldError
from service.core.spans import BadInstant, to_text
from service.events.mapping import BadMapping, Mapping, Row, TimeForm, used_columns, uses_digest
from service.events.sheets import BadFile, BadRow

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS: Final = 5_000
BUFFER_BYTES: Final = 1024 * 1024
"""What is read of each column at a time, and not a row group as a whole."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}

Reader = Callable[["pa.Array"], list[str | None]]
"""Writes the values of an array as text; None stands for one that has none."""


@dataclass(frozen=True, slots=True)
class _Column:
    """A column: its name with dots, the way to it through structs, and its type."""

    name: str
    path: tuple[str, ...]
    type: "pa.DataType"


class ParquetSheet:
    """An open file."""

    def __init__(self, path: Path, file: IO[bytes], mapping: Mapping) -> None:
        """Read the schema, and choose the columns that the mapping uses.

        Raises:
            BadFile: this is no Parquet file, is cut off, or is encrypted.
            BadMapping: a column that the mapping uses cannot be one of text.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._path = path
        self._size_bytes = path.stat().st_size
        self._row_count_done = 0
        try:
            self._file = pq.ParquetFile(
                file, pre_buffer=False, buffer_size=BUFFER_BYTES, page_checksum_verification=True
            )
            known = list(_columns(self._file.schema_arrow))
        except (pa.ArrowException, OSError, ValueError) as fault:
            raise BadFile(f"{path} {_reason(fault, 'is no whole Parquet file')}.") from fault
        self._chosen = _chosen(path, mapping, known)
        self.columns = tuple(one.name for one in self._chosen)

    def offset_bytes(self) -> int:
        """Tell how far the file is read: the share of its rows, in bytes."""
        total = self._file.metadata.num_rows
        return self._size_bytes * self._row_count_done // total if total else self._size_bytes

    def rows(self) -> Iterator[Row | BadRow]:
        """Read the rows, in order; a row's line is its number."""
        import pyarrow as pa

        readers = [_reader(one.type) for one in self._chosen]
        assert all(readers), "columns without text were refused"
        batches = self._file.iter_batches(
            batch_size=BATCH_ROWS,
            columns=sorted({".".join(one.path) for one in self._chosen}),
            use_threads=False,
        )
        while True:
            try:
                batch = next(batches, None)
                if batch is None:
                    break
                columns = [
                    read(_array(batch, one)) for one, read in zip(self._chosen, readers, strict=True) if read
                ]
            except (pa.ArrowException, OSError, ValueError) as fault:
                raise BadFile(
                    f"{self._path} {_reason(fault, 'is damaged')}; {self._row_count_done} rows before that "
                    "place were read, get a whole copy for the rest."
                ) from fault
            for values in zip(*columns, strict=True):
                self._row_count_done += 1
                yield self._row(self._row_count_done, values)
        if self._row_count_done != self._file.metadata.num_rows:
            raise BadFile(f"{self._path} is damaged: it has fewer rows than it says.")

    def _row(self, number: int, values: tuple[str | None, ...]) -> Row | BadRow:
        if None in values:
            name = self.columns[values.index(None)]
            return BadRow(
                number, number, FieldError("", f"The value of {name} is not UTF-8, or no such time.")
            )
        return Row(number, number, [value or "" for value in values])


def _columns(schema: "pa.Schema | pa.StructType", path: tuple[str, ...] = ()) -> Iterator[_Column]:
    """List what can be named: the leaves, and what is inside structs."""
    import pyarrow as pa

    for field in schema:
        here = (*path, field.name)
        if pa.types.is_struct(field.type):
            yield from _columns(field.type, here)
        else:
            yield _Column(".".join(here), here, field.type)


def _chosen(path: Path, mapping: Mapping, known: list[_Column]) -> list[_Column]:
    """Choose the columns that are read: the ones that are used, all of them for a digest of the row."""
    names = [one.name for one in known]
    if len(set(names)) < len(names):
        raise BadFile(f"{path} names two columns alike, or one as a member of another.")
    by_name = {one.name: one for one in known}
    for name, pointer in used_columns(mapping).items():
        if name not in by_name:
            raise _bad(pointer, f"the file has no column {name!r}; it has {', '.join(names)}")
        if _reader(by_name[name].type) is None:
            kind = by_name[name].type
            raise _bad(pointer, f"the column {name} is of the type {kind}, which {_remedy(kind)}")
    for index, template in enumerate(mapping.events):
        rule = template.time
        kind = by_name[rule.column].type
        if not _is_time(kind, rule.form):
            reason = f"the column {rule.column} is of the type {kind}, which is no {rule.form}"
            raise _bad(f"/events/{index}/time/as", f"{reason}; {_form(kind)} can be read")
    if not uses_digest(mapping):
        return [one for one in known if one.name in used_columns(mapping)]
    for one in known:
        if _reader(one.type) is None:
            reason = f"a digest of the row needs a text of {one.name}, of the type {one.type}"
            raise _bad("", f"{reason}; name a column that has ids instead")
    return known


def _is_time(kind: "pa.DataType", form: TimeForm) -> bool:
    """Tell whether values of a type can be times of a form; of a text that depends on the row."""
    import pyarrow as pa

    types = pa.types
    if types.is_timestamp(kind):
        return form == ("local_time" if kind.tz is None else "rfc3339")
    if types.is_date(kind):
        return form == "local_day"
    if types.is_integer(kind) or types.is_decimal(kind):
        return form == "epoch_ms"
    return not types.is_boolean(kind)


def _form(kind: "pa.DataType") -> str:
    """Name the forms that a type can be."""
    fitting = [form for form in get_args(TimeForm) if _is_time(kind, form)]
    return f"as {' or '.join(fitting)} it" if fitting else "no column of this type"


def _bad(pointer: str, reason: str) -> BadMapping:
    place = f"At {pointer}: " if pointer else ""
    return BadMapping(f"{place}{reason}.", errors=[FieldError(pointer, f"{reason}.")])


def _remedy(kind: "pa.DataType") -> str:
    import pyarrow as pa

    if pa.types.is_floating(kind):
        return "is not exact; write the file with whole numbers or decimals"
    return "has no one text; write the file with a text, a number, a date or a time"


def _array(batch: "pa.RecordBatch", column: _Column) -> "pa.Array":
    """Find a column's values: null where one of the structs around it is null."""
    import pyarrow.compute as pc

    array = batch.column(batch.schema.get_field_index(column.path[0]))
    for name in column.path[1:]:
        array = pc.struct_field(array, [array.type.get_field_index(name)])
    return array


def _reader(kind: "pa.DataType") -> Reader | None:
    """Choose how values of a type become text; None if they have no one text."""
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(kind):
        inner = _reader(kind.value_type)
        return None if inner is None else lambda array: inner(array.dictionary_decode())
    if types.is_timestamp(kind):
        return _instants(kind)
    for is_such, reader in (
        (types.is_null, _texts),
        (types.is_string, _texts),
        (types.is_large_string, _texts),
        (types.is_string_view, _texts),
        (types.is_boolean, _booleans),
        (types.is_integer, _numbers),
        (types.is_decimal, _decimals),
        (types.is_date, _dates),
    ):
        if is_such(kind):
            return reader
    return _uuids if isinstance(kind, pa.UuidType) else None


def _texts(array: "pa.Array") -> list[str | None]:
    """Read texts one by one, as a file may hold what is not UTF-8."""
    import pyarrow as pa

    try:
        return ["" if one is None else one for one in array.to_pylist()]
    except UnicodeDecodeError:
        packed = array.cast(pa.large_binary()).to_pylist()
        return ["" if one is None else _utf8(one) for one in packed]


def _utf8(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _booleans(array: "pa.Array") -> list[str | None]:
    return ["" if one is None else str(one).lower() for one in array.to_pylist()]


def _numbers(array: "pa.Array") -> list[str | None]:
    return ["" if one is None else str(one) for one in array.to_pylist()]


def _decimals(array: "pa.Array") -> list[str | None]:
    """Write decimals out; one that is whole has no point: 3.00 is 3, 3.50 is 3.50."""
    return [
        "" if one is None else str(int(one)) if one == one.to_integral_value() else f"{one:f}"
        for one in array.to_pylist()
    ]


def _dates(array: "pa.Array") -> list[str | None]:
    import pyarrow as pa

    return ["" if one is None else one.isoformat() for one in array.cast(pa.date32()).to_pylist()]


def _uuids(array: "pa.Array") -> list[str | None]:
    return ["" if one is None else str(one) for one in array.to_pylist()]


def _instants(kind: "pa.TimestampType") -> Reader:
    """Read instants as numbers, because a conversion may round. One without a zone has none in its text."""
    import pyarrow as pa

    unit, is_zoned = _UNITS[kind.unit], kind.tz is not None

    def text(value: int | None) -> str | None:
        if value is None:
            return ""
        seconds, rest = divmod(value, unit)
        micros, finer = divmod(rest * 10**6, unit)
        try:
            at = _EPOCH + timedelta(seconds=seconds, microseconds=micros)
            # A text finer than the microsecond is one that no reader of times takes: nothing is rounded.
            written = f"{at:%Y-%m-%dT%H:%M:%S}.{rest:09}Z" if finer else to_text(at)
        except (OverflowError, BadInstant):
            return None
        return written if is_zoned else written.removesuffix("Z")

    return lambda array: [text(one) for one in array.cast(pa.int64()).to_pylist()]


def _reason(fault: Exception, otherwise: str) -> str:
    """Say in a few words what is wrong with a file."""
    text = " ".join(str(fault).split())
    if "ncrypted" in text or "decrypt" in text:
        return "is encrypted; write it without encryption"
    return f"{otherwise} ({text[:200].rstrip('.')})"
