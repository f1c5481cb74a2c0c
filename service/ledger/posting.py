"""Posting: how entries become rows, whole or not at all.

Owns the statements that write the books and the order of their locks. Refuses a key that stands for another
entry, an overdraft of a strict account, and a second reversal. Laws: a posting takes a constant number of
statements, whatever the number of its lines; a fault stores nothing, also when the caller catches it and
commits; the same entry again is a replay and changes nothing.

Locks are taken in one order: keys as they are inserted (sorted), accounts as they are opened (sorted),
balance rows of strict accounts (by ascending id). Two transactions that post once each never wait for each
other in a circle; one that posts several entries does so in one call.

Lines are written by COPY at every size. Beside INSERT ... SELECT FROM unnest(...) it took 0.32 ms against
0.44 ms for 10 lines and 2.7 s against 3.0 s for 100,000 (2 cores; most of it is checking foreign keys).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, Final, NamedTuple, Protocol, cast

from sqlalchemy import ARRAY, CursorResult, Row, Text, any_, literal, select, text
from sqlalchemy.orm import Session

from service.core import spans
from service.core.digests import canonical_json, framed, sha256
from service.core.errors import Fault
from service.ledger import accounts
from service.ledger.accounts import Account, AccountRef
from service.ledger.entries import Entry
from service.ledger.errors import AlreadyReversed, BalanceTooLarge, InsufficientBalance, KeyReused
from service.ledger.tables import entry, line
from service.runtime.db import copy_rows

TURNOVER_MINOR_MAX: Final = 2**62
"""What all debits, and all credits, of an account may sum to: half of what the column holds, because a tally
account's last deltas are not in its balance row yet."""

LISTED_MAX: Final = 20
"""Accounts that an InsufficientBalance lists one by one."""

AMOUNT_BYTES: Final = 8
"""An amount within what a digest covers, big-endian."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """What became of a posting: the entry's id, and whether it had been posted before."""

    entry_id: int
    is_replay: bool


class Header(Protocol):
    """What an entry says beside its lines, as it is asked for and as it is recorded."""

    @property
    def platform_id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def cause_kind(self) -> str: ...
    @property
    def cause_id(self) -> str: ...
    @property
    def period_id(self) -> str | None: ...
    @property
    def currency(self) -> str: ...
    @property
    def effective_at(self) -> datetime: ...


class _Move(NamedTuple):
    """A line by the numbers that its accounts have within the posting."""

    debit: int
    credit: int
    amount_minor: int


class _Delta(NamedTuple):
    """What one entry does to one account."""

    entry_id: int
    account_id: int
    debit_minor: int
    credit_minor: int


def request_sha256(asked: Entry, *, reverses_id: int | None = None) -> bytes:
    """Return the digest of everything an entry asks for: 32 bytes.

    Law: entries that differ in anything but their key have different digests. Each distinct account is framed
    once, because an entry may have a million lines.
    """
    sides: dict[AccountRef, bytes] = {}
    parts = [header_frame(asked, reverses_id)]
    for move in asked.lines:
        for ref in (move.debit, move.credit):
            side = sides.get(ref)
            if side is None:
                side = sides[ref] = account_frame(ref.role.value, ref.owner)
            parts.append(side)
        parts.append(move.amount_minor.to_bytes(AMOUNT_BYTES, "big"))
    return sha256(b"".join(parts))


def header_frame(header: Header, reverses_id: int | None) -> bytes:
    """Write what an entry asks for beside its lines as bytes, the beginning of what its digest covers.

    After it come, for each line, the frames of the debit and the credit account and the amount.
    """
    values = {
        "platform_id": header.platform_id,
        "kind": header.kind,
        "cause_kind": header.cause_kind,
        "cause_id": header.cause_id,
        "period_id": header.period_id,
        "currency": header.currency,
        "effective_at": spans.to_text(header.effective_at),
        "reverses_id": reverses_id,
    }
    return framed(canonical_json(values))


def account_frame(role: str, owner: str) -> bytes:
    """Write an account's name as bytes."""
    return framed(role.encode(), owner.encode())


