"""The books against themselves: entries, lines, accounts, balances and reversals.

Reads the tables directly, on purpose: a check that read them through the code that wrote them would share
its mistakes. Law: whoever changes, adds or removes a row of the books, going around the database's guards,
is found by at least one check here.
"""

import hashlib
from collections.abc import Callable, Mapping
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from service.audit.findings import BOOK, KEPT, Notes, differences, stream
from service.ledger import posting
from service.ledger.accounts import TRAITS, Role
from service.parties.platforms import Platform


def accounts(session: Session, platform: Platform, notes: Notes) -> None:
    """Each account and its balance row are as the role says, and no balance is below its floor."""
    for row in stream(session, platform.id, _ACCOUNTS):
        notes.see()
        name = f"account {row.id} {row.role}:{row.owner}"
        traits = TRAITS[Role(row.role)] if row.role in set(Role) else None
        if traits is None:
            notes.compare(name, "a known role", row.role)
            continue
        notes.compare(f"{name} has an owner", int(traits.owner_kind is not None), int(row.owner != ""))
        notes.compare(f"{name} is strict", int(traits.is_strict), int(row.is_strict))
        notes.compare(f"{name} is debit normal", int(traits.is_debit_normal), int(row.is_debit_normal))
        notes.compare(f"{name} has a balance row", 1, int(row.has_balance))
        if row.has_balance:
            notes.compare(
                f"{name} balance is debit normal", int(row.is_debit_normal), int(row.balance_is_debit_normal)
            )
            notes.compare(f"{name} floor", traits.floor, row.floor_minor)
            side = 1 if traits.is_debit_normal else -1
            held_minor = side * (row.debit_minor - row.credit_minor)
            if traits.floor is not None and held_minor < traits.floor:
                notes.compare(f"{name} balance", f"at least {traits.floor}", held_minor)


def references(session: Session, platform: Platform, notes: Notes) -> None:
    """Each line belongs to an entry, moves between two accounts, and has the currency of all three."""
    notes.see(_count(session, platform, "line"))
    differences(session, notes, _REFERENCES)


def totals(session: Session, platform: Platform, notes: Notes) -> None:
    """Each entry has the lines that it says, numbered without a gap, and their sum."""
    notes.see(_count(session, platform, "entry"))
    differences(session, notes, _TOTALS)


def digests(session: Session, platform: Platform, notes: Notes) -> None:
    """Each entry is what was asked for: its digest covers header and lines."""
    for _, rows in groupby(stream(session, platform.id, _CONTENTS), key=attrgetter("id")):
        notes.see()
        sha256 = None
        first: Row[Any] | None = None
        for row in rows:
            if first is None:
                first = row
                sha256 = hashlib.sha256(posting.header_frame(row, row.reverses_id))
            assert sha256 is not None, "the first line made it"
            sha256.update(posting.account_frame(str(row.debit_role), str(row.debit_owner)))
            sha256.update(posting.account_frame(str(row.credit_role), str(row.credit_owner)))
            sha256.update(row.amount_minor.to_bytes(posting.AMOUNT_BYTES, "big"))
        assert first is not None, "a group has a row"
        assert sha256 is not None, "a group has a row"
        notes.compare(f"entry {first.id} {first.key}", bytes(first.request_sha256).hex(), sha256.hexdigest())


def balances(session: Session, platform: Platform, notes: Notes) -> None:
    """Each balance row, with the tallies not folded yet, is the sum of its account's lines."""
    notes.see(_count(session, platform, "account"))
    differences(session, notes, _BALANCES)


def tallies(session: Session, platform: Platform, notes: Notes) -> None:
    """Each tally is of a tally account, and of an entry that is there."""
    notes.see(_count(session, platform, "tally"))
    differences(session, notes, _TALLIES)


def trial(session: Session, platform: Platform, notes: Notes) -> None:
    """In each currency all accounts' debits equal all accounts' credits."""
    for row in stream(session, platform.id, _TRIAL):
        notes.see()
        notes.compare(f"all accounts in {row.currency}", int(row.debit_minor), int(row.credit_minor))


