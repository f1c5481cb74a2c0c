"""CSV: for machines to read back and for people to open in a spreadsheet.

Owns the form of every CSV that the service writes, and the statement as a table. Refuses floats. Laws: one
header row of fixed names, then one row a thing, fields by RFC 4180 with CRLF; amounts have all decimals of
their currency, a dot and no grouping; instants are RFC 3339 in UTC; reading the file back gives the values.

A text cell that a spreadsheet would take for a formula gets an apostrophe in front; ids never begin like one,
and numbers are written by us, so only names can be touched.
Source: https://owasp.org/www-community/attacks/CSV_Injection (read 2026-11-21).
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from io import StringIO
from itertools import islice
from typing import Final
from uuid import UUID

from service.core import money as amounts
from service.core import spans
from service.core.money import Money
from service.statements import labels, statement
from service.statements.numbering import Issued
from service.statements.statement import Balance, Line, Statement

Cell = str | int | Money | datetime | UUID | None

MEDIA_TYPE: Final = "text/csv; charset=utf-8; header=present"

BOM: Final = "\ufeff"
"""What makes a spreadsheet read the file as UTF-8."""

CHUNK_ROWS: Final = 1_000
"""Rows that are put together into one piece of a stream."""

STATEMENT_HEADER: Final = (
    "number",
    "line",
    "kind",
    "description",
    "at",
    "origin_period_id",
    "points",
    "amount",
    "balance",
    "payable",
    "held",
    "reserved",
    "currency",
    "reference",
    "entry_id",
    "creator_id",
    "creator_name",
    "platform_id",
    "issuer_name",
    "period_id",
    "period_start_at",
    "period_end_at",
    "time_zone",
    "posted_at",
    "issued_at",
    "split_version",
    "shares_sha256",
    "rulebook_sha256",
    "values_sha256",
)
"""Columns of a statement. What holds for all of it is repeated on each row, so that files can be joined.

`line` counts from 0, the opening balance; `balance` is what is owed after the row; `payable`, `held` and
`reserved` say where it lies, on the rows of the opening and the closing balance.
"""

_FORMULA_STARTS: Final = frozenset("=+-@＝＋－＠\t\r\n")


def write_statement(one: Statement, issued: Issued, *, locale: str, has_bom: bool = False) -> bytes:
    """Write a statement as one table: opening balance, lines, closing balance.

    Args: locale: of the descriptions; everything else is the same in every language; has_bom: for people who
        open it in a spreadsheet.
    """
    return "".join(stream(STATEMENT_HEADER, _rows(one, issued, locale), has_bom=has_bom)).encode()


def stream(header: Sequence[str], rows: Iterable[Sequence[Cell]], *, has_bom: bool = False) -> Iterator[str]:
    """Write a table piece by piece: the header first, then CHUNK_ROWS rows at a time.

    Args: rows: consumed once, as the pieces are asked for; each as long as the header (asserted).
    """
    yield (BOM if has_bom else "") + _piece([header])
    source = iter(rows)
    while chunk := list(islice(source, CHUNK_ROWS)):
        assert all(len(row) == len(header) for row in chunk), "a row has a cell for each column"
        yield _piece(chunk)


def text_of(cell: Cell) -> str:
    """Write one cell, before quoting."""
    match cell:
        case None:
            return ""
        case str():
            return f"'{cell}" if cell.lstrip(" ")[:1] in _FORMULA_STARTS else cell
        case Money():
            return amounts.to_decimal_text(cell)
        case datetime():
            return spans.to_text(cell)
        case int() | UUID():
            return str(cell)


def _piece(rows: Iterable[Sequence[Cell]]) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([text_of(cell) for cell in row] for row in rows)
    return text.getvalue()


def _rows(one: Statement, issued: Issued, locale: str) -> Iterator[Sequence[Cell]]:
    """Yield the rows in the order of STATEMENT_HEADER."""
    common: tuple[Cell, ...] = (
        one.creator_id,
        one.creator_name,
        one.platform_id,
        one.issuer_name,
        one.period_id,
        one.span.start_at,
        one.span.end_at,
        one.time_zone,
        one.posted_at,
        issued.issued_at,
        one.split_version,
        one.shares_sha256,
        one.rulebook_sha256,
        issued.values_sha256,
    )

    def balance_row(line: int, kind: str, at: datetime, balance: Balance) -> Sequence[Cell]:
        parts = (balance.payable_minor, balance.held_minor, balance.reserved_minor)
        return (
            *(issued.number, line, kind, labels.of_kind(kind, locale), at, None, None, None),
            statement.money(one, balance.total_minor),
            *(statement.money(one, part) for part in parts),
            *(one.currency, None, None),
            *common,
        )

    def line_row(number: int, line: Line, balance_minor: int) -> Sequence[Cell]:
        points = None if line.points_e4 is None else statement.points_text(line.points_e4)
        return (
            *(issued.number, number, line.kind.value, labels.of_line(line, locale), line.at),
            *(line.origin_period_id, points, statement.money(one, line.amount_minor)),
            *(statement.money(one, balance_minor), None, None, None, one.currency, line.reference),
            line.entry_id,
            *common,
        )

    yield balance_row(0, labels.OPENING, one.span.start_at, one.opening)
    balance_minor = one.opening.total_minor
    for number, line in enumerate(one.lines, 1):
        balance_minor += line.amount_minor
        yield line_row(number, line, balance_minor)
    yield balance_row(len(one.lines) + 1, labels.CLOSING, one.span.end_at, one.closing)
