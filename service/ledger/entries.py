"""Entries: what can happen to money, each as a pure function from facts to lines.

Owns the form of an entry and its templates. Refuses amounts that are not whole, not above zero or too large,
a line from an account to itself, and an entry without lines. Laws: a line moves its amount out of the credit
account into the debit account, both in the entry's currency, so that every entry balances by construction;
the same facts make the same entry, with the same idempotency key, at any time.

A key is the kind and the id of the cause, so an act that is run again posts nothing new. `effective_at` is
part of an entry's content: take it from the fact (a period's end, a payout's step), not from the clock of the
retry, or the key will be refused as standing for another entry.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from service.core.currencies import exponent_of
from service.core.digests import INTEGER_MAX
from service.ledger.accounts import AccountRef, Role
from service.ledger.errors import BadEntry

AMOUNT_MINOR_MAX: Final = INTEGER_MAX
"""The largest amount of an entry, all lines together: what every reader of a JSON export keeps exact."""

WORD_LENGTH_MAX: Final = 200
"""Characters in a key, a kind or the id of a cause."""

_PARTY_ROLES: Final = {
    "platform": Role.PLATFORM_REVENUE,
    "parent": Role.PARENT_SHARE,
    "partner": Role.PARTNER_PAYABLE,
    "creator": Role.CREATOR_PAYABLE,
}

_UNEARNED_ROLES: Final = {"platform": Role.PLATFORM_REVENUE, "unallocated": Role.UNALLOCATED}


@dataclass(frozen=True, slots=True)
class Line:
    """One move of money: out of `credit`, into `debit`, minor units above zero. Raises: BadEntry."""

    debit: AccountRef
    credit: AccountRef
    amount_minor: int

    def __post_init__(self) -> None:
        if type(self.amount_minor) is not int or not 0 < self.amount_minor <= AMOUNT_MINOR_MAX:
            raise BadEntry(
                f"The line from {self.credit} to {self.debit} has the amount {self.amount_minor!r}; give a"
                f" whole number of minor units from 1 to {AMOUNT_MINOR_MAX}."
            )
        if self.debit == self.credit:
            raise BadEntry(f"The line moves money from {self.credit} to itself; name two accounts.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What to book, as asked for.

    Args:
        kind: what happened, as its template names it.
        cause_kind, cause_id: the fact that made it, so that any amount can be traced to where it came from.
        period_id: the period that it belongs to, where it belongs to one.
        currency: ISO 4217, of every line.
        effective_at: aware; when it counts.
        key: unique within the platform; the same key posts once.
        lines: at least one, in the order in which they are booked.
    Raises: BadEntry, UnknownCurrency.
    """

    platform_id: str
    kind: str
    cause_kind: str
    cause_id: str
    period_id: str | None = None
    currency: str
    effective_at: datetime
    key: str
    lines: tuple[Line, ...]

    def __post_init__(self) -> None:
        exponent_of(self.currency)
        for name in ("kind", "cause_kind", "cause_id", "key"):
            word = getattr(self, name)
            if not 0 < len(word) <= WORD_LENGTH_MAX or "\x00" in word:
                raise BadEntry(
                    f"The entry's {name} is empty or no plain text; give 1 to {WORD_LENGTH_MAX} letters."
                )
        if self.effective_at.utcoffset() is None:
            raise BadEntry("The entry's effective_at names no time zone; give an instant with its zone.")
        if not self.lines:
            raise BadEntry(f"The entry {self.key} moves nothing; give it at least one line.")
        if self.amount_minor > AMOUNT_MINOR_MAX:
            raise BadEntry(
                f"The lines of the entry {self.key} sum to {self.amount_minor}; an entry moves at most"
                f" {AMOUNT_MINOR_MAX} minor units, so book it in parts."
            )

    @property
    def amount_minor(self) -> int:
        """The sum of its lines."""
        return sum(line.amount_minor for line in self.lines)