def reversals(session: Session, platform: Platform, notes: Notes) -> None:
    """Each reversal has the lines of its original, turned over."""
    for row in stream(session, platform.id, _REVERSALS):
        notes.see()
        notes.compare(f"entry {row.id} reverses {row.reverses_id}, lines that do not match", 0, row.unmatched)


CHECKS: Final[Mapping[str, Callable[[Session, Platform, Notes], None]]] = {
    "ledger.accounts": accounts,
    "ledger.references": references,
    "ledger.totals": totals,
    "ledger.digests": digests,
    "ledger.balances": balances,
    "ledger.tallies": tallies,
    "ledger.trial": trial,
    "ledger.reversals": reversals,
}


def _count(session: Session, platform: Platform, table: str) -> int:
    """Count a platform's rows of a table of the ledger."""
    statement = text(f"SELECT count(*) FROM {table} WHERE platform_id = :platform_id")
    return int(session.execute(statement, {"platform_id": platform.id}).scalar_one())


_ACCOUNTS: Final = text(
    f"""
    WITH {BOOK}
    SELECT account.id, account.role, account.owner, account.is_strict, account.is_debit_normal,
           balance.account_id IS NOT NULL AS has_balance,
           balance.is_debit_normal AS balance_is_debit_normal, balance.floor_minor,
           balance.debit_minor, balance.credit_minor
      FROM book
      JOIN account USING (platform_id)
      LEFT JOIN balance ON balance.platform_id = account.platform_id AND balance.account_id = account.id
     ORDER BY account.id
    """
)

_REFERENCES: Final = text(
    f"""
    WITH {BOOK}
    SELECT format('line %s of entry %s', line.position, line.entry_id) AS subject,
           'an entry and two accounts in ' || line.currency AS expected,
           format('%s, %s, %s', coalesce(entry.currency, 'no entry'), coalesce(debit.currency, 'no account'),
                  coalesce(credit.currency, 'no account')) AS found
      FROM book
      JOIN line USING (platform_id)
      LEFT JOIN entry ON entry.platform_id = line.platform_id AND entry.id = line.entry_id
      LEFT JOIN account AS debit
        ON debit.platform_id = line.platform_id AND debit.id = line.debit_account_id
      LEFT JOIN account AS credit
        ON credit.platform_id = line.platform_id AND credit.id = line.credit_account_id
     WHERE (entry.currency = line.currency AND debit.currency = line.currency
            AND credit.currency = line.currency) IS NOT TRUE
     ORDER BY line.entry_id, line.position
    """
)

_TOTALS: Final = text(
    f"""
    WITH {BOOK},
    summed AS MATERIALIZED (
        SELECT line.entry_id, count(*) AS line_count, sum(line.amount_minor) AS amount_minor,
               max(line.position) AS last
          FROM book
          JOIN line USING (platform_id)
         GROUP BY line.entry_id
    ),
    headed AS MATERIALIZED (
        SELECT entry.id, entry.key, entry.line_count, entry.amount_minor
          FROM book
          JOIN entry USING (platform_id)
    )
    SELECT 'entry ' || coalesce(headed.id, summed.entry_id) || coalesce(' ' || headed.key, '') AS subject,
           format('%s lines of %s', headed.line_count, headed.amount_minor) AS expected,
           format('%s lines of %s', coalesce(summed.line_count, 0), coalesce(summed.amount_minor, 0))
           || CASE WHEN summed.last <> summed.line_count THEN ', with a gap' ELSE '' END AS found
      FROM headed
      FULL JOIN summed ON summed.entry_id = headed.id
     WHERE (headed.line_count = summed.line_count AND headed.amount_minor = summed.amount_minor
            AND summed.last = summed.line_count) IS NOT TRUE
     ORDER BY coalesce(headed.id, summed.entry_id)
    """
)

_CONTENTS: Final = text(
    f"""
    WITH {BOOK}
    SELECT entry.id, entry.platform_id, entry.kind, entry.cause_kind, entry.cause_id, entry.period_id,
           entry.currency, entry.effective_at, entry.key, entry.request_sha256, entry.reverses_id,
           debit.role AS debit_role, debit.owner AS debit_owner,
           credit.role AS credit_role, credit.owner AS credit_owner, line.amount_minor
      FROM book
      JOIN entry USING (platform_id)
      JOIN line ON line.platform_id = entry.platform_id AND line.entry_id = entry.id
      LEFT JOIN account AS debit
        ON debit.platform_id = line.platform_id AND debit.id = line.debit_account_id
      LEFT JOIN account AS credit
        ON credit.platform_id = line.platform_id AND credit.id = line.credit_account_id
     ORDER BY entry.id, line.position
    """
)

