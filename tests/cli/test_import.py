"""Imports by command: Parquet, a rehearsal first, and files that cannot be."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import Run

MAPPING = """
title: A warehouse
format: parquet
register_creators: true
events:
  - {source: w, id: "{id}", type: view, time: {column: at, as: rfc3339}, creator: "{who}", quantity_column: n}
"""


@pytest.fixture
def mapping(tmp_path: Path) -> str:
    """Give the address of a mapping."""
    path = tmp_path / "mapping.yaml"
    path.write_text(MAPPING)
    return str(path)


def rows(folder: Path, **columns: pa.Array) -> Path:
    """Write three events; the second one's creator can be none."""
    given = {
        "id": pa.array(["a", "b", "c"]),
        "at": pa.array([1788310000, 1788310001, 1788310002], pa.timestamp("s", "UTC")),
        "who": pa.array(["linh", "!", "khoa"]),
        "n": pa.array([1, 2, 3]),
        **columns,
    }
    path = folder / "events.parquet"
    pq.write_table(pa.table(given), path)
    return path


def test_a_dry_run_says_what_the_import_then_does(
    ask: Callable[..., Any], network: str, tmp_path: Path, mapping: str
) -> None:
    """With the rejected rows written to their file both times, and nothing stored the first time."""
    command = ("events", "import", str(rows(tmp_path)), "--platform", network, "--mapping", mapping)
    rejects = tmp_path / "events.parquet.rejects.ndjson"

    dry = ask(*command, "--dry-run")
    (rejected,) = map(json.loads, rejects.read_text().splitlines())
    wet = ask(*command)
    again = ask(*command, "--dry-run")

    assert (True, 3, 2, 2, 1) == tuple(
        dry[name] for name in ("is_dry_run", "row_count", "accepted_count", "taken_count", "rejected_count")
    )
    assert {**dry, "is_dry_run": False} == wet
    assert {**dry, "taken_count": 0} == again
    assert ("b", 2, "unknown_creator") == (rejected["id"], rejected["row"], rejected["code"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"n": pa.array([1.0, 2.0, 3.0])}, "not exact"),
        ({"at": pa.array([1, 2, 3], pa.timestamp("s"))}, "local_time"),
        ({"who": pa.array([["x"], [], []])}, "no one text"),
    ],
)
@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_a_file_of_other_types_is_refused_with_the_remedy(
    run: Run, network: str, tmp_path: Path, mapping: str, change: dict[str, pa.Array], said: str, options: Any
) -> None:
    """Exit code 2, before anything is stored."""
    path = rows(tmp_path, **change)

    result = run("events", "import", str(path), "--platform", network, "--mapping", mapping, *options)

    assert 2 == result.exit_code
    assert said in " ".join(result.stderr.split())
