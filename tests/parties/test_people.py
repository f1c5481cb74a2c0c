"""Creators, partners and staff: registered once, renamed freely, named in clear nowhere in the tables."""

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.core.errors import Invalid, NotFound
from service.parties import creators, partners, staff
from service.parties.actors import OPERATOR, Actor
from service.parties.staff import RoleMissing, SamePerson
from service.parties.tables import creator_identity
from tests.world import LAN, MINH, NOW, VAULT, bare_platform


@pytest.fixture(autouse=True)
def _platform(session: Session) -> None:
    bare_platform(session)


def _staff(session: Session) -> None:
    staff.register(
        session, "sen", "lan", "Lan", ["finance_maker", "finance_checker"], actor=OPERATOR, now=NOW
    )
    staff.register(session, "sen", "minh", "Minh", ["finance_checker"], actor=OPERATOR, now=NOW)


def test_a_name_is_sealed_and_opens_again(session: Session) -> None:
    """The table holds no clear text."""
    creators.register(session, "sen", "c1", display_name="Bảo Khoa", vault=VAULT, actor=OPERATOR, now=NOW)
    stored = session.scalar(select(creator_identity.c.display_name_sealed))

    assert {"c1": "Bảo Khoa"} == creators.names(session, "sen", ["c1", "c2"], VAULT)
    assert "Khoa" not in bytes(stored).decode("latin-1")


def test_ensuring_registers_only_the_missing(session: Session) -> None:
    """Doing it twice adds nobody."""
    counts = [
        creators.ensure(session, "sen", ["a", "b", "a"], now=NOW),
        creators.ensure(session, "sen", ["b", "c"], now=NOW),
    ]

    assert ([2, 1], {"x"}) == (counts, creators.unknown(session, "sen", ["a", "c", "x"]))


def test_what_no_creator_can_be_called_is_unknown(session: Session) -> None:
    """Also where its parts are names of creators."""
    creators.ensure(session, "sen", ["a", "b"], now=NOW)

    assert {"a\nb", "", "c"} == creators.unknown(session, "sen", ["a", "a\nb", "", "c"])
    assert set() == creators.unknown(session, "sen", [])


@pytest.mark.parametrize("creator_id", ["", "a" * 65, " a", "a b", "á", "-a", "a\x00"])
def test_an_id_that_could_be_misread_is_refused(session: Session, creator_id: str) -> None:
    """Ids are plain, bounded and visible."""
    with pytest.raises(Invalid):
        creators.register(session, "sen", creator_id, display_name=None, vault=VAULT, actor=OPERATOR, now=NOW)

    assert 0 == creators.count(session, "sen")


def test_creators_page_by_id(session: Session) -> None:
    """The next page begins after the last id of the one before."""
    creators.ensure(session, "sen", ["a", "b", "c"], now=NOW)
    first = creators.listing(session, "sen", limit=2)
    second = creators.listing(session, "sen", after=first[-1].id, limit=2)

    assert (["a", "b"], ["c"]) == ([one.id for one in first], [one.id for one in second])


def test_a_partner_is_renamed_in_place(session: Session) -> None:
    """The id stays, the name changes."""
    for name in ("Quỹ A", "Quỹ B"):
        partners.register(session, "sen", "quy", name, actor=OPERATOR, now=NOW)

    assert ["Quỹ B"] == [one.name for one in partners.listing(session, "sen")]


def test_who_prepared_cannot_approve(session: Session) -> None:
    """Also when that person holds both roles."""
    _staff(session)

    with pytest.raises(SamePerson):
        staff.require_second(session, "sen", LAN, "finance_checker", prepared_by=str(LAN))


@pytest.mark.parametrize(
    "actor", [OPERATOR, Actor("system", "scheduler"), Actor("key", "abc"), Actor("creator", "c")]
)
def test_only_people_approve(session: Session, actor: Actor) -> None:
    """Neither the machine's operator, nor a key, nor the service itself."""
    _staff(session)

    with pytest.raises(RoleMissing):
        staff.require_second(session, "sen", actor, "finance_checker", prepared_by=str(LAN))


def test_a_second_person_with_the_role_may_approve(session: Session) -> None:
    """The nearest good neighbour of the refusals above."""
    _staff(session)

    staff.require_second(session, "sen", MINH, "finance_checker", prepared_by=str(LAN))


def test_a_person_without_the_role_is_refused(session: Session) -> None:
    """Roles are held by name, and taken away by registering without them."""
    _staff(session)
    staff.register(session, "sen", "minh", "Minh", ["auditor"], actor=OPERATOR, now=NOW)

    with pytest.raises(RoleMissing):
        staff.require(session, "sen", MINH, "finance_checker")
    with pytest.raises(NotFound):
        staff.require(session, "sen", Actor("staff", "nobody"), "auditor")


def test_an_unknown_role_is_refused(session: Session) -> None:
    """The refusal points to it."""
    with pytest.raises(Invalid) as refusal:
        staff.register(session, "sen", "lan", "Lan", ["auditor", "king"], actor=OPERATOR, now=NOW)

    assert ["/roles/1"] == [one.pointer for one in refusal.value.errors]
