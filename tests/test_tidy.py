"""House law, enforced: what no reviewer should have to look for."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.core import errors
from tests.migrations import test_migrations as _loads_every_table  # noqa: F401

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "service").rglob("*.py"))
FUNCTION_LINES_MAX = 60
MODULE_LINES_MAX = 600

_COMMITS = {"service/runtime/db.py", "service/runtime/migrations.py"}
_CLOCKS = {"service/runtime/clock.py"}
_BEATS = {"service/scheduler/ticker.py", "service/runtime/logs.py"}
"""The metronome's first beat and the time of a log line are no facts about money."""


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _calls(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node.lineno


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_modules_and_functions_stay_small(path: Path) -> None:
    """A longer one holds two things."""
    long = [
        f"{one.name} ({one.end_lineno - one.lineno + 1} lines)"  # type: ignore[operator]
        for one in _functions(path)
        if _code_lines(one) > FUNCTION_LINES_MAX
    ]

    assert ([], True) == (long, len(path.read_text(encoding="utf-8").splitlines()) <= MODULE_LINES_MAX)


def _code_lines(one: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count a function's lines without its docstring, its signature and the functions within it."""
    body = one.body[1:] if ast.get_docstring(one) else one.body
    if not body:
        return 0
    inner = sum(
        (each.end_lineno or 0) - each.lineno + 1
        for each in ast.walk(one)
        if each is not one and isinstance(each, ast.FunctionDef)
    )
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 - inner


def test_only_the_database_module_commits() -> None:
    """One place, so that acts can be joined."""
    found = {
        f"{_name(path)}:{line}"
        for path in MODULES
        for call, line in _calls(path)
        if re.search(r"(session|connection)\.commit$", call) and _name(path) not in _COMMITS
    }

    assert set() == found


def test_only_the_clock_reads_the_time() -> None:
    """Everybody else is told."""
    found = {
        f"{_name(path)}:{line}"
        for path in MODULES
        for call, line in _calls(path)
        if call in {"datetime.now", "datetime.utcnow", "date.today", "time.time"}
        and _name(path) not in _CLOCKS | _BEATS
    }

    assert set() == found


def test_sql_never_says_now() -> None:
    """Neither in statements nor in files."""
    pattern = re.compile(r"\b(now\(\)|current_timestamp|clock_timestamp|localtimestamp)", re.IGNORECASE)
    files = [path for path in MODULES if _name(path) not in _CLOCKS] + sorted(
        (ROOT / "service").rglob("*.sql")
    )
    found = {_name(path) for path in files for node in _texts(path) if pattern.search(node)}

    assert set() == found


def _texts(path: Path) -> Iterator[str]:
    """Give the string constants of a module that are no docstrings, or a whole SQL file without comments."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".sql":
        yield re.sub(r"--.*", "", source)
        return
    tree = ast.parse(source)
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def test_no_float_is_made_near_money() -> None:
    """Amounts, points and rates are whole numbers until one named rounding."""
    rooms = ("core", "ledger", "splits", "closing", "payouts", "rules", "earnings", "statements")
    found = {
        f"{_name(path)}:{line}"
        for path in MODULES
        if path.relative_to(ROOT).parts[1] in rooms
        for call, line in _calls(path)
        if call in {"float", "round"}
    }

    assert set() == found


def test_every_fault_has_its_own_slug_and_its_page() -> None:
    """The catalogue is complete, and documented."""
    page = (ROOT / "docs" / "problems.md").read_text(encoding="utf-8")
    missing = [
        one.slug for one in errors.catalogue() if f"`{one.slug}`" not in page and f"## {one.slug}" not in page
    ]

    assert [] == missing


def test_the_repository_speaks_of_the_product_alone() -> None:
    """No leftovers, no addresses of package indexes, no paths of a machine."""
    pattern = re.compile(r"\b(TODO|FIXME|HACK)\b|/simple/|/home/\w+/|/root/")
    suffixes = {".py", ".md", ".toml", ".lock", ".yaml", ".html", ".css", ".sql", ".json", ".mako"}
    found = {
        _name(path)
        for folder in ("service", "migrations", "docs", "tests")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in suffixes
        and path != Path(__file__)
        and pattern.search(path.read_text(encoding="utf-8"))
    }

    assert set() == found
