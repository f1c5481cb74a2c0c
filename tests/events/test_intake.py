"""Intake: every item has a verdict, every accepted one is durable, and the same bytes count once."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta
from typing import Any

import pytest
import zstandard
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.calendar import periods, seal_lock
from service.core import digests
from service.core.errors import TooLarge, Unreadable
from service.events import compaction, intake, wire
from service.events.intake import Receipt
from service.events.tables import event_batch, event_receipt, event_type
from service.parties import creators
from service.parties.actors import OPERATOR
from service.parties.platforms import Platform
from service.runtime import db
from service.runtime.db import Database
from tests.events import worlds
from tests.events.worlds import DAY, NOW, batch, event


def receive(session: Session, platform: Platform, *events: Any, **options: Any) -> Receipt:
    """Receive events as a batch."""
    return receive_body(session, platform, batch(*events), **options)


def receive_body(
    session: Session, platform: Platform, body: bytes, *, media_type: str = wire.BATCH, now: Any = NOW
) -> Receipt:
    """Receive a body over HTTP."""
    return intake.receive(session, platform, body, media_type, channel="http", now=now)


def verdicts(receipt: Receipt) -> list[tuple[int, str]]:
    """Give the index and code of each rejected item."""
    return [(one.index, one.code) for one in receipt.rejected]


def stored(session: Session, platform: Platform) -> Sequence[Any]:
    """Read the log of a platform."""
    query = select(event_batch).where(event_batch.c.platform_id == platform.id)
    return session.execute(query.order_by(event_batch.c.seq)).all()


def test_a_batch_is_one_row_with_the_bytes_as_they_were_sent(session: Session) -> None:
    """Counts, times and digest stand beside the compressed body."""
    platform = worlds.found(session)
    body = batch(event("e-1"), event("e-2", time="2026-11-20T03:00:00Z"), {"id": "bad"})

    receipt = receive_body(session, platform, body)

    (row,) = stored(session, platform)
    assert body == zstandard.ZstdDecompressor().decompress(row.body_zstd)
    assert (receipt.batch_id, digests.sha256(body), "http", wire.BATCH) == (
        row.id,
        bytes(row.body_sha256),
        row.channel,
        row.media_type,
    )
    assert (3, 2, NOW - timedelta(hours=2), NOW - timedelta(hours=1)) == (
        row.item_count,
        row.accepted_count,
        row.first_at,
        row.last_at,
    )
    assert [(2, "bad", "invalid")] == [(one["index"], one["id"], one["code"]) for one in row.rejections]


def test_a_receipt_names_the_rejected_items_only(session: Session) -> None:
    """As the API gives it."""
    platform = worlds.found(session)
    body = batch(event("e-1"), event("e-2", quantity=1.5))

    receipt = receive_body(session, platform, body)

    error = {"pointer": "/data/quantity", "detail": "Expected `int`, got `float`."}
    item = {"index": 1, "id": "e-2", "verdict": "rejected", "code": "invalid", "errors": [error]}
    expected = {
        "batch_id": str(receipt.batch_id),
        "sha256": digests.sha256_hex(body),
        "received_at": "2026-11-20T05:00:00Z",
        "counts": {"accepted": 1, "rejected": 1},
        "items": [item],
        "replayed": False,
    }
    assert expected == receipt.to_document()


def test_the_same_bytes_give_the_stored_receipt_and_append_nothing(session: Session) -> None:
    """Whenever they come again."""
    platform = worlds.found(session)
    first = receive(session, platform, event("e-1"), {"id": "bad"})

    again = receive(session, platform, event("e-1"), {"id": "bad"}, now=NOW + DAY)

    assert {**first.to_document(), "replayed": True} == again.to_document()
    assert (1, 0) == (first.taken_count, again.taken_count)
    assert 1 == worlds.batch_count(session, platform.id)


def test_other_bytes_with_the_same_events_are_another_batch(session: Session) -> None:
    """Which of its events counts is for compaction and the seal to say."""
    platform = worlds.found(session)
    receive(session, platform, event("e-1"), event("e-2"))

    again = receive(session, platform, event("e-2"), event("e-1"))

    assert not again.is_replay
    assert 2 == worlds.batch_count(session, platform.id)


def test_two_platforms_may_send_the_same_bytes(session: Session) -> None:
    """Receipts belong to a platform."""
    one, other = worlds.found(session), worlds.found(session, platform_id="other")
    receive(session, one, event("e-1"))

    receipt = receive(session, other, event("e-1"))

    assert not receipt.is_replay
    assert 1 == worlds.batch_count(session, other.id)


def test_the_same_bytes_under_another_media_type_are_judged_anew(session: Session) -> None:
    """A sender that corrects its header is not told its old fault; the items are not mistaken for others."""
    platform = worlds.found(session)
    body = batch(event("e-1"), event("e-2"))
    wrong = receive_body(session, platform, body, media_type=wire.LINES)

    right = receive_body(session, platform, body, media_type=wire.BATCH)

    assert ([(0, "invalid")], []) == (verdicts(wrong), verdicts(right))
    assert (2, 2) == (right.accepted_count, right.taken_count)
    assert receive_body(session, platform, body).is_replay


@pytest.mark.parametrize(
    ("body", "fault"),
    [(b"{", Unreadable), (b" " * (wire.BODY_BYTES_MAX + 1), TooLarge)],
)
def test_a_body_that_cannot_be_cut_into_items_stores_nothing(
    session: Session, body: bytes, fault: type[Exception]
) -> None:
    """There is no receipt for it either."""
    platform = worlds.found(session)

    with pytest.raises(fault):
        receive_body(session, platform, body)

    assert 0 == worlds.batch_count(session, platform.id)
    assert [] == session.execute(select(event_receipt)).all()


def test_an_empty_batch_has_a_receipt(session: Session) -> None:
    """It is a valid batch without items."""
    platform = worlds.found(session)

    receipt = receive_body(session, platform, b"[]")

    assert (0, ()) == (receipt.accepted_count, receipt.rejected)


def test_unknown_creators_are_rejected_where_the_platform_says_so(session: Session) -> None:
    """Known ones beside them are not."""
    platform = worlds.found(session, unknown_creators="reject")
    creators.ensure(session, platform.id, ["known"], now=NOW)

    receipt = receive(session, platform, event("e-1", creator="known"), event("e-2", creator="stranger"))

    assert [(1, "unknown_creator")] == verdicts(receipt)
    assert {"stranger"} == creators.unknown(session, platform.id, ["known", "stranger"])


def test_unknown_creators_are_registered_where_the_platform_says_so(session: Session) -> None:
    """But not for events that are rejected anyway, and not under an id that no creator can have."""
    platform = worlds.found(session, unknown_creators="register")

    receipt = receive(
        session,
        platform,
        event("e-1", creator="new"),
        event("e-2", creator="future", time="2027-01-01T00:00:00Z"),
        event("e-3", creator="no such id"),
    )

    assert [(1, "in_future"), (2, "unknown_creator")] == verdicts(receipt)
    assert {"future", "no such id"} == creators.unknown(session, platform.id, ["new", "future", "no such id"])


@pytest.mark.parametrize(
    ("time", "codes"),
    [
        ("2026-11-20T05:05:00Z", []),
        ("2026-11-20T05:05:00.000001Z", [(0, "in_future")]),
        ("2026-10-31T17:00:00Z", []),
        ("2026-10-31T16:59:59.999999Z", [(0, "too_old")]),
    ],
)
def test_the_time_decides_up_to_the_microsecond(
    session: Session, time: str, codes: list[tuple[int, str]]
) -> None:
    """November in Asia/Ho_Chi_Minh begins at 17:00 UTC; clocks may be five minutes ahead."""
    platform = worlds.found(session)

    assert codes == verdicts(receive(session, platform, event("e-1", time=time)))


def test_a_time_between_periods_that_take_events_is_told_apart_from_one_before_them(session: Session) -> None:
    """History can be open before a closed month."""
    platform = worlds.found(session)
    periods.open_from(session, platform, NOW - 60 * DAY, actor=OPERATOR, now=NOW)
    october = periods.get(session, platform.id, "2026-10")
    periods.advance(session, october, "sealed", actor=OPERATOR, now=NOW, cut_seq=0)

    receipt = receive(
        session,
        platform,
        event("e-1", time="2026-10-10T00:00:00Z"),
        event("e-2", time="2026-09-25T00:00:00Z"),
        event("e-3", time="2026-08-25T00:00:00Z"),
    )

    assert [(0, "no_period"), (2, "too_old")] == verdicts(receipt)
    assert "period open --platform tiktak --from 2026-08-25" in receipt.rejected[1].errors[0].detail


def test_late_events_of_the_two_periods_before_the_oldest_open_one_are_taken(session: Session) -> None:
    """And those of the third are not."""
    platform = worlds.found(session, period_unit="day", now=NOW - 4 * DAY)
    periods.ensure_current(session, platform, NOW)
    for day in (16, 17, 18):
        period = periods.get(session, platform.id, f"2026-11-{day}")
        periods.advance(session, period, "sealed", actor=OPERATOR, now=NOW, cut_seq=0)

    receipt = receive(
        session, platform, *(event(f"e-{day}", time=f"2026-11-{day}T03:00:00Z") for day in range(16, 21))
    )

    assert [(0, "too_old")] == verdicts(receipt)


def test_a_rejection_for_the_platforms_state_is_judged_again(session: Session) -> None:
    """It is accepted once its reason is gone; the others stay what they are, and nothing comes twice."""
    platform = worlds.found(session, unknown_creators="reject")
    creators.ensure(session, platform.id, ["known"], now=NOW)
    events = (event("e-1", creator="known"), event("e-2", creator="later"), {"id": "bad"})
    first = receive(session, platform, *events)
    same = receive(session, platform, *events)
    creators.ensure(session, platform.id, ["later"], now=NOW)

    second = receive(session, platform, *events)
    third = receive(session, platform, *events)

    assert [(1, "unknown_creator"), (2, "invalid")] == verdicts(first) == verdicts(same)
    assert [(2, "invalid")] == verdicts(second) == verdicts(third)
    assert [False, True, False, True] == [one.is_replay for one in (first, same, second, third)]
    assert [(1, 1), (1, 0), (2, 1), (2, 0)] == [
        (one.accepted_count, one.taken_count) for one in (first, same, second, third)
    ]
    assert third.batch_id == second.batch_id != first.batch_id
    skipped = [{one["index"]: one["code"] for one in row.rejections} for row in stored(session, platform)]
    assert [{1: "unknown_creator", 2: "invalid"}, {0: "accepted_before", 2: "invalid"}] == skipped


def test_what_was_accepted_stays_accepted_when_its_period_has_closed(session: Session) -> None:
    """A repeat of the bytes may not take it back, even where another item is judged again."""
    platform = worlds.found(session, period_unit="day")
    events = (event("e-1"), event("e-2", time="2026-11-20T06:00:00Z"))
    first = receive(session, platform, *events)
    for name in ("2026-11-20", "2026-11-21", "2026-11-22"):
        periods.ensure_current(session, platform, NOW + 3 * DAY)
        period = periods.get(session, platform.id, name)
        periods.advance(session, period, "sealed", actor=OPERATOR, now=NOW, cut_seq=0)

    later = receive(session, platform, *events, now=NOW + 3 * DAY)

    assert ([(1, "in_future")], [(1, "too_old")]) == (verdicts(first), verdicts(later))
    assert (1, 0) == (later.accepted_count, later.taken_count)


@pytest.mark.parametrize(
    ("before", "changes"),
    [
        ({"type": "wave"}, {"name": "wave", "actor": "optional", "quantity_min": 0, "quantity_max": 1}),
        (
            {"type": "nod", "quantity": 5},
            {"name": "nod", "actor": "optional", "quantity_min": 0, "quantity_max": 9},
        ),
    ],
)
def test_a_change_of_the_registry_is_seen_by_a_repeat(
    session: Session, before: dict[str, Any], changes: dict[str, Any]
) -> None:
    """A type that was unknown, or too narrow, may be there or wide enough the next time."""
    platform = worlds.found(session)
    narrow = {
        "platform_id": platform.id,
        "name": "nod",
        "actor": "optional",
        "quantity_min": 0,
        "quantity_max": 1,
    }
    session.execute(event_type.insert().values(narrow))
    assert 1 == len(receive(session, platform, event("e-1", **before)).rejected)

    session.execute(
        event_type.delete().where(event_type.c.platform_id == platform.id, event_type.c.name == "nod")
    )
    session.execute(event_type.insert().values(platform_id=platform.id, **changes))

    assert () == receive(session, platform, event("e-1", **before)).rejected


def test_poison_in_one_item_never_costs_its_neighbours(session: Session) -> None:
    """What would make the whole statement fail in the database is rejected, and named, before."""
    platform = worlds.found(session)
    poison = [
        event("a\x00b"),
        event("e-1") | {"x\x00": 1},
        event("e-2", quantity=2**70),
        event("e-3", time="2026-11-20T04:00:00.1234567Z"),
        event("e-4", quantity=float("nan")),
    ]
    body = worlds.lines(event("first"), *poison, b"\xff\x00", event("last"))

    receipt = receive_body(session, platform, body, media_type=wire.LINES)

    assert [1, 2, 3, 4, 5, 6] == [one.index for one in receipt.rejected]
    assert 2 == receipt.accepted_count


def test_the_same_bytes_from_many_at_once_are_one_batch(database: Database) -> None:
    """One is first, the others wait for it and get its receipt."""
    platform = worlds.founded(database)
    body = batch(*(event(f"e-{number}") for number in range(50)))
    start = threading.Barrier(6)

    def send() -> Receipt:
        start.wait()
        with db.transaction(database) as session:
            return receive_body(session, platform, body)

    with ThreadPoolExecutor(6) as pool:
        receipts = [job.result() for job in [pool.submit(send) for _ in range(6)]]

    assert 1 == len({one.batch_id for one in receipts})
    assert [50] == [one.taken_count for one in receipts if not one.is_replay]
    with db.transaction(database) as session:
        assert 1 == worlds.batch_count(session, platform.id)


def test_when_the_first_of_two_senders_fails_the_second_is_taken(database: Database) -> None:
    """It waited for a receipt that was never committed."""
    platform = worlds.founded(database)
    body = batch(event("e-1"))
    has_received, may_fail = threading.Event(), threading.Event()

    def fail() -> None:
        with db.transaction(database) as session:
            receive_body(session, platform, body)
            has_received.set()
            may_fail.wait(20)
            raise RuntimeError

    def succeed() -> Receipt:
        with db.transaction(database) as session:
            return receive_body(session, platform, body)

    with ThreadPoolExecutor(2) as pool:
        failing = pool.submit(fail)
        assert has_received.wait(20)
        succeeding = pool.submit(succeed)
        may_fail.set()
        receipt = succeeding.result()

    assert isinstance(failing.exception(), RuntimeError)
    assert (1, False) == (receipt.taken_count, receipt.is_replay)


def test_a_seal_waits_for_the_intakes_in_flight_and_takes_them(database: Database) -> None:
    """What commits before the seal is in; what comes after it is late."""
    platform = worlds.founded(database, period_unit="day", now=NOW - DAY)
    worlds.send(database, platform, event("e-0", time="2026-11-19T03:00:00Z"))
    has_received, may_commit = threading.Event(), threading.Event()

    def slow_intake() -> Receipt:
        with db.transaction(database) as session:
            receipt = receive(session, platform, event("e-1", time="2026-11-19T04:00:00Z"))
            has_received.set()
            may_commit.wait(20)
            return receipt

    def last_seq() -> int:
        with db.transaction(database) as session:
            return compaction.newest_seq(session, platform.id)

    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(slow_intake)
        assert has_received.wait(20)
        before = last_seq()
        sealing = pool.submit(worlds.seal, database, platform, "2026-11-19")
        assert not wait([sealing], timeout=0.3).done
        may_commit.set()
        period = sealing.result()
        receipt = slow.result()

    assert period.cut_seq is not None
    with db.transaction(database) as session:
        row = session.execute(select(event_batch.c.seq).where(event_batch.c.id == receipt.batch_id)).one()
    assert before < row.seq <= period.cut_seq
    worlds.send(database, platform, event("e-2", time="2026-11-19T05:00:00Z"))
    assert period.cut_seq < last_seq()


def test_an_intake_waits_for_a_seal_and_sees_what_it_closed(database: Database) -> None:
    """The calendar is read under the lock: no event is accepted into a period that nobody will settle."""
    platform = worlds.founded(database, period_unit="day", now=NOW - 4 * DAY)
    with db.transaction(database) as session:
        periods.ensure_current(session, platform, NOW)
    worlds.seal(database, platform, "2026-11-16")
    worlds.seal(database, platform, "2026-11-17")
    holds_lock, may_commit = threading.Event(), threading.Event()

    def slow_seal() -> None:
        with db.transaction(database) as session:
            seal_lock.exclude(session, platform.id)
            period = periods.get(session, platform.id, "2026-11-18", lock=True)
            holds_lock.set()
            may_commit.wait(20)
            periods.advance(session, period, "sealed", actor=OPERATOR, now=NOW, cut_seq=0)

    with ThreadPoolExecutor(2) as pool:
        sealing = pool.submit(slow_seal)
        assert holds_lock.wait(20)
        sending = pool.submit(worlds.send, database, platform, event("e-1", time="2026-11-16T03:00:00Z"))
        assert not wait([sending], timeout=0.3).done
        may_commit.set()
        sealing.result()
        receipt = sending.result()

    assert [(0, "too_old")] == verdicts(receipt)
