"""Backfills: history is staged apart, looked at, approved by a second person, and let in as a whole, once."""

import json
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError

from service.calendar import periods, seal_lock
from service.closing import backfilling, estimates, revenues, stages
from service.closing.tools import Tools
from service.core.errors import Invalid
from service.core.spans import Span
from service.events import backfills, compaction, intake, staging
from service.events.backfills import (
    MOVES,
    Backfill,
    BackfillChanged,
    BackfillSpan,
    WrongBackfillState,
)
from service.events.intake import Receipt
from service.events.tables import (
    BACKFILL_STATES,
    backfill,
    backfill_batch,
    backfill_receipt,
    event_batch,
)
from service.parties import creators, platforms, staff, trail
from service.parties.actors import OPERATOR, SYSTEM, Actor
from service.parties.platforms import Platform
from service.parties.staff import RoleMissing, SamePerson
from service.rules import registry
from service.rules.registry import OtherRulebookPinned, Published
from service.runtime import db
from service.runtime.db import Database
from service.splits import shares
from tests.world import LAN, MINH, books, event, founded_platform, send, tools_in

NOW = datetime(2026, 11, 21, 6, tzinfo=UTC)
MARCH = datetime(2025, 2, 28, 17, tzinfo=UTC)
"""The start of March 2025 in Ho Chi Minh City."""
APRIL = datetime(2025, 3, 31, 17, tzinfo=UTC)
MAY = datetime(2025, 4, 30, 17, tzinfo=UTC)
SPAN = Span(MARCH, MAY)
_HOUR = timedelta(hours=1)
HAI = Actor("staff", "hai")
"""Holds both roles."""
BATCH = "application/cloudevents-batch+json"


@pytest.fixture
def tools(database: Database, tmp_path: Path) -> Tools:
    """Give a database, a lake and an engine of this test's own."""
    return tools_in(database, tmp_path)


@pytest.fixture
def platform(database: Database) -> Platform:
    """Give a platform founded in November 2026, with two creators and three members of staff."""
    with db.transaction(database) as session:
        made = founded_platform(session, now=NOW, creator_ids=("an", "binh"))
        roles = ["finance_maker", "finance_checker"]
        staff.register(session, "sen", HAI.id, "Hải", roles, actor=OPERATOR, now=NOW)
        return made


@pytest.fixture
def likes(database: Database, platform: Platform) -> Published:
    """Give a second rulebook, in force from December: a like has as many points as a comment."""
    document = registry.founding_document()
    document["weights"]["like"] = document["weights"]["comment"]
    with db.transaction(database) as session:
        return registry.publish(
            session,
            platform,
            document,
            in_force_from_at=datetime(2026, 11, 30, 17, tzinfo=UTC),
            actor=OPERATOR,
            now=NOW,
        )


def begin(
    tools: Tools,
    platform: Platform,
    rule: Published,
    *,
    span: Span = SPAN,
    actor: Actor = LAN,
    reason: str = "moved here from the old system",
) -> uuid.UUID:
    """Create a backfill and commit."""
    with db.transaction(tools.database) as session:
        return backfilling.create(
            session, platform, span=span, rulebook_sha256=rule.sha256, reason=reason, actor=actor, now=NOW
        ).id


def stage(tools: Tools, platform: Platform, backfill_id: uuid.UUID, *events: dict[str, Any]) -> Receipt:
    """Send a batch into a backfill and commit."""
    with db.transaction(tools.database) as session:
        return backfills.receive(
            session, platform, backfill_id, json.dumps(events).encode(), BATCH, channel="http", now=NOW
        )


def history() -> list[dict[str, Any]]:
    """Make March: An 2 likes and a comment, Bình 1 like; April: Bình 1 like; one repeat, one conflict."""
    at, later = MARCH + _HOUR, APRIL + _HOUR
    return [
        event("1", "like", at, "an", actor="f1"),
        event("2", "like", at, "an", actor="f2"),
        event("3", "comment", at, "an", actor="f2"),
        event("4", "like", at, "binh", actor="f1"),
        event("5", "like", later, "binh", actor="f1"),
        event("1", "like", at, "an", actor="f1"),
        event("2", "like", at, "an", actor="f9"),
    ]


def submit(tools: Tools, backfill_id: uuid.UUID, actor: Actor = LAN) -> Backfill:
    """Submit and commit."""
    with db.transaction(tools.database) as session:
        return backfilling.submit(session, "sen", backfill_id, actor=actor, now=NOW)


