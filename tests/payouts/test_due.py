"""What is due: a verdict for every balance, and the words for it."""

import pytest
from cryptography.fernet import Fernet
from sqlalchemy.orm import Session

from service.parties.actors import SYSTEM
from service.parties.platforms import Platform
from service.payouts import batches, due, payees
from service.payouts.due import WORDS, Standing
from service.payouts.providers.sandbox import Sandbox
from service.runtime.db import Database
from service.runtime.vault import Vault
from tests.payouts.world import NOON, earn, found

VAULT = Vault([Fernet.generate_key().decode()])


@pytest.fixture
def bank(shared_database: Database) -> Sandbox:
    """Give the bank for its form only."""
    return Sandbox(database=shared_database)


def test_each_balance_has_one_verdict(session: Session, bank: Sandbox):
    """At the minimum it is paid, below it is kept; without a payee it waits; nothing earned is not listed."""
    platform = found(session, minimum_minor=50_000)
    earn(session, platform, {"an": 50_000, "binh": 49_999, "chau": 80_000, "dung": 0})
    for creator_id in ("an", "binh", "dung"):
        _declare(session, platform, bank, creator_id)

    listed = due.listing(session, platform, now=NOON)

    assert [
        ("an", 50_000, Standing.PAYABLE, "sandbox", "0418"),
        ("binh", 49_999, Standing.BELOW_MINIMUM, "sandbox", "0418"),
        ("chau", 80_000, Standing.NO_PAYEE, None, None),
    ] == [
        (one.creator_id, one.payable_minor, one.verdict, one.provider, one.destination_hint) for one in listed
    ]
    assert {50_000} == {one.minimum_minor for one in listed}


def test_with_a_minimum_of_zero_one_minor_unit_is_paid(session: Session, bank: Sandbox):
    """Zero is a legal minimum."""
    platform = found(session, minimum_minor=0)
    earn(session, platform, {"an": 1})
    _declare(session, platform, bank, "an")

    assert [Standing.PAYABLE] == [one.verdict for one in due.listing(session, platform, now=NOON)]


def test_what_is_earned_while_a_payout_is_in_flight_waits(session: Session, bank: Sandbox):
    """The reserved amount is not listed, the new one is, with its reason."""
    platform = found(session)
    earn(session, platform, {"an": 700})
    _declare(session, platform, bank, "an")
    batches.submit(session, platform, actor=SYSTEM, now=NOON)
    before = due.listing(session, platform, now=NOON)

    earn(session, platform, {"an": 300})

    assert [] == before
    assert [(300, Standing.IN_FLIGHT)] == [
        (one.payable_minor, one.verdict) for one in due.listing(session, platform, now=NOON)
    ]


def test_another_platforms_creators_are_not_listed(session: Session, bank: Sandbox):
    """The same creator id at another platform is another creator."""
    platform, other = found(session), found(session)
    earn(session, other, {"an": 700})
    _declare(session, other, bank, "an")

    assert [] == due.listing(session, platform, now=NOON)


def test_every_verdict_has_words():
    """People read a sentence, not a code."""
    assert set(Standing) == set(WORDS)
    assert all(words.endswith(".") for words in WORDS.values())


def _declare(session: Session, platform: Platform, bank: Sandbox, creator_id: str) -> None:
    payees.declare(
        session,
        platform.id,
        creator_id,
        provider=bank,
        destination={"account_number": "97000418", "holder": creator_id},
        vault=VAULT,
        actor=SYSTEM,
        now=NOON,
    )