def write(
    session: Session, asked: Sequence[Entry], *, reverses: Mapping[str, int], now: datetime
) -> list[Posted]:
    """Post entries of one platform and currency, all or none.

    Args: asked: one or more, keys differ; reverses: by key, the original's id of those that are reversals.
    Returns: in the order given. Raises: KeyReused, AlreadyReversed, InsufficientBalance, BalanceTooLarge.
    """
    platform_id, currency = asked[0].platform_id, asked[0].currency
    assert all((item.platform_id, item.currency) == (platform_id, currency) for item in asked), "one book"
    assert len({item.key for item in asked}) == len(asked), "keys differ"
    digests = {item.key: request_sha256(item, reverses_id=reverses.get(item.key)) for item in asked}
    # A savepoint, so that a caller that catches a fault and commits stores nothing of this posting.
    with session.begin_nested():
        ids = _insert_headers(session, asked, digests, reverses, now)
        taken = [item.key for item in asked if item.key not in ids]
        replayed = _replayed(session, platform_id, taken, digests, reverses)
        fresh = {ids[item.key]: item for item in asked if item.key in ids}
        if fresh:
            _book(session, platform_id, currency, fresh, now)
    return [Posted(entry_id=(ids | replayed)[key], is_replay=key in replayed) for key in digests]


def _insert_headers(
    session: Session,
    asked: Sequence[Entry],
    digests: Mapping[str, bytes],
    reverses: Mapping[str, int],
    now: datetime,
) -> dict[str, int]:
    """Insert the headers whose key, and whose original, is not taken; return their ids by key.

    A poster of the same key waits here for the first one's commit and then inserts nothing.
    """
    ordered = sorted(asked, key=attrgetter("key"))
    rows = session.execute(
        _INSERT_HEADERS,
        {
            "platform_id": ordered[0].platform_id,
            "currency": ordered[0].currency,
            "now": now,
            "kinds": [item.kind for item in ordered],
            "cause_kinds": [item.cause_kind for item in ordered],
            "cause_ids": [item.cause_id for item in ordered],
            "period_ids": [item.period_id for item in ordered],
            "effective_ats": [item.effective_at for item in ordered],
            "keys": [item.key for item in ordered],
            "digests": [digests[item.key] for item in ordered],
            "reverses_ids": [reverses.get(item.key) for item in ordered],
            "line_counts": [len(item.lines) for item in ordered],
            "amounts": [item.amount_minor for item in ordered],
        },
    )
    return {row.key: row.id for row in rows}


def _replayed(
    session: Session,
    platform_id: str,
    keys: Sequence[str],
    digests: Mapping[str, bytes],
    reverses: Mapping[str, int],
) -> dict[str, int]:
    """Find the entries that these keys already stand for, by key, refusing those that are others."""
    if not keys:
        return {}
    found = {
        row.key: row
        for row in session.execute(
            select(entry.c.key, entry.c.id, entry.c.request_sha256).where(
                entry.c.platform_id == platform_id, entry.c.key == any_(literal(keys, ARRAY(Text)))
            )
        )
    }
    for key in keys:
        if key not in found:  # The header was refused for its original, which has another reversal.
            raise _already_reversed(session, platform_id, reverses[key])
        if bytes(found[key].request_sha256) != digests[key]:
            raise KeyReused(
                f"The key {key} already stands for entry {found[key].id}, whose content differs; use a new"
                " key for a new entry, or ask for exactly the same again.",
                entry_id=found[key].id,
            )
    return {key: found[key].id for key in keys}


def _already_reversed(session: Session, platform_id: str, original_id: int) -> AlreadyReversed:
    reversal_id = session.scalar(
        select(entry.c.id).where(entry.c.platform_id == platform_id, entry.c.reverses_id == original_id)
    )
    return AlreadyReversed(
        f"Entry {original_id} was reversed by entry {reversal_id}, and an entry is reversed once; to change"
        " what stands, post a new entry.",
        reversed_by_id=reversal_id,
    )