def approve(tools: Tools, one: Backfill, actor: Actor = MINH, **seen: Any) -> Backfill:
    """Approve what was submitted, and commit."""
    assert one.frozen is not None
    totals = {"accepted_count": one.frozen.accepted_count, "batches_sha256": one.frozen.batches_sha256}
    with db.transaction(tools.database) as session:
        return backfills.approve(session, "sen", one.id, **(totals | seen), actor=actor, now=NOW)


def commit(tools: Tools, platform: Platform, backfill_id: uuid.UUID, actor: Actor = LAN) -> Backfill:
    """Commit the backfill, and the transaction."""
    with db.transaction(tools.database) as session:
        return backfilling.commit(session, platform, backfill_id, actor=actor, now=NOW)


def approved(tools: Tools, platform: Platform, rule: Published, *events: dict[str, Any]) -> uuid.UUID:
    """Carry a backfill of these events, or of the history above, to its approval."""
    backfill_id = begin(tools, platform, rule)
    stage(tools, platform, backfill_id, *(events or history()))
    approve(tools, submit(tools, backfill_id))
    return backfill_id


def fund(tools: Tools, platform: Platform, period_id: str, gross_minor: int) -> None:
    """Record revenue of a historic period."""
    with db.transaction(tools.database) as session:
        revenues.record(
            session,
            platform,
            stream="ads",
            reference=f"ads-{period_id}",
            currency="VND",
            gross_minor=gross_minor,
            period_id=period_id,
            actor=OPERATOR,
            now=NOW,
        )


def close_and_post(tools: Tools, period_id: str) -> None:
    """Close, approve and post by two people, as all history is."""
    stages.close(tools, "sen", period_id, actor=LAN, now=NOW)
    with db.transaction(tools.database) as session:
        stages.approve(session, "sen", period_id, actor=MINH, now=NOW)
        stages.post(session, "sen", period_id, actor=LAN, now=NOW)


def counts(tools: Tools, *tables: Any) -> list[int]:
    """Count the rows of tables."""
    with db.transaction(tools.database) as session:
        return [session.scalar(select(func.count()).select_from(table)) or 0 for table in tables]


def state(tools: Tools, backfill_id: uuid.UUID) -> str:
    """Read the state of a backfill."""
    with db.transaction(tools.database) as session:
        return backfills.get(session, "sen", backfill_id).state


def test_history_goes_from_a_backfill_to_the_books(
    tools: Tools, platform: Platform, likes: Published
) -> None:
    """March by the rulebook named: An has 24 points, Bình 8, so 70 % of 100,001 dong go 3 : 1."""
    backfill_id = approved(tools, platform, likes)
    commit(tools, platform, backfill_id)
    fund(tools, platform, "2025-03", 100_001)
    close_and_post(tools, "2025-03")

    with db.transaction(tools.database) as session:
        known = {one.id: one.is_historic for one in periods.listing(session, "sen")}
        split = shares.latest(session, "sen", "2025-03")
        found = books(session, "sen")
    assert {"2025-03": True, "2025-04": True, "2026-11": False} == known
    assert split is not None
    assert (
        likes.sha256,
        {"counted": 4, "late": 0, "duplicate": 1, "conflict": 1, "voided": 0, "filtered": 0},
    ) == (
        split.rulebook_sha256,
        split.inputs["verdicts"],
    )
    # Quotas: platform 30,000.3, An 52,500.525, Bình 17,500.175; the last dong goes to the largest remainder.
    assert {
        "clearing": 100_001,
        "platform_revenue": 30_000,
        "creator_payable/an": 52_501,
        "creator_payable/binh": 17_500,
    } == found


