"""Control totals over HTTP: recorded, superseded, compared at the close, refused after it."""

import json
from datetime import timedelta
from typing import Any

import pytest

from service.core.spans import parse_instant, to_text
from service.jobs import queue
from service.runtime import clock, db
from service.scheduler import ticker
from tests.api.client import Client
from tests.api.story import body, send_events, tick
from tests.api.world import World


@pytest.fixture
def span(client: Client, world: World) -> dict[str, str]:
    """Give the span of a period that is over."""
    found: dict[str, str] = body(client.get(f"/v1/periods/{world.past_period}"))["span"]
    return found


def _total(span: dict[str, str], count: int, quantity: str, **changes: Any) -> dict[str, Any]:
    return {"source": "app", "type": "view", **span, "count": count, "quantity": quantity, **changes}


def _problem(response: Any) -> tuple[int, str, list[str]]:
    problem = json.loads(response.data)
    errors = [one["pointer"] for one in problem.get("errors", [])]
    return response.status_code, problem["type"].removeprefix("/problems/"), errors


@pytest.mark.parametrize(
    ("changes", "status", "slug", "pointer"),
    [
        ({"type": "wave"}, 422, "invalid-input", "/totals/0/type"),
        ({"quantity": 5}, 422, "invalid-input", "/totals/0/quantity"),
        ({"quantity": "1.5"}, 422, "invalid-input", "/totals/0/quantity"),
        ({"count": -1}, 422, "invalid-input", "/totals/0/count"),
        ({"is_blocking": 1}, 422, "invalid-input", "/totals/0/is_blocking"),
        ({"end_at": "2020-01-01T00:00:00Z"}, 422, "invalid-input", "/totals/0/end_at"),
        ({"end_at": "2199-01-01T00:00:00Z"}, 422, "span-crosses-periods", "/totals/0/end_at"),
    ],
)
def test_a_total_that_cannot_be_taken_is_named(
    client: Client, span: dict[str, str], changes: dict[str, Any], status: int, slug: str, pointer: str
) -> None:
    """By the pointer of its place."""
    response = client.post("/v1/control-totals", {"totals": [_total(span, 1, "1") | changes]})

    assert (status, slug, [pointer]) == _problem(response)


def test_totals_are_compared_by_the_close(client: Client, world: World, span: dict[str, str]) -> None:
    """Linh's 60 and 40 views and Minh's 50 lie hours apart; a blocking total waits until it is superseded."""
    body(client.post("/v1/contents", {"id": "video-7", "creator": "linh"}))
    send_events(client, world)
    start_at = parse_instant(span["start_at"])
    hour = {"start_at": span["start_at"], "end_at": to_text(start_at + timedelta(hours=1))}
    totals = [
        _total(hour, 1, "60"),
        _total(span, 3, "151", is_blocking=True),
        _total(span, 9, "9", source="web"),
    ]
    made = body(client.post("/v1/control-totals", {"totals": totals}))["items"]
    path = f"/v1/periods/{world.past_period}"
    body(client.post(f"{path}/close", {"as": "chi"}))
    job = _failed_close(client, world)
    whole = body(client.post("/v1/control-totals", {"totals": [_total(span, 3, "151")]}))["items"][0]
    before = body(client.get(path))["control_totals"]
    body(client.post(f"{path}/close", {"as": "chi"}))
    tick(world)
    listed = body(client.get("/v1/control-totals", period=world.past_period))["items"]
    pages = [body(client.get("/v1/control-totals", period=world.past_period, limit=2))]
    pages.append(
        body(client.get("/v1/control-totals", period=world.past_period, limit=2, cursor=pages[0]["next"]))
    )
    late = client.post("/v1/control-totals", {"totals": totals})

    assert ("sender-totals-differ", None) == (job["fault"]["slug"], before)
    assert [made[0]["id"], made[2]["id"], whole["id"]] == [one["id"] for one in listed]
    found = [one["comparison"] for one in listed]
    assert [("matches", 1, "60", 0, "0"), ("missing", 0, "0", -9, "-9"), ("differs", 3, "150", 0, "-1")] == [
        (one["verdict"], one["count"], one["quantity"], one["count_difference"], one["quantity_difference"])
        for one in found
    ]
    assert {"matches": 1, "differs": 1, "missing": 1} == body(client.get(path))["control_totals"]
    assert listed == [one for page in pages for one in page["items"]]
    assert (409, "period-state", ["/totals/0/start_at"]) == _problem(late)


def _failed_close(client: Client, world: World) -> dict[str, Any]:
    done = ticker.tick(world.system, owner="test", now_of=clock.now)
    assert 1 == done.failed_count
    with db.transaction(world.system.database) as session:
        run = next(one for one in queue.listing(session, "demo") if one.job == "close")
    return body(client.get(f"/v1/jobs/{run.id}"))
