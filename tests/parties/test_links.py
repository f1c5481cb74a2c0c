"""A sign-in link opens one session, once, for a short time."""

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from service.core.errors import NotFound
from service.parties import creators, links
from service.parties.actors import OPERATOR
from service.parties.links import LinkSpent
from tests.world import NOW, PEPPER, bare_platform

_SECOND = timedelta(seconds=1)


def _link(session: Session) -> str:
    bare_platform(session)
    creators.ensure(session, "sen", ["an"], now=NOW)
    return links.issue(session, "sen", "creator", "an", pepper=PEPPER, actor=OPERATOR, now=NOW)


def test_a_link_signs_its_person_in(session: Session) -> None:
    """The browser's token leads to the session that the link opened."""
    opened, token = links.redeem(session, _link(session), pepper=PEPPER, now=NOW)

    assert (opened, "an") == (links.session_of(session, token, pepper=PEPPER, now=NOW), opened.subject_id)


def test_a_link_works_once(session: Session) -> None:
    """The second use is refused."""
    link = _link(session)
    links.redeem(session, link, pepper=PEPPER, now=NOW)

    with pytest.raises(LinkSpent):
        links.redeem(session, link, pepper=PEPPER, now=NOW)


def test_a_link_ends_with_its_lifetime(session: Session) -> None:
    """Its last second works, the instant of its end does not."""
    link = _link(session)
    end_at = NOW + timedelta(seconds=links.LINK_LIFETIME_S)

    with pytest.raises(LinkSpent):
        links.redeem(session, link, pepper=PEPPER, now=end_at)
    assert "an" == links.redeem(session, link, pepper=PEPPER, now=end_at - _SECOND)[0].subject_id


def test_a_link_for_nobody_is_refused(session: Session) -> None:
    """The person has to exist on that platform."""
    bare_platform(session)

    with pytest.raises(NotFound):
        links.issue(session, "sen", "creator", "nobody", pepper=PEPPER, actor=OPERATOR, now=NOW)


def test_a_session_ends_on_the_server(session: Session) -> None:
    """After signing out, the browser's token is worth nothing."""
    _, token = links.redeem(session, _link(session), pepper=PEPPER, now=NOW)
    links.end(session, token, pepper=PEPPER, now=NOW)

    assert links.session_of(session, token, pepper=PEPPER, now=NOW) is None


def test_a_session_ends_when_it_is_idle_and_lives_while_it_is_used(session: Session) -> None:
    """Half an hour without a request ends it; requests in between keep it, up to its full lifetime."""
    opened, token = links.redeem(session, _link(session), pepper=PEPPER, now=NOW)
    step = timedelta(seconds=links.SESSION_IDLE_S) - _SECOND
    seen = [links.session_of(session, token, pepper=PEPPER, now=NOW + step * count) for count in range(1, 4)]

    idle = links.session_of(session, token, pepper=PEPPER, now=NOW + step * 4 + 2 * _SECOND)
    assert ([opened] * 3, None) == (seen, idle)
