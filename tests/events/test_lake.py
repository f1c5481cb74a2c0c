"""The lake: files by the digest of their bytes, on a folder and on an object store alike."""

import hashlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import fsspec
import pytest

from service.events.lake import Lake, LakeAway, Stored


@pytest.fixture(params=["folder", "store"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lake]:
    """Give an empty lake of either kind."""
    if request.param == "folder":
        yield Lake(str(tmp_path / "lake"))
        return
    yield Lake("memory://lake")
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give a small Parquet file."""
    path = tmp_path / "some.parquet"
    with closing(duckdb.connect()) as connection:
        connection.execute("COPY (SELECT 42 AS answer) TO $path (FORMAT parquet)", {"path": str(path)})
    return path


def test_a_file_is_named_by_its_digest_and_is_what_was_given(lake: Lake, file: Path) -> None:
    """What is there can be read back and digested."""
    content = file.read_bytes()

    stored = lake.add("p/raw/2026-11-20", file)

    digest = hashlib.sha256(content).digest()
    path = f"p/raw/2026-11-20/{digest.hex()[:32]}.parquet"
    assert Stored(path, len(content), digest) == stored
    assert stored == lake.digest(path)
    with lake.open(path) as opened:
        assert content == opened.read()


def test_adding_a_file_twice_changes_nothing(lake: Lake, file: Path) -> None:
    """A run that is repeated finds its own files."""
    assert lake.add("p/raw", file) == lake.add("p/raw", file)


def test_an_engine_reads_a_file_at_its_location(lake: Lake, file: Path) -> None:
    """DuckDB, once the lake is attached."""
    stored = lake.add("p/raw", file)

    with closing(duckdb.connect()) as connection:
        lake.attach(connection)
        found = connection.execute(
            "SELECT answer FROM read_parquet($path)", {"path": lake.location(stored.path)}
        )

        assert [(42,)] == found.fetchall()


def test_a_file_that_is_missing_is_a_fault_of_the_lake(lake: Lake) -> None:
    """It says which one."""
    with pytest.raises(LakeAway, match=r"p/raw/none\.parquet"):
        lake.digest("p/raw/none.parquet")


def test_a_folder_that_cannot_be_written_is_a_fault_of_the_lake(tmp_path: Path, file: Path) -> None:
    """And leaves nothing behind."""
    (tmp_path / "lake").write_text("a file is in the way")

    with pytest.raises(LakeAway):
        Lake(str(tmp_path / "lake")).add("p/raw", file)


def test_only_whole_files_have_a_name(tmp_path: Path, file: Path) -> None:
    """What a writer leaves behind when it fails half way is removed."""
    lake = Lake(str(tmp_path / "lake"))
    stored = lake.add("p/raw", file)
    target = tmp_path / "lake" / stored.path
    target.unlink()
    target.mkdir()

    with pytest.raises(LakeAway):
        lake.add("p/raw", file)

    assert [target] == list(target.parent.iterdir())