def test_a_preview_says_what_the_close_after_the_commit_then_does(
    tools: Tools, platform: Platform, likes: Published
) -> None:
    """April is open with revenue and an event of its own; March is not there yet."""
    with db.transaction(tools.database) as session:
        periods.open_from(session, platform, APRIL, actor=OPERATOR, now=NOW)
    fund(tools, platform, "2025-04", 10_000)
    at = APRIL + _HOUR
    send(tools.database, platform, [event("a", "like", at, "an", actor="f1")], now=NOW)
    backfill_id = begin(tools, platform, likes)
    stage(tools, platform, backfill_id, *history(), event("x", "like", MARCH - _HOUR, "an"))
    repeat = event("a", "like", at, "an", actor="f1")
    stage(tools, platform, backfill_id, repeat, event("a", "like", at, "an", actor="f7"))
    seen = backfilling.preview(tools, "sen", backfill_id, now=NOW)

    def line(kind: str, **outcomes: int) -> dict[str, Any]:
        nothing = dict.fromkeys(
            ("counted", "duplicate_present", "duplicate_within", "conflict_present", "conflict_within"), 0
        )
        return {"type": kind, **nothing, **outcomes}

    assert {"no_period": 1} == seen["rejected"]
    assert [
        {
            "period": "2025-03",
            "is_open": False,
            "events": [
                line("comment", counted=1),
                line("like", counted=3, duplicate_within=1, conflict_within=1),
            ],
            "counted_count": 4,
            "points_e4": "320000",
            "creator_count": 2,
            "pool_minor": 0,
            "deficit_minor": 0,
            "amounts_minor": {"creator": 0, "platform": 0},
        },
        {
            "period": "2025-04",
            "is_open": True,
            "events": [line("like", counted=1, duplicate_present=1, conflict_present=1)],
            "counted_count": 2,
            "points_e4": "160000",
            "creator_count": 2,
            "pool_minor": 10_000,
            "deficit_minor": 0,
            "amounts_minor": {"creator": 7_000, "platform": 3_000},
        },
    ] == seen["periods"]
    assert [
        {"creator": "an", "points_e4": "320000", "amount_minor": 3_500},
        {"creator": "binh", "points_e4": "160000", "amount_minor": 3_500},
    ] == seen["creators"]

    approve(tools, submit(tools, backfill_id))
    commit(tools, platform, backfill_id)
    stages.close(tools, "sen", "2025-04", actor=LAN, now=NOW)
    with db.transaction(tools.database) as session:
        made = shares.of_period(session, "sen", "2025-04")
        split = shares.latest(session, "sen", "2025-04")
    amounts = {one.party_id: one.amount_minor for one in made if one.party_kind == "creator"}
    assert {"an": 3_500, "binh": 3_500} == amounts
    assert split is not None
    assert {
        "counted": 2,
        "late": 0,
        "duplicate": 1,
        "conflict": 1,
        "voided": 0,
        "filtered": 0,
    } == split.inputs["verdicts"]


def test_a_preview_stores_nothing_but_itself(tools: Tools, platform: Platform, likes: Published) -> None:
    """Neither periods, nor pins, nor files, nor batches of the log."""
    backfill_id = begin(tools, platform, likes)
    stage(tools, platform, backfill_id, *history())
    before = _stored(tools)
    backfilling.preview(tools, "sen", backfill_id, now=NOW)

    assert before == _stored(tools)
    with db.transaction(tools.database) as session:
        one = backfills.get(session, "sen", backfill_id)
    assert one.preview is not None
    assert (5, NOW) == (sum(each["counted_count"] for each in one.preview["periods"]), one.previewed_at)


def _stored(tools: Tools) -> list[int]:
    names = [name for name in db.metadata.tables if name != "backfill"]
    return counts(tools, *(db.metadata.tables[name] for name in sorted(names)))


def test_what_is_staged_is_invisible_until_the_commit(
    tools: Tools, platform: Platform, likes: Published
) -> None:
    """To the log, to compaction, to estimates, and to the close of an open historic period."""
    with db.transaction(tools.database) as session:
        periods.open_from(session, platform, MARCH, actor=OPERATOR, now=NOW)
    approved(tools, platform, likes)
    moved = compaction.run(tools.database, tools.lake, "sen", now=NOW)
    estimated = estimates.refresh(tools, "sen", now=NOW)
    stages.close(tools, "sen", "2025-03", actor=LAN, now=NOW)

    with db.transaction(tools.database) as session:
        split = shares.latest(session, "sen", "2025-03")
    assert split is not None
    assert (0, 0, 0) == (moved.row_count, estimated.event_count, sum(split.inputs["verdicts"].values()))
    assert [0, 1] == counts(tools, event_batch, backfill_batch)


def test_a_period_that_was_closed_meanwhile_stops_the_commit_whole(
    tools: Tools, platform: Platform, likes: Published
) -> None:
    """Nothing of it enters; it may be dropped."""
    with db.transaction(tools.database) as session:
        periods.open_from(session, platform, APRIL, actor=OPERATOR, now=NOW)
    backfill_id = approved(tools, platform, likes)
    stages.close(tools, "sen", "2025-04", actor=LAN, now=NOW)
    before = _stored(tools)

    with pytest.raises(BackfillSpan, match="Period 2025-04 is published: what is sealed does not change"):
        commit(tools, platform, backfill_id)
    assert (before, "approved") == (_stored(tools), state(tools, backfill_id))


def test_the_same_bytes_have_one_receipt_within_a_backfill(
    tools: Tools, platform: Platform, likes: Published
) -> None:
    """Each backfill has receipts of its own, and so has the log."""
    first, second = begin(tools, platform, likes), begin(tools, platform, likes)
    taken, again, other = (stage(tools, platform, one, *history()) for one in (first, first, second))
    ordinary = send(tools.database, platform, history(), now=NOW)

    assert [False, True, False, False] == [one.is_replay for one in (taken, again, other, ordinary)]
    assert (taken.batch_id, 7, 7, 0) == (
        again.batch_id,
        again.accepted_count,
        other.taken_count,
        ordinary.accepted_count,
    )
    assert [2, 2] == counts(tools, backfill_batch, backfill_receipt)


