"""Parquet files: what each type of column becomes, and what is refused before a row is read."""

import decimal
import os
import uuid
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.spans import to_text
from service.events import files
from service.events import mapping as mappings
from service.events.mapping import BadMapping, Mapping, Row
from service.events.sheets import BadFile, BadRow

INT64_MAX = 2**63 - 1


def mapping_of(**changes: Any) -> Mapping:
    """Give a mapping of Parquet whose events take the column `value` for their id."""
    template = {
        "source": "s",
        "id": "{value}",
        "type": "view",
        "time": {"column": "at", "as": "rfc3339"},
        "creator": "linh",
        **changes,
    }
    return mappings.parse(yaml.safe_dump({"title": "A test", "format": "parquet", "events": [template]}))


def written(folder: Path, columns: dict[str, Any], name: str = "rows.parquet", **options: Any) -> Path:
    """Write columns as a file; a column `at` is there in any case."""
    path = folder / name
    given = dict(columns)
    if "at" not in given:
        count = len(next(iter(given.values())))
        given["at"] = pa.array(["2026-11-20T05:00:00Z"] * count, pa.string())
    pq.write_table(pa.table(given), path, **options)
    return path


def read(path: Path, mapping: Mapping | None = None) -> tuple[tuple[str, ...], list[Row | BadRow]]:
    """Read the columns and all rows."""
    with files.opened(path, mapping or mapping_of()) as sheet:
        return sheet.columns, list(sheet.rows)


def texts(folder: Path, array: pa.Array) -> list[str | None]:
    """Read an array as the column `value`; None stands for a row that cannot be read."""
    columns, rows = read(written(folder, {"value": array}))
    place = columns.index("value")
    return [one.values[place] if isinstance(one, Row) else None for one in rows]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array(["a", None, "ế", ""]), ["a", "", "ế", ""]),
        (pa.array(["a", None], pa.large_string()), ["a", ""]),
        (pa.array(["a", "b", "a", None]).dictionary_encode(), ["a", "b", "a", ""]),
        (pa.array([True, False, None]), ["true", "false", ""]),
        (pa.array([-(2**63), INT64_MAX, None]), [str(-(2**63)), str(INT64_MAX), ""]),
        (pa.array([2**64 - 1], pa.uint64()), [str(2**64 - 1)]),
        (pa.array([7], pa.int8()), ["7"]),
        (
            pa.array([decimal.Decimal("3.00"), decimal.Decimal("-3.50"), None], pa.decimal128(10, 2)),
            ["3", "-3.50", ""],
        ),
        (pa.array([decimal.Decimal(10) ** 37], pa.decimal128(38, 0)), ["1" + "0" * 37]),
        (pa.array([date(2026, 1, 5), None]), ["2026-01-05", ""]),
        (pa.array([None, None], pa.null()), ["", ""]),
        (pa.array([uuid.UUID(int=7).bytes], pa.uuid()), [str(uuid.UUID(int=7))]),
    ],
)
def test_values_become_text_by_their_type(tmp_path: Path, array: pa.Array, expected: list[str]) -> None:
    """Nothing is rounded; null is empty."""
    assert expected == texts(tmp_path, array)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Ho_Chi_Minh", "+07:00"])
def test_a_time_with_a_zone_is_its_instant_in_utc(tmp_path: Path, unit: str, zone: str) -> None:
    """Whatever the zone that the file names for it, and however finely it counts."""
    at = datetime(2026, 11, 20, 5, 0, 7, tzinfo=UTC)
    array = pa.array([at, None], pa.timestamp("s", "UTC")).cast(pa.timestamp(unit, zone))

    assert ["2026-11-20T05:00:07Z", ""] == texts(tmp_path, array)


