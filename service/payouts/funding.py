"""Funding: the platform's money on its way to the provider, as the books say it.

Moving the money is the act of the bank and of people; here is only its record. Law: one reference is booked
once, whoever repeats it.
"""

from datetime import datetime

from sqlalchemy.orm import Session

from service.core.errors import FieldError, Invalid
from service.ledger import entries, journal
from service.ledger.journal import Filters
from service.parties import inputs, staff, trail
from service.parties.actors import Actor
from service.parties.platforms import Platform


def record(
    session: Session,
    platform: Platform,
    *,
    provider: str,
    amount_minor: int,
    reference: str,
    actor: Actor,
    now: datetime,
) -> bool:
    """Book a payment of the platform that went through its bank to a provider, in the platform's currency.

    Args:
        provider: the provider's name.
        amount_minor: minor units, above zero.
        reference: the bank's or the platform's own number of the payment.

    Returns:
        Whether it is new; the same payment again changes nothing.

    Raises:
        Invalid: an amount or a reference that cannot be used.
        KeyReused: the reference stands for another amount or provider.
        RoleMissing: a member of staff without finance_maker.
    """
    staff.require(session, platform.id, actor, "finance_maker")
    inputs.check_id(reference, "/reference")
    if amount_minor <= 0:
        detail = "give a whole number of minor units above zero"
        raise Invalid(f"amount_minor: {detail}.", errors=[FieldError("/amount_minor", detail)])
    effective_at = _booked_at(session, platform.id, reference) or now
    paid_in = entries.fund(
        platform.id,
        reference=reference,
        currency=platform.currency,
        amount_minor=amount_minor,
        effective_at=effective_at,
    )
    passed_on = entries.fund_provider(
        platform.id,
        reference=reference,
        provider=provider,
        currency=platform.currency,
        amount_minor=amount_minor,
        effective_at=effective_at,
    )
    posted = journal.post_all(session, (paid_in, passed_on), now=now)
    is_new = not any(one.is_replay for one in posted)
    if is_new:
        after = {"provider": provider, "currency": platform.currency, "amount_minor": amount_minor}
        trail.record(session, platform.id, actor, "provider.fund", "funding", reference, after=after, now=now)
    return is_new


def _booked_at(session: Session, platform_id: str, reference: str) -> datetime | None:
    """Find when a payment was booked, so that the same one asked for later is the same entry."""
    filters = Filters(kind="fund_provider", cause_kind="funding", cause_id=reference)
    booked = journal.listing(session, platform_id, filters, limit=1)
    return booked[0].effective_at if booked else None
