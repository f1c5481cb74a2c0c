"""Funding: one payment is booked once, through the bank to the provider."""

import pytest
from sqlalchemy.orm import Session

from service.core.errors import Invalid
from service.ledger import balances
from service.ledger.accounts import AccountRef, Role
from service.ledger.errors import KeyReused
from service.parties import trail
from service.parties.actors import OPERATOR, Actor
from service.parties.platforms import Platform
from service.parties.staff import RoleMissing
from service.payouts import funding
from tests.payouts.world import CHECKER, NOON, Clock, found


@pytest.fixture
def platform(session: Session) -> Platform:
    """Give a platform without books."""
    return found(session)


def test_a_payment_ends_up_at_the_provider(session: Session, platform: Platform):
    """Out of clearing, through the bank, into the provider's balance; the trail names who recorded it."""
    is_new = _record(session, platform, 900)

    acts = [one for one in trail.listing(session, platform.id, limit=500) if one.act == "provider.fund"]
    assert is_new
    assert (-900, 0, 900) == _balances(session, platform)
    assert [("cli", "funding", "p-1")] == [(one.actor_id, one.subject_kind, one.subject_id) for one in acts]


def test_the_same_payment_again_changes_nothing(session: Session, platform: Platform):
    """Also at another time: the reference says that it is the same."""
    _record(session, platform, 900)

    is_new = _record(session, platform, 900, clock=Clock(NOON.replace(day=22)))

    assert not is_new
    assert (-900, 0, 900) == _balances(session, platform)
    assert 1 == len([one for one in trail.listing(session, platform.id, limit=500) if "fund" in one.act])


def test_a_reference_stands_for_one_payment(session: Session, platform: Platform):
    """Another amount under it is refused, and books nothing."""
    _record(session, platform, 900)

    with pytest.raises(KeyReused):
        _record(session, platform, 901)

    assert (-900, 0, 900) == _balances(session, platform)


@pytest.mark.parametrize(
    ("amount_minor", "reference", "pointer"),
    [
        (0, "p-1", "/amount_minor"),
        (-1, "p-1", "/amount_minor"),
        (1, "", "/reference"),
        (1, "a b", "/reference"),
    ],
)
def test_a_payment_has_an_amount_above_zero_and_a_reference(
    session: Session, platform: Platform, amount_minor: int, reference: str, pointer: str
):
    """Each refusal points at the field."""
    with pytest.raises(Invalid) as refusal:
        _record(session, platform, amount_minor, reference=reference)

    assert [pointer] == [error.pointer for error in refusal.value.errors]


def test_staff_need_finance_maker_to_record_a_payment(session: Session, platform: Platform):
    """A checker does not."""
    with pytest.raises(RoleMissing):
        _record(session, platform, 1, actor=CHECKER)


def _record(
    session: Session,
    platform: Platform,
    amount_minor: int,
    *,
    reference: str = "p-1",
    actor: Actor = OPERATOR,
    clock: Clock | None = None,
) -> bool:
    return funding.record(
        session,
        platform,
        provider="sandbox",
        amount_minor=amount_minor,
        reference=reference,
        actor=actor,
        now=(clock or Clock()).now,
    )


def _balances(session: Session, platform: Platform) -> tuple[int, int, int]:
    refs = (AccountRef(Role.CLEARING), AccountRef(Role.BANK), AccountRef(Role.PROVIDER_BALANCE, "sandbox"))
    clearing, bank, provider = (balances.of(session, platform.id, ref, platform.currency) for ref in refs)
    return clearing, bank, provider
