"""Contributions make 10,000 basis points, hold from a date on, and never change what was before."""

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from service.core.errors import Conflict, Invalid, NotFound
from service.core.spans import Span
from service.parties import contributions, creators
from service.parties.actors import OPERATOR
from service.parties.contributions import ContributionOverlap
from tests.world import NOW, bare_platform

_DAY = timedelta(days=1)


@pytest.fixture
def platform_id(session: Session) -> str:
    """Give a platform with three creators and a content of the first."""
    bare_platform(session)
    creators.ensure(session, "sen", ["an", "binh", "chi"], now=NOW)
    contributions.register_content(session, "sen", "v1", "an", actor=OPERATOR, now=NOW)
    return "sen"


def _declare(session: Session, shares_bp: dict[str, int], days: int = 1, now_days: int = 0) -> object:
    return contributions.declare(
        session, "sen", "v1", shares_bp, from_at=NOW + days * _DAY, actor=OPERATOR, now=NOW + now_days * _DAY
    )


def test_a_new_declaration_ends_the_one_before(session: Session, platform_id: str) -> None:
    """At every instant exactly one set of shares holds."""
    _declare(session, {"an": 7000, "binh": 3000})
    _declare(session, {"an": 5000, "chi": 5000}, days=3)

    rows = contributions.in_force_rows(session, platform_id, Span(NOW, NOW + 9 * _DAY))
    assert [
        ("an", NOW + _DAY, NOW + 3 * _DAY, 7000),
        ("binh", NOW + _DAY, NOW + 3 * _DAY, 3000),
        ("an", NOW + 3 * _DAY, None, 5000),
        ("chi", NOW + 3 * _DAY, None, 5000),
    ] == [(one.creator_id, one.from_at, one.until_at, one.share_bp) for one in rows]


def test_only_what_holds_within_a_span_is_read(session: Session, platform_id: str) -> None:
    """Half-open on both sides."""
    _declare(session, {"an": 10000})
    _declare(session, {"binh": 10000}, days=2)

    before = contributions.in_force_rows(session, platform_id, Span(NOW, NOW + _DAY))
    during = contributions.in_force_rows(session, platform_id, Span(NOW + _DAY, NOW + 2 * _DAY))
    assert ([], ["an"]) == (before, [one.creator_id for one in during])


@pytest.mark.parametrize(
    "shares_bp", [{}, {"an": 9999}, {"an": 10001}, {"an": 10000, "binh": 0}, {"an": 11000, "binh": -1000}]
)
def test_shares_that_do_not_make_the_whole_are_refused(
    session: Session, platform_id: str, shares_bp: dict[str, int]
) -> None:
    """Nothing is lost and nobody gets less than nothing."""
    with pytest.raises(Invalid):
        _declare(session, shares_bp)

    assert [] == contributions.of_content(session, platform_id, "v1")


def test_a_declaration_cannot_reach_into_the_past(session: Session, platform_id: str) -> None:
    """The first one may reach back to the registration, no further; a later one not even that."""
    with pytest.raises(Invalid):
        _declare(session, {"an": 10000}, days=-1)
    _declare(session, {"an": 10000}, days=0, now_days=5)
    with pytest.raises(Invalid):
        _declare(session, {"binh": 10000}, days=4, now_days=5)

    assert 1 == len(contributions.of_content(session, platform_id, "v1"))


def test_an_earlier_declaration_than_one_that_is_there_is_refused(session: Session, platform_id: str) -> None:
    """Dates only go forward."""
    _declare(session, {"an": 10000}, days=5)

    with pytest.raises(ContributionOverlap):
        _declare(session, {"binh": 10000}, days=5)


def test_a_contributor_who_is_not_registered_is_refused(session: Session, platform_id: str) -> None:
    """The refusal points to the creator."""
    with pytest.raises(NotFound) as refusal:
        _declare(session, {"an": 5000, "dung": 5000})

    assert ["/shares_bp/dung"] == [one.pointer for one in refusal.value.errors]


def test_a_content_keeps_its_owner(session: Session, platform_id: str) -> None:
    """Registering it again is nothing; registering it for another is refused."""
    again = contributions.register_content(session, platform_id, "v1", "an", actor=OPERATOR, now=NOW + _DAY)

    with pytest.raises(Conflict):
        contributions.register_content(session, platform_id, "v1", "binh", actor=OPERATOR, now=NOW)
    assert NOW == again.created_at
