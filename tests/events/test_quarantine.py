"""Quarantine: what is rejected is kept once, can be put right and sent again, and never fills the disk."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from service.core import ids
from service.core.errors import Invalid, NotFound
from service.core.spans import Span
from service.events import compaction, intake, quarantine, retries, sealing, types, wire
from service.events.intake import Receipt
from service.events.quarantine import (
    OPEN_BYTES_MAX,
    OPEN_KEPT,
    OPEN_MAX,
    RESOLVED_KEPT,
    Quarantined,
    QuarantineState,
    Totals,
)
from service.events.tables import event_batch, quarantine_total
from service.events.tables import quarantine as quarantine_table
from service.events.types import Attribute
from service.parties import creators, trail
from service.parties.actors import OPERATOR, SYSTEM
from service.parties.platforms import Platform
from service.runtime import db
from service.runtime.db import Database
from tests.events import worlds
from tests.events.worlds import DAY, NOW, TYPES, batch, event

LATER = NOW + timedelta(hours=1)


def receive(
    session: Session, platform: Platform, body: bytes, *, media_type: str = wire.BATCH, now: Any = NOW
) -> Receipt:
    """Receive a body over HTTP."""
    return intake.receive(session, platform, body, media_type, channel="http", now=now)


def kept(session: Session, platform: Platform, **filters: Any) -> list[Quarantined]:
    """Read what is in quarantine, by place in its batch."""
    found = quarantine.listing(session, platform.id, limit=1_000, **filters)
    return sorted(found, key=lambda one: (one.received_at, one.position))


def strict(session: Session) -> Platform:
    """Found a platform that rejects unknown creators and knows one."""
    platform = worlds.found(session, unknown_creators="reject")
    creators.ensure(session, platform.id, ["known"], now=NOW)
    return platform


def known(event_id: str, **changes: Any) -> dict[str, Any]:
    """Make an event of the known creator."""
    return event(event_id, **{"creator": "known", **changes})


def retry(session: Session, platform: Platform, one: Quarantined, fixed: Any = None) -> Receipt:
    """Retry one event as the operator."""
    return retries.retry(session, platform, one.id, fixed, actor=OPERATOR, now=LATER)


def test_each_rejected_item_is_kept_with_its_bytes_and_its_reasons(session: Session) -> None:
    """Source and id where they can be read; accepted neighbours are not there."""
    platform = strict(session)
    large = b'{"id":"big","pad":"' + b"x" * wire.ITEM_BYTES_MAX + b'"}'
    items = [
        json.dumps(known("good")).encode(),
        json.dumps(event("stranger", time="2026-11-20T03:00:00Z")).encode(),
        json.dumps(known("half", quantity=1.5)).encode(),
        b'{"id": 7}',
        b"\xff\x00 rubbish",
        large,
    ]

    receipt = receive(session, platform, b"\n".join(items), media_type=wire.LINES)

    found = kept(session, platform)
    assert [
        (1, "unknown_creator", "app", "stranger", items[1], True, NOW - timedelta(hours=2)),
        (2, "invalid", "app", "half", items[2], True, NOW - timedelta(hours=1)),
        (3, "invalid", None, None, items[3], True, NOW),
        (4, "unreadable", None, None, items[4], True, NOW),
        (5, "too_large", None, None, large[:1024], False, NOW),
    ] == [
        (one.position, one.code, one.source, one.event_id, one.raw, one.is_whole, one.happened_at)
        for one in found
    ]
    assert {receipt.batch_id} == {one.batch_id for one in found}
    assert {("open", NOW)} == {(one.state, one.received_at) for one in found}
    assert [one.errors for one in receipt.rejected] == [one.errors for one in found]
    assert [len(one) for one in items[1:]] == [one.size_bytes for one in found]
    kept_bytes = sum(map(len, items[1:5])) + 1024
    assert Totals(5, kept_bytes, 0) == quarantine.totals(session, platform.id)


def test_a_batch_without_rejections_leaves_nothing(session: Session) -> None:
    """The nearest good neighbour."""
    platform = strict(session)

    receive(session, platform, batch(known("e-1")))

    assert ([], Totals(0, 0, 0)) == (kept(session, platform), quarantine.totals(session, platform.id))


def test_the_same_bytes_again_add_no_row(session: Session) -> None:
    """Whether the receipt is final or judged again; under another media type they are other items."""
    platform = strict(session)
    body = batch(event("stranger"), known("half", quantity=1.5))
    for _ in range(3):
        receive(session, platform, body)
    assert 2 == len(kept(session, platform))

    receive(session, platform, body, media_type=wire.LINES, now=LATER)
    receive(session, platform, body, now=LATER)

    assert [2, 1] == [sum(one.received_at == at for one in kept(session, platform)) for at in (NOW, LATER)]
    assert 3 == quarantine.totals(session, platform.id).open_count


def test_an_event_that_is_taken_when_the_same_bytes_are_sent_again_leaves_quarantine(
    session: Session,
) -> None:
    """Also when all of the batch was rejected before; what is still rejected has the present reason."""
    platform = strict(session)
    alone, mixed = (
        batch(event("a", creator="new")),
        batch(
            event("b", creator="new"),
            known("c"),
            event("d", creator="other"),
            event("e", creator="new", time="2026-11-20T05:30:00Z"),
        ),
    )
    for body in (alone, mixed):
        receive(session, platform, body)
    creators.ensure(session, platform.id, ["new"], now=NOW)

    again = [receive(session, platform, body, now=NOW + timedelta(minutes=1)) for body in (alone, mixed)]

    by_id = {one.event_id: one for one in kept(session, platform)}
    assert {"a": "retried", "b": "retried", "d": "open", "e": "open"} == {
        name: one.state for name, one in by_id.items()
    }
    assert [again[0].batch_id, again[1].batch_id] == [by_id[name].retry_batch_id for name in "ab"]
    assert (None, str(SYSTEM), "The same bytes were sent again, and taken.") == (
        by_id["a"].raw,
        by_id["a"].resolved_by,
        by_id["a"].reason,
    )
    assert ("in_future", "unknown_creator") == (by_id["e"].code, by_id["d"].code)
    assert 2 == quarantine.totals(session, platform.id).open_count


def test_a_rejection_whose_reason_changes_says_the_present_one(session: Session) -> None:
    """The event was of the future and is of a closed period now."""
    platform = strict(session)
    body = batch(known("e-1", time="2026-11-20T05:30:00Z"), event("e-2", creator="new"))
    receive(session, platform, body)
    creators.ensure(session, platform.id, ["new"], now=NOW)
    types.define(
        session,
        platform.id,
        [replace(TYPES["view"], actor="none")],
        currency="VND",
        pointers=[""],
        actor=OPERATOR,
        now=NOW,
    )
    receive(session, platform, body, now=LATER)

    assert [("type_mismatch", "/data/actor"), ("type_mismatch", "/data/actor")] == [
        (one.code, one.errors[0].pointer) for one in kept(session, platform)
    ]


def test_a_retry_of_the_same_bytes_is_taken_once_its_reason_is_gone(session: Session) -> None:
    """And stays open, with the present reason, while it is not; no row is added."""
    platform = strict(session)
    receive(session, platform, batch(known("before"), event("e-1", creator="new")))
    (held,) = kept(session, platform)

    refused = retry(session, platform, held)
    (still,) = kept(session, platform)
    creators.ensure(session, platform.id, ["new"], now=NOW)
    taken = retry(session, platform, held)
    (done,) = kept(session, platform)

    assert (1, 0) == (len(refused.rejected), refused.accepted_count)
    assert ("open", "unknown_creator", LATER) == (still.state, still.code, still.tried_at)
    assert ((), 1) == (taken.rejected, taken.accepted_count)
    assert ("retried", str(OPERATOR), taken.batch_id) == (done.state, done.resolved_by, done.retry_batch_id)
    assert (None, LATER) == (done.raw, done.resolved_at)
    assert Totals(0, 0, 0) == quarantine.totals(session, platform.id)
    row = session.execute(select(event_batch).where(event_batch.c.id == taken.batch_id)).one()
    assert ("retry", wire.SINGLE, 1) == (row.channel, row.media_type, row.accepted_count)


def test_an_event_that_is_put_right_keeps_its_id(session: Session) -> None:
    """A rejected id was never taken."""
    platform = strict(session)
    receive(session, platform, batch(known("e-1", quantity=1.5)))
    (held,) = kept(session, platform)

    wrong = retry(session, platform, held, known("e-1", time="soon", quantity=2))
    (tried,) = kept(session, platform)
    right = retry(session, platform, held, known("e-1", quantity=2))

    assert (["/time"], 1) == (
        [one.pointer for one in wrong.rejected[0].errors],
        right.accepted_count,
    )
    assert (held.errors, LATER) == (tried.errors, tried.tried_at)
    assert ["retried"] == [one.state for one in kept(session, platform)]
    acts = [one for one in trail.listing(session, platform.id) if one.act == "quarantine.retry"]
    assert [(0, 1), (1, 0)] == [
        ((one.after or {})["accepted"], (one.after or {})["rejected"]) for one in acts
    ]


def test_what_can_never_be_taken_as_it_is_asks_to_be_put_right(session: Session) -> None:
    """Unreadable bytes and events that are too large; put right, they are taken."""
    platform = strict(session)
    body = b"rubbish\n" + json.dumps(known("e-1") | {"pad": "x" * wire.ITEM_BYTES_MAX}).encode()
    receive(session, platform, body, media_type=wire.LINES)

    for number, held in enumerate(kept(session, platform)):
        with pytest.raises(QuarantineState, match="never"):
            retry(session, platform, held)
        assert () == retry(session, platform, held, known(f"e-{number}")).rejected

    assert {"retried"} == {one.state for one in kept(session, platform)}


def test_what_is_not_open_stays_what_it_is(session: Session) -> None:
    """Neither retried nor discarded a second time, and nobody else's."""
    platform = strict(session)
    other = worlds.found(session, platform_id="other")
    receive(session, platform, batch(event("e-1"), event("e-2")))
    first, second = kept(session, platform)

    done = retries.discard(session, platform, first.id, "a test", actor=OPERATOR, now=LATER)

    assert ("discarded", "a test", None) == (done.state, done.reason, done.raw)
    for act in (
        lambda: retry(session, platform, first),
        lambda: retries.discard(session, platform, first.id, "again", actor=OPERATOR, now=LATER),
    ):
        with pytest.raises(QuarantineState, match="discarded"):
            act()
    with pytest.raises(NotFound):
        retry(session, other, second)
    with pytest.raises(NotFound):
        retries.discard(session, platform, ids.new(NOW), "none", actor=OPERATOR, now=LATER)
    assert 1 == quarantine.totals(session, platform.id).open_count
    assert ["quarantine.discard"] == [
        one.act for one in trail.listing(session, platform.id) if one.act.startswith("quarantine")
    ]


