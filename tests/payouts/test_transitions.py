"""The table of moves: every allowed one, every other one, and what they mean for money."""

from itertools import product

import pytest

from service.payouts.tables import BATCH_STATES, STATES, payout
from service.payouts.transitions import (
    FIRST,
    IN_FLIGHT,
    MOVES,
    SETTLED,
    WITHDRAWABLE,
    Booking,
    ForbiddenMove,
    State,
    booking_of,
    is_allowed,
)

ALLOWED = {
    "ready": {"approved": "none", "cancelled": "payout_released"},
    "approved": {"sending": "payout_sent", "cancelled": "payout_released"},
    "sending": {"sent": "none", "unknown": "none", "failed": "payout_failed"},
    "unknown": {"sending": "none"},
    "sent": {"paid": "payout_paid", "failed": "payout_failed", "returned": "payout_failed"},
    "paid": {"returned": "payout_returned"},
    "failed": {},
    "returned": {},
    "cancelled": {},
}
"""The whole table, written again by hand: from, to, what is booked."""

POSITIONS = {
    "payout_reserved": ("payable", "reserved"),
    "payout_released": ("reserved", "payable"),
    "payout_sent": ("reserved", "in transit"),
    "payout_failed": ("in transit", "payable"),
    "payout_paid": ("in transit", "gone"),
    "payout_returned": ("gone", "payable"),
}
"""Where the money of a payout lies before and after each booking."""


@pytest.mark.parametrize(("one", "to"), list(product(State, State)))
def test_a_payout_moves_as_the_table_says_and_in_no_other_way(one: State, to: State):
    """All 81 pairs: the allowed ones book what they should, the others are refused with what is possible."""
    if to in ALLOWED[one]:
        assert ALLOWED[one][to] == booking_of(one, to)
        assert is_allowed(one, to)
        return

    assert not is_allowed(one, to)
    with pytest.raises(ForbiddenMove) as refusal:
        booking_of(one, to)
    assert all(way in refusal.value.detail for way in ALLOWED[one] or ["nothing else"])


def test_the_money_of_a_payout_is_where_its_state_says_on_every_path():
    """Walk all paths from the first state: each booking finds the money where the one before left it."""
    places: dict[State, set[str]] = {FIRST: {POSITIONS[Booking.RESERVED][1]}}
    waiting = [FIRST]
    while waiting:
        one = waiting.pop()
        for (left, to), booking in MOVES.items():
            if left is not one:
                continue
            for place in places[one]:
                source, target = (place, place) if booking is Booking.NONE else POSITIONS[booking]
                assert place == source, f"{one} to {to}"
                if target not in places.setdefault(to, set()):
                    places[to].add(target)
                    waiting.append(to)

    assert places == {
        State.READY: {"reserved"},
        State.APPROVED: {"reserved"},
        State.SENDING: {"in transit"},
        State.UNKNOWN: {"in transit"},
        State.SENT: {"in transit"},
        State.PAID: {"gone"},
        State.FAILED: {"payable"},
        State.RETURNED: {"payable"},
        State.CANCELLED: {"payable"},
    }


def test_money_that_may_be_under_way_is_never_called_failed_or_withdrawn():
    """From unknown only the same attempt leads on; people withdraw only what nobody was asked to send."""
    assert {State.SENDING} == {to for one, to in MOVES if one is State.UNKNOWN}
    assert {State.READY, State.APPROVED} == WITHDRAWABLE


def test_every_state_is_either_in_flight_or_settled():
    """A creator has one payout in flight; a batch is done when none is."""
    assert set(State) == IN_FLIGHT | SETTLED
    assert not IN_FLIGHT & SETTLED


def test_the_database_knows_the_same_states():
    """The check and the partial unique index are made of the same words."""
    unique = next(index for index in payout.indexes if index.name == "payout_in_flight_key")

    assert tuple(State) == STATES
    assert all(f"'{state}'" in str(unique.dialect_options["postgresql"]["where"]) for state in IN_FLIGHT)
    assert not any(f"'{state}'" in str(unique.dialect_options["postgresql"]["where"]) for state in SETTLED)
    assert ("submitted", "approved", "cancelled", "done") == BATCH_STATES
