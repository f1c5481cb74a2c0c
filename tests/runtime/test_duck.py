"""DuckDB as it is opened here: bounded, in UTC, and on its own."""

from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from service.runtime import duck


def test_the_engine_works_in_utc(tmp_path: Path) -> None:
    """An instant does not depend on the machine's zone."""
    with closing(duck.connect(temp_dir=tmp_path)) as connection:
        query = "SELECT CAST(TIMESTAMPTZ '2026-11-20 12:00:00+07' AS VARCHAR)"

        assert [("2026-11-20 05:00:00+00",)] == connection.execute(query).fetchall()


def test_the_engine_is_bounded_as_asked(tmp_path: Path) -> None:
    """Memory, threads, and where it spills."""
    with closing(duck.connect(memory_limit="64MiB", threads=1, temp_dir=tmp_path)) as connection:
        names = ("memory_limit", "threads", "temp_directory")
        found = [connection.execute("SELECT current_setting($1)", [name]).fetchone() for name in names]

        assert [("64.0 MiB",), (1,), (str(tmp_path),)] == found


def test_what_does_not_fit_into_memory_is_spilled_and_right(tmp_path: Path) -> None:
    """A sort of more than the limit."""
    query = """
        SELECT count(*), arg_min(place, text), arg_max(place, text)
        FROM (
            SELECT text, row_number() OVER (ORDER BY text) AS place
            FROM (SELECT sha256(CAST(i AS VARCHAR)) AS text FROM range(600000) AS r(i))
        )
    """
    with closing(duck.connect(memory_limit="48MiB", threads=1, temp_dir=tmp_path)) as small:
        spilled = small.execute(f"CREATE TEMP TABLE t AS {query}").execute("FROM t").fetchall()
    with closing(duck.connect(temp_dir=tmp_path)) as large:
        held = large.execute(query).fetchall()

    assert held == spilled


def test_no_extension_is_fetched_by_itself(tmp_path: Path) -> None:
    """A function of an extension that is not built in is refused, not downloaded."""
    with closing(duck.connect(temp_dir=tmp_path)) as connection, pytest.raises(duckdb.Error):
        connection.execute("SELECT * FROM read_xlsx('nothing.xlsx')")


def test_nothing_is_kept_between_uses(tmp_path: Path) -> None:
    """Each connection is a database of its own."""
    with closing(duck.connect(temp_dir=tmp_path)) as first:
        first.execute("CREATE TABLE kept (one INTEGER)")

    with closing(duck.connect(temp_dir=tmp_path)) as second:
        assert [] == second.execute("SHOW TABLES").fetchall()