def party_account(party_kind: str, party_id: str) -> AccountRef:
    """Name the account that a share of a split is booked to.

    Args: party_kind: platform, parent, partner, creator or unearned; party_id: its id, and for what nobody
        earned where the rulebook sends it: platform or unallocated.
    """
    if party_kind == "unearned":
        return AccountRef(_UNEARNED_ROLES[party_id])
    role = _PARTY_ROLES[party_kind]
    return AccountRef(role, party_id if role.owner_kind else "")


def pool_account(period_id: str) -> AccountRef:
    """Name the account of a period's pool."""
    return AccountRef(Role.REVENUE_POOL, period_id)


def revenue_recognised(
    platform_id: str,
    *,
    revenue_id: str,
    period_id: str,
    currency: str,
    net_minor: int,
    effective_at: datetime,
) -> Entry:
    """Put recognised revenue into a period's pool: debit clearing, credit the pool.

    The platform owes the community its net revenue from the moment it is recognised, and has not paid it in.
    A correction (net below zero) goes the other way and may take the pool below zero. Net is never zero here:
    a revenue that nets to nothing moves nothing and has no entry.
    """
    clearing, pool = AccountRef(Role.CLEARING), pool_account(period_id)
    line = Line(clearing, pool, net_minor) if net_minor > 0 else Line(pool, clearing, -net_minor)
    return Entry(
        platform_id=platform_id,
        kind="revenue_recognised",
        cause_kind="revenue",
        cause_id=revenue_id,
        period_id=period_id,
        currency=currency,
        effective_at=effective_at,
        key=f"revenue_recognised:{revenue_id}",
        lines=(line,),
    )


def fund(
    platform_id: str, *, reference: str, currency: str, amount_minor: int, effective_at: datetime
) -> Entry:
    """Book money that the platform paid into the bank for sharing: debit bank, credit clearing.

    Args: reference: the bank's or the platform's own number of the payment; booked once.
    """
    return _moved(
        platform_id,
        "fund",
        "funding",
        reference,
        currency,
        effective_at,
        Line(AccountRef(Role.BANK), AccountRef(Role.CLEARING), amount_minor),
    )


def fund_provider(
    platform_id: str,
    *,
    reference: str,
    provider: str,
    currency: str,
    amount_minor: int,
    effective_at: datetime,
) -> Entry:
    """Book money moved from the bank to a payment provider: debit the provider's balance, credit bank.

    Args: reference: the number of the transfer; booked once.
    """
    return _moved(
        platform_id,
        "fund_provider",
        "funding",
        reference,
        currency,
        effective_at,
        Line(AccountRef(Role.PROVIDER_BALANCE, provider), AccountRef(Role.BANK), amount_minor),
    )


def period_posted(
    platform_id: str,
    *,
    period_id: str,
    version: int,
    currency: str,
    shares: Iterable[tuple[str, str, int]],
    effective_at: datetime,
) -> Entry:
    """Book a period's split: debit the pool, credit every party, which empties the pool.

    From here on the pool is owed to those who earned it: creators and partners to be paid, the parent to be
    settled with, the platform's own share as its income, what nobody earned where the rulebook sends it.

    Args: version: of the split; shares: (party kind, party id, minor units >= 0) in the order of the split,
        one line each, so that a creator's late share stands apart; shares of zero have no line.
    """
    pool = pool_account(period_id)
    lines = tuple(
        Line(pool, party_account(party_kind, party_id), amount_minor)
        for party_kind, party_id, amount_minor in shares
        if amount_minor
    )
    return Entry(
        platform_id=platform_id,
        kind="period_posted",
        cause_kind="split",
        cause_id=split_id(period_id, version),
        period_id=period_id,
        currency=currency,
        effective_at=effective_at,
        key=f"period_posted:{period_id}",
        lines=lines,
    )


def split_id(period_id: str, version: int) -> str:
    """Name a split as the cause of an entry: "2026-10/1"."""
    return f"{period_id}/{version}"


