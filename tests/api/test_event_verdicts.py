"""What became of events and batches, over HTTP: for the platform, and for creators on their own content."""

import json
from datetime import timedelta
from typing import Any

import pytest

from service.calendar import periods
from service.core.spans import to_text
from service.events import wire
from service.runtime import db
from tests.api.client import Client
from tests.api.story import Story, body, tell
from tests.api.world import CHILD, PLATFORM, World


@pytest.fixture(scope="module")
def story(client: Client, world: World) -> Story:
    """Tell the story once, and send three more batches: one event left out, one repeated, some rejected."""
    with db.transaction(world.system.database) as session:
        start_at = periods.get(session, PLATFORM, world.past_period).span.start_at
    at = to_text(start_at + timedelta(hours=1))
    send(
        client, event("own", at, creator="linh", actor="linh"), event("own", at, creator="linh", actor="linh")
    )
    send(client, event("own", at, creator="linh", actor="u-2"), event("no-one", at, creator="nobody"))
    return tell(client, world)


def event(event_id: str, at: str, *, creator: str, actor: str = "u-1") -> dict[str, Any]:
    """Write a view of a creator's content."""
    data = {"creator": creator, "content": "video-9", "actor": actor}
    return {"specversion": "1.0", "id": event_id, "source": "app", "type": "view", "time": at, "data": data}


def send(client: Client, *events: dict[str, Any]) -> dict[str, Any]:
    """Send a batch; give its receipt."""
    response = client.send(
        "POST", "/v1/events", data=json.dumps(events).encode(), headers={"Content-Type": wire.BATCH}
    )
    return dict(body(response))


def look_up(client: Client, event_id: str, **query: str) -> dict[str, Any]:
    """Ask what became of an event of the app."""
    return dict(body(client.get("/v1/events", source="app", id=event_id, **query)))


def test_an_event_that_counts_says_where(client: Client, world: World, story: Story) -> None:
    """Its batch, its place, its period; and what was sent."""
    found = look_up(client, "e-1", day=day_of(world))

    (one,) = found["occurrences"]
    assert ("counted", "counted") == (found["verdict"], one["verdict"])
    assert (story.receipt["batch_id"], 1) == (one["batch"], one["index"])
    assert [world.past_period] * 2 == [one["settled_in"], one["origin_period"]]
    assert ("linh", "u-1", 40) == (one["event"]["creator"], one["event"]["actor"], one["event"]["quantity"])
    assert {"day": day_of(world), "periods": [world.past_period], "log_batches": 0, "is_complete": True} == (
        found["searched"]
    )


def day_of(world: World) -> str:
    """Name the first local day of the past period."""
    with db.transaction(world.system.database) as session:
        period = periods.get(session, PLATFORM, world.past_period)
    return (period.span.start_at + timedelta(hours=7)).date().isoformat()


def test_every_sending_of_an_event_is_listed_with_its_verdict(
    client: Client, world: World, story: Story
) -> None:
    """Left out by a clause, in the rulebook's words; a repeat; a contradiction with both fingerprints."""
    found = look_up(client, "own", day=day_of(world))

    first, repeat, conflict = found["occurrences"]
    assert ["filtered", "duplicate", "conflict"] == [one["verdict"] for one in found["occurrences"]]
    assert "filtered" == found["verdict"]
    assert "self_engagement" == first["clause"]["key"]
    assert {"vi": "Tự tương tác", "en": "Engaging with oneself"} == {
        locale: words["title"] for locale, words in first["clause"]["words"].items()
    }
    assert story.rulebook == first["clause"]["rulebook"]["sha256"]
    place = {"batch": first["batch"], "index": 0, "fingerprint": first["fingerprint"]}
    assert [place, place] == [repeat["first"], conflict["first"]]
    assert first["fingerprint"] == repeat["fingerprint"] != conflict["fingerprint"]


def test_an_event_of_the_open_period_waits(client: Client, world: World, story: Story) -> None:
    """In the log until it is compacted; found without a day."""
    at = to_text(world.now() - timedelta(minutes=1))
    receipt = send(client, event("fresh", at, creator="minh"))

    (one,) = look_up(client, "fresh")["occurrences"]

    assert ("accepted", "log", receipt["batch_id"]) == (one["verdict"], one["waits_in"], one["batch"])


def test_an_event_that_was_rejected_says_why_and_where_it_waits(
    client: Client, world: World, story: Story
) -> None:
    """On its own day, for its platform; a creator is told of none."""
    found = look_up(client, "no-one", day=day_of(world))

    (one,) = found["rejections"]
    assert ("rejected", []) == (found["verdict"], found["occurrences"])
    assert ("unknown_creator", "open", 1) == (one["code"], one["state"], one["index"])
    assert ["/data/creator"] == [error["pointer"] for error in one["errors"]]
    assert 200 == client.get(f"/v1/quarantine/{one['quarantined']}").status_code
    assert 404 == client.get("/v1/events", source="app", id="no-one", day="2026-01-01").status_code
    of_creator = client.get("/v1/creators/linh/events", source="app", id="no-one", day=day_of(world))
    assert 404 == of_creator.status_code


