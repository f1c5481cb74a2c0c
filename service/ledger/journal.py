"""The journal: entries are posted, reversed and read, and never changed.

Owns what other rooms do with entries. Refuses a key that stands for another entry, an overdraft of a strict
account and a second reversal; the database itself refuses every change of what is posted, by anyone. Laws: an
entry is posted whole or not at all, and once; a reversal restores every balance.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Row,
    Select,
    Text,
    and_,
    literal,
    select,
    true,
    union_all,
)
from sqlalchemy.orm import Session

from service.ledger import entries, posting
from service.ledger.accounts import AccountRef, Role
from service.ledger.entries import Entry, Line
from service.ledger.errors import EntryNotFound, NotReversible
from service.ledger.posting import Posted
from service.ledger.tables import account, entry, line

LISTING_MAX: Final = 1_000
"""Entries or lines of one page."""

_STREAMED_ROWS: Final = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The header of a posted entry; instants are aware UTC, the amount is the sum of its lines."""

    id: int
    platform_id: str
    kind: str
    cause_kind: str
    cause_id: str
    period_id: str | None
    currency: str
    effective_at: datetime
    recorded_at: datetime
    key: str
    request_sha256: bytes
    reverses_id: int | None
    reversed_by_id: int | None
    line_count: int
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedLine:
    """A posted line with its accounts by name, numbered from 1 within its entry."""

    entry_id: int
    position: int
    debit: AccountRef
    credit: AccountRef
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which entries to list; what is None does not matter.

    Args: account: touched by a line, in any currency; effective_from_at, effective_until_at: half-open.
    """

    kind: str | None = None
    cause_kind: str | None = None
    cause_id: str | None = None
    period_id: str | None = None
    account: AccountRef | None = None
    effective_from_at: datetime | None = None
    effective_until_at: datetime | None = None


def post(session: Session, asked: Entry, *, now: datetime) -> Posted:
    """Post one entry.

    Args: now: recorded as `recorded_at`.
    Returns: its id; of the first posting if the same key and content were posted before.
    Raises: KeyReused, InsufficientBalance, BalanceTooLarge. Nothing is stored then.
    """
    return posting.write(session, (asked,), reverses={}, now=now)[0]


def post_all(session: Session, asked: Sequence[Entry], *, now: datetime) -> list[Posted]:
    """Post several entries of one platform and currency at once, all or none.

    Their effects on an account are netted before its floor is checked. Keys differ (asserted).

    Returns: in the order given. Raises: as `post` does.
    """
    return posting.write(session, asked, reverses={}, now=now) if asked else []


def reverse(
    session: Session,
    platform_id: str,
    entry_id: int,
    *,
    key: str,
    cause_kind: str,
    cause_id: str,
    now: datetime,
    effective_at: datetime | None = None,
) -> Posted:
    """Undo an entry by one of the opposite lines, which names it.

    Args: effective_at: when the undoing counts; None: when the original did.
    Raises: EntryNotFound, AlreadyReversed, NotReversible, and what `post` raises: money that has moved on
        cannot be taken back from a strict account.
    Law: reversal restores every balance; an entry is reversed once.
    """
    original = get(session, platform_id, entry_id)
    if original.reverses_id is not None:
        raise NotReversible(
            f"Entry {entry_id} is itself the reversal of entry {original.reverses_id}; to book the original"
            " again, post it under a new key."
        )
    undone = entries.reversal(
        _as_asked(session, original),
        key=key,
        cause_kind=cause_kind,
        cause_id=cause_id,
        effective_at=effective_at,
    )
    return posting.write(session, (undone,), reverses={key: entry_id}, now=now)[0]


def get(session: Session, platform_id: str, entry_id: int) -> Recorded:
    """Read the header of an entry. Raises: EntryNotFound, also for another platform's."""
    row = session.execute(_headers(platform_id).where(entry.c.id == entry_id)).one_or_none()
    if row is None:
        raise EntryNotFound(f"There is no entry {entry_id}; list the entries to find its id.")
    return _recorded(row)


def listing(
    session: Session,
    platform_id: str,
    filters: Filters = Filters(),
    *,
    after: int | None = None,
    limit: int = 100,
) -> list[Recorded]:
    """List entries by ascending id, which is the order in which they began to be posted.

    Args: after: the id of the last entry of the page before; limit: at most LISTING_MAX.
    """
    query = _headers(platform_id).where(*_conditions(session, platform_id, filters))
    if after is not None:
        query = query.where(entry.c.id > after)
    rows = session.execute(query.order_by(entry.c.id).limit(min(limit, LISTING_MAX)))
    return [_recorded(row) for row in rows]


def lines(
    session: Session, platform_id: str, entry_id: int, *, after: int | None = None, limit: int = LISTING_MAX
) -> list[RecordedLine]:
    """List an entry's lines by position.

    Args: after: the position of the last line of the page before; limit: at most LISTING_MAX.
    Returns: an empty list beyond the end, and for an entry that does not exist.
    """
    query = _lines(platform_id).where(line.c.entry_id == entry_id, line.c.position > (after or 0))
    rows = session.execute(query.order_by(line.c.position).limit(min(limit, LISTING_MAX)))
    return [_recorded_line(row) for row in rows]