def deficit_carried(
    platform_id: str, *, period_id: str, currency: str, amount_minor: int, effective_at: datetime
) -> Entry:
    """Carry what a pool is short by: debit deficit carried, credit the pool, which brings it to zero.

    Corrections were greater than the period's revenue. The loss is kept as a claim on later pools; nobody's
    earned money is touched.
    """
    lines = (Line(AccountRef(Role.DEFICIT_CARRIED), pool_account(period_id), amount_minor),)
    return _of_period(platform_id, "deficit_carried", period_id, currency, effective_at, lines)


def deficit_recovered(
    platform_id: str, *, period_id: str, currency: str, amount_minor: int, effective_at: datetime
) -> Entry:
    """Recover a carried deficit from a later pool before its division: debit the pool, credit the deficit."""
    lines = (Line(pool_account(period_id), AccountRef(Role.DEFICIT_CARRIED), amount_minor),)
    return _of_period(platform_id, "deficit_recovered", period_id, currency, effective_at, lines)


def claw_back(
    platform_id: str,
    *,
    period_id: str,
    seq_last: int,
    currency: str,
    unearned_to: str,
    parts: Iterable[tuple[str, int, int]],
    effective_at: datetime,
) -> Entry:
    """Take back what voided events carried in a posted split: credit where the rulebook sends what nobody
    earned; debit the creator's payable as far as it goes, and for the rest the creator's clawback receivable.

    What was paid or set aside already is not taken out of the payout: it is a debt that later earnings repay.
    The entry names its period as a cause only: it counts when it is booked, and changes no statement before.

    Args: seq_last: the last batch whose corrections are applied; unearned_to: of the split's rulebook; parts:
        (creator, from payable, as receivable), minor units >= 0, one for each line of the split.
    """
    to = party_account("unearned", unearned_to)
    lines = tuple(
        Line(debit, to, amount_minor)
        for creator_id, payable_minor, receivable_minor in parts
        for debit, amount_minor in (
            (_payable(creator_id), payable_minor),
            (AccountRef(Role.CLAWBACK_RECEIVABLE, creator_id), receivable_minor),
        )
        if amount_minor
    )
    return Entry(
        platform_id=platform_id,
        kind="claw_back",
        cause_kind="claw_back",
        cause_id=f"{period_id}/{seq_last}",
        currency=currency,
        effective_at=effective_at,
        key=f"claw_back:{period_id}/{seq_last}",
        lines=lines,
    )


def claw_back_recovered(
    platform_id: str,
    *,
    period_id: str,
    currency: str,
    parts: Iterable[tuple[str, int]],
    effective_at: datetime,
) -> Entry:
    """Recover clawback receivables out of what a posting earned: debit payable, credit the receivable.

    Args: parts: (creator, minor units above zero).
    """
    lines = [
        Line(_payable(creator_id), AccountRef(Role.CLAWBACK_RECEIVABLE, creator_id), amount_minor)
        for creator_id, amount_minor in parts
    ]
    return _of_period(platform_id, "claw_back_recovered", period_id, currency, effective_at, lines)


def payout_reserved(
    platform_id: str,
    *,
    payout_id: str,
    creator_id: str,
    currency: str,
    amount_minor: int,
    effective_at: datetime,
) -> Entry:
    """Set a creator's money aside for a payout: debit payable, credit reserved.

    It is still owed to the creator, and no other batch can take it.
    """
    line = Line(_payable(creator_id), _reserved(creator_id), amount_minor)
    return _moved(platform_id, "payout_reserved", "payout", payout_id, currency, effective_at, line)


def payout_released(
    platform_id: str,
    *,
    payout_id: str,
    creator_id: str,
    currency: str,
    amount_minor: int,
    effective_at: datetime,
) -> Entry:
    """Give a reserve back, the payout having been cancelled or refused before it was sent: debit reserved,
    credit payable.
    """
    line = Line(_reserved(creator_id), _payable(creator_id), amount_minor)
    return _moved(platform_id, "payout_released", "payout", payout_id, currency, effective_at, line)


