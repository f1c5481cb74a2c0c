"""What scoring asks of an engine.

An engine runs one constant statement over files and small parameter tables. It gets values as tables and
never as text, and gives rows back in the statement's order. Law: the rows depend on the inputs only, so that
every engine, whatever its threads, gives the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

ColumnType = Literal["STRING", "BIGINT", "BOOLEAN", "TIMESTAMP", "DATE", "BINARY"]
"""The types that the SQL dialects of all engines share; a TIMESTAMP is in UTC and carries no zone."""

Columns = tuple[tuple[str, ColumnType], ...]
"""Names and types, in order."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """A small table that a rule's parameters come in; instants are aware."""

    name: str
    columns: Columns
    rows: Sequence[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Files:
    """Parquet files that are read as one table; there may be none."""

    name: str
    columns: Columns
    """What is read of them; they may hold more."""
    locations: Sequence[str]
    voided: Parameters | None = None
    """Rows (identity, seq) that make others void: those of that identity with a lower seq are left out."""


class Engine(Protocol):
    """Runs a statement; `label` says what ran it, for those who recompute."""

    @property
    def label(self) -> str:
        """Name and version."""
        ...

    def run(
        self, statement: str, files: Files, parameters: Sequence[Parameters]
    ) -> Iterator[tuple[Any, ...]]:
        """Run a statement and stream its rows.

        Args:
            statement: SQL of the shared subset, from service/splits/sql.
            files: the table that is large.
            parameters: the tables that are small.
        """
        ...

    def write(self, statement: str, files: Files, parameters: Sequence[Parameters], target: Path) -> None:
        """Run a statement and write its rows, in its order, to one Parquet file on this machine.

        The rows do not pass through Python: there may be as many as there are events.

        Args:
            target: the file to write.
        """
        ...
