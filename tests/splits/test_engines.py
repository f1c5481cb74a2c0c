"""Engines: web workers load none; the embedded one is given tables and stays within what it was given."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from service.splits.engines.base import Columns, Files, Parameters
from tests.splits import lakes

ALL_TYPES: Columns = (
    ("name", "STRING"),
    ("count", "BIGINT"),
    ("is_set", "BOOLEAN"),
    ("at", "TIMESTAMP"),
    ("day_on", "DATE"),
)
NO_FILES = Files("counted", (("count", "BIGINT"),), ())


def test_the_rooms_load_without_an_engine() -> None:
    """A web worker that scores nothing loads neither DuckDB nor Arrow."""
    program = (
        "import sys; from service.rules import difference, registry, words; "
        "from service.splits import methods, scoring, shares; from service.splits.engines import base; "
        "print(sorted({'duckdb', 'pyarrow'} & sys.modules.keys()))"
    )

    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "[]\n" == found.stdout


def test_values_reach_the_engine_as_tables(tmp_path: Path) -> None:
    """What would break a statement's text is a value like any other; nulls stay nulls, instants are UTC."""
    at = datetime(2026, 11, 1, 7, tzinfo=timezone(timedelta(hours=7)))
    rows = [
        (
            "'); DROP TABLE counted; --\u0000é",
            2**63 - 1,
            True,
            at,
            date(2026, 11, 1),
        ),
        (None, -(2**63), None, None, None),
    ]
    given = Parameters("given", ALL_TYPES, rows)

    actual = lakes.engine(tmp_path).run("SELECT * FROM given ORDER BY name NULLS LAST", NO_FILES, [given])

    kept = at.astimezone(UTC).replace(tzinfo=None)
    assert [(*rows[0][:3], kept, rows[0][4]), rows[1]] == list(actual)


def test_an_empty_table_has_its_columns(tmp_path: Path) -> None:
    """A rulebook without contributions, a period without files: the statement runs all the same."""
    statement = "SELECT COUNT(*) FROM empty AS e CROSS JOIN counted AS c WHERE e.at IS NULL AND c.count = 1"

    actual = lakes.engine(tmp_path).run(statement, NO_FILES, [Parameters("empty", ALL_TYPES, [])])

    assert [(0,)] == list(actual)


def test_files_are_read_as_one_table_by_the_names_of_their_columns(tmp_path: Path) -> None:
    """Two files with their columns in another order, and one that is not asked for."""
    locations = []
    for number, names in enumerate((["type", "count"], ["count", "more", "type"])):
        values = {"type": ["view"], "count": [number + 1], "more": [0]}
        location = tmp_path / f"{number}.parquet"
        pq.write_table(pa.table({name: values[name] for name in names}), location)
        locations.append(str(location))
    files = Files("counted", (("type", "STRING"), ("count", "BIGINT")), locations)

    actual = lakes.engine(tmp_path).run("SELECT * FROM counted ORDER BY count", files, [])

    assert [("view", 1), ("view", 2)] == list(actual)


def test_the_label_names_engine_and_version(tmp_path: Path) -> None:
    """Whoever recomputes knows what ran."""
    name, version = lakes.engine(tmp_path).label.split(" ")

    assert "duckdb" == name
    assert version[0].isdigit()
