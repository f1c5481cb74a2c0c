"""The embedded engine: DuckDB in this process, with bounded memory, spilling to a folder.

Refuses nothing by itself; service.runtime.duck bounds what a connection may use.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from service.splits.engines.base import ColumnType, Files, Parameters

FETCH_ROWS = 20_000

_ARROW: dict[ColumnType, pa.DataType] = {
    "STRING": pa.string(),
    "BIGINT": pa.int64(),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMP": pa.timestamp("us"),
    "DATE": pa.date32(),
    "BINARY": pa.binary(),
}

_STANDING = """
    CREATE TEMP VIEW {name} AS
    SELECT {columns} FROM {name}_as_settled AS event
    ANTI JOIN {name}_voided AS voided ON voided.identity = event.identity AND event.seq < voided.seq
"""


@dataclass(frozen=True, slots=True)
class DuckEngine:
    """DuckDB over connections that `connect` opens, one for each run."""

    connect: Callable[[], duckdb.DuckDBPyConnection]

    @property
    def label(self) -> str:
        """Name and version."""
        return f"duckdb {duckdb.__version__}"

    def run(
        self, statement: str, files: Files, parameters: Sequence[Parameters]
    ) -> Iterator[tuple[Any, ...]]:
        """Run a statement and stream its rows, as service.splits.engines.base.Engine says."""
        with self._opened(files, parameters) as connection:
            # The statement sorts what it gives; in between, no order needs memory.
            connection.execute("SET preserve_insertion_order = false")
            cursor = connection.execute(statement)
            while rows := cursor.fetchmany(FETCH_ROWS):
                yield from rows

    def write(self, statement: str, files: Files, parameters: Sequence[Parameters], target: Path) -> None:
        """Run a statement and write its rows to one file, as service.splits.engines.base.Engine says."""
        with self._opened(files, parameters) as connection:
            copy = f"COPY ({statement}) TO $target (FORMAT parquet, COMPRESSION zstd)"
            connection.execute(copy, {"target": str(target)})

    @contextmanager
    def _opened(self, files: Files, parameters: Sequence[Parameters]) -> Iterator[duckdb.DuckDBPyConnection]:
        with self.connect() as connection:
            _open(connection, files)
            for table in parameters:
                connection.register(table.name, _arrow(table))
            yield connection


def _open(connection: duckdb.DuckDBPyConnection, files: Files) -> None:
    if not files.locations:
        connection.register(files.name, _arrow(Parameters(files.name, files.columns, ())))
        return
    names = [name for name, _ in files.columns]
    found = connection.read_parquet(list(files.locations))
    if files.voided is None:
        found.select(*names).create_view(files.name)
        return
    found.select(*dict.fromkeys((*names, "identity", "seq"))).create_view(f"{files.name}_as_settled")
    connection.register(f"{files.name}_voided", _arrow(files.voided))
    columns = ", ".join(f'event."{name}"' for name in names)
    connection.execute(_STANDING.format(name=files.name, columns=columns))


def _arrow(table: Parameters) -> pa.Table:
    columns = list(zip(*table.rows, strict=True)) or [()] * len(table.columns)
    # Arrow writes aware instants in UTC, as the files have theirs.
    return pa.table(
        {
            name: pa.array(values, type=_ARROW[kind])
            for (name, kind), values in zip(table.columns, columns, strict=True)
        }
    )