def _book(
    session: Session, platform_id: str, currency: str, fresh: Mapping[int, Entry], now: datetime
) -> None:
    """Write the lines of new entries, by their ids, and what they do to balances."""
    # Accounts are numbered once: hashing their names at every step took as long as writing the lines.
    numbers: dict[AccountRef, int] = {}
    moves = {
        entry_id: [
            _Move(
                numbers.setdefault(each.debit, len(numbers)),
                numbers.setdefault(each.credit, len(numbers)),
                each.amount_minor,
            )
            for each in item.lines
        ]
        for entry_id, item in fresh.items()
    }
    refs = list(numbers)
    opened = accounts.ensure(session, platform_id, currency, refs, now=now)
    strict, tallied = _effects(moves, opened)
    if strict:
        refused = session.execute(_LOCK, _values(platform_id, strict)).all()
        if refused:
            names = {account.id: ref for account, ref in zip(opened, refs, strict=True)}
            raise _refusal([(names[row.account_id], row) for row in refused], currency)
        session.execute(_ADD, _values(platform_id, strict))
    if tallied:
        appended = cast("CursorResult[Any]", session.execute(_TALLY, _values(platform_id, tallied)))
        if appended.rowcount < len(tallied):
            raise _too_large("a platform-wide account")
    rows = _rows(platform_id, currency, moves, [account.id for account in opened])
    copy_rows(session, line, _LINE_COLUMNS, rows)


def _effects(
    moves: Mapping[int, Sequence[_Move]], opened: Sequence[Account]
) -> tuple[list[_Delta], list[_Delta]]:
    """Net what each entry does to each account. Returns: to strict accounts, to tally accounts."""
    strict: list[_Delta] = []
    tallied: list[_Delta] = []
    for entry_id, made in moves.items():
        debited: defaultdict[int, int] = defaultdict(int)
        credited: defaultdict[int, int] = defaultdict(int)
        for debit, credit, amount_minor in made:
            debited[debit] += amount_minor
            credited[credit] += amount_minor
        for number in debited.keys() | credited.keys():
            account = opened[number]
            delta = _Delta(entry_id, account.id, debited.get(number, 0), credited.get(number, 0))
            (strict if account.is_strict else tallied).append(delta)
    return strict, tallied


def _values(platform_id: str, deltas: Sequence[_Delta]) -> dict[str, object]:
    return {
        "platform_id": platform_id,
        "entry_ids": [delta.entry_id for delta in deltas],
        "account_ids": [delta.account_id for delta in deltas],
        "debits": [delta.debit_minor for delta in deltas],
        "credits": [delta.credit_minor for delta in deltas],
        "most": TURNOVER_MINOR_MAX,
    }


def _refusal(refused: Sequence[tuple[AccountRef, Row[Any]]], currency: str) -> Fault:
    """Say which strict accounts refuse the posting; amounts are on each account's normal side."""
    for ref, row in refused:
        if row.is_too_large:
            return _too_large(f"the account {ref}")
    ref, row = refused[0]
    more = f", and {len(refused) - 1} more accounts hold too little" if len(refused) > 1 else ""
    return InsufficientBalance(
        f"The account {ref} holds {row.held_minor} minor units of {currency} and {row.taken_minor} would be"
        f" taken, but it may not fall below {row.floor_minor}{more}. Take less, or credit it first.",
        account_count=len(refused),
        accounts=[
            {
                "role": ref.role.value,
                "owner": ref.owner,
                "currency": currency,
                "held_minor": int(row.held_minor),
                "taken_minor": int(row.taken_minor),
                "floor_minor": row.floor_minor,
            }
            for ref, row in refused[:LISTED_MAX]
        ],
    )


def _too_large(name: str) -> BalanceTooLarge:
    return BalanceTooLarge(
        f"The entry would take the turnover of {name} beyond {TURNOVER_MINOR_MAX} minor units, where its sums"
        " would stop being exact; check the amount."
    )


def _rows(
    platform_id: str, currency: str, moves: Mapping[int, Sequence[_Move]], ids: Sequence[int]
) -> Iterator[tuple[str, int, int, int, int, int, str]]:
    """Give the rows of lines, positions counted from 1."""
    for entry_id, made in moves.items():
        for position, (debit, credit, amount_minor) in enumerate(made, 1):
            yield platform_id, entry_id, position, ids[debit], ids[credit], amount_minor, currency


_LINE_COLUMNS: Final = (
    "platform_id",
    "entry_id",
    "position",
    "debit_account_id",
    "credit_account_id",
    "amount_minor",
    "currency",
)

