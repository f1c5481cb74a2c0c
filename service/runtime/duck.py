"""DuckDB, embedded: the one place that opens it, so that every use is bounded and stays on this machine.

Refuses to fetch extensions or to keep state between uses. Only jobs and the command line import the engine,
and only when they need it: web workers never load it.

Source: https://duckdb.org/docs/stable/configuration/overview (read 2026-11-21).
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def connect(*, memory_limit: str = "1GiB", threads: int = 2, temp_dir: Path) -> "DuckDBPyConnection":
    """Open an empty database in memory.

    Args:
        memory_limit: beyond it the engine spills to `temp_dir`, such as "1GiB".
        threads: how many cores it may use.
        temp_dir: an existing folder for spilled data, the caller's to remove.

    Returns:
        A connection in UTC that downloads nothing. Close it.
    """
    import duckdb

    connection = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": memory_limit,
            "threads": threads,
            "temp_directory": str(temp_dir),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            # Rows of a COPY stay in the order of its query, so that equal input gives equal files.
            "preserve_insertion_order": True,
        },
    )
    connection.execute("SET TimeZone = 'UTC'")
    return connection
