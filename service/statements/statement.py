"""The creator statement as values: what every format shows, and what its digest covers. Pure.

Owns the shape of a statement. Refuses one that does not tie. Laws: opening + lines = closing; the digest
covers every value but display names, so that erasing or changing a name breaks no digest; the same values
have the same digest whatever the format or the language.

The balance is what the platform owes the creator: free to pay, held and reserved for payouts. Moves between
these three are no lines, because they change nothing of what is owed.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from service.core import digests, spans
from service.core.money import Money
from service.core.spans import Span

FORMAT: Final = "benefit-ledger/statement/1"
"""Names the shape of the values; another shape gets another number."""

_POINT: Final = 10_000


class Kind(StrEnum):
    """What a line of a statement is."""

    PERIOD_SHARE = "period_share"
    """The creator's share of the period's pool."""
    LATE_SHARE = "late_share"
    """The share of this pool that late events of an earlier period earned."""
    PAYOUT_SENT = "payout_sent"
    """Handed to the payment provider."""
    PAYOUT_FAILED = "payout_failed"
    """Proven not to have arrived; owed again."""
    PAYOUT_RETURNED = "payout_returned"
    """Came back after it was paid; owed again."""
    CLAW_BACK = "claw_back"
    """What events carried that were voided after their period was booked."""
    CLAW_BACK_RECOVERED = "claw_back_recovered"
    """Kept back for what was taken back before and could not be covered then."""
    ADJUSTMENT = "adjustment"
    """Anything else that was booked, such as a reversal; its reference names the cause."""


EARNINGS: Final = frozenset({Kind.PERIOD_SHARE, Kind.LATE_SHARE})
"""The lines that the period's split made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What is owed to the creator, by where it lies, in minor units."""

    payable_minor: int
    held_minor: int
    reserved_minor: int

    @property
    def total_minor(self) -> int:
        """All of it."""
        return self.payable_minor + self.held_minor + self.reserved_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One change of what is owed; an amount above zero raises it.

    Args:
        at: when it counts, aware UTC.
        reference: the cause: a split, a payout, whatever the entry names.
        entry_id: the ledger entry; None for a share of zero, which moves nothing.
        origin_period_id, points_e4: of earnings: whose events earned it, and with how many points.
    """

    kind: Kind
    at: datetime
    amount_minor: int
    reference: str
    entry_id: int | None
    origin_period_id: str | None = None
    points_e4: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One creator's statement of one period; names may be erased, everything else stays."""

    platform_id: str
    issuer_name: str
    creator_id: str
    creator_name: str | None
    period_id: str
    span: Span
    time_zone: str
    posted_at: datetime
    currency: str
    opening: Balance
    lines: tuple[Line, ...]
    closing: Balance
    split_version: int
    shares_sha256: str
    rulebook_sha256: str

    def __post_init__(self) -> None:
        moved_minor = sum(line.amount_minor for line in self.lines)
        assert self.opening.total_minor + moved_minor == self.closing.total_minor, "a statement ties"

    @property
    def earned_minor(self) -> int:
        """What the period's split gave the creator."""
        return sum(line.amount_minor for line in self.lines if line.kind in EARNINGS)

    @property
    def values_sha256(self) -> str:
        """The digest of the values, 64 hexadecimal digits."""
        return digests.digest_of(values(self))


def values(one: Statement) -> dict[str, Any]:
    """Write a statement's values, without names, as JSON values that have one canonical form.

    Amounts are whole minor units; points are decimal text, since a JSON number does not keep 38 digits.
    """
    return {
        "format": FORMAT,
        "platform_id": one.platform_id,
        "creator_id": one.creator_id,
        "period": {
            "id": one.period_id,
            "start_at": spans.to_text(one.span.start_at),
            "end_at": spans.to_text(one.span.end_at),
            "time_zone": one.time_zone,
            "posted_at": spans.to_text(one.posted_at),
        },
        "currency": one.currency,
        "opening": _balance(one.opening),
        "lines": [_line(line) for line in one.lines],
        "closing": _balance(one.closing),
        "proof": {
            "split_version": one.split_version,
            "shares_sha256": one.shares_sha256,
            "rulebook_sha256": one.rulebook_sha256,
        },
    }


def money(one: Statement, amount_minor: int) -> Money:
    """Give an amount of the statement its currency."""
    return Money(amount_minor, one.currency)


def points_text(points_e4: int) -> str:
    """Write points as plain decimal text, with as many of their 4 decimals as are not zero: "12.5"."""
    whole, fraction = divmod(abs(points_e4), _POINT)
    sign = "-" if points_e4 < 0 else ""
    return f"{sign}{whole}.{fraction:04}".rstrip("0").removesuffix(".")


def _balance(one: Balance) -> dict[str, int]:
    return {
        "payable_minor": one.payable_minor,
        "held_minor": one.held_minor,
        "reserved_minor": one.reserved_minor,
        "total_minor": one.total_minor,
    }


def _line(one: Line) -> dict[str, Any]:
    return {
        "kind": one.kind.value,
        "at": spans.to_text(one.at),
        "origin_period_id": one.origin_period_id,
        "points": None if one.points_e4 is None else points_text(one.points_e4),
        "amount_minor": one.amount_minor,
        "reference": one.reference,
        "entry_id": one.entry_id,
    }
