"""Balances: what accounts hold, now and at any instant.

Owns reading of balances and the folding of tallies. Refuses nothing: an account that was never used holds
zero. Laws: all debits equal all credits, in every currency and at every instant; the balance now equals the
sum of all lines; folding changes no balance.

Now is a balance row plus the tallies not folded yet, read in one statement, so that a fold in between is seen
whole or not at all. At an instant is a sum of lines by their entries' `effective_at`, which must lie before
it: the closing balance of a period is the one at its end, and equals the opening balance of the next.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, TextClause, exists, select, text
from sqlalchemy.orm import Session

from service.ledger.accounts import AccountRef, Role
from service.ledger.tables import tally

LISTING_MAX: Final = 1_000
"""Accounts of one page."""

FOLDED_MAX: Final = 50_000
"""Tallies that one fold takes, so that no fold holds its locks for long."""

_STREAMED_ROWS: Final = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountBalance:
    """What an account turned over and holds, in minor units."""

    id: int
    account: AccountRef
    currency: str
    debit_minor: int
    credit_minor: int

    @property
    def balance_minor(self) -> int:
        """What it holds, on its normal side."""
        return _on_normal_side(self.account.role, self.debit_minor, self.credit_minor)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleBalance:
    """What all accounts of a role turned over and hold together, in minor units of one currency."""

    role: Role
    currency: str
    account_count: int
    debit_minor: int
    credit_minor: int

    @property
    def balance_minor(self) -> int:
        """What they hold, on the role's normal side."""
        return _on_normal_side(self.role, self.debit_minor, self.credit_minor)


def of(
    session: Session, platform_id: str, ref: AccountRef, currency: str, *, at: datetime | None = None
) -> int:
    """Read the balance of one account.

    Args: at: counts what is effective before it; None: everything posted.
    Returns: minor units on the account's normal side; 0 for an account that was never used.
    """
    values = {"platform_id": platform_id, "role": ref.role.value, "owner": ref.owner, "currency": currency}
    statement = _ONE_NOW if at is None else _ONE_AT
    row = session.execute(statement, values if at is None else {**values, "at": at}).one_or_none()
    return _on_normal_side(ref.role, int(row.debit_minor), int(row.credit_minor)) if row else 0


def of_role(session: Session, platform_id: str, role: Role, currency: str) -> dict[str, int]:
    """Read the balances of all accounts of a role by owner: minor units on the normal side, zeros too."""
    rows = session.execute(
        _every(_NOW, _OF_ROLE),
        {"platform_id": platform_id, "role": role.value, "currency": currency},
    )
    return {row.owner: _on_normal_side(role, int(row.debit_minor), int(row.credit_minor)) for row in rows}


def hold(
    session: Session, platform_id: str, role: Role, owners: Sequence[str], currency: str
) -> dict[str, int]:
    """Read balances of a strict role and keep them as they are until the transaction ends, by owner.

    Locks are taken in ascending order of account id, as postings take theirs.

    Returns: minor units on the normal side, of those owners who have an account.
    """
    assert role.is_strict, "a tally account has no balance row to lock"
    rows = session.execute(
        _HOLD,
        {"platform_id": platform_id, "role": role.value, "owners": list(owners), "currency": currency},
    )
    return {row.owner: _on_normal_side(role, int(row.debit_minor), int(row.credit_minor)) for row in rows}


def listing(
    session: Session, platform_id: str, *, after: int | None = None, limit: int = 100
) -> list[AccountBalance]:
    """List accounts with their present balances, in the order in which they were opened.

    Args: after: the id of the last account of the page before; limit: at most LISTING_MAX.
    """
    rows = session.execute(
        _every(_NOW, _PAGE),
        {"platform_id": platform_id, "after": after or 0, "limit": min(limit, LISTING_MAX)},
    )
    return [_account_balance(row) for row in rows]


def by_account(session: Session, platform_id: str, *, at: datetime | None = None) -> Iterator[AccountBalance]:
    """Stream the balances of all accounts that have lines, by role, owner and currency, in bounded memory.

    Args: at: counts what is effective before it; None: everything posted.
    """
    statement = _every(_NOW if at is None else _AT, _BY_NAME)
    values = {"platform_id": platform_id} if at is None else {"platform_id": platform_id, "at": at}
    # Closed also where the reader stops early.
    with session.execute(statement, values, execution_options={"yield_per": _STREAMED_ROWS}) as rows:
        for row in rows:
            yield _account_balance(row)


