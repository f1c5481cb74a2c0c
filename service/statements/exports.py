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
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from service.calendar import periods
from service.core.money import Money
from service.ledger import balances
from service.ledger import journal as ledger_journal
from service.ledger.journal import Filters
from service.payouts import payouts as payout_rows
from service.splits import shares as share_rows
from service.statements import statement
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

TRIAL_BALANCE_HEADER: Final = (
    "role",
    "owner",
    "debit",
    "credit",
    "balance",
    "normal_side",
    "currency",
)
"""One row an account: turnovers, and the balance on its normal side; debits and credits sum to the same."""

PAYOUTS_HEADER: Final = (
    "payout_id",
    "batch_id",
    "creator_id",
    "provider",
    "state",
    "amount",
    "currency",
    "destination_hint",
    "provider_reference",
    "reason",
    "created_at",
    "settled_at",
)

SHARES_HEADER: Final = (
    "period_id",
    "version",
    "party_kind",
    "party_id",
    "origin_period_id",
    "points",
    "amount",
    "currency",
    "rulebook_sha256",
    "shares_sha256",
)
"""A creator has a row for each period whose events earned it; the amounts of a period sum to its pool."""


@dataclass(frozen=True, slots=True)
class Table:
    """Fixed column names, and rows that are read once, as they are asked for; `csv.stream` writes it."""

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


def trial_balance(session: Session, platform_id: str, *, at: datetime | None = None) -> Table:
    """List what every account turned over and holds, by role and owner.

    Args: at: counts what is effective before it; None: everything posted.
    """
    rows = (
        (
            one.account.role.value,
            one.account.owner,
            Money(one.debit_minor, one.currency),
            Money(one.credit_minor, one.currency),
            Money(one.balance_minor, one.currency),
            "debit" if one.account.role.is_debit_normal else "credit",
            one.currency,
        )
        for one in balances.by_account(session, platform_id, at=at)
    )
    return Table(TRIAL_BALANCE_HEADER, rows)


def payouts(session: Session, platform_id: str, *, batch_id: UUID | None = None) -> Table:
    """List every payout, or those of one batch, with its present state, by id."""
    rows = (
        (
            one.id,
            one.batch_id,
            one.creator_id,
            one.provider,
            one.state.value,
            Money(one.amount_minor, one.currency),
            one.currency,
            one.destination_hint,
            one.provider_reference,
            one.reason,
            one.created_at,
            one.settled_at,
        )
        for one in payout_rows.stream(session, platform_id, batch_id=batch_id)
    )
    return Table(PAYOUTS_HEADER, rows)


def shares(session: Session, platform_id: str, *, period_id: str | None = None) -> Table:
    """List every share of each period's newest split, or of one period's, by period and in its own order.

    Raises:
        NotFound: the platform has no such period. One that is not split has no rows.
    """
    if period_id is None:
        names = [one.id for one in periods.listing(session, platform_id)]
    else:
        names = [periods.get(session, platform_id, period_id).id]
    return Table(SHARES_HEADER, _shares(session, platform_id, names))


def _shares(session: Session, platform_id: str, names: Sequence[str]) -> Iterator[Sequence[Cell]]:
    for name in names:
        split = share_rows.latest(session, platform_id, name)
        if split is None:
            continue
        for one in share_rows.stream(session, split):
            yield (
                split.period_id,
                split.version,
                one.party_kind,
                one.party_id,
                one.origin_period_id,
                statement.points_text(one.points_e4),
                Money(one.amount_minor, split.currency),
                split.currency,
                split.rulebook_sha256,
                split.shares_sha256,
            )


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