def test_a_discarded_event_does_not_come_back_with_the_same_bytes(session: Session) -> None:
    """Its row stays as it is, also when it is rejected for another reason by now."""
    platform = strict(session)
    body = batch(event("e-1", creator="new", time="2026-11-20T05:30:00Z"))
    receive(session, platform, body)
    (held,) = kept(session, platform)
    retries.discard(session, platform, held.id, "a test", actor=OPERATOR, now=NOW)

    receive(session, platform, body, now=LATER)

    assert [("discarded", "in_future")] == [(one.state, one.code) for one in kept(session, platform)]


def test_many_are_retried_in_one_act(session: Session) -> None:
    """Of one code, oldest first; those that are rejected again stay open and are last the next time."""
    platform = strict(session)
    for number in range(3):
        events = [event(f"e-{number}-{creator}", creator=creator) for creator in ("new", "other")]
        receive(session, platform, batch(*events, {"id": "bad"}), now=NOW + timedelta(seconds=number))
    creators.ensure(session, platform.id, ["new"], now=NOW)

    done = retries.retry_many(session, platform, "unknown_creator", actor=OPERATOR, now=LATER)

    assert (6, 3, 1) == (done.tried_count, done.retried_count, len(done.receipts))
    assert {"e-0-new", "e-1-new", "e-2-new"} == {
        one.event_id for one in kept(session, platform, state="retried")
    }
    assert {LATER} == {one.tried_at for one in kept(session, platform, state="open", code="unknown_creator")}
    assert [None] * 3 == [one.tried_at for one in kept(session, platform, code="invalid")]
    nothing = retries.retry_many(session, platform, "too_old", actor=OPERATOR, now=LATER)
    assert (0, 0, ()) == (nothing.tried_count, nothing.retried_count, nothing.receipts)