@given(at_ns=st.integers(0, 7_000_000_000 * 10**9))
@settings(max_examples=60)
def test_no_instant_is_rounded(tmp_path_factory: pytest.TempPathFactory, at_ns: int) -> None:
    """Law: what is finer than a microsecond becomes no event; its neighbour does, to the microsecond."""
    mapping = mapping_of(time={"column": "at", "as": "rfc3339"})
    folder = tmp_path_factory.mktemp("ns")
    array = pa.array([at_ns, at_ns // 1000 * 1000], pa.timestamp("ns", "UTC"))
    path = written(folder, {"value": pa.array(["a", "b"]), "at": array})
    columns, rows = read(path, mapping)
    make = mappings.maker(mapping, columns)

    (first,), (second,) = (list(make(row)) for row in rows if isinstance(row, Row))

    exact = datetime.fromtimestamp(at_ns // 10**9, UTC).replace(microsecond=at_ns // 1000 % 10**6)
    assert second.event is not None
    assert to_text(exact) == second.event["time"]
    assert (at_ns % 1000 == 0) == (first.event is not None)


def test_a_time_without_a_zone_needs_one_from_the_mapping(tmp_path: Path) -> None:
    """Nobody guesses it; with it the clock of the place is read."""
    naive = pa.array([datetime(2026, 11, 20, 12)], pa.timestamp("us"))  # noqa: DTZ001 — the point.
    path = written(tmp_path, {"value": pa.array(["a"]), "at": naive})

    with pytest.raises(BadMapping, match=r"timestamp.us., which is no rfc3339") as caught:
        read(path)
    local = mapping_of(time={"column": "at", "as": "local_time", "zone": "Asia/Ho_Chi_Minh"})
    columns, (row,) = read(path, local)

    assert "/events/0/time/as" == caught.value.errors[0].pointer
    assert isinstance(row, Row)
    (made,) = mappings.maker(local, columns)(row)
    assert made.event is not None
    assert "2026-11-20T05:00:00Z" == made.event["time"]


def test_a_member_of_a_struct_is_named_with_dots(tmp_path: Path) -> None:
    """It is null where what holds it is."""
    kind = pa.struct([("id", pa.string()), ("deep", pa.struct([("n", pa.int64())]))])
    array = pa.array([{"id": "a", "deep": {"n": 1}}, {"id": "b", "deep": None}, None], kind)
    mapping = mapping_of(id="{user.id}:{user.deep.n}")

    columns, rows = read(written(tmp_path, {"user": array}), mapping)

    values = [dict(zip(columns, row.values, strict=True)) for row in rows if isinstance(row, Row)]
    assert [("a", "1"), ("b", ""), ("", "")] == [(one["user.id"], one["user.deep.n"]) for one in values]


def test_a_column_may_have_a_dot_in_its_own_name(tmp_path: Path) -> None:
    """As long as no struct has a member that reads the same."""
    mapping = mapping_of(id="{a.b}")
    columns, (row,) = read(written(tmp_path, {"a.b": pa.array(["x"])}), mapping)
    assert isinstance(row, Row)
    assert "x" == row.values[columns.index("a.b")]

    both = {"a.b": pa.array(["x"]), "a": pa.array([{"b": "y"}])}
    with pytest.raises(BadFile, match="alike"):
        read(written(tmp_path, both), mapping)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (pa.array([1.0]), "not exact"),
        (pa.array([1.0], pa.float32()), "not exact"),
        (pa.array([[1]]), "no one text"),
        (pa.array([b"a"]), "no one text"),
        (pa.array([1], pa.duration("s")), "no one text"),
        (pa.array([1], pa.time32("s")), "no one text"),
    ],
)
def test_a_column_without_an_exact_text_is_refused_before_a_row_is_read(
    tmp_path: Path, array: pa.Array, reason: str
) -> None:
    """With its name, its type and the remedy; unused, it harms nobody."""
    path = written(tmp_path, {"value": array, "name": pa.array(["a"])})

    with pytest.raises(BadMapping, match=reason) as caught:
        read(path)
    with pytest.raises(BadMapping, match=reason):
        read(path, mapping_of(id="{name}", quantity_column="value"))

    assert "/events/0/id" == caught.value.errors[0].pointer
    assert [Row(1, 1, ["a", "2026-11-20T05:00:00Z"])] == read(path, mapping_of(id="{name}"))[1]


@pytest.mark.parametrize(
    ("array", "form"),
    [
        (pa.array([1]), "rfc3339"),
        (pa.array([True]), "rfc3339"),
        (pa.array([date(2026, 1, 1)]), "rfc3339"),
        (pa.array([0], pa.timestamp("us", "UTC")), "epoch_ms"),
        (pa.array([0], pa.timestamp("us", "UTC")), "local_day"),
    ],
)
def test_a_column_that_is_no_time_of_the_form_is_refused_at_once(
    tmp_path: Path, array: pa.Array, form: str
) -> None:
    """Not once for each row."""
    rule = {"column": "at", "as": form, **({"zone": "UTC"} if form == "local_day" else {})}

    with pytest.raises(BadMapping, match=f"is no {form}"):
        read(written(tmp_path, {"value": pa.array(["a"]), "at": array}), mapping_of(time=rule))


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With those that are."""
    with pytest.raises(BadMapping, match="no column 'value'; it has other, at"):
        read(written(tmp_path, {"other": pa.array(["a"])}))


@pytest.mark.parametrize(
    ("number", "is_taken"),
    [(10**18 - 1, True), (10**18, False), (INT64_MAX, False), (2**64 - 1, False), (-(10**18) + 1, True)],
)
def test_a_quantity_beyond_all_bounds_is_a_fault_of_its_row(
    tmp_path: Path, number: int, is_taken: bool
) -> None:
    """Not of the file, and nothing wraps."""
    mapping = mapping_of(quantity_column="n")
    array = pa.array([number], pa.uint64() if number > INT64_MAX else pa.int64())
    columns, (row,) = read(written(tmp_path, {"value": pa.array(["a"]), "n": array}), mapping)
    assert isinstance(row, Row)

    (made,) = mappings.maker(mapping, columns)(row)

    assert is_taken == (made.event is not None)
    if made.event is None:
        assert made.error is not None
        assert "at most 18 digits" in made.error.detail


def test_text_that_is_not_utf_8_is_a_fault_of_its_row(tmp_path: Path) -> None:
    """Its neighbours are read."""
    array = pa.Array.from_buffers(
        pa.string(),
        3,
        [
            None,
            pa.py_buffer(b"".join(n.to_bytes(4, "little") for n in (0, 1, 2, 3))),
            pa.py_buffer(b"a\xffb"),
        ],
    )

    assert ["a", None, "b"] == texts(tmp_path, array)


def test_a_digest_is_of_all_columns(tmp_path: Path) -> None:
    """Also of those that no event shows; a column without text makes it impossible."""
    mapping = mapping_of(id="{@digest}")
    columns, rows = read(written(tmp_path, {"a": pa.array(["x", "x"]), "b": pa.array([1, 2])}), mapping)
    make = mappings.maker(mapping, columns)
    made = [one.event["id"] for row in rows if isinstance(row, Row) for one in make(row) if one.event]

    assert ("a", "b", "at") == columns
    assert 2 == len(set(made))
    with pytest.raises(BadMapping, match="needs a text of c"):
        read(written(tmp_path, {"c": pa.array([1.5])}), mapping)


def test_a_file_without_rows_is_a_file(tmp_path: Path) -> None:
    """Nothing is read, and all of it."""
    path = written(tmp_path, {"value": pa.array([], pa.string())})

    with files.opened(path, mapping_of()) as sheet:
        assert [] == list(sheet.rows)
        assert path.stat().st_size == sheet.offset_bytes()


@pytest.mark.parametrize("part", [0.0, 0.3, 0.97])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, part: float) -> None:
    """What a Parquet file holds stands at its end."""
    path = written(tmp_path, {"value": pa.array([str(n) for n in range(1000)])})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])

    with pytest.raises(BadFile, match="no whole Parquet file"):
        read(path)


@pytest.mark.parametrize("content", [b"id,at\n1,2\n", b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_what_is_no_parquet_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """Whatever its name says."""
    path = tmp_path / "rows.parquet"
    path.write_bytes(content)

    with pytest.raises(BadFile, match="no whole Parquet file"):
        read(path)


def test_damage_in_the_middle_is_found_and_the_rows_before_it_are_read(tmp_path: Path) -> None:
    """A page whose bytes changed does not become events."""
    count = 40_000
    array = pa.array([uuid.UUID(int=n * 7919).hex for n in range(count)])
    path = written(
        tmp_path, {"value": array}, row_group_size=5_000, compression="zstd", write_page_checksum=True
    )
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(64)
    path.write_bytes(content)
    seen = 0

    def read_all() -> None:
        nonlocal seen
        with files.opened(path, mapping_of()) as sheet:
            for _ in sheet.rows:
                seen += 1

    with pytest.raises(BadFile, match="rows before that place were read"):
        read_all()
    assert 5_000 <= seen < count
    assert 0 == seen % 5_000


def test_an_encrypted_file_is_refused_as_such(tmp_path: Path) -> None:
    """Not as a damaged one."""
    import pyarrow.parquet.encryption as pe

    class Vault(pe.KmsClient):
        def wrap_key(self, key_bytes: bytes, _: str) -> bytes:
            return key_bytes

        def unwrap_key(self, wrapped_key: bytes, _: str) -> bytes:
            return wrapped_key

    factory = pe.CryptoFactory(lambda _: Vault())
    properties = factory.file_encryption_properties(
        pe.KmsConnectionConfig(), pe.EncryptionConfiguration(footer_key="k", column_keys={"k": ["value"]})
    )
    path = written(tmp_path, {"value": pa.array(["a"])}, encryption_properties=properties)

    with pytest.raises(BadFile, match="is encrypted"):
        read(path)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Law: a file of one large row group is read a few rows at a time."""
    path = tmp_path / "large.parquet"
    kind = pa.schema([("value", pa.string()), ("at", pa.string())])
    count = 1_200_000
    with pq.ParquetWriter(path, kind, use_dictionary=False, compression="zstd") as writer:
        values = pa.array([f"{n:0100}" for n in range(count)])
        times = pa.array(["2026-11-20T05:00:00Z"] * count)
        writer.write_table(pa.table([values, times], schema=kind), row_group_size=count)
    content_bytes = values.nbytes + times.nbytes
    del values, times
    pa.default_memory_pool().release_unused()
    process = psutil.Process(os.getpid())
    pool = pa.default_memory_pool()
    before_bytes, most_bytes = pool.bytes_allocated(), 0
    before_rss = process.memory_info().rss

    with files.opened(path, mapping_of()) as sheet:
        for row in sheet.rows:
            if row.number % 50_000 == 0:
                most_bytes = max(most_bytes, pool.bytes_allocated() - before_bytes)
                assert process.memory_info().rss - before_rss < content_bytes // 2

    assert most_bytes < content_bytes // 8
    assert count == row.number
