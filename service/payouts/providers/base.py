"""What every payment provider is to the settlement: a few words that all of them understand.

Owns the request, the outcome and the view of a transfer. Refuses a provider's own vocabulary: codes, shapes
and limits stay in its module. Laws that the contract tests hold every provider to:

- one key moves money at most once, however often and by whomever it is presented;
- the same key with another request moves nothing and is never answered `accepted`;
- `rejected` is a proof that nothing moved and nothing will move under this key; whatever is less certain is
  `unknown`, or an exception, which means the same;
- what was accepted is found again by its group until it is settled.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from service.core import digests


class Verdict(StrEnum):
    """What came of asking a provider to send money."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


class TransferState(StrEnum):
    """Where a transfer stands at the provider."""

    PENDING = "pending"
    """Under way."""
    PAID = "paid"
    """Arrived, as far as the provider knows; it can still become returned."""
    FAILED = "failed"
    """Did not arrive and never will; the money is the platform's again."""
    RETURNED = "returned"
    """Sent back by the receiving side; the money is the platform's again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where a creator wants the money: the provider's own fields, and what people may see of them."""

    fields: Mapping[str, str] = field(repr=False)
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferRequest:
    """One order to pay; equal orders are equal requests.

    amount_minor counts minor units of an ISO 4217 currency; a provider's own exponents are its own affair.
    narrative is what the receiver reads, in ASCII.
    """

    platform_id: str
    payout_id: UUID
    currency: str
    amount_minor: int
    destination: Mapping[str, str] = field(repr=False)
    narrative: str

    @property
    def group(self) -> str:
        """What a look-up asks for: all attempts of one payout share it."""
        return str(self.payout_id)

    def sha256(self) -> bytes:
        """Digest the whole request, so that the same key with another one is noticed."""
        content = {
            "platform_id": self.platform_id,
            "group": self.group,
            "currency": self.currency,
            "amount_minor": str(self.amount_minor),
            "destination": dict(self.destination),
            "narrative": self.narrative,
        }
        return digests.sha256(digests.canonical_json(content))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A provider's answer: an accepted one has a reference, every other one a reason (a word, not a text)."""

    verdict: Verdict
    reference: str | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        assert (self.reference is not None) == (self.verdict is Verdict.ACCEPTED), (
            "only what moves has a number"
        )
        assert (self.reason is None) == (self.verdict is Verdict.ACCEPTED), "what does not move says why"


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferView:
    """A transfer as the provider shows it; changed_at is the provider's instant of its present state."""

    reference: str
    group: str
    currency: str
    amount_minor: int
    state: TransferState
    reason: str | None
    changed_at: datetime


class Provider(Protocol):
    """A way to pay. Every method may take seconds and may raise anything; none is called in a transaction."""

    @property
    def name(self) -> str:
        """The word in settings, tables and pages."""

    def admit(self, destination: Mapping[str, object]) -> Destination:
        """Check the form of a destination, without asking anybody.

        Raises:
            Invalid: fields that cannot be used, each with its pointer.
        """

    def send(self, request: TransferRequest, key: str) -> Outcome:
        """Ask to pay once for this key.

        An exception means the same as an unknown outcome: the money may have moved.
        """

    def look_up(self, group: str) -> Sequence[TransferView]:
        """List every transfer of a payout that moved money or still may; none means none."""

    def balance(self, platform_id: str, currency: str) -> int:
        """Tell what a platform can pay out at present, in minor units."""
