"""What every payment provider promises the settlement, as tests: each provider's own test file derives a
class from ProviderContract and gives it a rig that steers the far side.
"""

import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from enum import StrEnum
from typing import Protocol

import pytest

from service.core import ids
from service.core.errors import Invalid
from service.payouts.providers.base import (
    Outcome,
    Provider,
    TransferRequest,
    TransferState,
    TransferView,
    Verdict,
)

AMOUNT_MINOR = 120_000
FUNDS_MINOR = 1_000_000


class Kind(StrEnum):
    """How the receiving side of a transfer behaves."""

    FINE = "fine"
    CLOSED = "closed"
    RETURNED_BEFORE_ARRIVAL = "returned before arrival"
    RETURNED_AFTER_ARRIVAL = "returned after arrival"
    FAILED_UNDER_WAY = "failed under way"
    ANSWER_LOST = "answer lost"
    CALL_LOST = "call lost"


class Rig(Protocol):
    """A provider with its far side under control, and a platform that it has never heard of."""

    provider: Provider
    platform_id: str
    currency: str

    def fund(self, amount_minor: int) -> None:
        """Give the platform money at the provider."""

    def destination(self, kind: Kind) -> Mapping[str, str]:
        """Give a destination that behaves so."""

    def wait_for_arrival(self) -> None:
        """Let the time pass that a transfer takes."""

    def wait_for_returns(self) -> None:
        """Let the time pass in which arrived money comes back."""


