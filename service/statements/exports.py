"""Exports: the books, the payouts and the splits as tables for other programs.

Owns the columns. Refuses nothing that can be read: a table may be empty. Laws: rows come from the database as
they are asked for, in a fixed order, so that a table of any length needs the same memory and is the same file
every time; a table has no trailer, because every row of it is a row; `totals` adds the same rows up. Read a
table and its totals in one repeatable-read transaction, and they tie.

Columns are named as in the API: ids, `*_at` instants in UTC, amounts as decimals with their `currency`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.orm import Session

from service.core.money import Money
from service.ledger import journal as ledger_journal
from service.ledger.journal import Filters
from service.statements.formats.csv import Cell

JOURNAL_HEADER: Final = (
    "entry_id",
    "line",
    "kind",
    "effective_at",
    "recorded_at",
    "period_id",
    "cause_kind",
    "cause_id",
    "debit_role",
    "debit_owner",
    "credit_role",
    "credit_owner",
    "amount",
    "currency",
    "reverses_id",
    "key",
)
"""One row a line: its amount is the debit of one account and the credit of its counterpart."""


@dataclass(frozen=True, slots=True)
class Table:
    """Fixed column names, and rows that are read once, as they are asked for."""

    header: Sequence[str]
    rows: Iterator[Sequence[Cell]]


@dataclass(frozen=True, slots=True)
class Totals:
    """Control totals of a table: its rows, and the sum of each amount column by currency, in minor units."""

    row_count: int
    sums_minor: dict[tuple[str, str], int]


def journal(session: Session, platform_id: str, filters: Filters | None = None) -> Table:
    """List every line of the journal with the header of its entry, by entry and line."""
    walked = ledger_journal.walk(session, platform_id, filters or Filters())
    rows = (
        (
            entry.id,
            line.position,
            entry.kind,
            entry.effective_at,
            entry.recorded_at,
            entry.period_id,
            entry.cause_kind,
            entry.cause_id,
            line.debit.role.value,
            line.debit.owner,
            line.credit.role.value,
            line.credit.owner,
            Money(line.amount_minor, line.currency),
            line.currency,
            entry.reverses_id,
            entry.key,
        )
        for entry, line in walked
    )
    return Table(JOURNAL_HEADER, rows)


def totals(table: Table) -> Totals:
    """Add a table up, reading all its rows."""
    row_count = 0
    sums: Counter[tuple[str, str]] = Counter()
    for row in table.rows:
        row_count += 1
        for name, cell in zip(table.header, row, strict=True):
            if isinstance(cell, Money):
                sums[name, cell.currency] += cell.minor
    return Totals(row_count, dict(sums))
