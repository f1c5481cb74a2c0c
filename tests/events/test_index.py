"""Indexes: every row of a file is found by its identity, and nothing else is."""

import random
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.events import index, manifest, rows, wire
from service.events.identities import identity_of
from service.events.lake import Lake, LakeAway
from service.parties.platforms import Platform
from service.runtime import db
from service.runtime.db import Database
from tests.events import worlds
from tests.events.worlds import NOW, event


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Give an empty lake."""
    return worlds.lake_in(tmp_path / "lake")


@pytest.fixture
def platform(database: Database) -> Platform:
    """Found a platform."""
    return worlds.founded(database)


def put(lake: Lake, folder: Path, table: pa.Table, **options: object) -> str:
    """Write a table to the lake; give its path."""
    pq.write_table(table, folder / "file.parquet", **options)
    return lake.add("tables", folder / "file.parquet").path


def compact(database: Database, lake: Lake, platform: Platform) -> list[manifest.LakeFile]:
    """Compact what is in the log; give the manifest."""
    from service.events import compaction

    compaction.run(database, lake, platform.id, now=NOW)
    with db.transaction(database) as session:
        return manifest.listing(session, platform.id)


def test_each_raw_file_has_an_index_that_leads_to_each_of_its_rows(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """Sorted by identity; the numbers are those of the rows in the raw file, however these are sorted."""
    names = [f"e-{number}" for number in range(60)]
    events = [event(name, creator=f"c-{number % 7}") for number, name in enumerate(names)]
    worlds.send(database, platform, *events, event("e-0"))

    files = compact(database, lake, platform)

    raw, its_index = (next(file for file in files if file.kind == kind) for kind in ("raw", "index"))
    assert (raw.stored.path, raw.row_count, raw.day_on) == (
        its_index.raw_path,
        its_index.row_count,
        its_index.day_on,
    )
    identities = [row[0] for row in worlds.rows(lake, [its_index.stored.path], "identity")]
    assert identities == sorted(identities)
    for name in names:
        found = index.equal_rows(lake, its_index.stored.path, "identity", identity_of("app", name), ["row"])
        numbers = [row["row"] for row in found]
        ids = index.numbered_rows(lake, raw.stored.path, numbers, ["id"])
        assert [{"id": name}] * (2 if name == "e-0" else 1) == ids


def test_equal_identities_in_two_raw_files_make_two_indexes(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """An index names its raw file, so that its digest is its own; both files can be compacted."""
    worlds.send(database, platform, event("e-1"))
    compact(database, lake, platform)
    worlds.send(database, platform, event("e-1"), {"id": "makes other bytes"})

    files = compact(database, lake, platform)

    kinds = sorted(file.kind for file in files)
    assert ["index", "index", "raw", "raw"] == kinds
    assert {file.stored.path for file in files if file.kind == "raw"} == {
        file.raw_path for file in files if file.kind == "index"
    }


def test_the_manifest_finds_the_index_of_a_raw_file(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """By the raw file's path; one that has none is left out."""
    worlds.send(database, platform, event("e-1"))
    files = compact(database, lake, platform)
    raw = next(file for file in files if file.kind == "raw")

    with db.transaction(database) as session:
        found = manifest.indexes(session, platform.id, [raw.stored.path, "tiktak/raw/older"])

    assert {raw.stored.path: next(file for file in files if file.kind == "index")} == found


def test_an_index_takes_some_twenty_bytes_an_event(tmp_path: Path) -> None:
    """The digest and the number; the footer adds little."""
    events = {
        number: wire.decode(worlds.batch(event(f"e-{number}")), wire.BATCH, worlds.TYPES).events[0]
        for number in range(2_000)
    }
    days = rows.Days(ZoneInfo("Asia/Ho_Chi_Minh"), NOW, NOW)
    rows.write(rows.table_of(1, events, days), tmp_path / "raw.parquet")

    assert 2_000 == index.write(tmp_path / "raw.parquet", "raw/x.parquet", tmp_path / "index.parquet")
    assert 20 * 2_000 <= (tmp_path / "index.parquet").stat().st_size < 21 * 2_000 + 2_000


