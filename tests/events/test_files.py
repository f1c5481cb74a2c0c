"""Files of rows: what is read, and what is a fault of a row or of the whole."""

import gzip
from pathlib import Path

import pytest
import zstandard

from service.events import files
from service.events import mapping as mappings
from service.events.mapping import Mapping, Row
from service.events.sheets import BadFile, BadRow

CSV = mappings.parse(
    """
    title: A test
    format: csv
    events:
      - {source: s, id: "{id}", type: view, time: {column: at, as: rfc3339}, creator: "{who}"}
    """
)


def mapping_of(**changes: object) -> Mapping:
    """Give the test's mapping with changes."""
    import msgspec

    return msgspec.structs.replace(CSV, **changes)


def read(path: Path, mapping: Mapping = CSV) -> tuple[tuple[str, ...], list[Row | BadRow]]:
    """Read the columns and all rows of a file."""
    with files.opened(path, mapping) as sheet:
        return sheet.columns, list(sheet.rows)


def written(folder: Path, content: bytes, name: str = "rows.csv") -> Path:
    """Write a file."""
    path = folder / name
    path.write_bytes(content)
    return path


CONTENT = b'id,at,who\n1,t,a\n\n2,t,"b,\nc"\n'

ROWS = [Row(1, 2, ["1", "t", "a"]), Row(2, 4, ["2", "t", "b,\nc"])]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv", CONTENT),
        ("rows.csv", b"\xef\xbb\xbf" + CONTENT),
        ("rows.csv.gz", gzip.compress(CONTENT, mtime=0)),
        ("rows.csv.gz", gzip.compress(CONTENT[:12], mtime=0) + gzip.compress(CONTENT[12:], mtime=0)),
        ("rows.csv.zst", zstandard.ZstdCompressor().compress(CONTENT)),
        ("rows.csv.zst", zstandard.compress(CONTENT[:12]) + zstandard.compress(CONTENT[12:])),
    ],
)
def test_csv_is_read_plain_or_compressed(tmp_path: Path, name: str, content: bytes) -> None:
    """Quoted values may hold commas and line ends; blank lines are no rows; lines are the file's."""
    assert (("id", "at", "who"), ROWS) == read(written(tmp_path, content, name))


def test_crlf_ends_lines_too(tmp_path: Path) -> None:
    """As spreadsheets write it."""
    columns, rows = read(written(tmp_path, b"id,at,who\r\n1,t,a\r\n"))

    assert (("id", "at", "who"), [Row(1, 2, ["1", "t", "a"])]) == (columns, rows)


def test_tsv_has_no_quotes(tmp_path: Path) -> None:
    """A quotation mark is a character like others."""
    path = written(tmp_path, b'id\tat\twho\n1\t"t\ta"b\n')

    assert [Row(1, 2, ["1", '"t', 'a"b'])] == read(path, mapping_of(format="tsv"))[1]


def test_a_mapping_can_name_the_columns_of_a_file_without_header(tmp_path: Path) -> None:
    """Then the first line is a row."""
    path = written(tmp_path, b"1,t,a\n")

    columns, rows = read(path, mapping_of(columns=("id", "at", "who")))

    assert (("id", "at", "who"), [Row(1, 1, ["1", "t", "a"])]) == (columns, rows)


def test_ndjson_gives_the_members_that_the_mapping_uses(tmp_path: Path) -> None:
    """As text; missing ones are empty; names may lead into objects."""
    mapping = mappings.parse(
        """
        title: A test
        format: ndjson
        events:
          - {source: s, id: "{a.b}", type: view, time: {column: at, as: epoch_ms}, creator: "{who}"}
        """
    )
    content = b'{"a": {"b": 7}, "at": 12, "who": true, "more": []}\n\n{"a.b": "x", "who": null}\n'

    columns, rows = read(written(tmp_path, content, "rows.ndjson"), mapping)

    assert ("a.b", "who", "at") == columns
    assert [Row(1, 1, ["7", "true", "12"]), Row(2, 3, ["x", "", ""])] == rows


@pytest.mark.parametrize(
    "line",
    [b"1,t", b"1,t,a,b", b"1,t,\xff", b'1,"t"x,a', b"1,t," + b"x" * 200_000],
)
def test_a_bad_row_is_told_in_its_place_and_the_next_is_read(tmp_path: Path, line: bytes) -> None:
    """Too few or too many values, no UTF-8, broken quotes, a value beyond all measure."""
    _, rows = read(written(tmp_path, b"id,at,who\n" + line + b"\n2,t,b\n"))

    assert [(BadRow, 1, 2), (Row, 2, 3)] == [(type(row), row.number, row.line) for row in rows]


@pytest.mark.parametrize("line", [b"{", b"[]", b"NaN", b"\xff", b"[" * 5000])
def test_a_bad_line_of_ndjson_is_told_in_its_place(tmp_path: Path, line: bytes) -> None:
    """And the next is read."""
    _, rows = read(written(tmp_path, line + b'\n{"id": "2"}\n'), mapping_of(format="ndjson"))

    assert [(BadRow, 1), (Row, 2)] == [(type(row), row.number) for row in rows]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv", b""),
        ("rows.csv", b"id,id,who\n"),
        ("rows.csv", b"id,at,who\n" + b"x" * (files.LINE_BYTES_MAX + 1)),
        ("rows.csv.gz", CONTENT),
        ("rows.csv.gz", gzip.compress(CONTENT, mtime=0)[:-9]),
        ("rows.csv.zst", CONTENT),
        ("rows.csv.zst", zstandard.compress(CONTENT * 1000)[:-9]),
    ],
)
def test_a_file_that_is_damaged_as_a_whole_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    """No header, two columns alike, an endless line, a cut or false archive."""
    with pytest.raises(BadFile):
        read(written(tmp_path, content, name))


def test_the_rows_before_the_damage_are_read(tmp_path: Path) -> None:
    """So that what was imported before stays meaningful."""
    content = b"id,at,who\n" + b"".join(b"%d,t,a\n" % number for number in range(50_000))
    path = written(tmp_path, gzip.compress(content, mtime=0)[:-50], "rows.csv.gz")
    seen: list[Row | BadRow] = []

    def read_all() -> None:
        with files.opened(path, CSV) as sheet:
            for row in sheet.rows:
                seen.append(row)  # noqa: PERF402 — what was seen before the fault is wanted.

    with pytest.raises(BadFile):
        read_all()

    assert len(seen) > 1000


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """With its name."""
    with pytest.raises(BadFile, match="rows"):
        read(tmp_path / "rows.csv")
    with pytest.raises(BadFile, match="rows"):
        files.digest(tmp_path / "rows.csv")


def test_a_fault_of_whoever_reads_is_not_a_fault_of_the_file(tmp_path: Path) -> None:
    """It passes as it is."""
    path = written(tmp_path, CONTENT)

    with pytest.raises(PermissionError), files.opened(path, CSV):
        raise PermissionError


def test_how_far_a_file_was_read_is_known(tmp_path: Path) -> None:
    """In bytes of the file, for progress."""
    path = written(tmp_path, CONTENT)

    with files.opened(path, CSV) as sheet:
        list(sheet.rows)

        assert len(CONTENT) == sheet.offset_bytes()
