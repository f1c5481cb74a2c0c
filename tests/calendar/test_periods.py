"""Periods tile time, pass through their states in one order, and say which events may still come."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from service.calendar import periods
from service.calendar.periods import WrongState
from service.calendar.tables import STATES
from service.core.errors import Invalid, NotFound
from service.parties.actors import OPERATOR
from service.parties.platforms import Platform
from tests.world import LAN, NOW, bare_platform

_DAY = timedelta(days=1)


@pytest.fixture
def platform(session: Session) -> Platform:
    """Give a platform without periods."""
    return bare_platform(session)


def _ids(found: list[periods.Period]) -> list[str]:
    return [one.id for one in found]


def _seal(session: Session, platform: Platform, period_id: str) -> None:
    one = periods.get(session, platform.id, period_id)
    periods.advance(session, one, "sealed", actor=LAN, now=NOW, cut_seq=0)


def test_the_current_period_is_opened_with_local_bounds(session: Session, platform: Platform) -> None:
    """November in Ho Chi Minh City begins at 17:00 UTC of 31 October."""
    current = periods.ensure_current(session, platform, NOW)

    bounds = (datetime(2026, 10, 31, 17, tzinfo=UTC), datetime(2026, 11, 30, 17, tzinfo=UTC))
    assert ("2026-11", bounds, False) == (
        current.id,
        (current.span.start_at, current.span.end_at),
        current.is_historic,
    )


def test_the_next_period_is_open_before_it_begins(session: Session, platform: Platform) -> None:
    """A day ahead, so that no event ever finds none."""
    eve = datetime(2026, 11, 30, 16, 59, tzinfo=UTC)
    periods.ensure_current(session, platform, eve)

    assert ["2026-11", "2026-12"] == _ids(periods.listing(session, platform.id))


def test_periods_missed_during_a_downtime_are_opened(session: Session, platform: Platform) -> None:
    """Time has no gaps, however long nobody looked."""
    periods.ensure_current(session, platform, NOW)
    periods.ensure_current(session, platform, NOW + 100 * _DAY)

    found = periods.listing(session, platform.id)
    assert ["2026-11", "2026-12", "2027-01", "2027-02", "2027-03"] == _ids(found)
    assert [False] * 5 == [one.is_historic for one in found]


def test_history_is_opened_from_a_date_on_and_marked(session: Session, platform: Platform) -> None:
    """What was over when it was opened is historic; opening again opens nothing."""
    periods.ensure_current(session, platform, NOW)
    from_at = datetime(2026, 8, 31, 17, tzinfo=UTC)
    opened = periods.open_from(session, platform, from_at, actor=OPERATOR, now=NOW)
    again = periods.open_from(session, platform, from_at, actor=OPERATOR, now=NOW)

    assert (["2026-09", "2026-10"], [True, True], []) == (
        _ids(opened),
        [one.is_historic for one in opened],
        again,
    )


@pytest.mark.parametrize("from_at", [NOW + _DAY, NOW - timedelta(days=365 * 51)])
def test_history_that_cannot_be_is_refused(session: Session, platform: Platform, from_at: datetime) -> None:
    """The future is not history, and a century is a typing error."""
    with pytest.raises(Invalid) as refusal:
        periods.open_from(session, platform, from_at, actor=OPERATOR, now=NOW)

    assert ["/from"] == [one.pointer for one in refusal.value.errors]


def test_a_period_passes_through_every_state_once(session: Session, platform: Platform) -> None:
    """Each step is written down with who did it."""
    one = periods.ensure_current(session, platform, NOW)
    for state in STATES[1:]:
        one = periods.advance(
            session, one, state, actor=LAN, now=NOW, cut_seq=7 if state == "sealed" else None
        )

    steps = periods.steps(session, platform.id, one.id)
    assert list(STATES) == [step.state for step in steps]
    assert ["system:scheduler"] + ["staff:lan"] * 6 == [step.actor for step in steps]


@pytest.mark.parametrize("state", [one for one in STATES if one != "sealed"])
def test_no_state_can_be_skipped_or_repeated(session: Session, platform: Platform, state: str) -> None:
    """From open, only sealed follows."""
    one = periods.ensure_current(session, platform, NOW)

    with pytest.raises(WrongState):
        periods.advance(session, one, state, actor=LAN, now=NOW)
    assert ["open"] == [step.state for step in periods.steps(session, platform.id, one.id)]


def test_a_period_that_moved_on_meanwhile_is_not_moved_twice(session: Session, platform: Platform) -> None:
    """The second of two who read the same state is refused."""
    one = periods.ensure_current(session, platform, NOW)
    periods.advance(session, one, "sealed", actor=LAN, now=NOW, cut_seq=0)

    with pytest.raises(WrongState):
        periods.advance(session, one, "sealed", actor=LAN, now=NOW, cut_seq=0)


def test_an_unknown_period_is_not_found(session: Session, platform: Platform) -> None:
    """The refusal names the command that lists them."""
    with pytest.raises(NotFound, match="period list"):
        periods.get(session, platform.id, "2026-11")


def test_the_window_holds_open_periods_and_two_sealed_ones(session: Session, platform: Platform) -> None:
    """Late events of the two periods before the oldest open one still count."""
    start = datetime(2026, 6, 30, 17, tzinfo=UTC)
    periods.ensure_current(session, platform, start)
    periods.ensure_current(session, platform, NOW)
    for name in ("2026-07", "2026-08", "2026-09"):
        _seal(session, platform, name)

    assert ["2026-08", "2026-09", "2026-10", "2026-11"] == _ids(periods.window(session, platform.id))


def test_history_neither_shuts_nor_moves_the_window(session: Session, platform: Platform) -> None:
    """An open historic period takes events; a sealed one takes none; regular ones are as before."""
    periods.ensure_current(session, platform, NOW - 40 * _DAY)
    periods.ensure_current(session, platform, NOW)
    periods.open_from(session, platform, NOW - 100 * _DAY, actor=OPERATOR, now=NOW)
    _seal(session, platform, "2026-08")
    _seal(session, platform, "2026-10")

    assert ["2026-09", "2026-10", "2026-11"] == _ids(periods.window(session, platform.id))
    assert "2026-11" == periods.oldest_unsealed(session, platform.id).id


@hypothesis_settings(max_examples=25)
@given(
    zone=st.sampled_from(
        ["Asia/Ho_Chi_Minh", "Europe/Berlin", "America/New_York", "Pacific/Apia", "Asia/Kathmandu"]
    ),
    unit=st.sampled_from(["month", "week"]),
    days=st.integers(0, 800),
)
def test_periods_tile_time_in_every_zone(shared_database: object, zone: str, unit: str, days: int) -> None:
    """Where one ends the next begins, across every change of the clocks."""
    start = datetime(2024, 1, 15, tzinfo=UTC)
    with Session(shared_database.engine) as session, session.begin() as transaction:
        platform = bare_platform(session, time_zone=zone, period_unit=unit)
        periods.ensure_current(session, platform, start)
        periods.ensure_current(session, platform, start + timedelta(days=days))
        found = periods.listing(session, platform.id)
        transaction.rollback()

    assert [one.span.end_at for one in found[:-1]] == [one.span.start_at for one in found[1:]]
    assert found[0].span.start_at <= start
    assert found[-1].span.end_at > start + timedelta(days=days)
