"""Keys are shown once, work while they live, and tell nothing when they do not."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.core.errors import Conflict, Invalid, NotFound, Unauthenticated
from service.parties import keys, secrets
from service.parties.actors import OPERATOR
from service.parties.tables import api_key
from tests.world import NOW, PEPPER, bare_platform


def _created(session: Session, **fields: object) -> tuple[keys.Key, str]:
    bare_platform(session)
    wanted = {
        "label": "app",
        "scopes": ["events:write"],
        "pepper": PEPPER,
        "actor": OPERATOR,
        "now": NOW,
        **fields,
    }
    return keys.create(session, "sen", **wanted)


def test_a_key_authenticates_its_platform(session: Session) -> None:
    """The secret that was shown opens the platform's door."""
    made, secret = _created(session)

    assert replace(made, last_used_at=None) == keys.authenticate(session, secret, PEPPER, NOW)


def test_the_secret_is_nowhere_in_the_database(session: Session) -> None:
    """Only its keyed hash is stored."""
    _, secret = _created(session)
    row = session.execute(select(api_key)).one()

    assert secrets.parse_key(secret)[1] not in repr(row)


@pytest.mark.parametrize(
    "change", [lambda key: key[:-1] + "x", lambda key: key + "0", lambda key: key[3:], lambda _: ""]
)
def test_a_key_that_was_changed_is_refused(session: Session, change) -> None:
    """One wrong character is enough."""
    _, secret = _created(session)

    with pytest.raises(Unauthenticated):
        keys.authenticate(session, change(secret), PEPPER, NOW)


def test_a_key_under_another_pepper_is_refused(session: Session) -> None:
    """A stolen table is of no use without the service's own key."""
    _, secret = _created(session)

    with pytest.raises(Unauthenticated):
        keys.authenticate(session, secret, b"another pepper", NOW)


def test_a_revoked_key_is_refused_at_once(session: Session) -> None:
    """The next use fails; a second revocation says when it was."""
    made, secret = _created(session)
    keys.revoke(session, "sen", made.id, actor=OPERATOR, now=NOW)

    with pytest.raises(Unauthenticated):
        keys.authenticate(session, secret, PEPPER, NOW)
    with pytest.raises(Conflict):
        keys.revoke(session, "sen", made.id, actor=OPERATOR, now=NOW)


def test_a_key_works_until_the_instant_it_expires(session: Session) -> None:
    """Expiry is exclusive: at that instant it is over."""
    end_at = NOW + timedelta(days=1)
    _, secret = _created(session, expires_at=end_at)

    assert "sen" == keys.authenticate(session, secret, PEPPER, end_at - timedelta(microseconds=1)).platform_id
    with pytest.raises(Unauthenticated):
        keys.authenticate(session, secret, PEPPER, end_at)


@pytest.mark.parametrize(
    "fields", [{"scopes": []}, {"scopes": ["everything"]}, {"label": " "}, {"expires_at": NOW}]
)
def test_a_key_without_use_is_refused(session: Session, fields: dict[str, object]) -> None:
    """No scope, an unknown scope, no label, or an end that is over."""
    with pytest.raises(Invalid):
        _created(session, **fields)


def test_another_platforms_key_is_not_found(session: Session) -> None:
    """A platform cannot revoke what is not its own."""
    made, _ = _created(session)
    bare_platform(session, "hoa")

    with pytest.raises(NotFound):
        keys.revoke(session, "hoa", made.id, actor=OPERATOR, now=NOW)
