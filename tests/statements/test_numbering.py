"""Numbers of statements: one for each creator and period, without gaps, whoever asks at once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import delete, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from service.calendar import periods
from service.core.errors import Unavailable
from service.parties import creators, platforms
from service.parties.actors import OPERATOR
from service.runtime import db
from service.runtime.db import Database
from service.statements import numbering
from service.statements.numbering import StatementChanged
from service.statements.statement import Statement
from service.statements.tables import statement as statement_table
from tests.statements.examples import OCTOBER

NOW = datetime(2026, 10, 21, 13, tzinfo=UTC)
CREATORS = [f"c-{number}" for number in range(1, 13)]


def settle(session: Session) -> None:
    """Make the platform, the creators and the periods that the statements name."""
    platform = platforms.create(session, platform_id="chim-lac", name="Chim Lạc", actor=OPERATOR, now=NOW)
    creators.ensure(session, platform.id, CREATORS, now=NOW)
    periods.ensure_current(session, platform, NOW)
    periods.ensure_current(session, platform, datetime(2026, 11, 21, tzinfo=UTC))


def of(creator_id: str, period_id: str = "2026-10") -> Statement:
    return replace(OCTOBER, creator_id=creator_id, period_id=period_id)


def test_numbers_count_up_within_a_period(session: Session) -> None:
    """Each period begins at one."""
    settle(session)

    issued = [
        numbering.issue(session, one, now=NOW).number for one in (of("c-1"), of("c-2"), of("c-1", "2026-11"))
    ]

    assert ["2026-10/000001", "2026-10/000002", "2026-11/000001"] == issued


def test_a_statement_keeps_the_number_that_it_was_given(session: Session) -> None:
    """Asking again finds the first issue, with its date."""
    settle(session)
    first = numbering.issue(session, of("c-1"), now=NOW)

    again = numbering.issue(session, of("c-1"), now=datetime(2026, 12, 1, tzinfo=UTC))

    assert first == again
    assert [first] == numbering.listing(session, "chim-lac", "2026-10")


def test_a_number_never_stands_for_other_values(session: Session) -> None:
    """What the books give now must be what was issued."""
    settle(session)
    numbering.issue(session, of("c-1"), now=NOW)
    closing = replace(OCTOBER.closing, payable_minor=OCTOBER.closing.payable_minor - 1, held_minor=1)

    with pytest.raises(StatementChanged, match="2026-10/000001 of c-1"):
        numbering.issue(session, replace(of("c-1"), closing=closing), now=NOW)


def test_a_renamed_creator_keeps_the_statement(session: Session) -> None:
    """Names are no values."""
    settle(session)
    first = numbering.issue(session, of("c-1"), now=NOW)

    again = numbering.issue(session, replace(of("c-1"), creator_name=None), now=NOW)

    assert first == again


def test_what_was_not_issued_is_not_found(session: Session) -> None:
    """Neither for another creator nor for another period."""
    settle(session)
    issued = numbering.issue(session, of("c-1"), now=NOW)

    assert numbering.find(session, "chim-lac", "2026-10", "c-1") == issued
    assert numbering.find(session, "chim-lac", "2026-10", "c-2") is None
    assert numbering.find(session, "chim-lac", "2026-11", "c-1") is None


def test_listing_goes_on_after_a_number(session: Session) -> None:
    """A period's statements are read page by page."""
    settle(session)
    issued = [numbering.issue(session, of(creator_id), now=NOW) for creator_id in CREATORS]

    assert issued[2:7] == numbering.listing(session, "chim-lac", "2026-10", after=2, limit=5)


@pytest.mark.parametrize(
    "change", [delete(statement_table), update(statement_table).values(values_sha256="0" * 64)]
)
def test_an_issued_number_cannot_be_changed_or_taken_back(session: Session, change: object) -> None:
    """The database itself refuses, so numbers stay gapless."""
    settle(session)
    numbering.issue(session, of("c-1"), now=NOW)

    with pytest.raises(DBAPIError, match=r"append-only|permission denied"), session.begin_nested():
        session.execute(change)  # type: ignore[call-overload]


def test_numbers_have_no_gap_when_many_ask_at_once(database: Database) -> None:
    """Two for each creator, all at the same time: as many numbers as creators, 1 to n, one each."""
    with db.transaction(database) as session:
        settle(session)

    def issue(creator_id: str) -> str:
        with db.transaction(database) as session:
            return numbering.issue(session, of(creator_id), now=NOW).number

    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(issue, CREATORS * 2))

    assert {f"2026-10/{ordinal:06}" for ordinal in range(1, len(CREATORS) + 1)} == set(numbers)
    assert numbers[: len(CREATORS)] == numbers[len(CREATORS) :]


def test_a_number_that_was_rolled_back_is_given_again(database: Database) -> None:
    """A failed request leaves no gap."""
    with db.transaction(database) as session:
        settle(session)

    def fail(session: Session) -> None:
        numbering.issue(session, of("c-1"), now=NOW)
        raise Unavailable("The request fails after the number was given.")

    with pytest.raises(Unavailable):
        db.run(database, fail)
    with db.transaction(database) as session:
        issued = numbering.issue(session, of("c-2"), now=NOW)

    assert issued.number == "2026-10/000001"
