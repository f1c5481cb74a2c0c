"""Who sees what became of an event: its creator, those who contributed when it happened, nobody else."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from service.calendar import periods
from service.closing import stages
from service.closing.tools import Tools
from service.core.errors import NotFound
from service.earnings import events
from service.earnings.events import Told
from service.events import batches, verdicts
from service.events.verdicts import EventUnknown, Seal
from service.parties import contributions
from service.parties.actors import OPERATOR
from service.parties.platforms import Platform
from service.runtime import db
from service.runtime.db import Database
from tests.world import LAN, event, founded_platform, send, tools_in

START = datetime(2026, 9, 30, 17, tzinfo=UTC)
"""October in Ho Chi Minh City."""

CLOSE = datetime(2026, 11, 3, 17, tzinfo=UTC)
HOUR = timedelta(hours=1)
FIRST_DAY = date(2026, 10, 1)

Ask = Callable[..., Told]


@pytest.fixture
def tools(database: Database, tmp_path: Path) -> Tools:
    """Give a database, a lake and an engine of this test's own."""
    return tools_in(database, tmp_path)


@pytest.fixture
def platform(database: Database) -> Platform:
    """Give a platform; An's song is made by An alone, and from the second hour on by An and Bình."""
    with db.transaction(database) as session:
        made = founded_platform(session, now=START, creator_ids=("an", "binh", "chi"))
        contributions.register_content(session, made.id, "song", "an", actor=OPERATOR, now=START)
        contributions.declare(
            session,
            made.id,
            "song",
            {"an": 6_000, "binh": 4_000},
            from_at=START + 2 * HOUR,
            actor=OPERATOR,
            now=START,
        )
    sent = [
        event("early", "like", START + HOUR, "an", actor="fan", content="song"),
        event("later", "like", START + 2 * HOUR, "an", actor="fan", content="song"),
        event("own", "like", START + 2 * HOUR, "an", actor="binh", content="song"),
        event("own", "like", START + 2 * HOUR, "chi", actor="binh"),
    ]
    send(database, made, sent, now=START + 3 * HOUR)
    return made


@pytest.fixture
def ask(tools: Tools, platform: Platform) -> Ask:
    """Give the question as a creator asks it."""

    def asked(creator_id: str, event_id: str, **options: date) -> Told:
        return events.of_creator(tools.database, tools.lake, platform, creator_id, "app", event_id, **options)

    return asked


def close(tools: Tools) -> None:
    """Close October."""
    stages.close(tools, "sen", "2026-10", actor=LAN, now=CLOSE)


def told(found: Told) -> list[str]:
    """Give the verdicts in their order."""
    return [one.standing.verdict for one in found.found.occurrences]


@pytest.mark.parametrize("is_closed", [False, True])
def test_a_contributor_sees_what_happened_while_contributing(
    tools: Tools, ask: Ask, *, is_closed: bool
) -> None:
    """From the instant on; before it, and to others, there is no such event."""
    if is_closed:
        close(tools)
    expected = ["counted" if is_closed else "accepted"]

    assert expected == told(ask("an", "early")) == told(ask("an", "later")) == told(ask("binh", "later"))
    for creator_id, event_id in (("binh", "early"), ("chi", "early"), ("chi", "later")):
        with pytest.raises(EventUnknown):
            ask(creator_id, event_id, day=FIRST_DAY)


def test_creators_see_their_own_occurrence_of_an_id_that_two_of_them_have(tools: Tools, ask: Ask) -> None:
    """The first is An's, left out since Bình contributes; the second is Chi's, and contradicts it."""
    close(tools)

    of_an, of_chi = ask("an", "own"), ask("chi", "own")

    assert (["filtered"], ["conflict"]) == (told(of_an), told(of_chi))
    quoted = of_an.clause_of(of_an.found.occurrences[0].standing)
    assert quoted is not None
    assert ("self_engagement", {"vi", "en"}) == (quoted.key, set(quoted.words))
    assert "an" not in {one.sent.creator for one in of_chi.found.occurrences if one.sent}


def test_no_actor_is_named_to_a_creator(tools: Tools, ask: Ask, platform: Platform) -> None:
    """The platform sees who acted."""
    (one,) = ask("an", "early").found.occurrences
    (same,) = events.of_platform(tools.database, tools.lake, platform, "app", "early").found.occurrences

    assert one.sent is not None
    assert same.sent is not None
    assert (None, "fan") == (one.sent.actor, same.sent.actor)


def test_a_creator_that_is_none_is_not_found(ask: Ask) -> None:
    """Whatever is asked."""
    with pytest.raises(NotFound):
        ask("nobody", "early")


def test_a_seal_of_before_there_were_exceptions_is_read_from_its_verdicts(
    tools: Tools, platform: Platform
) -> None:
    """What does not count says so; what a clause left out is not known of these."""
    close(tools)
    with db.transaction(tools.database) as session:
        (seal,) = verdicts.seals_of(session, platform.id, [periods.get(session, platform.id, "2026-10")])
        seq = batches.listing(session, platform.id, limit=1)[0].seq
    older = Seal(seal.period, seal.verdicts, ())

    now = verdicts.exceptions_of(tools.lake, seal, seq)
    before = verdicts.exceptions_of(tools.lake, older, seq)

    assert {2: "filtered", 3: "conflict"} == {place: one.verdict for place, (one, _) in now.items()}
    assert {3: "conflict"} == {place: one.verdict for place, (one, _) in before.items()}
    assert before[3][1] == now[3][1] == (seq, 2)
