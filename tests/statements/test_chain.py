"""The chain of statements: every entry on one, and none on a statement that may be with people already."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from service.calendar.periods import Period
from service.core.spans import Span
from service.ledger.journal import Recorded
from service.statements import chain

JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def period(name: str, *, posted_at: datetime | None = None, is_historic: bool = False) -> Period:
    """A period of one day, named after it."""
    start_at = datetime.fromisoformat(f"{name}T00:00:00+00:00")
    return Period(
        platform_id="p",
        id=name,
        span=Span(start_at, start_at + DAY),
        time_zone="UTC",
        state="open" if posted_at is None else "posted",
        is_historic=is_historic,
        opened_at=start_at,
        sealed_at=posted_at,
        cut_seq=None if posted_at is None else 0,
        published_at=posted_at,
        posted_at=posted_at,
    )


def entry(effective_at: datetime, *, recorded_at: datetime, period_id: str | None = None) -> Recorded:
    return Recorded(
        id=1,
        platform_id="p",
        kind="payout_sent",
        cause_kind="payout",
        cause_id="x",
        period_id=period_id,
        currency="VND",
        effective_at=effective_at,
        recorded_at=recorded_at,
        key="x",
        request_sha256=b"",
        reverses_id=None,
        reversed_by_id=None,
        line_count=1,
        amount_minor=1,
    )


def at(day: int, hour: int = 12) -> datetime:
    return JANUARY + (day - 1) * DAY + timedelta(hours=hour)


FIRST = period("2026-01-01", posted_at=at(3))
SECOND = period("2026-01-02")
THIRD = period("2026-01-03")
KNOWN = [FIRST, SECOND, THIRD]


def name_of(one: Recorded, known: list[Period]) -> str | None:
    found = chain.period_of(one, known)
    return None if found is None else found.id


def test_an_entry_is_on_the_statement_of_the_period_in_which_it_counts() -> None:
    """The usual payout."""
    assert name_of(entry(at(2), recorded_at=at(2)), KNOWN) == "2026-01-02"


def test_a_period_holds_its_start_and_not_its_end() -> None:
    """Midnight belongs to the day that begins."""
    assert name_of(entry(at(2, 0), recorded_at=at(2)), KNOWN) == "2026-01-02"
    assert name_of(entry(at(3, 0), recorded_at=at(3)), KNOWN) == "2026-01-03"


def test_a_posting_is_on_the_statement_of_its_own_period() -> None:
    """It is recorded at the very instant at which the period is posted, after the period's end."""
    assert name_of(entry(at(2, 0), recorded_at=at(3), period_id="2026-01-01"), KNOWN) == "2026-01-01"


def test_what_is_recorded_before_the_posting_is_on_the_statement() -> None:
    """A payout of the first day that was written down on the second."""
    assert name_of(entry(at(1), recorded_at=at(2)), KNOWN) == "2026-01-01"


def test_what_is_recorded_after_the_posting_is_on_the_next_statement() -> None:
    """The first statement may have been sent: a microsecond late is late."""
    late_at = at(3) + timedelta(microseconds=1)

    assert name_of(entry(at(1), recorded_at=late_at), KNOWN) == "2026-01-02"
    assert name_of(entry(at(3), recorded_at=late_at, period_id="2026-01-01"), KNOWN) == "2026-01-02"


def test_late_entries_pass_over_every_posted_period() -> None:
    """Two statements out: the third gets it."""
    known = [FIRST, replace(SECOND, posted_at=at(4)), THIRD]

    assert name_of(entry(at(1), recorded_at=at(5)), known) == "2026-01-03"


def test_an_entry_waits_for_a_period_that_is_not_open_yet() -> None:
    """No statement shows it before."""
    assert name_of(entry(at(4), recorded_at=at(4)), KNOWN) is None


def test_history_takes_only_what_names_it() -> None:
    """A period that is opened for the past does not draw entries that were on other statements."""
    history = period("2025-12-31", is_historic=True)

    assert name_of(entry(at(0), recorded_at=at(2)), [history, *KNOWN]) == "2026-01-01"
    assert name_of(entry(at(0), recorded_at=at(2), period_id=history.id), [history, *KNOWN]) == history.id


def test_what_comes_late_for_history_goes_to_a_regular_period() -> None:
    """Corrections of a historic period that is posted are on the next regular statement."""
    history = period("2025-12-31", posted_at=at(2), is_historic=True)

    late = entry(at(0), recorded_at=at(4), period_id=history.id)

    assert name_of(late, [history, *KNOWN]) == "2026-01-02"


def test_statements_follow_each_other_as_their_periods_were_posted() -> None:
    """History that is posted after the first period comes after it."""
    history = period("2025-12-31", posted_at=at(5), is_historic=True)
    known = [history, FIRST, SECOND, THIRD]

    assert chain.earlier(FIRST, known) == set()
    assert chain.earlier(history, known) == {FIRST.id}


def test_periods_that_were_posted_at_once_follow_each_other_in_time() -> None:
    """A tie has one order."""
    second = replace(SECOND, posted_at=FIRST.posted_at)

    assert chain.earlier(FIRST, [FIRST, second]) == set()
    assert chain.earlier(second, [FIRST, second]) == {FIRST.id}


hours = st.integers(0, 24 * 8)


@st.composite
def timelines(draw: st.DrawFn) -> tuple[list[Period], list[Recorded]]:
    """Draw five days, some of them posted after their end, some historic, and entries about them."""
    known = []
    for day in range(1, 6):
        posted = draw(st.none() | st.integers(24 * day, 24 * 8))
        posted_at = None if posted is None else JANUARY + timedelta(hours=posted)
        known.append(period(f"2026-01-{day:02}", posted_at=posted_at, is_historic=draw(st.booleans())))
    names = st.sampled_from([one.id for one in known])
    entries = [
        entry(
            JANUARY + timedelta(hours=draw(hours)),
            recorded_at=JANUARY + timedelta(hours=draw(hours)),
            period_id=draw(st.none() | names),
        )
        for _ in range(draw(st.integers(1, 5)))
    ]
    return known, entries


@given(timelines(), st.integers(0, 24 * 8))
def test_nothing_that_comes_later_changes_a_statement(
    timeline: tuple[list[Period], list[Recorded]], hour: int
) -> None:
    """Whatever is posted or opened after an instant, what was recorded by then stays where it was posted."""
    known, entries = timeline
    as_of_at = JANUARY + timedelta(hours=hour)
    then = [
        one if one.posted_at is not None and one.posted_at <= as_of_at else replace(one, posted_at=None)
        for one in known
    ]
    posted_then = {one.id for one in then if one.posted_at is not None}

    for one in entries:
        before, after = name_of(one, then), name_of(one, known)
        if one.recorded_at <= as_of_at:
            assert before == after or (before not in posted_then and after not in posted_then)
        else:
            assert after not in posted_then
