"""Calls: what is sent, what is sent again, and what is raised."""

import ast
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from benefit_ledger_client import BadEvent, EventsRejected, Problem, Unavailable, event
from benefit_ledger_client import events as batches
from tests.client import ledger as ledgers
from tests.client.ledger import Ledger, says

NOW = datetime(2026, 11, 21, 6, 0, tzinfo=UTC)
ROOT = Path(__file__).parents[2]


def an_event(event_id: str = "e-1", creator: str = "linh") -> dict[str, object]:
    """Make an event."""
    return event(id=event_id, source="app", type="view", time=NOW, creator=creator)


def some_events(count: int) -> list[dict[str, object]]:
    """Make events e-0, e-1, ..."""
    return [an_event(f"e-{number}") for number in range(count)]


def ids(count: int) -> list[str]:
    """Name the events of `some_events`."""
    return [f"e-{number}" for number in range(count)]


def test_the_client_imports_nothing_of_the_service() -> None:
    """It is of use where the service is not installed."""
    for path in (ROOT / "client").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] in {"service", "tests", "bench"}], path


def test_events_are_posted_in_one_batch(ledger: Ledger) -> None:
    """And the receipt says so."""
    with ledger.client() as client:
        (receipt,) = client.post(some_events(3))

    assert ids(3) == ledger.events
    assert (3, (), False) == (receipt.accepted_count, receipt.rejected, receipt.is_replay)
    _, path, headers = ledger.requests[0]
    assert ("/v1/events", "Bearer key") == (path, headers["Authorization"])
    assert ("application/x-ndjson", "zstd") == (headers["Content-Type"], headers["Content-Encoding"])


@pytest.mark.parametrize(
    ("codings", "tried"), [(("gzip", ""), ["zstd", "gzip", "gzip"]), (("",), ["zstd", "gzip", None, None])]
)
def test_a_service_that_does_not_unpack_is_sent_what_it_reads(
    ledger: Ledger, codings: tuple[str, ...], tried: list[str | None]
) -> None:
    """It is asked once; the bytes that are packed stay the same."""
    ledger.codings = codings

    with ledger.client() as client:
        client.post(some_events(1))
        client.post([an_event("e-2")])

    assert tried == [headers.get("Content-Encoding") for _, _, headers in ledger.requests]
    assert ["e-0", "e-2"] == ledger.events


@pytest.mark.parametrize(
    "deed",
    [
        ledgers.drops,
        ledgers.drops_afterwards,
        ledgers.cuts_its_answer,
        says(503, Retry_After="0"),
        says(503),
        says(429, Retry_After="0"),
        says(408),
        says(500),
        says(502, b"<html>"),
        says(504),
        says(200, b"<html>a portal</html>"),
        says(200, b"{}"),
        says(207, b'{"sha256": "00", "counts": {"accepted": 2}, "items": [], "batch_id": "1"}'),
    ],
)
def test_what_may_pass_is_tried_again_with_the_same_bytes(ledger: Ledger, deed: ledgers.Deed) -> None:
    """Whether the batch was taken or not: it is taken once."""
    ledger.deeds += [deed, deed]

    with ledger.client() as client:
        (receipt,) = client.post(some_events(2))

    assert 2 == receipt.accepted_count
    assert ids(2) == ledger.events
    assert 3 == len(ledger.bodies)
    assert 1 == len(set(ledger.bodies))


@pytest.mark.parametrize("deed", [ledgers.stalls, ledgers.trickles])
def test_a_service_that_is_too_slow_is_asked_again(ledger: Ledger, deed: ledgers.Deed) -> None:
    """A silent one and one that sends a byte at a time."""
    ledger.deeds.append(deed)

    with ledger.client(answer_timeout_s=0.3) as client:
        client.post(some_events(2))

    assert ids(2) == ledger.events
    assert 2 == len(ledger.bodies)


@pytest.mark.parametrize("status", [301, 307, 401, 403, 404, 409])
def test_a_refusal_is_not_tried_again(ledger: Ledger, status: int) -> None:
    """And the key is shown to nobody whom the service points to."""
    ledger.always = says(
        status, b'{"type": "/problems/x", "detail": "No."}', Location="http://127.0.0.1:1/v1/events"
    )

    with ledger.client() as client, pytest.raises(Problem, match="No") as caught:
        client.post(some_events(1))

    assert (status, "/problems/x") == (caught.value.status, caught.value.document["type"])
    assert 1 == len(ledger.bodies)


@pytest.mark.parametrize("status", [400, 422])
def test_a_batch_that_is_refused_as_a_whole_is_raised_with_its_events(ledger: Ledger, status: int) -> None:
    """Nothing of it is dropped unseen."""
    ledger.always = says(status, b'{"detail": "Not so."}')

    with ledger.client() as client, pytest.raises(EventsRejected, match="Not so") as caught:
        client.post(some_events(2))

    assert [("e-0", "refused"), ("e-1", "refused")] == [(one.id, one.code) for one in caught.value.rejected]
    assert 1 == len(ledger.bodies)


def test_rejected_events_are_raised_with_place_reason_and_content(ledger: Ledger) -> None:
    """The others are received."""
    ledger.is_bad = lambda one: one["data"]["creator"] == "nobody"

    with ledger.client() as client, pytest.raises(EventsRejected, match="e-2 at 1") as caught:
        client.post([an_event("e-1"), an_event("e-2", "nobody"), an_event("e-3")])

    (one,) = caught.value.rejected
    assert (1, "e-2", "unknown_creator", "batch-0") == (one.index, one.id, one.code, one.batch_id)
    assert ({"pointer": "/data/creator", "detail": "There is none."},) == one.errors
    assert "nobody" == one.event["data"]["creator"]
    assert ["e-1", "e-3"] == ledger.events