def test_more_than_one_body_holds_are_retried_as_several_batches(session: Session) -> None:
    """Each within the limits of intake."""
    platform = strict(session)
    events = [
        event(f"e-{n}", creator="new") | {f"pad{k}": "x" * 1_000 for k in range(40)} for n in range(150)
    ]
    receive(session, platform, batch(*events))
    receive(session, platform, batch(*(one | {"id": f"{one['id']}-b"} for one in events)))
    creators.ensure(session, platform.id, ["new"], now=NOW)

    done = retries.retry_many(session, platform, "unknown_creator", actor=OPERATOR, now=LATER)

    assert (300, 300) == (done.tried_count, done.retried_count)
    assert 2 == len(done.receipts)
    assert Totals(0, 0, 0) == quarantine.totals(session, platform.id)


def test_what_a_seal_finds_in_conflict_is_kept_with_both_fingerprints(
    database: Database, tmp_path: Path
) -> None:
    """The later event as it was sent, the place of the first, and nothing twice when the seal runs again."""
    platform = worlds.founded(database, period_unit="day", now=NOW - DAY)
    with db.transaction(database) as session:
        topic = replace(TYPES["view"], attributes={"topic": Attribute("string")})
        types.define(session, platform.id, [topic], currency="VND", pointers=[""], actor=OPERATOR, now=NOW)
    lake = worlds.lake_in(tmp_path / "lake")
    first = worlds.send(database, platform, on_19("other"), on_19("e-1"))
    second = worlds.send(
        database, platform, on_19("e-1", actor=None, quantity=7, attributes={"topic": "nhạc"}), on_19("e-1")
    )
    period = worlds.seal(database, platform, "2026-11-19")

    for _ in range(2):
        sealing.settle(database, lake, platform, period, now=LATER)

    with db.transaction(database) as session:
        (held,) = kept(session, platform)
        totals = quarantine.totals(session, platform.id)
    assert ("open", "conflict", "app", "e-1", second.batch_id, 0) == (
        held.state,
        held.code,
        held.source,
        held.event_id,
        held.batch_id,
        held.position,
    )
    data = {"creator": "c-1", "content": "v-1", "quantity": 7, "attributes": {"topic": "nhạc"}}
    assert held.raw is not None
    assert on_19("e-1") | {"data": data} == json.loads(held.raw)
    assert held.conflict is not None
    assert (str(first.batch_id), 1) == (held.conflict["first_batch_id"], held.conflict["first_index"])
    assert 32 == len(held.conflict["fingerprint"]) == len(held.conflict["first_fingerprint"])
    assert held.conflict["fingerprint"] != held.conflict["first_fingerprint"]
    assert Totals(1, len(held.raw), 0) == totals