@settings(max_examples=40)
@given(
    st.lists(st.integers(-4, 12), max_size=40),
    st.integers(1, 7),
    st.integers(-6, 14),
    st.booleans(),
)
def test_a_look_up_finds_every_row_of_a_value_in_a_sorted_file(
    tmp_path_factory: pytest.TempPathFactory,
    values: list[int],
    group_rows: int,
    wanted: int,
    has_statistics: bool,
) -> None:
    """Whatever the groups, also where a value runs over several of them, and without statistics."""
    folder = tmp_path_factory.mktemp("lake")
    lake, ordered = worlds.lake_in(folder), sorted(values)
    table = pa.table(
        {"value": pa.array(ordered, pa.int64()), "place": pa.array(range(len(ordered)), pa.int32())}
    )
    path = put(lake, folder, table, row_group_size=group_rows, write_statistics=has_statistics)

    found = index.equal_rows(lake, path, "value", wanted, ["place"])

    assert [{"place": place} for place, value in enumerate(ordered) if value == wanted] == found
    assert found == index.scanned_rows(lake, path, "value", wanted, ["place"])


@settings(max_examples=20)
@given(st.lists(st.binary(min_size=16, max_size=16), max_size=30), st.integers(1, 5))
def test_a_scan_finds_every_row_in_a_file_of_any_order(
    tmp_path_factory: pytest.TempPathFactory, values: list[bytes], group_rows: int
) -> None:
    """Digests included, of which some begin alike."""
    folder = tmp_path_factory.mktemp("lake")
    lake = worlds.lake_in(folder)
    random.Random(7).shuffle(values)
    table = pa.table({"identity": pa.array(values, pa.binary(16))})
    path = put(lake, folder, table, row_group_size=group_rows)

    for value in (*values, bytes(16), b"\xff" * 16):
        found = index.scanned_rows(lake, path, "identity", value, ["identity"])
        assert [{"identity": value}] * values.count(value) == found


def test_numbered_rows_come_from_any_group_in_order(lake: Lake, tmp_path: Path) -> None:
    """Three groups of two."""
    path = put(lake, tmp_path, pa.table({"name": list("abcdef")}), row_group_size=2)

    assert [{"name": "b"}, {"name": "c"}, {"name": "f"}] == index.numbered_rows(
        lake, path, [5, 1, 2], ["name"]
    )
    assert [] == index.numbered_rows(lake, path, [], ["name"])


def test_a_column_that_a_file_does_not_have_yet_is_empty(lake: Lake, tmp_path: Path) -> None:
    """Files of before it was there are read like the others."""
    path = put(lake, tmp_path, pa.table({"value": [1, 2]}))

    expected = [{"value": 2, "attributes": None}]
    assert expected == index.equal_rows(lake, path, "value", 2, ["value", "attributes"])
    assert expected == index.numbered_rows(lake, path, [1], ["value", "attributes"])


@pytest.mark.parametrize("content", [None, b"", b"PAR1 this is no Parquet file PAR1"])
def test_a_file_that_cannot_be_read_is_a_fault_that_says_so(lake: Lake, content: bytes | None) -> None:
    """Missing, empty, or damaged."""
    if content is not None:
        target = Path(lake.location("tables/x.parquet"))
        target.parent.mkdir(parents=True)
        target.write_bytes(content)

    with pytest.raises(LakeAway):
        index.equal_rows(lake, "tables/x.parquet", "identity", bytes(16), ["row"])


def test_an_object_store_is_looked_up_as_well(lake: Lake, tmp_path: Path) -> None:
    """Whatever fsspec knows."""
    store = Lake("memory://index")
    path = put(store, tmp_path, pa.table({"value": [1, 2, 2, 3]}), row_group_size=2)

    assert [{"value": 2}, {"value": 2}] == index.equal_rows(store, path, "value", 2, ["value"])