class ProviderContract:
    """The promises; see service.payouts.providers.base."""

    @pytest.fixture
    def rig(self) -> Rig:
        """Give a rig whose provider knows nothing of the platform yet."""
        raise NotImplementedError

    def test_an_accepted_transfer_has_a_reference_and_is_found_by_its_group(self, rig: Rig):
        """The view says what was asked for, and that the money is under way."""
        request = _funded_request(rig)

        outcome = rig.provider.send(request, _key(rig, 1))

        assert Verdict.ACCEPTED == outcome.verdict
        assert [(outcome.reference, request.group, rig.currency, AMOUNT_MINOR)] == [
            (view.reference, view.group, view.currency, view.amount_minor) for view in _views(rig, request)
        ]

    def test_the_same_key_and_request_answer_the_same_and_move_money_once(self, rig: Rig):
        """However often it is presented, also after it arrived."""
        request = _funded_request(rig)
        first = rig.provider.send(request, _key(rig, 1))

        again = rig.provider.send(request, _key(rig, 1))
        rig.wait_for_arrival()
        later = rig.provider.send(request, _key(rig, 1))

        assert (first, first) == (again, later)
        assert FUNDS_MINOR - AMOUNT_MINOR == rig.provider.balance(rig.platform_id, rig.currency)
        assert 1 == len(_views(rig, request))

    def test_the_same_key_presented_at_once_by_two_moves_money_once(self, rig: Rig):
        """Two workers by mistake: the answers agree, or one of them is no answer."""
        request = _funded_request(rig)

        with ThreadPoolExecutor(2) as pool:
            outcomes = list(pool.map(lambda _: rig.provider.send(request, _key(rig, 1)), range(2)))

        assert FUNDS_MINOR - AMOUNT_MINOR == rig.provider.balance(rig.platform_id, rig.currency)
        assert 1 == len(_views(rig, request))
        assert Verdict.REJECTED not in {outcome.verdict for outcome in outcomes}

    @pytest.mark.parametrize(
        "change",
        [{"amount_minor": AMOUNT_MINOR + 1}, {"payout_id": uuid.UUID(int=2)}, {"narrative": "OTHER"}],
    )
    def test_the_same_key_with_another_request_proves_nothing_and_moves_nothing(self, rig: Rig, change):
        """What the key stands for may have moved: neither accepted nor rejected would be true."""
        request = _funded_request(rig)
        rig.provider.send(request, _key(rig, 1))

        outcome = rig.provider.send(replace(request, **change), _key(rig, 1))

        assert Verdict.UNKNOWN == outcome.verdict
        assert FUNDS_MINOR - AMOUNT_MINOR == rig.provider.balance(rig.platform_id, rig.currency)

    def test_another_key_for_the_same_group_is_another_transfer(self, rig: Rig):
        """The provider does not guard the group; the settlement does. Both are shown."""
        request = _funded_request(rig)
        rig.provider.send(request, _key(rig, 1))

        rig.provider.send(request, _key(rig, 2))

        assert FUNDS_MINOR - 2 * AMOUNT_MINOR == rig.provider.balance(rig.platform_id, rig.currency)
        assert 2 == len(_views(rig, request))

    def test_a_transfer_beyond_the_balance_is_rejected_for_good_under_its_key(self, rig: Rig):
        """Nothing moved, nothing is shown, and funds that come later do not revive the key."""
        request = _request(rig)
        rig.fund(AMOUNT_MINOR - 1)

        first = rig.provider.send(request, _key(rig, 1))
        rig.fund(1)
        again = rig.provider.send(request, _key(rig, 1))

        assert (Verdict.REJECTED, "insufficient_funds") == (first.verdict, first.reason)
        assert first == again
        assert [] == _views(rig, request)
        assert AMOUNT_MINOR == rig.provider.balance(rig.platform_id, rig.currency)

    def test_a_transfer_of_exactly_the_balance_is_accepted(self, rig: Rig):
        """The nearest case to one that is too much."""
        request = _request(rig)
        rig.fund(AMOUNT_MINOR)

        outcome = rig.provider.send(request, _key(rig, 1))

        assert Verdict.ACCEPTED == outcome.verdict
        assert 0 == rig.provider.balance(rig.platform_id, rig.currency)

    def test_a_platform_does_not_pay_with_another_platforms_money(self, rig: Rig):
        """The funds of one are nothing to the other."""
        request = replace(_funded_request(rig), platform_id=f"{rig.platform_id}-other")

        outcome = rig.provider.send(request, _key(rig, 1))

        assert Verdict.REJECTED == outcome.verdict
        assert FUNDS_MINOR == rig.provider.balance(rig.platform_id, rig.currency)

    def test_an_arrived_transfer_is_paid(self, rig: Rig):
        """After the time that a transfer takes, and not before."""
        request = _funded_request(rig)
        rig.provider.send(request, _key(rig, 1))
        before = _states(rig, request)

        rig.wait_for_arrival()

        assert [TransferState.PENDING] == before
        assert [TransferState.PAID] == _states(rig, request)

    def test_a_closed_destination_is_rejected_and_nothing_moves(self, rig: Rig):
        """With a reason, and again with the same one."""
        request = _funded_request(rig, Kind.CLOSED)

        first = rig.provider.send(request, _key(rig, 1))

        assert Verdict.REJECTED == first.verdict
        assert first == rig.provider.send(request, _key(rig, 1))
        assert [] == _views(rig, request)
        assert FUNDS_MINOR == rig.provider.balance(rig.platform_id, rig.currency)

    @pytest.mark.parametrize(
        ("kind", "state"),
        [
            (Kind.RETURNED_BEFORE_ARRIVAL, TransferState.RETURNED),
            (Kind.FAILED_UNDER_WAY, TransferState.FAILED),
        ],
    )
    def test_money_that_does_not_arrive_is_the_platforms_again(
        self, rig: Rig, kind: Kind, state: TransferState
    ):
        """Accepted first; then the state says what happened, with a reason, and the balance is whole."""
        request = _funded_request(rig, kind)
        outcome = rig.provider.send(request, _key(rig, 1))

        rig.wait_for_arrival()

        assert Verdict.ACCEPTED == outcome.verdict
        assert [state] == _states(rig, request)
        assert all(view.reason for view in _views(rig, request))
        assert FUNDS_MINOR == rig.provider.balance(rig.platform_id, rig.currency)

    def test_money_can_come_back_after_it_was_paid(self, rig: Rig):
        """Paid is what the provider knew; returned is what it learned."""
        request = _funded_request(rig, Kind.RETURNED_AFTER_ARRIVAL)
        rig.provider.send(request, _key(rig, 1))
        rig.wait_for_arrival()
        before = _states(rig, request)

        rig.wait_for_returns()

        assert [TransferState.PAID] == before
        assert [TransferState.RETURNED] == _states(rig, request)
        assert FUNDS_MINOR == rig.provider.balance(rig.platform_id, rig.currency)

    def test_after_a_lost_answer_the_same_key_tells_what_happened(self, rig: Rig):
        """The transfer was made once; repeating finds it."""
        request = _funded_request(rig, Kind.ANSWER_LOST)

        first = _ask(rig, request, _key(rig, 1))
        again = _ask(rig, request, _key(rig, 1))

        assert (Verdict.UNKNOWN, Verdict.ACCEPTED) == (first, again)
        assert 1 == len(_views(rig, request))
        assert FUNDS_MINOR - AMOUNT_MINOR == rig.provider.balance(rig.platform_id, rig.currency)

    def test_after_a_lost_call_the_same_key_makes_the_transfer(self, rig: Rig):
        """Nothing happened at first; repeating gets it done once."""
        request = _funded_request(rig, Kind.CALL_LOST)

        first = _ask(rig, request, _key(rig, 1))
        untouched_minor = rig.provider.balance(rig.platform_id, rig.currency)
        verdicts = [_ask(rig, request, _key(rig, 1)) for _ in range(3)]

        assert (Verdict.UNKNOWN, FUNDS_MINOR) == (first, untouched_minor)
        assert Verdict.ACCEPTED == verdicts[-1]
        assert 1 == len(_views(rig, request))
        assert FUNDS_MINOR - AMOUNT_MINOR == rig.provider.balance(rig.platform_id, rig.currency)

    def test_a_group_that_the_provider_never_saw_has_no_transfers(self, rig: Rig):
        """An empty list, not a fault."""
        assert [] == _views(rig, _request(rig))

    def test_a_good_destination_is_admitted_with_a_hint_only(self, rig: Rig):
        """The fields come back; the hint is four characters, and printing shows no detail."""
        fields = rig.destination(Kind.FINE)

        admitted = rig.provider.admit(fields)

        assert dict(fields) == dict(admitted.fields)
        assert 4 == len(admitted.hint)
        assert not any(value in repr(admitted) for value in fields.values())

    def test_a_destination_with_a_field_missing_unknown_or_of_the_wrong_kind_is_refused(self, rig: Rig):
        """Each refusal points at the field."""
        fields = dict(rig.destination(Kind.FINE))
        for name in fields:
            for wrong in ({key: fields[key] for key in fields if key != name}, fields | {name: 12345678}):
                with pytest.raises(Invalid) as refusal:
                    rig.provider.admit(wrong)
                assert [f"/{name}"] == [error.pointer for error in refusal.value.errors]
        with pytest.raises(Invalid) as refusal:
            rig.provider.admit(fields | {"nickname": "me"})

        assert ["/nickname"] == [error.pointer for error in refusal.value.errors]


def _key(rig: Rig, number: int) -> str:
    return f"{rig.platform_id}-{number}"


def _request(rig: Rig, kind: Kind = Kind.FINE) -> TransferRequest:
    return TransferRequest(
        platform_id=rig.platform_id,
        payout_id=ids.derived("payout", rig.platform_id),
        currency=rig.currency,
        amount_minor=AMOUNT_MINOR,
        destination=rig.destination(kind),
        narrative="PAYOUT 1",
    )


def _funded_request(rig: Rig, kind: Kind = Kind.FINE) -> TransferRequest:
    rig.fund(FUNDS_MINOR)
    return _request(rig, kind)


def _ask(rig: Rig, request: TransferRequest, key: str) -> Verdict:
    """Send as the settlement does: an exception is no answer."""
    try:
        outcome: Outcome = rig.provider.send(request, key)
    except Exception:  # The promise is that any exception means the same.
        return Verdict.UNKNOWN
    return outcome.verdict


def _views(rig: Rig, request: TransferRequest) -> list[TransferView]:
    return list(rig.provider.look_up(request.group))


def _states(rig: Rig, request: TransferRequest) -> list[TransferState]:
    return [view.state for view in _views(rig, request)]