_INSERT_HEADERS: Final = text(
    """
    INSERT INTO entry (platform_id, kind, cause_kind, cause_id, period_id, currency, effective_at,
                       recorded_at, key, request_sha256, reverses_id, line_count, amount_minor)
    SELECT CAST(:platform_id AS text), asked.kind, asked.cause_kind, asked.cause_id, asked.period_id,
           CAST(:currency AS char(3)), asked.effective_at, CAST(:now AS timestamptz), asked.key,
           asked.request_sha256, asked.reverses_id, asked.line_count, asked.amount_minor
      FROM unnest(CAST(:kinds AS text[]), CAST(:cause_kinds AS text[]), CAST(:cause_ids AS text[]),
                  CAST(:period_ids AS text[]), CAST(:effective_ats AS timestamptz[]), CAST(:keys AS text[]),
                  CAST(:digests AS bytea[]), CAST(:reverses_ids AS bigint[]), CAST(:line_counts AS integer[]),
                  CAST(:amounts AS bigint[])) WITH ORDINALITY
        AS asked (kind, cause_kind, cause_id, period_id, effective_at, key, request_sha256, reverses_id,
                  line_count, amount_minor, ordinal)
     ORDER BY asked.ordinal
    ON CONFLICT DO NOTHING
    RETURNING id, key
    """
)

# Sums are numeric, so that the check itself cannot overflow.
_NETTED: Final = """
    SELECT CAST(:platform_id AS text) AS platform_id, account_id, sum(debit_minor) AS debit_minor,
           sum(credit_minor) AS credit_minor
      FROM unnest(CAST(:account_ids AS bigint[]), CAST(:debits AS bigint[]), CAST(:credits AS bigint[]))
        AS effect (account_id, debit_minor, credit_minor)
     GROUP BY account_id
"""

# FOR UPDATE locks after the sort, hence in ascending order of id. What is found under the lock still holds
# when the rows are updated; the table's own check stands behind this one.
_LOCK: Final = text(
    f"""
    WITH delta AS MATERIALIZED ({_NETTED}),
    locked AS MATERIALIZED (
        SELECT account_id, debit_minor, credit_minor, floor_minor,
               CASE WHEN is_debit_normal THEN 1 ELSE -1 END AS side
          FROM balance
         WHERE platform_id = CAST(:platform_id AS text) AND account_id = ANY(CAST(:account_ids AS bigint[]))
         ORDER BY account_id
           FOR UPDATE
    ),
    checked AS (
        SELECT locked.account_id, locked.floor_minor,
               locked.side * (locked.debit_minor - locked.credit_minor) AS held_minor,
               locked.side * (delta.credit_minor - delta.debit_minor) AS taken_minor,
               greatest(locked.debit_minor + delta.debit_minor, locked.credit_minor + delta.credit_minor)
                   > CAST(:most AS bigint) AS is_too_large
          FROM locked
          JOIN delta USING (account_id)
    )
    SELECT account_id, floor_minor, held_minor, taken_minor, is_too_large
      FROM checked
     WHERE is_too_large OR held_minor - taken_minor < floor_minor
     ORDER BY account_id
    """
)

_ADD: Final = text(
    f"""
    WITH delta AS MATERIALIZED ({_NETTED})
    UPDATE balance
       SET debit_minor = balance.debit_minor + CAST(delta.debit_minor AS bigint),
           credit_minor = balance.credit_minor + CAST(delta.credit_minor AS bigint)
      FROM delta
     WHERE balance.platform_id = delta.platform_id AND balance.account_id = delta.account_id
    """
)

# The balance row tells what was folded so far; a delta that would take it too far is left out, and missed.
_TALLY: Final = text(
    """
    WITH delta AS MATERIALIZED (
        SELECT CAST(:platform_id AS text) AS platform_id, effect.*
          FROM unnest(CAST(:entry_ids AS bigint[]), CAST(:account_ids AS bigint[]), CAST(:debits AS bigint[]),
                      CAST(:credits AS bigint[])) AS effect (entry_id, account_id, debit_minor, credit_minor)
    )
    INSERT INTO tally (platform_id, account_id, entry_id, debit_minor, credit_minor)
    SELECT delta.platform_id, delta.account_id, delta.entry_id, delta.debit_minor, delta.credit_minor
      FROM delta
      JOIN balance USING (platform_id, account_id)
     WHERE greatest(balance.debit_minor + delta.debit_minor, balance.credit_minor + delta.credit_minor)
           <= CAST(:most AS bigint)
    """
)
