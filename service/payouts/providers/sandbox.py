"""The pretend bank: real double-entry books, no real money. It is the provider of the embedded default.

Owns the tables sandbox_*, which it reads and writes in transactions of its own, as a bank elsewhere would.
It keeps one settlement account for each platform and currency, and a customer's account for each number that
money arrived at. Laws: every posting debits one account and credits another, so that all balances of a
currency sum to zero; no account but the bank's own goes below zero; a key moves money at most once.

It moves on by itself: whoever asks is answered by the books as they stand at that instant of its clock. The
last four digits of an account number steer what happens to it; see BEHAVIOURS.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Row, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.core import ids
from service.core.errors import Conflict, FieldError, Invalid
from service.payouts.providers.base import (
    Destination,
    Outcome,
    TransferRequest,
    TransferState,
    TransferView,
    Verdict,
)
from service.payouts.tables import sandbox_account, sandbox_posting, sandbox_transfer
from service.runtime import clock as database_clock
from service.runtime.db import Database, run

NAME: Final = "sandbox"
HOLDER_LENGTH_MAX: Final = 140
RETURN_DELAY: Final = timedelta(days=2)
"""How long after it arrived a transfer to an account of the "returns later" kind comes back."""

_NUMBER: Final = re.compile(r"[0-9]{8,20}")
_CASH: Final = "bank/cash"
_TRANSIT: Final = "bank/transit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What the bank does with transfers to a kind of account; as it stands, all goes well."""

    rejected_for: str | None = None
    """Refused at once, for this reason."""
    silent_count: int = 0
    """So many first calls are lost: no answer, and nothing done."""
    is_answer_lost: bool = False
    """The first call that is heard is carried out, and its answer lost."""
    ends: tuple[TransferState, ...] = (TransferState.PAID,)
    """The states that follow `pending`, in order."""
    reason: str | None = None
    """Why it ends badly, when it does."""


BEHAVIOURS: Final[Mapping[str, Behaviour]] = MappingProxyType(
    {
        "0001": Behaviour(rejected_for="account_closed"),
        "0002": Behaviour(ends=(TransferState.RETURNED,), reason="account_unknown"),
        "0003": Behaviour(ends=(TransferState.PAID, TransferState.RETURNED), reason="account_closed"),
        "0004": Behaviour(is_answer_lost=True),
        "0005": Behaviour(silent_count=2),
        "0006": Behaviour(ends=(TransferState.FAILED,), reason="refused_by_receiving_bank"),
    }
)
"""By the last four digits of an account number, in this order: closed; returned before it arrives; paid, then
returned two days later; answer lost although carried out; two calls lost and nothing done, then fine; failed
under way. All other numbers go well."""

_USUAL: Final = Behaviour()


@dataclass(frozen=True, slots=True)
class Account:
    """One account of the bank; a holder's balance is what the bank owes them, in minor units."""

    number: str
    currency: str
    holder: str
    balance_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """The bank as a provider.

    Args:
        database: where its books are.
        delay_s: seconds from an accepted order to its arrival.
        clock: the bank's own clock; by default the database's.
    """

    database: Database
    delay_s: int = 0
    clock: Callable[[Session], datetime] = database_clock.now

    @property
    def name(self) -> str:
        """The word in settings, tables and pages."""
        return NAME

    def admit(self, destination: Mapping[str, object]) -> Destination:
        """Check a destination: account_number of 8 to 20 digits, holder of 1 to 140 characters, no more.

        Raises:
            Invalid: with the pointer of each wrong field.
        """
        errors = [
            FieldError(f"/{name}", "this field is not known; give account_number and holder only")
            for name in destination
            if name not in {"account_number", "holder"}
        ]
        number, holder = destination.get("account_number"), destination.get("holder")
        if not isinstance(number, str) or not _NUMBER.fullmatch(number):
            errors.append(FieldError("/account_number", "give 8 to 20 digits as a string"))
        name = unicodedata.normalize("NFC", holder).strip() if isinstance(holder, str) else ""
        if not 1 <= len(name) <= HOLDER_LENGTH_MAX or not name.isprintable():
            detail = f"give the holder's name: 1 to {HOLDER_LENGTH_MAX} printable characters"
            errors.append(FieldError("/holder", detail))
        if errors:
            raise Invalid(
                f"The destination cannot be used: {errors[0].pointer[1:]}: {errors[0].detail}.", errors=errors
            )
        assert isinstance(number, str), "anything else was refused above"
        return Destination(fields={"account_number": number, "holder": name}, hint=number[-4:])

    def send(self, request: TransferRequest, key: str) -> Outcome:
        """Carry out an order once for its key, and answer the same to whoever presents the key again.

        The key with another request is answered `unknown`, not `rejected`: what it stands for may have moved.

        Raises:
            TimeoutError: the answer, or the call, was lost, where the account's behaviour says so.
        """
        answer = run(self.database, lambda session: _order(session, self, request, key))
        if answer is None:
            raise TimeoutError("The bank did not answer in time.")
        return answer

    def look_up(self, group: str) -> Sequence[TransferView]:
        """List the transfers of a payout that moved money, oldest first, as they stand now."""
        self._settle(run(self.database, self.clock), group=group)
        return run(self.database, lambda session: _views(session, group))

    def balance(self, platform_id: str, currency: str) -> int:
        """Tell what a platform's settlement account holds, in minor units; 0 before the first deposit."""
        self._settle(run(self.database, self.clock))
        return run(self.database, lambda session: _balance_of(session, settlement_of(platform_id), currency))

    def fund(self, platform_id: str, currency: str, amount_minor: int, reference: str) -> None:
        """Put money from outside into a platform's settlement account, once for each reference.

        Raises:
            Conflict: the reference stands for a deposit of another amount.
        """
        assert amount_minor > 0, "a deposit adds money"

        def act(session: Session) -> None:
            _deposit(session, platform_id, currency, amount_minor, reference, self.clock(session))

        run(self.database, act)

    def advance(self, now: datetime) -> int:
        """Move on all transfers that have something to happen by `now`; return how many moves there were."""
        return self._settle(now)

    def accounts(self) -> list[Account]:
        """Read the bank's whole book by number and currency: balances of a currency sum to zero."""
        return run(self.database, _accounts)

    def _settle(self, now: datetime, *, group: str | None = None) -> int:
        # One transfer a transaction: accounts are then always locked in the same order.
        moves = 0
        while run(self.database, lambda session: _move_on(session, now, group)):
            moves += 1
        return moves