def test_bytes_that_were_staged_have_their_receipt_for_good(
    tools: Tools, platform: Platform, likes: Published
) -> None:
    """While it waits, and after the commit, where the log knows them as well; others are refused."""
    backfill_id = begin(tools, platform, likes)
    taken = stage(tools, platform, backfill_id, *history())
    approve(tools, submit(tools, backfill_id))
    waiting = stage(tools, platform, backfill_id, *history())
    commit(tools, platform, backfill_id)
    after = stage(tools, platform, backfill_id, *history())
    ordinary = send(tools.database, platform, history(), now=NOW)

    assert {(taken.batch_id, True)} == {(one.batch_id, one.is_replay) for one in (waiting, after, ordinary)}
    with pytest.raises(WrongBackfillState, match="is committed and takes no more events"):
        stage(tools, platform, backfill_id, event("new", "like", MARCH, "an"))


def test_bytes_that_the_log_rejected_before_are_replaced_by_nothing(
    tools: Tools, platform: Platform, likes: Published
) -> None:
    """The log keeps its own receipt; sent again they are judged anew, and settled as repeats."""
    refused = send(tools.database, platform, history(), now=NOW)
    commit(tools, platform, approved(tools, platform, likes))
    again = send(tools.database, platform, history(), now=NOW)
    stages.close(tools, "sen", "2025-03", actor=LAN, now=NOW)

    with db.transaction(tools.database) as session:
        split = shares.latest(session, "sen", "2025-03")
    assert split is not None
    assert (0, 7) == (refused.accepted_count, again.taken_count)
    assert {
        "counted": 4,
        "late": 0,
        "duplicate": 6,
        "conflict": 2,
        "voided": 0,
        "filtered": 0,
    } == split.inputs["verdicts"]


def test_a_creator_that_becomes_known_is_taken_by_a_replay(
    tools: Tools, platform: Platform, likes: Published
) -> None:
    """The totals count each item once, by its receipt in force."""
    backfill_id = begin(tools, platform, likes)
    events = [event("1", "like", MARCH, "an"), event("2", "like", MARCH, "dung")]
    stage(tools, platform, backfill_id, *events)
    with db.transaction(tools.database) as session:
        before = staging.totals(session, "sen", backfill_id)
        creators.ensure(session, "sen", ["dung"], now=NOW)
    again = stage(tools, platform, backfill_id, *events)
    with db.transaction(tools.database) as session:
        after = staging.totals(session, "sen", backfill_id)

    assert (1, 1) == (before.accepted_count, before.rejected_count)
    assert (2, 0, 2, 1) == (
        after.accepted_count,
        after.rejected_count,
        after.batch_count,
        again.taken_count,
    )


@pytest.mark.parametrize(
    ("at", "accepted_count"),
    [
        (MARCH - timedelta(microseconds=1), 0),
        (MARCH, 1),
        (MAY - timedelta(microseconds=1), 1),
        (MAY, 0),
    ],
)
def test_a_backfill_takes_the_times_of_its_span_only(
    tools: Tools, platform: Platform, likes: Published, at: datetime, accepted_count: int
) -> None:
    """The start does lie within, the end does not."""
    backfill_id = begin(tools, platform, likes)
    receipt = stage(tools, platform, backfill_id, event("1", "like", at, "an"))

    assert accepted_count == receipt.accepted_count
    assert [("no_period", "/time")] * (1 - accepted_count) == [
        (one.code, one.errors[0].pointer) for one in receipt.rejected
    ]


def test_approval_is_of_exactly_what_was_seen(tools: Tools, platform: Platform, likes: Published) -> None:
    """A count or a digest that is another is refused, and so is any batch after the submission."""
    backfill_id = begin(tools, platform, likes)
    stage(tools, platform, backfill_id, *history())
    submitted = submit(tools, backfill_id)
    assert submitted.frozen is not None

    with pytest.raises(WrongBackfillState):
        stage(tools, platform, backfill_id, event("new", "like", MARCH, "an"))
    for seen in ({"accepted_count": 6}, {"batches_sha256": "0" * 64}):
        with pytest.raises(BackfillChanged, match="look at it again"):
            approve(tools, submitted, **seen)
    assert "approved" == approve(tools, submitted).state


