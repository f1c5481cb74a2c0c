"""The fixtures keep what they promise to the other tests."""

import socket

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

from service.runtime import db, migrations
from service.runtime.db import Database

_INSERT = text("INSERT INTO platform VALUES ('vn', NULL, 'VN', 'VND', 'UTC', 'month', 'vi', 'reject', now())")
_COUNT = text("SELECT count(*) FROM platform")


def test_an_act_that_commits_fails_its_test(session: Session) -> None:
    """The law that acts never commit is checked wherever the session fixture is used."""
    session.execute(_INSERT)

    with pytest.raises(AssertionError, match="never commit"):
        session.commit()


def test_a_savepoint_may_be_released(session: Session) -> None:
    """A part of an act may be undone alone; that commits nothing."""
    with session.begin_nested():
        session.execute(_INSERT)

    assert session.scalar(_COUNT) == 1


@pytest.mark.parametrize("turn", [1, 2])
def test_a_test_leaves_nothing_behind(session: Session, database: Database, turn: int) -> None:
    """Both kinds of database begin empty, whatever the test before did to them."""
    with db.transaction(database) as committed:
        before = (session.scalar(_COUNT), committed.scalar(_COUNT))
        committed.execute(_INSERT)
    session.execute(_INSERT)

    assert before == (0, 0)


def test_the_databases_are_migrated(database: Database) -> None:
    """Tests run on the newest schema, as the service demands it."""
    assert migrations.is_current(database)


def test_tests_sign_in_as_the_role_that_owns_nothing(database: Database) -> None:
    """What the application's role may not do fails in tests too."""
    with pytest.raises(ProgrammingError, match="permission denied"), db.transaction(database) as session:
        session.execute(text("CREATE TABLE mine (id int)"))


def test_a_connection_to_another_machine_is_refused() -> None:
    """No test depends on the network; the address is of a block kept for documentation."""
    with socket.socket() as probe, pytest.raises(ConnectionError, match=r"192\.0\.2\.1"):
        probe.connect(("192.0.2.1", 80))


def test_a_connection_to_this_machine_is_not_refused_by_us() -> None:
    """The loopback answers by itself: here, that nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", port))
