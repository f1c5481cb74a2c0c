"""What the database itself refuses, whoever asks: changes of what is posted, and rows that break a law."""

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from service.ledger import journal
from service.runtime import db
from service.runtime.db import Database
from service.runtime.postgres import Endpoint
from tests.ledger.books import AN, BINH, CLEARING, NOW, entry, stored
from tests.world import bare_platform

REFUSED = "42501"
"""insufficient_privilege, by missing grant or by trigger."""

CHANGES = [
    "UPDATE line SET amount_minor = amount_minor + 1",
    "UPDATE line SET position = position WHERE FALSE",
    "DELETE FROM line",
    "TRUNCATE line",
    "UPDATE entry SET effective_at = effective_at - interval '1 day'",
    "UPDATE entry SET recorded_at = recorded_at - interval '1 day'",
    "DELETE FROM entry",
    "TRUNCATE entry CASCADE",
    "UPDATE account SET owner = 'other'",
    "DELETE FROM account",
    "TRUNCATE account CASCADE",
]

ENTRY = (
    "INSERT INTO entry (platform_id, kind, cause_kind, cause_id, currency, effective_at, recorded_at, key,"
    " request_sha256, line_count, amount_minor)"
    " SELECT platform_id, kind, cause_kind, cause_id, currency, effective_at, recorded_at, {key},"
    " request_sha256, {line_count}, amount_minor FROM entry WHERE platform_id = 'sen'"
)
LINE = (
    "INSERT INTO line (platform_id, entry_id, position, debit_account_id, credit_account_id, amount_minor,"
    " currency) SELECT platform_id, {entry}, {position}, {debit}, credit_account_id, {amount}, {currency}"
    " FROM line WHERE platform_id = 'sen' AND position = 1"
)


def _line(
    entry_id: str = "entry_id",
    position: str = "9",
    debit: str = "debit_account_id",
    amount: str = "1",
    currency: str = "currency",
) -> str:
    return LINE.format(entry=entry_id, position=position, debit=debit, amount=amount, currency=currency)


BREACHES = {
    "line_amount_check": _line(amount="0"),
    "line_accounts_check": _line(debit="credit_account_id"),
    "line_pk": _line(position="1"),
    "line_debit_fk": _line(debit="-1"),
    "line_debit_fk ": _line(debit="(SELECT min(id) FROM account WHERE platform_id = 'hoa')"),
    "line_debit_fk  ": _line(debit="(SELECT min(id) FROM account WHERE currency = 'USD')"),
    "line_platform_id_entry_id_fk": _line(entry_id="-entry_id"),
    "entry_platform_id_key_key": ENTRY.format(key="key", line_count="1"),
    "entry_lines_check": ENTRY.format(key="'new'", line_count="0"),
    "balance_floor_check": "UPDATE balance SET debit_minor = credit_minor + 1 WHERE floor_minor = 0",
    "account_platform_id_role_owner_currency_key": (
        "INSERT INTO account (platform_id, role, owner, currency, is_strict, is_debit_normal, created_at)"
        " SELECT platform_id, role, owner, currency, is_strict, is_debit_normal, created_at FROM account"
    ),
}
"""The constraint that is broken, and how."""


@pytest.fixture
def booked(database: Database) -> Database:
    """Give books with entries of two platforms and two currencies."""
    with db.transaction(database) as session:
        bare_platform(session)
        bare_platform(session, "hoa")
        journal.post(session, entry((CLEARING, AN, 7), (CLEARING, BINH, 5)), now=NOW)
        journal.post(session, entry((CLEARING, AN, 7), key="k-2", currency="USD"), now=NOW)
        journal.post(session, entry((CLEARING, AN, 7), platform_id="hoa"), now=NOW)
    return database


@pytest.fixture(params=["app_url", "owner_url"])
def role(request: pytest.FixtureRequest, booked: Database, database_urls: Endpoint) -> Iterator[Session]:
    """Give a session of the application's role, and one of the role that owns the tables."""
    engine = create_engine(getattr(database_urls, request.param))
    with Session(engine) as opened:
        yield opened
    engine.dispose()


def test_what_is_posted_cannot_be_changed(role: Session) -> None:
    """UPDATE, DELETE and TRUNCATE are refused for entries, lines and accounts, also where no row matches."""
    before = stored(role)
    states = []
    for change in CHANGES:
        with pytest.raises(DBAPIError) as caught:
            role.execute(text(change))
        states.append(getattr(caught.value.orig, "sqlstate", None))
        role.rollback()

    assert [REFUSED] * len(CHANGES) == states
    assert before == stored(role)


@pytest.mark.parametrize(("constraint", "statement"), BREACHES.items(), ids=BREACHES)
def test_a_row_that_breaks_a_law_cannot_be_stored(booked: Database, constraint: str, statement: str) -> None:
    """The application's own role cannot write past the rules of the books."""
    with pytest.raises(DBAPIError, match=f'"{constraint.strip()}"'), db.transaction(booked) as session:
        session.execute(text(statement))


def test_a_row_that_keeps_the_laws_can_be_stored(booked: Database) -> None:
    """The statements above fail for what they break, not for their form."""
    with db.transaction(booked) as session:
        session.execute(text(_line()))
        session.execute(text(ENTRY.format(key="key || '-copy'", line_count="1")))
        session.execute(text("UPDATE balance SET debit_minor = credit_minor WHERE floor_minor = 0"))