@pytest.mark.parametrize("moment", ["submitted", "approved"])
def test_what_was_tampered_with_is_neither_approved_nor_committed(
    tools: Tools, platform: Platform, likes: Published, moment: str
) -> None:
    """A batch that vanished from the table is missed."""
    backfill_id = begin(tools, platform, likes)
    stage(tools, platform, backfill_id, *history())
    stage(tools, platform, backfill_id, event("more", "like", MARCH, "an"))
    submitted = submit(tools, backfill_id)
    if moment == "approved":
        approve(tools, submitted)
    with db.transaction(tools.database) as session:
        session.execute(text("DELETE FROM backfill_batch WHERE seq = (SELECT max(seq) FROM backfill_batch)"))

    act = approve if moment == "submitted" else _commit
    with pytest.raises(BackfillChanged, match="is not what was submitted"):
        act(tools, submitted)
    assert 0 == counts(tools, event_batch)[0]


def _commit(tools: Tools, one: Backfill) -> Backfill:
    with db.transaction(tools.database) as session:
        platform = platforms.get(session, one.platform_id)
    return commit(tools, platform, one.id)


def test_two_people_are_needed(tools: Tools, platform: Platform, likes: Published) -> None:
    """Neither who created it nor who submitted it approves it, whatever roles they hold."""
    other_id = begin(tools, platform, likes, actor=LAN)
    backfill_id = begin(tools, platform, likes, actor=HAI)
    for one in (other_id, backfill_id):
        stage(tools, platform, one, *history())
    with pytest.raises(RoleMissing):
        submit(tools, backfill_id, MINH)
    submitted, other = submit(tools, backfill_id, LAN), submit(tools, other_id, HAI)

    for what, actor, refusal in (
        (submitted, HAI, SamePerson),
        (other, HAI, SamePerson),
        (other, LAN, SamePerson),
        (submitted, LAN, RoleMissing),
        (submitted, SYSTEM, RoleMissing),
        (submitted, OPERATOR, RoleMissing),
    ):
        with pytest.raises(refusal):
            approve(tools, what, actor)
    approve(tools, submitted, MINH)
    with pytest.raises(RoleMissing):
        commit(tools, platform, backfill_id, MINH)
    assert "approved" == state(tools, backfill_id)


def test_the_database_itself_refuses_one_person_for_both(
    tools: Tools, platform: Platform, likes: Published
) -> None:
    """Also where the code would not."""
    backfill_id = begin(tools, platform, likes)
    with pytest.raises(IntegrityError, match="two_people"), db.transaction(tools.database) as session:
        session.execute(
            text("UPDATE backfill SET approved_by = created_by, approved_at = created_at WHERE id = :id"),
            {"id": backfill_id},
        )


def test_a_commit_happens_once(tools: Tools, platform: Platform, likes: Published) -> None:
    """The second is refused, and so is one by two at once."""
    backfill_id = approved(tools, platform, likes)
    start = threading.Barrier(2)

    def act() -> str:
        start.wait()
        try:
            return commit(tools, platform, backfill_id).state
        except WrongBackfillState as fault:
            return fault.detail

    with ThreadPoolExecutor(2) as pool:
        found = sorted(job.result() for job in [pool.submit(act) for _ in range(2)])

    refusal = (
        f"Backfill {backfill_id} is committed and does not become committed; it can become nothing else."
    )
    assert [refusal, "committed"] == found
    assert [1, 0, 2] == counts(tools, event_batch, backfill_batch, db.metadata.tables["rulebook_pin"])


def test_a_commit_that_fails_at_any_statement_leaves_nothing_and_can_be_repeated(
    tools: Tools, platform: Platform, likes: Published
) -> None:
    """One transaction: cut after each of its statements, then carried through."""
    backfill_id = approved(tools, platform, likes)
    before = _stored(tools)
    cut_at, is_done = 0, False
    while not is_done:
        stop = db.on_statement(tools.database, _fuse(cut_at))
        try:
            commit(tools, platform, backfill_id)
            is_done = True
        except _CutError:
            assert before == _stored(tools)
            cut_at += 1
        finally:
            stop()

    assert cut_at > 10
    assert ("committed", [1]) == (state(tools, backfill_id), counts(tools, event_batch))


class _CutError(Exception):
    """The end of a process, at a statement."""


def _fuse(at: int) -> Callable[[str, str], None]:
    seen = iter(range(at + 1))

    def listen(moment: str, _statement: str) -> None:
        if moment in {"after", "before-commit"} and next(seen, None) == at:
            raise _CutError

    return listen