def settlement_of(platform_id: str) -> str:
    """Name a platform's settlement account; no customer's number looks like it."""
    return f"platform/{platform_id}"


def _order(session: Session, bank: Sandbox, request: TransferRequest, key: str) -> Outcome | None:
    """Handle one call; None stands for an answer that got lost."""
    now = bank.clock(session)
    rule = _behaviour_of(request.destination["account_number"])
    # The first to insert the key holds it until its commit; a second caller waits here and sees its result.
    session.execute(
        insert(sandbox_transfer)
        .values(_new(request, key, now))
        .on_conflict_do_nothing(index_elements=["key"])
    )
    known = session.execute(
        select(sandbox_transfer).where(sandbox_transfer.c.key == key).with_for_update()
    ).one()
    if known.request_sha256 != request.sha256():
        return Outcome(verdict=Verdict.UNKNOWN, reason="idempotency_mismatch")
    call_count = known.call_count + 1
    session.execute(
        update(sandbox_transfer).where(sandbox_transfer.c.id == known.id).values(call_count=call_count)
    )
    if known.state != "lost":
        return _answer_of(known)
    if call_count <= rule.silent_count:
        return None
    outcome = _carry_out(session, bank, known, rule, now)
    return None if rule.is_answer_lost else outcome


def _new(request: TransferRequest, key: str, now: datetime) -> dict[str, object]:
    return {
        "id": ids.derived("sandbox_transfer", key),
        "key": key,
        "request_sha256": request.sha256(),
        "group_id": request.group,
        "debit_number": settlement_of(request.platform_id),
        "credit_number": request.destination["account_number"],
        "holder": request.destination["holder"],
        "currency": request.currency,
        "amount_minor": request.amount_minor,
        "narrative": request.narrative,
        "state": "lost",
        "call_count": 0,
        "created_at": now,
        "changed_at": now,
    }


def _carry_out(
    session: Session, bank: Sandbox, transfer: Row[Any], rule: Behaviour, now: datetime
) -> Outcome:
    values: dict[str, object] = {"state": "rejected", "reason": rule.rejected_for}
    if rule.rejected_for is None:
        if _post(session, "sent", transfer, transfer.debit_number, _TRANSIT, now):
            values = {"state": "pending", "next_at": now + timedelta(seconds=bank.delay_s)}
        else:
            values["reason"] = "insufficient_funds"
    row = session.execute(
        update(sandbox_transfer)
        .where(sandbox_transfer.c.id == transfer.id)
        .values(values)
        .returning(sandbox_transfer)
    ).one()
    return _answer_of(row)


def _answer_of(transfer: Row[Any]) -> Outcome:
    if transfer.state == "rejected":
        return Outcome(verdict=Verdict.REJECTED, reason=transfer.reason)
    return Outcome(verdict=Verdict.ACCEPTED, reference=str(transfer.id))