def on_19(event_id: str, **changes: Any) -> dict[str, Any]:
    """Make an event of 19 November."""
    return event(event_id, **{"time": "2026-11-19T05:00:00Z", **changes})


def test_a_conflict_is_retried_under_another_id_only(database: Database, tmp_path: Path) -> None:
    """Under the same one it would be in conflict again."""
    platform = worlds.founded(database, period_unit="day", now=NOW - DAY)
    worlds.send(database, platform, on_19("e-1"))
    worlds.send(database, platform, on_19("e-1", quantity=7))
    period = worlds.seal(database, platform, "2026-11-19")
    sealing.settle(database, worlds.lake_in(tmp_path), platform, period, now=LATER)

    with db.transaction(database) as session:
        (held,) = kept(session, platform)
        with pytest.raises(QuarantineState, match="put right"):
            retry(session, platform, held)
        with pytest.raises(Invalid) as fault:
            retry(session, platform, held, on_19("e-1", quantity=7))
        receipt = retry(session, platform, held, on_19("e-2", quantity=7))
        states = [one.state for one in kept(session, platform)]

    assert ["/event/id"] == [one.pointer for one in fault.value.errors]
    assert ((), ["retried"]) == (receipt.rejected, states)


def test_the_open_events_of_a_span_are_counted_by_their_own_time(session: Session) -> None:
    """One without a time counts when it was received; what is not open does not count."""
    platform = strict(session)
    at_four = event("e-1", time="2026-11-20T04:00:00Z")
    receive(session, platform, batch(at_four, event("e-2", time="2026-11-20T03:00:00Z"), {"id": "no time"}))
    hour = Span(NOW - timedelta(hours=1), NOW)
    assert [1, 1, 0] == [
        quarantine.open_count(session, platform.id, span)
        for span in (hour, Span(NOW, LATER), Span(LATER, LATER + DAY))
    ]

    (held,) = [one for one in kept(session, platform) if one.event_id == "e-1"]
    retries.discard(session, platform, held.id, "a test", actor=OPERATOR, now=LATER)

    assert 0 == quarantine.open_count(session, platform.id, hour)