def test_a_commit_keeps_the_order_of_the_batches_in_a_constant_number_of_statements(
    tools: Tools, platform: Platform, likes: Published
) -> None:
    """What was staged first is first in the log, however many there are."""
    statements = []
    for count in (3, 40):
        backfill_id = begin(tools, platform, likes)
        ids = [
            stage(tools, platform, backfill_id, event(f"{count}-{n}", "like", MARCH, "an")).batch_id
            for n in range(count)
        ]
        approve(tools, submit(tools, backfill_id))
        seen: list[str] = []
        stop = db.on_statement(tools.database, lambda moment, what, seen=seen: seen.append(moment + what))
        commit(tools, platform, backfill_id)
        stop()
        with db.transaction(tools.database) as session:
            found = session.scalars(select(event_batch.c.id).order_by(event_batch.c.seq)).all()
        assert ids == found[-count:]
        statements.append(sum(one.startswith("before") for one in seen))

    # The first commit opened two periods and pinned their rulebook.
    assert statements[1] < statements[0]


def test_a_seal_waits_for_a_commit_and_takes_it(tools: Tools, platform: Platform, likes: Published) -> None:
    """The commit holds the seal lock as an intake does."""
    with db.transaction(tools.database) as session:
        periods.open_from(session, platform, MARCH, actor=OPERATOR, now=NOW)
    backfill_id = approved(tools, platform, likes)
    has_moved, may_commit = threading.Event(), threading.Event()

    def slow_commit() -> None:
        with db.transaction(tools.database) as session:
            backfilling.commit(session, platform, backfill_id, actor=LAN, now=NOW)
            has_moved.set()
            may_commit.wait(20)

    with ThreadPoolExecutor(2) as pool:
        committing = pool.submit(slow_commit)
        assert has_moved.wait(20)
        closing = pool.submit(stages.close, tools, "sen", "2025-03", actor=LAN, now=NOW)
        assert not wait([closing], timeout=0.3).done
        may_commit.set()
        committing.result()
        closing.result()

    with db.transaction(tools.database) as session:
        split = shares.latest(session, "sen", "2025-03")
    assert split is not None
    assert 4 == split.inputs["verdicts"]["counted"]


def test_a_commit_waits_for_a_seal_and_finds_the_period_closed(
    tools: Tools, platform: Platform, likes: Published
) -> None:
    """The calendar is read under the lock."""
    with db.transaction(tools.database) as session:
        periods.open_from(session, platform, MARCH, actor=OPERATOR, now=NOW)
    backfill_id = approved(tools, platform, likes)
    holds_lock, may_commit = threading.Event(), threading.Event()

    def slow_seal() -> None:
        with db.transaction(tools.database) as session:
            seal_lock.exclude(session, "sen")
            period = periods.get(session, "sen", "2025-03", lock=True)
            holds_lock.set()
            may_commit.wait(20)
            periods.advance(session, period, "sealed", actor=OPERATOR, now=NOW, cut_seq=0)

    with ThreadPoolExecutor(2) as pool:
        sealing = pool.submit(slow_seal)
        assert holds_lock.wait(20)
        committing = pool.submit(commit, tools, platform, backfill_id)
        assert not wait([committing], timeout=0.3).done
        may_commit.set()
        sealing.result()
        assert isinstance(committing.exception(), BackfillSpan)


def test_a_submission_waits_for_the_batches_in_flight_and_freezes_them_too(
    tools: Tools, platform: Platform, likes: Published
) -> None:
    """A batch is either within the frozen totals or refused."""
    backfill_id = begin(tools, platform, likes)
    has_received, may_commit = threading.Event(), threading.Event()

    def slow_intake() -> None:
        with db.transaction(tools.database) as session:
            body = json.dumps(history()).encode()
            backfills.receive(session, platform, backfill_id, body, BATCH, channel="http", now=NOW)
            has_received.set()
            may_commit.wait(20)

    with ThreadPoolExecutor(2) as pool:
        staging = pool.submit(slow_intake)
        assert has_received.wait(20)
        submitting = pool.submit(submit, tools, backfill_id)
        assert not wait([submitting], timeout=0.3).done
        may_commit.set()
        staging.result()
        submitted = submitting.result()

    assert submitted.frozen is not None
    assert (1, 7) == (submitted.frozen.batch_count, submitted.frozen.accepted_count)