def _move_on(session: Session, now: datetime, group: str | None) -> bool:
    """Let the next thing happen to the transfer that has waited longest; False when nothing is due."""
    due = select(sandbox_transfer).where(sandbox_transfer.c.next_at <= now)
    if group is not None:
        due = due.where(sandbox_transfer.c.group_id == group)
    oldest = due.order_by(sandbox_transfer.c.next_at, sandbox_transfer.c.id).limit(1)
    transfer = session.execute(oldest.with_for_update(skip_locked=True)).one_or_none()
    if transfer is None:
        return False
    rule = _behaviour_of(transfer.credit_number)
    path = (TransferState.PENDING, *rule.ends)
    place = path.index(transfer.state)
    state, is_last = path[place + 1], place + 2 == len(path)
    if state is TransferState.PAID:
        _post(session, "arrived", transfer, _TRANSIT, transfer.credit_number, transfer.next_at)
    else:
        source = transfer.credit_number if transfer.state == TransferState.PAID else _TRANSIT
        _post(session, "came_back", transfer, source, transfer.debit_number, transfer.next_at)
    session.execute(
        update(sandbox_transfer)
        .where(sandbox_transfer.c.id == transfer.id)
        .values(
            state=state,
            reason=None if state is TransferState.PAID else rule.reason,
            changed_at=transfer.next_at,
            next_at=None if is_last else transfer.next_at + RETURN_DELAY,
        )
    )
    return True


def _post(session: Session, cause: str, transfer: Row[Any], debit: str, credit: str, at: datetime) -> bool:
    """Book one leg of a transfer; False when the paying account does not hold enough."""
    holders = {transfer.credit_number: transfer.holder}
    funds = _locked(session, (debit, credit), transfer.currency, holders, at)
    if debit != _TRANSIT and funds[debit] < transfer.amount_minor:
        return False
    _book(session, cause, str(transfer.id), debit, credit, transfer.currency, transfer.amount_minor, at)
    return True


def _deposit(
    session: Session, platform_id: str, currency: str, amount_minor: int, reference: str, at: datetime
) -> None:
    credit = settlement_of(platform_id)
    _locked(session, (_CASH, credit), currency, {}, at)
    booked_minor = session.scalar(
        select(sandbox_posting.c.amount_minor).where(
            sandbox_posting.c.cause == "deposited",
            sandbox_posting.c.reference == reference,
            sandbox_posting.c.credit_number == credit,
            sandbox_posting.c.currency == currency,
        )
    )
    if booked_minor is None:
        _book(session, "deposited", reference, _CASH, credit, currency, amount_minor, at)
    elif booked_minor != amount_minor:
        raise Conflict(
            f"Deposit {reference} was of {booked_minor} {currency}; give another one another number."
        )


def _locked(
    session: Session, numbers: Sequence[str], currency: str, holders: Mapping[str, str], now: datetime
) -> dict[str, int]:
    """Open accounts that are missing, hold all of them in the order of their numbers; return balances."""
    ordered = sorted(numbers)
    for number in ordered:
        session.execute(
            insert(sandbox_account)
            .values(
                number=number,
                currency=currency,
                holder=holders.get(number, number),
                is_overdraft_allowed=number == _CASH,
                opened_at=now,
            )
            .on_conflict_do_nothing()
        )
    balances = {}
    for number in ordered:
        balances[number] = session.execute(
            select(sandbox_account.c.balance_minor)
            .where(sandbox_account.c.number == number, sandbox_account.c.currency == currency)
            .with_for_update()
        ).scalar_one()
    return balances


def _book(
    session: Session,
    cause: str,
    reference: str,
    debit: str,
    credit: str,
    currency: str,
    amount_minor: int,
    at: datetime,
) -> None:
    session.execute(
        sandbox_posting.insert().values(
            cause=cause,
            reference=reference,
            debit_number=debit,
            credit_number=credit,
            currency=currency,
            amount_minor=amount_minor,
            at=at,
        )
    )
    for number, change in ((debit, -amount_minor), (credit, amount_minor)):
        session.execute(
            update(sandbox_account)
            .where(sandbox_account.c.number == number, sandbox_account.c.currency == currency)
            .values(balance_minor=sandbox_account.c.balance_minor + change)
        )


def _views(session: Session, group: str) -> list[TransferView]:
    rows = session.execute(
        select(sandbox_transfer)
        .where(sandbox_transfer.c.group_id == group, sandbox_transfer.c.state.in_(tuple(TransferState)))
        .order_by(sandbox_transfer.c.created_at, sandbox_transfer.c.id)
    )
    return [
        TransferView(
            reference=str(row.id),
            group=row.group_id,
            currency=row.currency,
            amount_minor=row.amount_minor,
            state=TransferState(row.state),
            reason=row.reason,
            changed_at=row.changed_at,
        )
        for row in rows
    ]


def _balance_of(session: Session, number: str, currency: str) -> int:
    held = session.scalar(
        select(sandbox_account.c.balance_minor).where(
            sandbox_account.c.number == number, sandbox_account.c.currency == currency
        )
    )
    return held or 0


def _accounts(session: Session) -> list[Account]:
    columns = [sandbox_account.c[name] for name in Account.__slots__]
    rows = session.execute(select(*columns).order_by(sandbox_account.c.number, sandbox_account.c.currency))
    return [Account(**row._mapping) for row in rows]


def _behaviour_of(account_number: str) -> Behaviour:
    return BEHAVIOURS.get(account_number[-4:], _USUAL)
