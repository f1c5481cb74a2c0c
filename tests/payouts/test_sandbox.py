"""The pretend bank: it keeps the provider's promises, and its books balance."""

import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from service.core import ids
from service.core.errors import Conflict, Invalid
from service.payouts.providers.base import TransferRequest, TransferState, Verdict
from service.payouts.providers.sandbox import BEHAVIOURS, Sandbox, settlement_of
from service.payouts.tables import sandbox_posting, sandbox_transfer
from service.runtime import db
from service.runtime.db import Database
from tests.payouts.provider_contract import Kind, ProviderContract, Rig
from tests.payouts.world import Clock

NUMBERS = {
    Kind.FINE: "970418001234",
    Kind.CLOSED: "970418000001",
    Kind.RETURNED_BEFORE_ARRIVAL: "970418000002",
    Kind.RETURNED_AFTER_ARRIVAL: "970418000003",
    Kind.ANSWER_LOST: "970418000004",
    Kind.CALL_LOST: "970418000005",
    Kind.FAILED_UNDER_WAY: "970418000006",
}
DELAY_S = 3_600


@dataclass
class SandboxRig:
    """The pretend bank on a clock of its own."""

    database: Database
    clock: Clock = field(default_factory=Clock)
    platform_id: str = field(default_factory=lambda: f"muse-{uuid.uuid4().hex[:12]}")
    currency: str = "VND"
    deposits: int = 0

    @property
    def provider(self) -> Sandbox:
        """The bank."""
        return Sandbox(database=self.database, delay_s=DELAY_S, clock=self.clock)

    def fund(self, amount_minor: int) -> None:
        """Deposit, each time under another number."""
        self.deposits += 1
        self.provider.fund(self.platform_id, self.currency, amount_minor, f"deposit-{self.deposits}")

    def destination(self, kind: Kind) -> Mapping[str, str]:
        """Give an account whose last digits steer the bank."""
        return {"account_number": NUMBERS[kind], "holder": "NGUYỄN VĂN AN"}

    def wait_for_arrival(self) -> None:
        """One hour."""
        self.clock.move(seconds=DELAY_S)

    def wait_for_returns(self) -> None:
        """Two days."""
        self.clock.move(days=2)


@pytest.fixture
def rig(module_database: Database) -> SandboxRig:
    """Give a platform that the bank has never heard of."""
    return SandboxRig(module_database)


class TestTheContract(ProviderContract):
    """The promises that every provider makes."""

    @pytest.fixture
    def rig(self, module_database: Database) -> Rig:
        """Give a platform that the bank has never heard of."""
        return SandboxRig(module_database)


def test_every_steered_behaviour_is_one_that_the_contract_knows():
    """No number is left out of the contract's tests."""
    assert set(BEHAVIOURS) == {number[-4:] for kind, number in NUMBERS.items() if kind is not Kind.FINE}


def test_two_calls_are_lost_before_the_third_is_heard(rig: SandboxRig):
    """The number ...0005 counts the calls of each key."""
    rig.fund(1_000)
    verdicts = []

    for _ in range(3):
        try:
            verdicts.append(
                rig.provider.send(_order(rig, Kind.CALL_LOST, 1_000), f"{rig.platform_id}-1").verdict
            )
        except TimeoutError:
            verdicts.append(None)

    assert [None, None, Verdict.ACCEPTED] == verdicts


def test_a_deposit_counts_once_for_its_reference(rig: SandboxRig):
    """The same again adds nothing; the same reference with another amount is refused."""
    bank, platform_id = rig.provider, rig.platform_id
    bank.fund(platform_id, "VND", 500, "first")

    bank.fund(platform_id, "VND", 500, "first")
    with pytest.raises(Conflict):
        bank.fund(platform_id, "VND", 501, "first")

    assert 500 == bank.balance(platform_id, "VND")


def test_currencies_and_platforms_have_accounts_of_their_own(rig: SandboxRig):
    """The same reference at another platform or in another currency is another deposit."""
    bank, one, other = rig.provider, rig.platform_id, f"{rig.platform_id}-other"

    bank.fund(one, "VND", 500, "first")
    bank.fund(one, "USD", 7, "first")
    bank.fund(other, "VND", 9, "first")

    assert [500, 7, 9] == [bank.balance(one, "VND"), bank.balance(one, "USD"), bank.balance(other, "VND")]


def test_advance_moves_what_is_due_and_nothing_else(database: Database):
    """One transfer is due at the hour, the other an hour later."""
    rig = SandboxRig(database)
    rig.fund(1_000)
    rig.provider.send(_order(rig, Kind.FINE, 100, number=1), f"{rig.platform_id}-1")
    rig.clock.move(hours=1)
    rig.provider.send(_order(rig, Kind.FINE, 100, number=2), f"{rig.platform_id}-2")

    moves = rig.provider.advance(rig.clock.now)

    assert 1 == moves
    assert [TransferState.PAID, TransferState.PENDING] == [
        view.state for number in (1, 2) for view in rig.provider.look_up(str(_payout_id(rig, number)))
    ]