@pytest.mark.parametrize("moment", ["open", "submitted", "approved"])
def test_what_is_dropped_leaves_its_record_and_nothing_else(
    tools: Tools, platform: Platform, likes: Published, moment: str
) -> None:
    """Totals, people and reason stay; batches and receipts go."""
    backfill_id = begin(tools, platform, likes)
    stage(tools, platform, backfill_id, *history())
    if moment != "open":
        submitted = submit(tools, backfill_id)
        if moment == "approved":
            approve(tools, submitted)
    with db.transaction(tools.database) as session:
        dropped = backfills.drop(session, "sen", backfill_id, actor=LAN, now=NOW)

    assert dropped.frozen is not None
    assert ("dropped", "staff:lan", 7, 1) == (
        dropped.state,
        dropped.dropped_by,
        dropped.frozen.accepted_count,
        dropped.frozen.batch_count,
    )
    assert [0, 0, 0] == counts(tools, backfill_batch, backfill_receipt, event_batch)
    with pytest.raises(WrongBackfillState, match="is dropped"):
        commit(tools, platform, backfill_id)
    with pytest.raises(WrongBackfillState, match="is dropped"):
        stage(tools, platform, backfill_id, *history())


@pytest.mark.parametrize("to", BACKFILL_STATES[1:])
@pytest.mark.parametrize("known", BACKFILL_STATES)
def test_a_backfill_moves_as_the_table_says_and_not_otherwise(
    tools: Tools, platform: Platform, likes: Published, known: str, to: str
) -> None:
    """Every pair of states is tried."""
    backfill_id = begin(tools, platform, likes)
    stage(tools, platform, backfill_id, *history())
    acts: dict[str, Callable[[], object]] = {
        "submitted": lambda: submit(tools, backfill_id),
        "approved": lambda: approve(tools, _read(tools, backfill_id)),
        "committed": lambda: commit(tools, platform, backfill_id),
        "dropped": lambda: _drop(tools, backfill_id),
    }
    ways = {"open": [], "submitted": ["submitted"], "approved": ["submitted", "approved"]}
    ways |= {"committed": [*ways["approved"], "committed"], "dropped": ["dropped"]}
    for step in ways[known]:
        acts[step]()

    if to in MOVES[known]:
        acts[to]()
        assert to == state(tools, backfill_id)
    else:
        with pytest.raises((WrongBackfillState, AssertionError)):
            acts[to]()
        assert known == state(tools, backfill_id)


def _read(tools: Tools, backfill_id: uuid.UUID) -> Backfill:
    with db.transaction(tools.database) as session:
        return backfills.get(session, "sen", backfill_id)


def _drop(tools: Tools, backfill_id: uuid.UUID) -> Backfill:
    with db.transaction(tools.database) as session:
        return backfills.drop(session, "sen", backfill_id, actor=LAN, now=NOW)


def test_nothing_is_submitted_where_nothing_was_accepted(
    tools: Tools, platform: Platform, likes: Published
) -> None:
    """One rejected event is nothing; one accepted is something."""
    backfill_id = begin(tools, platform, likes)
    stage(tools, platform, backfill_id, event("1", "like", MAY, "an"))
    with pytest.raises(WrongBackfillState, match="holds no accepted event"):
        submit(tools, backfill_id)
    stage(tools, platform, backfill_id, event("1", "like", MARCH, "an"))

    assert "submitted" == submit(tools, backfill_id).state


@pytest.mark.parametrize(
    ("start_at", "end_at", "refusal", "words"),
    [
        (datetime(2026, 11, 1, tzinfo=UTC), NOW, BackfillSpan, "Period 2026-11 is not over"),
        (MARCH, NOW + timedelta(microseconds=1), Invalid, "choose an instant that is over"),
        (datetime(1975, 1, 1, tzinfo=UTC), MAY, Invalid, "at most 600 at a time"),
    ],
)
def test_a_span_that_no_backfill_reaches_is_refused(
    tools: Tools,
    platform: Platform,
    likes: Published,
    start_at: datetime,
    end_at: datetime,
    refusal: type[Exception],
    words: str,
) -> None:
    """The fault names the period and why."""
    with pytest.raises(refusal, match=words):
        begin(tools, platform, likes, span=Span(start_at, end_at))
    assert [0] == counts(tools, backfill)


def test_a_backfill_for_a_gap_between_sealed_periods_is_refused(
    tools: Tools, platform: Platform, likes: Published
) -> None:
    """March and May are sealed history, April is missing: a span that touches either of the two is refused.

    April alone was never there, so that a backfill of it alone rewrites nothing.
    """
    june = datetime(2025, 5, 31, 17, tzinfo=UTC)
    for span in (Span(MARCH, APRIL), Span(MAY, june)):
        backfill_id = begin(tools, platform, likes, span=span)
        stage(tools, platform, backfill_id, event(str(span.start_at), "like", span.start_at, "an"))
        approve(tools, submit(tools, backfill_id))
        commit(tools, platform, backfill_id)
    for period_id in ("2025-03", "2025-05"):
        stages.close(tools, "sen", period_id, actor=LAN, now=NOW)

    instant = timedelta(microseconds=1)
    for span, name in (
        (Span(MARCH, june), "2025-03"),
        (Span(APRIL - instant, MAY), "2025-03"),
        (Span(APRIL, MAY + instant), "2025-05"),
    ):
        with pytest.raises(BackfillSpan, match=f"Period {name} is published: what is sealed"):
            begin(tools, platform, likes, span=span)
    assert "open" == state(tools, begin(tools, platform, likes, span=Span(APRIL, MAY)))