def test_a_batch_that_is_too_large_is_halved_until_it_is_taken(ledger: Ledger) -> None:
    """In order."""
    ledger.always = ledgers.limits_to(2)

    with ledger.client() as client:
        receipts = client.post(some_events(7))

    assert ids(7) == ledger.events
    assert [1, 2, 2, 2] == [one.accepted_count for one in receipts]


def test_one_event_that_is_too_large_is_raised(ledger: Ledger) -> None:
    """It cannot be halved."""
    ledger.always = ledgers.limits_to(0)

    with ledger.client() as client, pytest.raises(EventsRejected, match="Send fewer"):
        client.post(some_events(1))


def test_many_events_are_cut_into_batches_that_the_service_takes(ledger: Ledger) -> None:
    """10,000 at most."""
    with ledger.client() as client:
        receipts = client.post(some_events(10_001))

    assert [10_000, 1] == [one.accepted_count for one in receipts]


def test_nothing_is_a_batch_of_its_own(ledger: Ledger) -> None:
    """No events, no call."""
    with ledger.client() as client:
        assert [] == client.post([])
    assert [] == ledger.bodies


def test_what_the_service_says_about_when_is_honoured(ledger: Ledger) -> None:
    """Seconds or a date; a pause of ours grows, and is a little different each time."""
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=500))
    ledger.deeds += [says(429, Retry_After="7"), says(503, Retry_After=soon), says(503, Retry_After="soon")]
    paused: list[float] = []

    with ledger.client(sleep=paused.append, give_up_after_s=3600) as client:
        client.post(some_events(1))

    assert 7 <= paused[0] <= 8
    assert 400 < paused[1] <= 501
    assert 0 <= paused[2] <= 30


def test_a_service_that_stays_away_is_given_up(ledger: Ledger) -> None:
    """After the time that was given, with what it said last."""
    ledger.always = says(503)

    with ledger.client(give_up_after_s=0.4) as client, pytest.raises(Unavailable, match="503"):
        client.post(some_events(1))

    assert ledger.bodies


def test_a_service_that_is_not_there_is_given_up() -> None:
    """Nobody listens on this port."""
    nobody = Ledger(url="http://127.0.0.1:1")

    with nobody.client(give_up_after_s=0.2) as client, pytest.raises(Unavailable):
        client.post(some_events(1))


def test_other_calls_are_made_under_one_idempotency_key(ledger: Ledger) -> None:
    """All attempts have the same one; another call has another."""
    ledger.deeds += [ledgers.drops, says(409, Retry_After="0")]

    with ledger.client() as client:
        answer = client.request("POST", "/v1/revenues", json={"stream": "Quảng cáo"})
        client.request("POST", "/v1/creators", json={}, query={"platform": "a.b"}, idempotency_key="mine")

    assert (201, {"got": {"stream": "Quảng cáo"}}) == (answer.status, answer.json())
    keys = [headers["Idempotency-Key"] for _, _, headers in ledger.requests]
    assert keys[0] == keys[1] == keys[2] != keys[3] == "mine"
    assert "/v1/creators?platform=a.b" == ledger.requests[3][1]


def test_another_call_that_is_refused_is_raised(ledger: Ledger) -> None:
    """With its problem."""
    ledger.always = says(422, b'{"detail": "No such stream."}')

    with ledger.client() as client, pytest.raises(Problem, match="No such stream"):
        client.request("POST", "/v1/revenues", json={})

    assert 1 == len(ledger.bodies)


@pytest.mark.parametrize(
    "one",
    [
        {"source": "app"},
        {"id": "", "source": "app"},
        {"id": 7},
        {"id": "e-1", "data": float("nan")},
        {"id": "e-1", "data": {1, 2}},
        {"id": "\ud800"},
        {"id": "e-1", "time": datetime(2026, 1, 1)},  # noqa: DTZ001 — it names no zone, which is the point.
        {"id": "e-1", "data": "x" * batches.EVENT_BYTES_MAX},
        b"",
        b" \n",
        b"[]",
    ],
)
def test_what_cannot_be_an_event_is_refused_at_once(ledger: Ledger, one: batches.Event) -> None:
    """Before anything is sent, whatever stands beside it."""
    with ledger.client() as client, pytest.raises(BadEvent):
        client.post([an_event(), one])

    assert [] == ledger.bodies


def test_an_event_is_one_line_however_it_was_written() -> None:
    """Line ends between its members are white space, and no text holds any."""
    written = json.dumps(an_event(), indent=1, default=str).replace("\n", "\r\n").encode()

    line = batches.line(written)

    assert json.loads(line) == json.loads(written)
    assert 1 == len(line.splitlines())
    assert b'"2026-11-21T06:00:00+00:00"' in batches.line(an_event())
    assert {"specversion": "1.0", "id": "e-1"} == json.loads(batches.line({"id": "e-1"}))


def test_an_event_of_64_kib_is_taken() -> None:
    """The nearest good neighbour of one that is too long."""
    empty = len(batches.line({"id": "e-1", "data": ""})) - 1
    line = batches.line({"id": "e-1", "data": "x" * (batches.EVENT_BYTES_MAX - empty)})

    assert batches.EVENT_BYTES_MAX == len(line) - 1
