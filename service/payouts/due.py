"""What would be paid now, and for every creator who would not be, why not.

Owns the verdict on each payable balance; writes nothing. Law: a balance above zero has exactly one verdict,
and `batches.submit` pays exactly those whose verdict is `payable`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from service.ledger import balances
from service.ledger.accounts import AccountRef, Role
from service.parties.platforms import Platform
from service.payouts.tables import payee, payout
from service.payouts.transitions import IN_FLIGHT
from service.rules import registry
from service.runtime.texts import msgid


class Standing(StrEnum):
    """Whether a creator's balance would be paid now; if not, why not."""

    PAYABLE = "payable"
    IN_FLIGHT = "in_flight"
    NO_PAYEE = "no_payee"
    BELOW_MINIMUM = "below_minimum"


WORDS: Final[Mapping[Standing, str]] = MappingProxyType(
    {
        Standing.PAYABLE: msgid("This amount goes into the next payout."),
        Standing.IN_FLIGHT: msgid("An earlier payout is still under way; this amount is paid after it."),
        Standing.NO_PAYEE: msgid("The creator has not said where to be paid."),
        Standing.BELOW_MINIMUM: msgid("The amount is below the minimum payout; it is kept and adds up."),
    }
)
"""What people read about each verdict, as messages for the catalogues of `runtime.texts`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A creator's payable balance and what would become of it; amounts in minor units of the currency."""

    creator_id: str
    currency: str
    payable_minor: int
    minimum_minor: int
    verdict: Standing
    provider: str | None
    destination_hint: str | None
    destination_sealed: bytes | None = field(repr=False)
    """What a batch freezes."""

    @property
    def words(self) -> str:
        """The verdict as a message to translate."""
        return WORDS[self.verdict]


def listing(session: Session, platform: Platform, *, now: datetime) -> list[Due]:
    """List every balance above zero with its verdict, by creator id.

    The minimum payout is that of the rulebook in force at `now`; a balance of exactly the minimum is paid.
    """
    held = balances.of_role(session, platform.id, Role.CREATOR_PAYABLE, platform.currency)
    return _judged(session, platform, held, now=now)


def of_creator(session: Session, platform: Platform, creator_id: str, *, now: datetime) -> Due | None:
    """Tell what would become of one creator's balance, as `listing` does; None when nothing is payable."""
    ref = AccountRef(Role.CREATOR_PAYABLE, creator_id)
    held = {creator_id: balances.of(session, platform.id, ref, platform.currency)}
    return next(iter(_judged(session, platform, held, creator_id, now=now)), None)


def _judged(
    session: Session,
    platform: Platform,
    held: Mapping[str, int],
    only: str | None = None,
    *,
    now: datetime,
) -> list[Due]:
    """Give every balance above zero its verdict; `only` names the one creator there is, if there is one."""
    minimum_minor = registry.in_force(session, platform.id, now).rulebook.minimum_payout_minor
    in_flight = _in_flight(session, platform, only)
    payees = _payees(session, platform, only)
    found = []
    for creator_id, payable_minor in sorted(held.items()):
        if payable_minor <= 0:
            continue
        destination = payees.get(creator_id)
        verdict = _verdict(
            is_in_flight=creator_id in in_flight,
            has_payee=destination is not None,
            is_enough=payable_minor >= minimum_minor,
        )
        found.append(
            Due(
                creator_id=creator_id,
                currency=platform.currency,
                payable_minor=payable_minor,
                minimum_minor=minimum_minor,
                verdict=verdict,
                provider=destination.provider if destination else None,
                destination_hint=destination.destination_hint if destination else None,
                destination_sealed=destination.destination_sealed if destination else None,
            )
        )
    return found


def _verdict(*, is_in_flight: bool, has_payee: bool, is_enough: bool) -> Standing:
    # The reason that the creator can do something about comes before those that only time removes.
    if not has_payee:
        return Standing.NO_PAYEE
    if is_in_flight:
        return Standing.IN_FLIGHT
    return Standing.PAYABLE if is_enough else Standing.BELOW_MINIMUM


def _in_flight(session: Session, platform: Platform, creator_id: str | None) -> set[str]:
    query = select(payout.c.creator_id).where(
        payout.c.platform_id == platform.id,
        payout.c.currency == platform.currency,
        payout.c.state.in_([state.value for state in IN_FLIGHT]),
    )
    if creator_id is not None:
        query = query.where(payout.c.creator_id == creator_id)
    return set(session.scalars(query))


def _payees(session: Session, platform: Platform, creator_id: str | None) -> dict[str, Row[Any]]:
    query = select(payee).where(payee.c.platform_id == platform.id, payee.c.currency == platform.currency)
    if creator_id is not None:
        query = query.where(payee.c.creator_id == creator_id)
    return {row.creator_id: row for row in session.execute(query)}