def test_regular_periods_take_no_backfill_sealed_or_not(
    tools: Tools, platform: Platform, likes: Published
) -> None:
    """What was open when it took place has had its chance; late events have their own way."""
    later = NOW + timedelta(days=62)
    with db.transaction(tools.database) as session:
        periods.ensure_current(session, platform, later)
        span = Span(datetime(2026, 11, 30, 17, tzinfo=UTC), datetime(2026, 12, 31, 17, tzinfo=UTC))
        with pytest.raises(BackfillSpan, match="Period 2026-12 is no history"):
            backfilling.create(
                session,
                platform,
                span=span,
                rulebook_sha256=likes.sha256,
                reason="x",
                actor=LAN,
                now=later,
            )


def test_a_rulebook_that_was_never_published_is_refused(
    tools: Tools, platform: Platform, likes: Published
) -> None:
    """Of this platform: another's is none."""
    with db.transaction(tools.database) as session, pytest.raises(Invalid) as refusal:
        backfilling.create(
            session, platform, span=SPAN, rulebook_sha256="0" * 64, reason="x", actor=LAN, now=NOW
        )

    assert ["/rulebook"] == [one.pointer for one in refusal.value.errors]


def test_a_pinned_rulebook_is_in_force_for_its_periods_alone(
    tools: Tools, platform: Platform, likes: Published
) -> None:
    """Before and after it, the dates decide as ever."""
    commit(tools, platform, approved(tools, platform, likes))
    instant = timedelta(microseconds=1)
    with db.transaction(tools.database) as session:
        found = [
            registry.in_force(session, "sen", at).version
            for at in (MARCH - instant, MARCH, APRIL, MAY - instant, MAY, NOW)
        ]
        pins = registry.pins(session, "sen")

    assert [1, 2, 2, 2, 1, 1] == found
    assert [(MARCH, likes.sha256), (APRIL, likes.sha256)] == [(one.span.start_at, one.sha256) for one in pins]


def test_a_period_has_one_rulebook_whatever_backfills_fill_it(
    tools: Tools, platform: Platform, likes: Published
) -> None:
    """A second backfill names the same, or leaves the period out; two that race are told at the commit."""
    with db.transaction(tools.database) as session:
        founding = registry.history(session, "sen")[0]
    racing = begin(tools, platform, founding)
    stage(tools, platform, racing, event("r", "like", MARCH, "an"))
    approve(tools, submit(tools, racing))
    commit(tools, platform, approved(tools, platform, likes))

    with pytest.raises(OtherRulebookPinned, match="Period 2025-03 is computed by rulebook"):
        begin(tools, platform, founding)
    with pytest.raises(OtherRulebookPinned):
        commit(tools, platform, racing)
    assert "approved" == state(tools, racing)
    more = approved(tools, platform, likes, event("more", "like", MARCH, "an"))
    assert "committed" == commit(tools, platform, more).state


def test_every_act_is_in_the_trail(tools: Tools, platform: Platform, likes: Published) -> None:
    """With who did it and what it was about."""
    backfill_id = approved(tools, platform, likes)
    commit(tools, platform, backfill_id)
    other = begin(tools, platform, likes)
    _drop(tools, other)

    with db.transaction(tools.database) as session:
        acts = [
            (one.act, f"{one.actor_kind}:{one.actor_id}", one.subject_id)
            for one in trail.listing(session, "sen")
            if one.subject_kind == "backfill"
        ]
    assert [
        ("backfill.create", "staff:lan", str(backfill_id)),
        ("backfill.submit", "staff:lan", str(backfill_id)),
        ("backfill.approve", "staff:minh", str(backfill_id)),
        ("backfill.commit", "staff:lan", str(backfill_id)),
        ("backfill.create", "staff:lan", str(other)),
        ("backfill.drop", "staff:lan", str(other)),
    ] == acts


def test_another_platform_s_backfill_is_not_there(tools: Tools, platform: Platform, likes: Published) -> None:
    """Neither to be read nor to be sent into."""
    backfill_id = begin(tools, platform, likes)
    with db.transaction(tools.database) as session:
        other = founded_platform(session, "bep", now=NOW)
    with pytest.raises(intake.Fault, match="has no backfill"):
        stage(tools, other, backfill_id, event("1", "like", MARCH, "an"))