@pytest.mark.parametrize(
    ("open_count", "open_bytes", "kept_count"),
    [
        (OPEN_MAX - 3, 0, 3),
        (OPEN_MAX - 2, 0, 2),
        (OPEN_MAX + 7, 0, 0),
        (0, OPEN_BYTES_MAX - 7, 3),
        (0, OPEN_BYTES_MAX - 6, 2),
        (0, OPEN_BYTES_MAX, 0),
    ],
)
def test_beyond_the_limit_events_are_counted_and_not_kept(
    session: Session, open_count: int, open_bytes: int, kept_count: int
) -> None:
    """The receipt names every one of them all the same, and so does the log."""
    platform = strict(session)
    other = worlds.found(session, platform_id="other")
    session.execute(
        insert(quarantine_total).values(
            platform_id=platform.id, shard=3, open_count=open_count, open_bytes=open_bytes, missed_count=1
        )
    )

    receipt = receive(session, platform, b"[{},[],777]")
    receive(session, other, b"[{}]")

    assert 3 == len(receipt.rejected)
    assert kept_count == len(kept(session, platform))
    after = quarantine.totals(session, platform.id)
    assert (open_count + kept_count, 1 + 3 - kept_count) == (after.open_count, after.missed_count)
    assert 1 == len(kept(session, other))


def test_old_events_are_purged(session: Session) -> None:
    """Resolved ones after 90 days, open ones after 400, not a microsecond earlier."""
    platform = strict(session)
    receive(session, platform, batch(event("open"), event("gone")))
    (gone,) = [one for one in kept(session, platform) if one.event_id == "gone"]
    retries.discard(session, platform, gone.id, "a test", actor=OPERATOR, now=LATER)
    instant = timedelta(microseconds=1)

    def purged(now: Any) -> tuple[bool, int]:
        return quarantine.has_old(session, platform.id, now), quarantine.purge(session, platform.id, now)

    assert [(False, 0), (True, 1), (False, 0), (True, 1), (False, 0)] == [
        purged(now)
        for now in (
            LATER + RESOLVED_KEPT,
            LATER + RESOLVED_KEPT + instant,
            NOW + OPEN_KEPT,
            NOW + OPEN_KEPT + instant,
            NOW + 10 * OPEN_KEPT,
        )
    ]
    assert ([], Totals(0, 0, 0)) == (kept(session, platform), quarantine.totals(session, platform.id))