def walk(
    session: Session,
    platform_id: str,
    filters: Filters = Filters(),
) -> Iterator[tuple[Recorded, RecordedLine]]:
    """Stream lines with the headers of their entries, by entry and position, in bounded memory.

    With `filters.account` only the lines that touch it come: the account's own ledger. Consume the stream
    within the session's transaction.
    """
    moves: FromClause = line
    if filters.account is not None:
        moves = _touching(session, platform_id, filters.account)
        filters = replace(filters, account=None)
    query = _lines(platform_id, moves).where(*_conditions(session, platform_id, filters))
    query = query.order_by(moves.c.entry_id, moves.c.position).execution_options(yield_per=_STREAMED_ROWS)
    header: Recorded | None = None
    # Closed also where the reader stops early.
    with session.execute(query) as rows:
        for row in rows:
            if header is None or header.id != row.id:
                header = _recorded(row)
            yield header, _recorded_line(row)


def _as_asked(session: Session, header: Recorded) -> Entry:
    """Read a posted entry back as what was asked for, and check that it is whole."""
    rows = session.execute(
        _lines(header.platform_id).where(line.c.entry_id == header.id).order_by(line.c.position)
    )
    asked = Entry(
        platform_id=header.platform_id,
        kind=header.kind,
        cause_kind=header.cause_kind,
        cause_id=header.cause_id,
        period_id=header.period_id,
        currency=header.currency,
        effective_at=header.effective_at,
        key=header.key,
        lines=tuple(Line(each.debit, each.credit, each.amount_minor) for each in map(_recorded_line, rows)),
    )
    assert posting.request_sha256(asked) == header.request_sha256, "a posted entry is what was asked for"
    return asked


def _headers(platform_id: str) -> Select[Any]:
    return select(*_HEADER).where(entry.c.platform_id == platform_id)


def _lines(platform_id: str, moves: FromClause = line) -> Select[Any]:
    """Select lines with their accounts' names and the headers of their entries.

    Args: moves: the lines, or some of them with the same columns.
    """
    # The platform is joined out of a materialized row, for the reason that accounts.py gives; and each line
    # finds its accounts by their ids, whatever the planner knows.
    book = select(literal(platform_id, Text).label("platform_id")).cte("book").prefix_with("MATERIALIZED")
    debit = _named(moves.c.platform_id, moves.c.debit_account_id, "debit")
    credit = _named(moves.c.platform_id, moves.c.credit_account_id, "credit")
    return (
        select(
            *_HEADER,
            moves.c.position,
            moves.c.amount_minor.label("line_minor"),
            moves.c.currency.label("line_currency"),
            debit.c.role.label("debit_role"),
            debit.c.owner.label("debit_owner"),
            credit.c.role.label("credit_role"),
            credit.c.owner.label("credit_owner"),
        )
        .select_from(book)
        .join(moves, moves.c.platform_id == book.c.platform_id)
        .join(entry, and_(entry.c.platform_id == moves.c.platform_id, entry.c.id == moves.c.entry_id))
        .join(debit, true())
        .join(credit, true())
    )


def _named(platform_id: ColumnElement[str], account_id: ColumnElement[int], name: str) -> FromClause:
    """Look up the name of an account, one by one; OFFSET 0 keeps the planner from joining it otherwise."""
    found = select(account.c.role, account.c.owner).where(
        account.c.platform_id == platform_id, account.c.id == account_id
    )
    return found.offset(0).lateral(name)


def _conditions(session: Session, platform_id: str, filters: Filters) -> list[ColumnElement[bool]]:
    """Turn filters into conditions on entries."""
    conditions = [
        column == value
        for column, value in (
            (entry.c.kind, filters.kind),
            (entry.c.cause_kind, filters.cause_kind),
            (entry.c.cause_id, filters.cause_id),
            (entry.c.period_id, filters.period_id),
        )
        if value is not None
    ]
    if filters.effective_from_at is not None:
        conditions.append(entry.c.effective_at >= filters.effective_from_at)
    if filters.effective_until_at is not None:
        conditions.append(entry.c.effective_at < filters.effective_until_at)
    if filters.account is not None:
        moves = _touching(session, platform_id, filters.account)
        conditions.append(entry.c.id.in_(select(moves.c.entry_id)))
    return conditions


def _touching(session: Session, platform_id: str, ref: AccountRef) -> FromClause:
    """Select the lines that touch an account, in whatever currency.

    The account is looked up first: by its id the database finds its lines without reading others.
    """
    ids = session.scalars(
        select(account.c.id).where(
            account.c.platform_id == platform_id,
            account.c.role == ref.role.value,
            account.c.owner == ref.owner,
        )
    ).all()
    sides = [
        select(line).where(line.c.platform_id == platform_id, side.in_(ids))
        for side in (line.c.debit_account_id, line.c.credit_account_id)
    ]
    return union_all(*sides).cte("touching").prefix_with("MATERIALIZED")


def _recorded(row: Row[Any]) -> Recorded:
    return Recorded(**{column.key: getattr(row, column.key) for column in _HEADER})


def _recorded_line(row: Row[Any]) -> RecordedLine:
    return RecordedLine(
        entry_id=row.id,
        position=row.position,
        debit=AccountRef(Role(row.debit_role), row.debit_owner),
        credit=AccountRef(Role(row.credit_role), row.credit_owner),
        amount_minor=row.line_minor,
        currency=row.line_currency,
    )


_REVERSAL: Final = entry.alias("reversal")

_HEADER: Final = (
    *entry.c,
    select(_REVERSAL.c.id)
    .where(_REVERSAL.c.platform_id == entry.c.platform_id, _REVERSAL.c.reverses_id == entry.c.id)
    .scalar_subquery()
    .label("reversed_by_id"),
)