@pytest.mark.parametrize("query", [{}, {"day": "2026-01-01"}])
def test_an_event_that_nobody_sent_is_not_found_and_the_places_are_named(
    client: Client, story: Story, query: dict[str, str]
) -> None:
    """The remedy is in the detail."""
    response = client.get("/v1/events", source="app", id="never-sent", **query)

    problem = json.loads(response.data)
    assert (404, "/problems/event-unknown") == (response.status_code, problem["type"])
    assert {"day", "periods", "log_batches", "is_complete"} == set(problem["searched"])
    assert query.get("day") == problem["searched"]["day"]


@pytest.mark.parametrize(
    "query",
    [
        {"source": "app"},
        {"id": "e-1"},
        {"source": "app", "id": "e-1", "day": "2026-02-30"},
        {"source": "app", "id": "e-1", "day": "yesterday"},
        {"source": "app", "id": "e" * 65},
        {"source": "", "id": "e-1"},
    ],
)
def test_a_question_that_is_none_is_refused(client: Client, story: Story, query: dict[str, str]) -> None:
    """With the parameter named."""
    response = client.get("/v1/events", **query)

    problem = json.loads(response.data)
    assert (422, "/problems/parameter-invalid") == (response.status_code, problem["type"])


def test_another_platform_s_event_is_not_found(client: Client, world: World, story: Story) -> None:
    """Not even by the platform below, nor by the one above for the one below."""
    response = client.get("/v1/events", source="app", id="e-1", day=day_of(world), platform=CHILD)

    assert 404 == response.status_code


def test_a_creator_sees_events_on_own_content_without_actors(
    client: Client, world: World, story: Story
) -> None:
    """linh's event is linh's; to minh it is as if it were not there."""
    path, query = "/v1/creators/{}/events", {"source": "app", "id": "e-1", "day": day_of(world)}
    own = body(client.get(path.format("linh"), **query))
    others = client.get(path.format("minh"), **query)
    nobody = client.get(path.format("minh"), **query | {"id": "never-sent"})

    assert "counted" == own["verdict"]
    assert "actor" not in own["occurrences"][0]["event"]
    assert 404 == others.status_code == nobody.status_code
    alike = [
        {**json.loads(one.data), "request_id": "", "detail": "", "instance": ""} for one in (others, nobody)
    ]
    assert alike[0] == alike[1]
    assert 404 == client.get(path.format("nobody"), **query).status_code


def test_a_batch_says_what_became_of_each_item(client: Client, world: World, story: Story) -> None:
    """Page by page, with the counts of the whole."""
    path = f"/v1/event-batches/{look_up(client, 'own', day=day_of(world))['occurrences'][2]['batch']}"
    first = body(client.get(path, limit=1))
    second = body(client.get(path, limit=1, cursor=first["next"]))

    assert {"conflict": 1, "rejected": 1} == first["verdicts"] == second["verdicts"]
    assert {"items": 2, "accepted": 1, "rejected": 1, "replayed": 0} == first["counts"]
    assert None is second["next"]
    conflict, rejected = first["items"][0], second["items"][0]
    assert ("own", "conflict", world.past_period) == (
        conflict["id"],
        conflict["verdict"],
        conflict["settled_in"],
    )
    assert ("no-one", "rejected", "unknown_creator") == (
        rejected["id"],
        rejected["verdict"],
        rejected["code"],
    )
    assert "/data/creator" == rejected["errors"][0]["pointer"]


def test_batches_are_listed_in_order_and_by_time(client: Client, world: World, story: Story) -> None:
    """With the counts of their receipts; half-open in time."""
    whole = body(client.get("/v1/event-batches"))["items"]
    first = body(client.get("/v1/event-batches", limit=1))
    rest = body(client.get("/v1/event-batches", cursor=first["next"]))["items"]
    received_at = whole[1]["received_at"]
    before = body(client.get("/v1/event-batches", until=received_at))["items"]
    since = body(client.get("/v1/event-batches", **{"from": received_at}))["items"]

    assert whole == [*first["items"], *rest] == [*before, *since]
    assert 1 == len(before)
    assert [one["received_at"] for one in whole] == sorted(one["received_at"] for one in whole)
    assert story.receipt["batch_id"] in {one["id"] for one in whole}


def test_a_batch_of_another_platform_is_not_found(client: Client, story: Story) -> None:
    """As if it were not there."""
    path = f"/v1/event-batches/{story.receipt['batch_id']}"

    assert 404 == client.get(path, platform=CHILD).status_code


def test_a_period_says_how_many_events_it_settled(client: Client, world: World, story: Story) -> None:
    """By verdict, what the rulebook left out included; null before."""
    closed = body(client.get(f"/v1/periods/{world.past_period}"))
    present = body(client.get(f"/v1/periods/{world.present_period}"))

    assert {"counted": 3, "late": 0, "filtered": 1, "duplicate": 1, "conflict": 1, "voided": 0} == closed[
        "verdicts"
    ]
    assert None is present["verdicts"]
