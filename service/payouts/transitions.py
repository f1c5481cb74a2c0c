"""The states of a payout and the one table of moves between them: pure data, no money, no clock.

Refuses every move that the table does not name. Laws: a payout never leaves a state of which the table knows
no way out; money that may be under way is never counted as failed; `paid` is not the end, since a bank can
return the money days later.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from service.core.errors import Conflict


class State(StrEnum):
    """Where a payout stands once it is in a batch; before that, what is due is a balance, not a row."""

    READY = "ready"
    """In a submitted batch, its amount reserved."""
    APPROVED = "approved"
    """Released by a second person; may be claimed."""
    SENDING = "sending"
    """Claimed: the provider is being called, or was when the process died."""
    UNKNOWN = "unknown"
    """The call had no clear answer; the same attempt is repeated with the same key."""
    SENT = "sent"
    """The provider took it; the money is under way."""
    PAID = "paid"
    """The money arrived, as far as the provider says."""
    FAILED = "failed"
    """Proven not to have arrived; the money is the creator's payable again."""
    RETURNED = "returned"
    """The money came back; it is the creator's payable again."""
    CANCELLED = "cancelled"
    """Withdrawn by people before it was claimed."""


class Booking(StrEnum):
    """What a move books: the kind of its ledger entry, one for each payout or one for a whole batch."""

    NONE = "none"
    RESERVED = "payout_reserved"
    """Payable to reserved."""
    RELEASED = "payout_released"
    """Reserved back to payable."""
    SENT = "payout_sent"
    """Reserved to in transit, before the provider is called: from then on the money may move."""
    PAID = "payout_paid"
    """In transit settled out of the provider's balance."""
    FAILED = "payout_failed"
    """In transit back to payable: the provider's balance holds the money, and was never booked down."""
    RETURNED = "payout_returned"
    """The provider's balance up again, payable up again."""


class ForbiddenMove(Conflict):
    """The payout's state does not lead there."""

    slug = "payout-state"
    title = "The payout's state does not allow this"


FIRST: Final = State.READY
"""The state in which a batch makes its payouts; making them books `payout_reserved`."""

MOVES: Final[Mapping[tuple[State, State], Booking]] = MappingProxyType(
    {
        (State.READY, State.APPROVED): Booking.NONE,
        (State.READY, State.CANCELLED): Booking.RELEASED,
        (State.APPROVED, State.CANCELLED): Booking.RELEASED,
        (State.APPROVED, State.SENDING): Booking.SENT,
        (State.SENDING, State.SENT): Booking.NONE,
        (State.SENDING, State.UNKNOWN): Booking.NONE,
        (State.SENDING, State.FAILED): Booking.FAILED,
        (State.UNKNOWN, State.SENDING): Booking.NONE,
        (State.SENT, State.PAID): Booking.PAID,
        (State.SENT, State.FAILED): Booking.FAILED,
        (State.SENT, State.RETURNED): Booking.FAILED,
        (State.PAID, State.RETURNED): Booking.RETURNED,
    }
)
"""Every allowed move and what it books."""

IN_FLIGHT: Final = frozenset({State.READY, State.APPROVED, State.SENDING, State.UNKNOWN, State.SENT})
"""While a payout is in one of these, its creator has no second one: the money may still arrive."""

SETTLED: Final = frozenset({State.PAID, State.FAILED, State.RETURNED, State.CANCELLED})
"""A batch whose payouts are all in these is done."""

WITHDRAWABLE: Final = frozenset(one for one, to in MOVES if to is State.CANCELLED)
"""No provider has heard of a payout in one of these, so people may still withdraw it."""


def is_allowed(one: State, to: State) -> bool:
    """Tell whether a payout may move from one state to another."""
    return (one, to) in MOVES


def booking_of(one: State, to: State) -> Booking:
    """Name what the move from one state to another books.

    Raises:
        ForbiddenMove: the table knows no such move.
    """
    if (one, to) not in MOVES:
        raise ForbiddenMove(f"A payout that is {one} does not become {to}; it can become {_ways_out(one)}.")
    return MOVES[one, to]


def _ways_out(one: State) -> str:
    return " or ".join(to for left, to in MOVES if left is one) or "nothing else"
