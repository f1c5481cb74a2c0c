"""Platforms are a tree of tenants; what cannot be one is refused with the field and the remedy."""

import pytest
from sqlalchemy.orm import Session

from service.core.errors import Invalid, NotFound
from service.parties import platforms, trail
from service.parties.actors import OPERATOR
from service.parties.platforms import PlatformExists
from tests.world import NOW, bare_platform


def test_a_platform_reads_back_as_it_was_created(session: Session) -> None:
    """What `create` returns is what the database holds."""
    made = bare_platform(session)

    assert made == platforms.get(session, "sen")


def test_creating_is_written_in_the_audit_trail(session: Session) -> None:
    """Who created it, and with what."""
    bare_platform(session)

    (record,) = trail.listing(session, "sen")
    assert ("operator", "platform.create", "VND") == (record.actor_kind, record.act, record.after["currency"])


def test_a_sub_platform_carries_its_parents_id(session: Session) -> None:
    """The path makes ids of different tenants unable to meet."""
    bare_platform(session)
    child = bare_platform(session, "sen.bep", parent_id="sen")

    assert [child] == platforms.children(session, "sen")


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"platform_id": "Sen"}, "/id"),
        ({"platform_id": "s"}, "/id"),
        ({"platform_id": "sen/bep"}, "/id"),
        ({"platform_id": "sen.bep"}, "/id"),
        ({"platform_id": "sen", "currency": "vnd"}, "/currency"),
        ({"platform_id": "sen", "currency": "XXX"}, "/currency"),
        ({"platform_id": "sen", "time_zone": "Saigon"}, "/time_zone"),
        ({"platform_id": "sen", "period_unit": "year"}, "/period_unit"),
        ({"platform_id": "sen", "locale": "fr"}, "/locale"),
        ({"platform_id": "sen", "unknown_creators": "drop"}, "/unknown_creators"),
    ],
)
def test_what_cannot_be_a_platform_is_refused(session: Session, fields: dict[str, str], pointer: str) -> None:
    """Each refusal points to its field, and nothing is stored."""
    with pytest.raises(Invalid) as refusal:
        bare_platform(session, **fields)

    assert ([pointer], []) == ([one.pointer for one in refusal.value.errors], platforms.listing(session))


def test_an_id_is_given_once(session: Session) -> None:
    """The second platform of the same id is refused."""
    bare_platform(session)

    with pytest.raises(PlatformExists):
        bare_platform(session)


def test_a_sub_platform_of_another_parent_is_refused(session: Session) -> None:
    """Its id has to begin with its own parent's."""
    bare_platform(session)
    bare_platform(session, "hoa")

    with pytest.raises(Invalid):
        bare_platform(session, "hoa.bep", parent_id="sen")


def test_a_sub_platform_of_nobody_is_refused(session: Session) -> None:
    """The parent has to exist."""
    with pytest.raises(NotFound):
        bare_platform(session, "sen.bep", parent_id="sen")


@pytest.mark.parametrize("name", ["", "   ", "x" * 201, "tab\there", "\u202eright to left"])
def test_a_name_that_cannot_be_read_is_refused(session: Session, name: str) -> None:
    """Empty, endless and invisible names are not names."""
    with pytest.raises(Invalid):
        platforms.create(session, platform_id="sen", name=name, actor=OPERATOR, now=NOW)