def trial_balance(session: Session, platform_id: str, *, at: datetime | None = None) -> list[RoleBalance]:
    """Read what every role turned over and holds, by role and currency.

    Args: at: counts what is effective before it; None: everything posted.
    Law: in each currency the debits of all roles equal the credits of all roles.
    """
    rows = session.execute(
        _TRIAL_NOW if at is None else _TRIAL_AT,
        {"platform_id": platform_id} if at is None else {"platform_id": platform_id, "at": at},
    )
    return [
        RoleBalance(
            role=Role(row.role),
            currency=row.currency,
            account_count=row.account_count,
            debit_minor=int(row.debit_minor),
            credit_minor=int(row.credit_minor),
        )
        for row in rows
    ]


def has_tallies(session: Session, platform_id: str) -> bool:
    """Tell whether there is anything to fold."""
    return bool(session.scalar(select(exists().where(tally.c.platform_id == platform_id))))


def fold(session: Session, platform_id: str, *, limit: int = FOLDED_MAX) -> int:
    """Move tallies into the balance rows of their accounts, the oldest first.

    Postings do not wait for it and it does not wait for them: what they append meanwhile is left for the next
    fold. Folds of one platform wait for each other, on the balance rows in ascending order of id.

    Returns: how many tallies were folded; 0 when there were none.
    """
    locked = session.execute(_LOCK_TALLIED, {"platform_id": platform_id}).scalars().all()
    if not locked:
        return 0
    values = {"platform_id": platform_id, "account_ids": locked, "limit": limit}
    return int(session.execute(_FOLD, values).scalar_one())


def _on_normal_side(role: Role, debit_minor: int, credit_minor: int) -> int:
    return debit_minor - credit_minor if role.is_debit_normal else credit_minor - debit_minor


def _account_balance(row: Row[Any]) -> AccountBalance:
    return AccountBalance(
        id=row.id,
        account=AccountRef(Role(row.role), row.owner),
        currency=row.currency,
        debit_minor=int(row.debit_minor),
        credit_minor=int(row.credit_minor),
    )


def _every(sums: str, tail: str) -> TextClause:
    """Compose the reading of many accounts from constants of this module."""
    return text(sums + tail)


# Each statement joins the platform out of a materialized row, for the reason that accounts.py gives.
_NOW: Final = """
    WITH book AS MATERIALIZED (SELECT CAST(:platform_id AS text) AS platform_id),
    unfolded AS MATERIALIZED (
        SELECT tally.account_id, sum(tally.debit_minor) AS debit_minor,
               sum(tally.credit_minor) AS credit_minor
          FROM book
          JOIN tally USING (platform_id)
         GROUP BY tally.account_id
    )
    SELECT account.id, account.role, account.owner, account.currency,
           balance.debit_minor + coalesce(unfolded.debit_minor, 0) AS debit_minor,
           balance.credit_minor + coalesce(unfolded.credit_minor, 0) AS credit_minor
      FROM book
      JOIN account USING (platform_id)
      JOIN balance ON balance.platform_id = account.platform_id AND balance.account_id = account.id
      LEFT JOIN unfolded ON unfolded.account_id = account.id
"""

_AT: Final = """
    WITH book AS MATERIALIZED (SELECT CAST(:platform_id AS text) AS platform_id),
    effective AS NOT MATERIALIZED (
        SELECT line.debit_account_id, line.credit_account_id, line.amount_minor
          FROM book
          JOIN entry USING (platform_id)
          JOIN line ON line.platform_id = entry.platform_id AND line.entry_id = entry.id
         WHERE entry.effective_at < CAST(:at AS timestamptz)
    ),
    summed AS MATERIALIZED (
        SELECT account_id, sum(debit_minor) AS debit_minor, sum(credit_minor) AS credit_minor
          FROM (SELECT debit_account_id AS account_id, amount_minor AS debit_minor, 0 AS credit_minor
                  FROM effective
                 UNION ALL
                SELECT credit_account_id, 0, amount_minor
                  FROM effective) AS side
         GROUP BY account_id
    )
    SELECT account.id, account.role, account.owner, account.currency,
           summed.debit_minor, summed.credit_minor
      FROM book
      JOIN account USING (platform_id)
      JOIN summed ON summed.account_id = account.id
"""

_OF_ROLE: Final = (
    " WHERE account.role = CAST(:role AS text) AND account.currency = CAST(:currency AS char(3))"
)

_PAGE: Final = """
     WHERE account.id > CAST(:after AS bigint)
     ORDER BY account.id
     LIMIT CAST(:limit AS integer)
"""

_BY_NAME: Final = ' ORDER BY account.role COLLATE "C", account.owner COLLATE "C", account.currency'

