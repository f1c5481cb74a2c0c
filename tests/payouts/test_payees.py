"""Payees: sealed, hinted at, audited."""

import json

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text
from sqlalchemy.orm import Session

from service.core.errors import Invalid, NotFound
from service.parties import trail
from service.parties.actors import Actor
from service.parties.platforms import Platform
from service.payouts import payees
from service.payouts.payees import Payee
from service.payouts.providers.sandbox import Sandbox
from service.payouts.tables import payee
from service.runtime.db import Database
from service.runtime.vault import SealBroken, Vault
from tests.payouts.world import NOON, earn, found

VAULT = Vault([Fernet.generate_key().decode()])
AN = Actor("creator", "an")
DESTINATION = {"account_number": "970418001234", "holder": "NGUYỄN VĂN AN"}


@pytest.fixture
def platform(session: Session) -> Platform:
    """Give a platform with one creator."""
    made = found(session)
    earn(session, made, {"an": 1})
    return made


@pytest.fixture
def bank(shared_database: Database) -> Sandbox:
    """Give the bank for its form only; nothing here calls it."""
    return Sandbox(database=shared_database)


def test_a_declared_payee_is_read_back_with_a_hint_only(session: Session, platform: Platform, bank: Sandbox):
    """The currency is the platform's; the account number is four digits."""
    _declare(session, platform, bank)

    assert Payee(platform.id, "an", "sandbox", "VND", "1234", NOON) == payees.get(session, platform.id, "an")


def test_the_stored_destination_opens_with_the_key_and_no_other(
    session: Session, platform: Platform, bank: Sandbox
):
    """What lies in the row is unreadable without it."""
    _declare(session, platform, bank)
    sealed = session.execute(payee.select()).one().destination_sealed

    assert DESTINATION == payees.unseal(VAULT, sealed)
    assert b"970418001234" not in bytes(sealed)
    with pytest.raises(SealBroken):
        payees.unseal(Vault([Fernet.generate_key().decode()]), sealed)


def test_declaring_again_replaces_and_the_trail_shows_both_hints(
    session: Session, platform: Platform, bank: Sandbox
):
    """Who changed what is known; the details are nowhere in the trail."""
    _declare(session, platform, bank)

    _declare(session, platform, bank, account_number="970418005678")

    acts = [one for one in trail.listing(session, platform.id, limit=500) if one.act == "payee.declare"]
    assert "5678" == payees.get(session, platform.id, "an").destination_hint
    assert [None, "1234"] == [one.before and one.before["destination_hint"] for one in acts]
    assert ["1234", "5678"] == [one.after["destination_hint"] for one in acts if one.after]
    assert "97041800" not in json.dumps([[one.before, one.after] for one in acts])


def test_a_destination_that_the_provider_refuses_is_not_stored(
    session: Session, platform: Platform, bank: Sandbox
):
    """The fault points at the field."""
    with pytest.raises(Invalid) as refusal:
        _declare(session, platform, bank, account_number="123")

    assert ["/account_number"] == [error.pointer for error in refusal.value.errors]
    assert 0 == session.execute(text("SELECT count(*) FROM payee")).scalar_one()


def test_only_a_known_creator_is_a_payee(session: Session, platform: Platform, bank: Sandbox):
    """An unknown creator is refused, and one who declared nothing has nothing to read."""
    with pytest.raises(NotFound):
        _declare(session, platform, bank, creator_id="nobody")
    with pytest.raises(NotFound):
        payees.get(session, platform.id, "an")


def _declare(
    session: Session,
    platform: Platform,
    bank: Sandbox,
    *,
    creator_id: str = "an",
    account_number: str = DESTINATION["account_number"],
) -> None:
    payees.declare(
        session,
        platform.id,
        creator_id,
        provider=bank,
        destination=DESTINATION | {"account_number": account_number},
        vault=VAULT,
        actor=AN,
        now=NOON,
    )
