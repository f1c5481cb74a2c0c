"""The SQL files keep to what DuckDB and Spark SQL compute alike: no division, no floats, no clock."""

from importlib import resources

import pytest
import sqlglot
from sqlglot import exp

from service.rules.rulebook import METHODS
from service.splits import scoring

DIALECTS = ("duckdb", "spark")
FUNCTIONS = (exp.Abs, exp.And, exp.Case, exp.Cast, exp.Coalesce, exp.Count, exp.If, exp.Or, exp.Sum)
TYPES = ("BIGINT", "DECIMAL(38, 0)", "TEXT")
FILES = sorted(
    file.name
    for file in resources.files("service.splits").joinpath("sql").iterdir()
    if file.name.endswith(".sql")
)


def faults_of(sql: str, dialect: str) -> list[str]:
    """Name everything in a statement that the two engines might not compute alike."""
    faults = []
    (tree,) = sqlglot.parse(sql, dialect=dialect)
    for node in tree.walk():
        if isinstance(node, exp.Div | exp.IntDiv | exp.Mod):
            faults.append(f"division: {node.sql()}")
        elif isinstance(node, exp.Literal) and not node.is_string and not node.is_int:
            faults.append(f"fraction: {node.sql()}")
        elif isinstance(node, exp.DataType) and node.sql() not in TYPES:
            faults.append(f"type: {node.sql()}")
        elif isinstance(node, exp.Func) and not isinstance(node, FUNCTIONS):
            faults.append(f"function: {node.sql()}")
        elif isinstance(node, exp.Sum) and not _is_wide(node.this):
            faults.append(f"narrow sum: {node.sql()}")
        elif isinstance(node, exp.Mul) and any(_is_wide(cast) for cast in node.find_all(exp.Cast)):
            faults.append(f"product of decimals: {node.sql()}")
        elif isinstance(node, exp.Identifier) and node.quoted:
            faults.append(f"quoted name: {node.sql()}")
        elif isinstance(node, exp.Placeholder | exp.Parameter | exp.Star) and not node.find_ancestor(
            exp.Count
        ):
            faults.append(f"not constant: {node.sql()}")
    return faults


def _is_wide(node: exp.Expression) -> bool:
    return isinstance(node, exp.Cast) and node.to.sql() == "DECIMAL(38, 0)"


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", FILES)
def test_a_statement_keeps_to_the_shared_subset(name: str, dialect: str) -> None:
    """Each file is one statement, and nothing in it is outside the subset."""
    sql = resources.files("service.splits").joinpath(f"sql/{name}").read_text(encoding="utf-8")

    assert [] == faults_of(sql, dialect)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("fault", "sql"),
    [
        ("division", "SELECT points / 2 FROM daily"),
        ("division", "SELECT points % 2 FROM daily"),
        ("fraction", "SELECT points * 0.5 FROM daily"),
        ("type", "SELECT CAST(points AS DOUBLE) FROM daily"),
        ("type", "SELECT CAST(points AS DECIMAL(18, 2)) FROM daily"),
        ("function", "SELECT CURRENT_TIMESTAMP"),
        ("function", "SELECT ROUND(points) FROM daily"),
        ("function", "SELECT my_own_function(points) FROM daily"),
        ("function", "SELECT AVG(points) FROM daily"),
        ("narrow sum", "SELECT SUM(points) FROM daily"),
        ("narrow sum", "SELECT SUM(CAST(points AS BIGINT)) FROM daily"),
        ("product", "SELECT CAST(points AS DECIMAL(38, 0)) * 2 FROM daily"),
        ("not constant", "SELECT * FROM daily"),
    ],
)
def test_what_is_outside_the_subset_is_found(fault: str, sql: str, dialect: str) -> None:
    """The check itself: each construct that the engines treat differently is named."""
    assert any(found.startswith(fault) for found in faults_of(sql, dialect))


def test_integer_division_is_found() -> None:
    """DuckDB's own operator is no exception."""
    assert any("division" in found for found in faults_of("SELECT points // 2 FROM daily", "duckdb"))


def test_each_method_has_its_statement() -> None:
    """A rulebook can name exactly those; one more file names what they leave out."""
    assert sorted(f"{name}.sql" for name in (*METHODS, "excluded")) == FILES
    assert all(scoring.statement(method) for method in METHODS)