_TRIAL: Final = """
    SELECT role, currency, count(*) AS account_count, sum(debit_minor) AS debit_minor,
           sum(credit_minor) AS credit_minor
      FROM ({}) AS each
     GROUP BY role, currency
     ORDER BY role COLLATE "C", currency
"""

_TRIAL_NOW: Final = text(_TRIAL.format(_NOW))
_TRIAL_AT: Final = text(_TRIAL.format(_AT))

_ONE: Final = """
    WITH found AS MATERIALIZED (
        SELECT platform_id, id
          FROM account
         WHERE platform_id = CAST(:platform_id AS text) AND role = CAST(:role AS text)
           AND owner = CAST(:owner AS text) AND currency = CAST(:currency AS char(3))
    )
"""

_ONE_NOW: Final = text(
    f"""
    {_ONE}
    SELECT balance.debit_minor + coalesce(unfolded.debit_minor, 0) AS debit_minor,
           balance.credit_minor + coalesce(unfolded.credit_minor, 0) AS credit_minor
      FROM found
      JOIN balance ON balance.platform_id = found.platform_id AND balance.account_id = found.id
      LEFT JOIN LATERAL (
          SELECT sum(tally.debit_minor) AS debit_minor, sum(tally.credit_minor) AS credit_minor
            FROM tally
           WHERE tally.platform_id = found.platform_id AND tally.account_id = found.id
      ) AS unfolded ON TRUE
    """
)

_ONE_AT: Final = text(
    f"""
    {_ONE}
    SELECT coalesce(debited.amount_minor, 0) AS debit_minor,
           coalesce(credited.amount_minor, 0) AS credit_minor
      FROM found
      LEFT JOIN LATERAL (
          SELECT sum(line.amount_minor) AS amount_minor
            FROM line
            JOIN entry ON entry.platform_id = line.platform_id AND entry.id = line.entry_id
           WHERE line.platform_id = found.platform_id AND line.debit_account_id = found.id
             AND entry.effective_at < CAST(:at AS timestamptz)
      ) AS debited ON TRUE
      LEFT JOIN LATERAL (
          SELECT sum(line.amount_minor) AS amount_minor
            FROM line
            JOIN entry ON entry.platform_id = line.platform_id AND entry.id = line.entry_id
           WHERE line.platform_id = found.platform_id AND line.credit_account_id = found.id
             AND entry.effective_at < CAST(:at AS timestamptz)
      ) AS credited ON TRUE
    """
)

_LOCK_TALLIED: Final = text(
    """
    WITH tallied AS MATERIALIZED (
        SELECT DISTINCT platform_id, account_id
          FROM tally
         WHERE platform_id = CAST(:platform_id AS text)
    )
    SELECT balance.account_id
      FROM tallied
      JOIN balance USING (platform_id, account_id)
     ORDER BY balance.account_id
       FOR UPDATE OF balance
    """
)

_FOLD: Final = text(
    """
    WITH folded AS (
        DELETE FROM tally
         WHERE id IN (SELECT id
                        FROM tally
                       WHERE platform_id = CAST(:platform_id AS text)
                         AND account_id = ANY(CAST(:account_ids AS bigint[]))
                       ORDER BY id
                       LIMIT CAST(:limit AS integer))
        RETURNING platform_id, account_id, debit_minor, credit_minor
    ),
    summed AS MATERIALIZED (
        SELECT platform_id, account_id, CAST(sum(debit_minor) AS bigint) AS debit_minor,
               CAST(sum(credit_minor) AS bigint) AS credit_minor, count(*) AS tally_count
          FROM folded
         GROUP BY platform_id, account_id
    ),
    added AS (
        UPDATE balance
           SET debit_minor = balance.debit_minor + summed.debit_minor,
               credit_minor = balance.credit_minor + summed.credit_minor
          FROM summed
         WHERE balance.platform_id = summed.platform_id AND balance.account_id = summed.account_id
        RETURNING summed.tally_count
    )
    SELECT coalesce(sum(tally_count), 0) FROM added
    """
)

_HOLD: Final = text(
    """
    WITH book AS MATERIALIZED (SELECT CAST(:platform_id AS text) AS platform_id)
    SELECT account.owner, balance.debit_minor, balance.credit_minor
      FROM book
      JOIN account USING (platform_id)
      JOIN balance ON balance.platform_id = account.platform_id AND balance.account_id = account.id
     WHERE account.role = CAST(:role AS text) AND account.currency = CAST(:currency AS char(3))
       AND account.owner = ANY(CAST(:owners AS text[]))
     ORDER BY balance.account_id
       FOR UPDATE OF balance
    """
)
