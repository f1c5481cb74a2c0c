"""The clock reads the database's instant, aware and in UTC."""

from datetime import UTC, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from service.runtime import clock


def test_now_is_an_aware_utc_instant(session: Session) -> None:
    """What acts are handed needs no guess about its zone."""
    instant = clock.now(session)

    assert UTC is instant.tzinfo


def test_now_is_utc_whatever_the_zone_of_the_session(session: Session) -> None:
    """The zone of a session changes how instants are written, not which they are."""
    session.execute(text("SET LOCAL TIME ZONE 'Asia/Ho_Chi_Minh'"))
    before = session.execute(text("SELECT clock_timestamp()")).scalar_one()

    instant = clock.now(session)

    assert (timedelta(0), True) == (instant.utcoffset(), before <= instant)


def test_now_goes_on_within_a_transaction(session: Session) -> None:
    """A long run that reads it twice sees time pass, unlike SQL's now()."""
    first = clock.now(session)
    session.execute(text("SELECT pg_sleep(0.001)"))

    second = clock.now(session)

    assert second > first