_BALANCES: Final = text(
    f"""
    WITH {BOOK}, {KEPT},
    summed AS MATERIALIZED (
        SELECT account_id, sum(debit_minor) AS debit_minor, sum(credit_minor) AS credit_minor
          FROM (SELECT line.debit_account_id AS account_id, line.amount_minor AS debit_minor,
                       0 AS credit_minor
                  FROM book
                  JOIN line USING (platform_id)
                 UNION ALL
                SELECT line.credit_account_id, 0, line.amount_minor
                  FROM book
                  JOIN line USING (platform_id)) AS side
         GROUP BY account_id
    )
    SELECT format('account %s %s:%s in %s', kept.id, kept.role, kept.owner, kept.currency) AS subject,
           format('debits %s, credits %s', coalesce(summed.debit_minor, 0), coalesce(summed.credit_minor, 0))
           AS expected,
           format('debits %s, credits %s', kept.debit_minor, kept.credit_minor) AS found
      FROM kept
      LEFT JOIN summed ON summed.account_id = kept.id
     WHERE kept.debit_minor <> coalesce(summed.debit_minor, 0)
        OR kept.credit_minor <> coalesce(summed.credit_minor, 0)
     ORDER BY kept.id
    """
)

_TALLIES: Final = text(
    f"""
    WITH {BOOK}
    SELECT 'tally ' || tally.id AS subject, 'a tally account and an entry' AS expected,
           CASE WHEN account.id IS NULL THEN 'no account'
                WHEN account.is_strict THEN 'a strict account'
                ELSE 'no entry ' || tally.entry_id END AS found
      FROM book
      JOIN tally USING (platform_id)
      LEFT JOIN account ON account.platform_id = tally.platform_id AND account.id = tally.account_id
      LEFT JOIN entry ON entry.platform_id = tally.platform_id AND entry.id = tally.entry_id
     WHERE account.id IS NULL OR account.is_strict OR entry.id IS NULL
     ORDER BY tally.id
    """
)

_TRIAL: Final = text(
    f"""
    WITH {BOOK}, {KEPT}
    SELECT currency, sum(debit_minor) AS debit_minor, sum(credit_minor) AS credit_minor
      FROM kept
     GROUP BY currency
     ORDER BY currency
    """
)

_REVERSALS: Final = text(
    f"""
    WITH {BOOK},
    reversal AS MATERIALIZED (
        SELECT entry.platform_id, entry.id, entry.reverses_id
          FROM book
          JOIN entry USING (platform_id)
         WHERE entry.reverses_id IS NOT NULL
    ),
    undone AS MATERIALIZED (
        SELECT reversal.id, line.position, line.debit_account_id, line.credit_account_id, line.amount_minor
          FROM reversal
          JOIN line ON line.platform_id = reversal.platform_id AND line.entry_id = reversal.id
    ),
    done AS MATERIALIZED (
        SELECT reversal.id, line.position, line.debit_account_id, line.credit_account_id, line.amount_minor
          FROM reversal
          JOIN line ON line.platform_id = reversal.platform_id AND line.entry_id = reversal.reverses_id
    ),
    compared AS (
        SELECT coalesce(done.id, undone.id) AS id,
               (done.debit_account_id = undone.credit_account_id
                AND done.credit_account_id = undone.debit_account_id
                AND done.amount_minor = undone.amount_minor) IS TRUE AS is_matched
          FROM done
          FULL JOIN undone ON undone.id = done.id AND undone.position = done.position
    )
    SELECT reversal.id, reversal.reverses_id, count(*) FILTER (WHERE NOT compared.is_matched) AS unmatched
      FROM reversal
      LEFT JOIN compared ON compared.id = reversal.id
     GROUP BY reversal.id, reversal.reverses_id
     ORDER BY reversal.id
    """
)