def payout_sent(
    platform_id: str,
    *,
    payout_id: str,
    creator_id: str,
    provider: str,
    currency: str,
    amount_minor: int,
    effective_at: datetime,
) -> Entry:
    """Book that a provider accepted a payout: debit reserved, credit in transit.

    The debt to the creator is now with the provider to settle; the money has not left its balance for sure.
    """
    line = Line(_reserved(creator_id), AccountRef(Role.IN_TRANSIT, provider), amount_minor)
    return _moved(platform_id, "payout_sent", "payout", payout_id, currency, effective_at, line)


def payout_paid(
    platform_id: str,
    *,
    payout_id: str,
    provider: str,
    currency: str,
    amount_minor: int,
    effective_at: datetime,
) -> Entry:
    """Book that a payout arrived: debit in transit, credit the provider's balance that paid it."""
    line = Line(
        AccountRef(Role.IN_TRANSIT, provider), AccountRef(Role.PROVIDER_BALANCE, provider), amount_minor
    )
    return _moved(platform_id, "payout_paid", "payout", payout_id, currency, effective_at, line)


def payout_failed(
    platform_id: str,
    *,
    payout_id: str,
    creator_id: str,
    provider: str,
    currency: str,
    amount_minor: int,
    effective_at: datetime,
) -> Entry:
    """Book that a payout failed after it was sent and never left: debit in transit, credit payable.

    The creator is owed the money again.
    """
    line = Line(AccountRef(Role.IN_TRANSIT, provider), _payable(creator_id), amount_minor)
    return _moved(platform_id, "payout_failed", "payout", payout_id, currency, effective_at, line)


def payout_returned(
    platform_id: str,
    *,
    payout_id: str,
    creator_id: str,
    provider: str,
    currency: str,
    amount_minor: int,
    effective_at: datetime,
) -> Entry:
    """Book that a paid payout came back: debit the provider's balance, credit payable.

    The money is at the provider again and the creator is owed it again.
    """
    line = Line(AccountRef(Role.PROVIDER_BALANCE, provider), _payable(creator_id), amount_minor)
    return _moved(platform_id, "payout_returned", "payout", payout_id, currency, effective_at, line)


def reversal(
    original: Entry, *, key: str, cause_kind: str, cause_id: str, effective_at: datetime | None = None
) -> Entry:
    """Undo an entry: the same lines with debit and credit changed over.

    Args: effective_at: when the undoing counts; None: when the original did, so that it never had an effect.
    """
    return Entry(
        platform_id=original.platform_id,
        kind="reversal",
        cause_kind=cause_kind,
        cause_id=cause_id,
        period_id=original.period_id,
        currency=original.currency,
        effective_at=effective_at or original.effective_at,
        key=key,
        lines=tuple(Line(line.credit, line.debit, line.amount_minor) for line in original.lines),
    )


def _payable(creator_id: str) -> AccountRef:
    return AccountRef(Role.CREATOR_PAYABLE, creator_id)


def _reserved(creator_id: str) -> AccountRef:
    return AccountRef(Role.RESERVED, creator_id)


def _moved(
    platform_id: str,
    kind: str,
    cause_kind: str,
    cause_id: str,
    currency: str,
    effective_at: datetime,
    line: Line,
) -> Entry:
    """Make an entry of one line that its kind and cause identify."""
    return Entry(
        platform_id=platform_id,
        kind=kind,
        cause_kind=cause_kind,
        cause_id=cause_id,
        currency=currency,
        effective_at=effective_at,
        key=f"{kind}:{cause_id}",
        lines=(line,),
    )


def _of_period(
    platform_id: str,
    kind: str,
    period_id: str,
    currency: str,
    effective_at: datetime,
    lines: Sequence[Line],
) -> Entry:
    """Make an entry that a period causes once."""
    return Entry(
        platform_id=platform_id,
        kind=kind,
        cause_kind="period",
        cause_id=period_id,
        period_id=period_id,
        currency=currency,
        effective_at=effective_at,
        key=f"{kind}:{period_id}",
        lines=tuple(lines),
    )