def test_a_list_is_filtered_and_goes_on_where_it_ended(session: Session) -> None:
    """By state, code and batch; in the order in which events were received."""
    platform = strict(session)
    first = receive(session, platform, batch(event("a"), event("b"), {"id": "c"}))
    receive(session, platform, batch(event("d")), now=LATER)
    held = quarantine.listing(session, platform.id, limit=10)
    retries.discard(session, platform, held[0].id, "a test", actor=OPERATOR, now=LATER)

    def shown(**filters: Any) -> list[Any]:
        return [one.id for one in quarantine.listing(session, platform.id, limit=10, **filters)]

    assert [one.id for one in held] == shown()
    assert [held[0].id] == shown(state="discarded")
    assert [one.id for one in held[1:]] == shown(state="open")
    assert [one.id for one in held if one.code == "invalid"] == shown(code="invalid")
    assert [one.id for one in held[:3]] == shown(batch_id=first.batch_id)
    pages: list[Any] = []
    after = None
    while page := quarantine.listing(session, platform.id, after=after, limit=2):
        pages += [one.id for one in page]
        after = (page[-1].received_at, page[-1].id)
    assert [one.id for one in held] == pages


def test_the_overview_is_of_all_platforms(session: Session) -> None:
    """How many wait, and since when."""
    assert (0, None) == quarantine.overview(session)
    platform, other = strict(session), worlds.found(session, platform_id="other")
    receive(session, platform, b"[{}]", now=LATER)
    receive(session, other, b"[{},7]")

    assert (3, NOW) == quarantine.overview(session)


ACTS = st.lists(
    st.tuples(st.sampled_from(["send", "retry", "discard", "retry_many", "register"]), st.integers(0, 4)),
    max_size=12,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=ACTS)
def test_the_totals_are_those_of_the_open_rows_whatever_is_done(session: Session, acts: Any) -> None:
    """Law: in any order of sending, sending again, retrying and discarding; accepted means retried."""
    savepoint = session.begin_nested()
    platform = strict(session)
    did: dict[str, Callable[[int], object]] = {
        "send": lambda n: receive(
            session, platform, batch(event(f"e-{n}", creator=f"c-{n}"), known("x", quantity=n / 2))
        ),
        "register": lambda n: creators.ensure(session, platform.id, [f"c-{n}"], now=NOW),
        "retry": lambda n: [
            retry(session, platform, one) for one in kept(session, platform, state="open")[n : n + 1]
        ],
        "discard": lambda n: [
            retries.discard(session, platform, one.id, "x", actor=OPERATOR, now=LATER)
            for one in kept(session, platform, state="open")[n : n + 1]
        ],
        "retry_many": lambda _: retries.retry_many(
            session, platform, "unknown_creator", actor=OPERATOR, now=LATER
        ),
    }

    for act, number in acts:
        did[act](number)

    rows = session.execute(
        select(
            func.count(),
            func.coalesce(func.sum(func.octet_length(quarantine_table.c.raw)), 0),
        ).where(quarantine_table.c.state == "open")
    ).one()
    assert Totals(*rows, 0) == quarantine.totals(session, platform.id)
    assert all((one.retry_batch_id is None) == (one.state != "retried") for one in kept(session, platform))
    savepoint.rollback()


def test_compaction_takes_what_a_retry_brought(database: Database, tmp_path: Path) -> None:
    """It is a batch like others: in the log, in the lake, counted once."""
    platform = worlds.founded(database, unknown_creators="reject")
    worlds.send(database, platform, event("e-1", creator="new"))
    with db.transaction(database) as session:
        creators.ensure(session, platform.id, ["new"], now=NOW)
        (held,) = kept(session, platform)
        retry(session, platform, held)
    lake = worlds.lake_in(tmp_path)

    compaction.run(database, lake, platform.id, now=LATER)

    assert [("e-1", "new")] == worlds.raw_rows(database, lake, platform, "id, creator")
