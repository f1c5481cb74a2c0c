"""Files that people import, read as a stream of rows: CSV, TSV or NDJSON, compressed or not, and Parquet.

Owns the reading. A row that cannot be read is given as a fault in its place, and the rows after it are read;
only a file that is damaged as a whole, or has no header to go by, ends it. Law: memory does not grow with the
file.
"""

import csv
import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, cast

import msgspec
import zstandard

from service.core.errors import FieldError
from service.events.mapping import Mapping, Row, used_columns
from service.events.parquet import ParquetSheet
from service.events.sheets import BadFile, BadRow, Sheet

LINE_BYTES_MAX: Final = 1024 * 1024

_DAMAGE: Final = (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def digest(path: Path) -> bytes:
    """Digest a file's bytes: SHA-256.

    Raises:
        BadFile: it cannot be read.
    """
    with _refusing(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


@contextmanager
def opened(path: Path, mapping: Mapping) -> Iterator[Sheet]:
    """Open a file; a name that ends in .gz or .zst says that it is compressed, but for Parquet.

    Raises:
        BadFile: it cannot be opened, has no header, or, while rows are read, turns out to be damaged.
        BadMapping: it is Parquet, and a column that the mapping uses is of a type that cannot be.
    """
    with _refusing(path):
        file = path.open("rb")
    with file:
        if mapping.format == "parquet":
            sheet = ParquetSheet(path, file, mapping)
            yield Sheet(sheet.columns, sheet.rows(), sheet.offset_bytes)
            return
        with _refusing(path):
            lines = _lines(_inflated(path, file))
            if mapping.format == "ndjson":
                columns = tuple(used_columns(mapping))
                rows = _object_rows(lines, columns)
            else:
                table = _Table(lines, mapping)
                columns = mapping.columns or table.header()
                rows = table.rows(columns)
        yield Sheet(columns, _watched(path, rows), file.tell)


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Turn what goes wrong with a file as a whole into a fault that says so."""
    try:
        yield
    except _DAMAGE as fault:
        detail = "is damaged or cut off; rows before that place were read, get a whole copy for the rest"
        raise BadFile(f"{path} {detail}.") from fault
    except OSError as fault:
        raise BadFile(f"{path} cannot be read: {fault.strerror}.") from fault


def _watched(path: Path, rows: Iterator[Row | BadRow]) -> Iterator[Row | BadRow]:
    with _refusing(path):
        yield from rows


def _inflated(path: Path, file: IO[bytes]) -> IO[bytes]:
    match path.suffix:
        case ".gz":
            return cast("IO[bytes]", gzip.open(file))
        case ".zst":
            reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
            return io.BufferedReader(cast("io.RawIOBase", reader))
    return file


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Cut at LF, as bytes: text would also be cut at U+0085 and U+2028."""
    number = 0
    while line := stream.readline(LINE_BYTES_MAX + 1):
        number += 1
        if len(line) > LINE_BYTES_MAX:
            raise BadFile(
                f"Line {number} has more than {LINE_BYTES_MAX} bytes; is the mapping's format right?"
            )
        yield line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line


class _Table:
    """Lines of CSV or TSV. Bytes that are not UTF-8 pass through the reader and are found in the row."""

    def __init__(self, lines: Iterator[bytes], mapping: Mapping) -> None:
        texts = (line.decode("utf-8", "surrogateescape") for line in lines)
        if mapping.format == "tsv":
            self._reader = csv.reader(texts, delimiter="\t", quoting=csv.QUOTE_NONE)
        else:
            self._reader = csv.reader(texts, strict=True)

    def header(self) -> tuple[str, ...]:
        """Read the first row as the names of the columns."""
        try:
            names = tuple(next(self._reader, ()))
        except csv.Error as fault:
            raise BadFile(f"The header cannot be read: {fault}.") from fault
        if not names or len(set(names)) < len(names):
            raise BadFile(
                "The header is empty or names two columns alike; a mapping can name them in `columns`."
            )
        return names

    def rows(self, columns: tuple[str, ...]) -> Iterator[Row | BadRow]:
        """Read the rows that follow; blank lines are none."""
        number = 0
        while True:
            line = self._reader.line_num + 1
            try:
                values = next(self._reader)
            except StopIteration:
                return
            except csv.Error as fault:
                number += 1
                yield BadRow(number, line, FieldError("", f"The row cannot be read: {fault}."))
                continue
            if values:
                number += 1
                yield _row(number, line, values, columns)


def _row(number: int, line: int, values: list[str], columns: tuple[str, ...]) -> Row | BadRow:
    if len(values) != len(columns):
        reason = f"The row has {len(values)} values for {len(columns)} columns."
        return BadRow(number, line, FieldError("", reason))
    for name, value in zip(columns, values, strict=True):
        if not value.isascii() and _SURROGATE.search(value):
            return BadRow(number, line, FieldError("", f"The value of {name} is not UTF-8."))
    return Row(number, line, values)


def _object_rows(lines: Iterator[bytes], columns: tuple[str, ...]) -> Iterator[Row | BadRow]:
    """Read NDJSON: each line an object; a column's name may lead through objects, such as `user.id`."""
    number = 0
    for line, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        number += 1
        try:
            value = msgspec.json.decode(text, type=dict[str, Any])
        except (ValueError, RecursionError) as fault:
            yield BadRow(number, line, FieldError("", f"The row is no JSON object: {fault}."))
            continue
        yield Row(number, line, [_text_at(value, column) for column in columns])


def _text_at(value: Any, column: str) -> str:
    """Read a member as text: what is missing or null is empty, what is no text is as JSON writes it."""
    if column not in value:
        for name in column.split("."):
            value = value.get(name) if isinstance(value, dict) else None
    else:
        value = value[column]
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
