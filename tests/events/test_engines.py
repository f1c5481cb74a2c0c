"""Web workers take events and never load an engine: it would cost each of them its memory."""

import subprocess
import sys

ROOMS = (
    "intake",
    "backfills",
    "staging",
    "wire",
    "types",
    "lake",
    "manifest",
    "compaction",
    "sealing",
    "rows",
    "importers",
)


def test_no_module_of_this_room_loads_an_engine_when_it_is_imported() -> None:
    """DuckDB and Arrow are loaded by the work that needs them."""
    imports = "".join(f"import service.events.{name}\n" for name in ROOMS)
    program = f"{imports}import sys\nprint(sorted({{'duckdb', 'pyarrow', 'numpy'}} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "[]\n" == done.stdout
