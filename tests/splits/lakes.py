"""Files as a seal writes them, and the embedded engine over them."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from service.runtime import duck
from service.splits.engines.duckdb import DuckEngine
from tests.splits.model import Event


def write(events: Sequence[Event], path: Path, *, seq: int = 1) -> str:
    """Write events as a seal writes its counted files, all of one batch; give the file's location."""
    table = pa.table(
        {
            "identity": pa.array([identity(place) for place in range(len(events))], pa.binary(16)),
            "seq": pa.array([seq] * len(events), pa.int64()),
            "position": pa.array(range(len(events)), pa.int32()),
            "type": pa.array([one.type for one in events], pa.string()),
            "at": pa.array([one.at.replace(tzinfo=None) for one in events], pa.timestamp("us")),
            "day_on": pa.array([one.day_on for one in events], pa.date32()),
            "creator": pa.array([one.creator for one in events], pa.string()),
            "content": pa.array([one.content for one in events], pa.string()),
            "actor": pa.array([one.actor for one in events], pa.string()),
            "quantity": pa.array([one.quantity for one in events], pa.int64()),
            "origin_period_id": pa.array([one.origin_period_id for one in events], pa.string()),
        }
    )
    pq.write_table(table, path)
    return str(path)


def identity(place: int) -> bytes:
    """Name the event at a place of a file."""
    return place.to_bytes(16, "big")


def engine(temp_dir: Path, *, threads: int = 2) -> DuckEngine:
    """The embedded engine, spilling to a test's folder."""
    return DuckEngine(lambda: duck.connect(temp_dir=temp_dir, threads=threads, memory_limit="256MiB"))