@pytest.mark.parametrize(
    ("field_name", "value"),
    [
        ("account_number", "1234567"),
        ("account_number", "1" * 21),
        ("account_number", "1234 5678"),
        ("account_number", "١٢٣٤٥٦٧٨"),
        ("account_number", "12345678\n"),
        ("holder", ""),
        ("holder", "  "),
        ("holder", "A" * 141),
        ("holder", "A\x00B"),
    ],
)
def test_a_destination_that_the_bank_cannot_use_is_refused(rig: SandboxRig, field_name: str, value: str):
    """Numbers are 8 to 20 ASCII digits; holders 1 to 140 printable characters."""
    fields = dict(rig.destination(Kind.FINE)) | {field_name: value}

    with pytest.raises(Invalid) as refusal:
        rig.provider.admit(fields)

    assert [f"/{field_name}"] == [error.pointer for error in refusal.value.errors]


@pytest.mark.parametrize(
    ("field_name", "value"),
    [("account_number", "12345678"), ("account_number", "1" * 20), ("holder", "A"), ("holder", "A" * 140)],
)
def test_a_destination_at_the_limits_is_admitted(rig: SandboxRig, field_name: str, value: str):
    """The nearest good cases."""
    fields = dict(rig.destination(Kind.FINE)) | {field_name: value}

    admitted = rig.provider.admit(fields)

    assert fields == admitted.fields


def test_the_database_refuses_an_overdraft_and_a_second_booking_of_one_fact(rig: SandboxRig):
    """The bank's own walls stand even if its code is wrong."""
    rig.fund(100)

    overdraw = "UPDATE sandbox_account SET balance_minor = -1 WHERE number = :number"
    repeat = """
        INSERT INTO sandbox_posting
               (cause, reference, debit_number, credit_number, currency, amount_minor, at)
        SELECT cause, reference, debit_number, credit_number, currency, amount_minor, at
          FROM sandbox_posting WHERE credit_number = :number
    """
    for statement in (overdraw, repeat):
        with pytest.raises(IntegrityError), db.transaction(rig.database) as session:
            session.execute(text(statement), {"number": settlement_of(rig.platform_id)})


ACTS = st.one_of(
    st.tuples(st.just("fund"), st.integers(1, 1_000)),
    st.tuples(
        st.just("send"), st.tuples(st.sampled_from(list(Kind)), st.integers(1, 600), st.integers(1, 4))
    ),
    st.tuples(st.just("wait"), st.sampled_from([60, DELAY_S, 2 * 86_400])),
)


@settings(
    max_examples=settings.default.max_examples // 2,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(acts=st.lists(ACTS, max_size=14))
def test_the_banks_books_balance_whatever_happens(rig: SandboxRig, acts):
    """Law: all balances sum to zero, each is the sum of its postings, none but the bank's is below zero, and
    the settlement account lacks exactly what was not returned.
    """
    rig.platform_id = f"muse-{uuid.uuid4().hex[:12]}"
    for name, value in acts:
        if name == "fund":
            rig.fund(value)
        elif name == "wait":
            rig.clock.move(seconds=value)
        else:
            kind, amount_minor, number = value
            _try(rig, _order(rig, kind, amount_minor, number=number), f"{rig.platform_id}-{number}")
    rig.provider.advance(rig.clock.now)

    held = {(one.number, one.currency): one.balance_minor for one in rig.provider.accounts()}
    sums = dict.fromkeys(held, 0) | _posted(rig.database)
    assert sums == held
    assert 0 == sum(held.values())
    assert {"bank/cash"} >= {number for (number, _), minor in held.items() if minor < 0}
    assert _expected_settlement(rig) == rig.provider.balance(rig.platform_id, "VND")


def _payout_id(rig: SandboxRig, number: int) -> uuid.UUID:
    return ids.derived("payout", rig.platform_id, str(number))


def _order(rig: SandboxRig, kind: Kind, amount_minor: int, *, number: int = 1) -> TransferRequest:
    return TransferRequest(
        platform_id=rig.platform_id,
        payout_id=_payout_id(rig, number),
        currency=rig.currency,
        amount_minor=amount_minor,
        destination=rig.destination(kind),
        narrative=f"PAYOUT {number}",
    )


def _try(rig: SandboxRig, request: TransferRequest, key: str) -> None:
    try:
        rig.provider.send(request, key)
    except TimeoutError:
        return


def _posted(database: Database) -> dict[tuple[str, str], int]:
    """Sum the postings of every account, without asking the bank."""
    sums: Counter[tuple[str, str]] = Counter()
    with db.transaction(database) as session:
        for row in session.execute(select(sandbox_posting)):
            sums[row.debit_number, row.currency] -= row.amount_minor
            sums[row.credit_number, row.currency] += row.amount_minor
    return dict(sums)


def _expected_settlement(rig: SandboxRig) -> int:
    """What was deposited, less what is under way or arrived."""
    number = settlement_of(rig.platform_id)
    with db.transaction(rig.database) as session:
        deposited = session.scalars(
            select(sandbox_posting.c.amount_minor).where(
                sandbox_posting.c.cause == "deposited", sandbox_posting.c.credit_number == number
            )
        ).all()
        gone = session.scalars(
            select(sandbox_transfer.c.amount_minor).where(
                sandbox_transfer.c.debit_number == number, sandbox_transfer.c.state.in_(("pending", "paid"))
            )
        ).all()
    return sum(deposited) - sum(gone)
