"""Short words for the tests of the books: accounts by nickname, entries of any lines, and what is on them."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from service.ledger import balances, journal
from service.ledger.accounts import AccountRef, Role
from service.ledger.entries import Entry, Line

JUNE = datetime(2026, 6, 1, tzinfo=UTC)
JULY = datetime(2026, 7, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 21, 6, 0, tzinfo=UTC)

BANK = AccountRef(Role.BANK)
CLEARING = AccountRef(Role.CLEARING)
AN = AccountRef(Role.CREATOR_PAYABLE, "an")
BINH = AccountRef(Role.CREATOR_PAYABLE, "binh")
AN_RESERVED = AccountRef(Role.RESERVED, "an")
POOL = AccountRef(Role.REVENUE_POOL, "2026-06")


def entry(
    *lines: tuple[AccountRef, AccountRef, int],
    key: str = "k-1",
    platform_id: str = "sen",
    currency: str = "VND",
    effective_at: datetime = JUNE,
    kind: str = "test",
) -> Entry:
    """Make an entry of (debit, credit, amount) lines."""
    return Entry(
        platform_id=platform_id,
        kind=kind,
        cause_kind="test",
        cause_id="1",
        currency=currency,
        effective_at=effective_at,
        key=key,
        lines=tuple(Line(*each) for each in lines),
    )


def lines_of(session: Session, platform_id: str = "sen") -> list[tuple[str, str, str, int]]:
    """Read the whole journal: (kind, debit, credit, amount) of every line, in order."""
    return [
        (header.kind, str(line.debit), str(line.credit), line.amount_minor)
        for header, line in journal.walk(session, platform_id)
    ]


def holdings(session: Session, platform_id: str = "sen") -> dict[str, int]:
    """Read every account's present balance by name, those of zero left out."""
    return {
        str(row.account): row.balance_minor
        for row in balances.by_account(session, platform_id)
        if row.balance_minor
    }


def stored(session: Session, platform_id: str = "sen") -> tuple[Sequence[object], ...]:
    """Read everything that a posting can change."""
    return (
        lines_of(session, platform_id),
        balances.listing(session, platform_id, limit=1_000),
        journal.listing(session, platform_id, limit=1_000),
    )
