"""A backfill over HTTP, from its beginning to its commit, and what it refuses."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from service.core.spans import parse_instant, to_text
from service.events import wire
from tests.api.client import Client
from tests.api.story import body, tick
from tests.api.world import World

SPAN = {"from": "2025-03-01", "until": "2025-04-30T17:00:00Z"}
HEADERS = {"Content-Type": wire.BATCH}


def _rulebook(client: Client) -> str:
    found: str = body(client.get("/v1/rulebooks"))["items"][0]["sha256"]
    return found


def _begin(client: Client, **changes: Any) -> dict[str, Any]:
    wanted = {**SPAN, "rulebook": _rulebook(client), "reason": "old system", "as": "chi", **changes}
    return body(client.post("/v1/backfills", wanted))


def _stage(client: Client, backfill_id: str, *events: dict[str, Any]) -> Any:
    data = json.dumps(events).encode()
    path = f"/v1/events?backfill={backfill_id}"
    return client.send("POST", path, data=data, headers=HEADERS)


def _event(event_id: str, at: datetime, creator: str = "linh") -> dict[str, Any]:
    data = {"creator": creator, "content": "video-7", "actor": "u-1", "quantity": 5}
    kind = {"specversion": "1.0", "source": "app", "type": "view"}
    return {**kind, "id": event_id, "time": to_text(at), "data": data}


def test_a_backfill_is_told_over_http(client: Client, world: World) -> None:
    """Begun, sent into, submitted, foreseen, approved by another, committed; its rulebook is pinned."""
    made = _begin(client)
    at = parse_instant(made["span"]["start_at"])
    path = f"/v1/backfills/{made['id']}"
    first = _stage(client, made["id"], _event("1", at), _event("2", at, "minh"), _event("1", at))
    again = body(_stage(client, made["id"], _event("1", at), _event("2", at, "minh"), _event("1", at)))
    outside = _stage(client, made["id"], _event("3", at - timedelta(microseconds=1)))
    assert 404 == client.get(f"{path}/preview").status_code
    submitted = body(client.post(f"{path}/submit", {"as": "chi"}))
    tick(world)
    seen = body(client.get(f"{path}/preview"))
    totals = {name: submitted["totals"][name] for name in ("accepted_count", "batches_sha256")}
    own = client.post(f"{path}/approve", {"as": "chi", **totals})
    other = client.post(f"{path}/approve", {"as": "anna", **totals, "accepted_count": 4})
    approved = body(client.post(f"{path}/approve", {"as": "anna", **totals}))
    committed = body(client.post(f"{path}/commit", {"as": "binh"}))
    twice = client.post(f"{path}/commit", {"as": "binh"})

    assert (200, True, 207) == (first.status_code, again["replayed"], outside.status_code)
    assert [("no_period", "/time")] == [
        (one["code"], one["errors"][0]["pointer"])
        for one in json.loads(outside.data)["items"]
        if one["verdict"] == "rejected"
    ]
    assert {"from": "2025-02-28T17:00:00Z", "until": "2025-04-30T17:00:00Z"} == {
        "from": made["span"]["start_at"],
        "until": made["span"]["end_at"],
    }
    assert (3, 1, True) == (
        submitted["totals"]["accepted_count"],
        submitted["totals"]["rejected_count"],
        submitted["is_frozen"],
    )
    assert [("2025-03", 2, 1, "10"), ("2025-04", 0, 0, "0")] == [
        (
            one["period"],
            one["counted_count"],
            sum(each["duplicate_within"] for each in one["events"]),
            one["points"],
        )
        for one in seen["periods"]
    ]
    assert ["linh", "minh"] == [one["creator"] for one in seen["creators"]]
    assert [(403, "same-person"), (409, "backfill-changed"), (409, "backfill-state")] == [
        _problem(one) for one in (own, other, twice)
    ]
    assert ("approved", "staff:anna", "committed", "staff:binh") == (
        approved["state"],
        approved["approved_by"],
        committed["state"],
        committed["committed_by"],
    )
    pinned = body(client.get("/v1/rulebooks"))["items"][0]["pinned"]
    assert [made["id"]] * 2 == [one["backfill"] for one in pinned]
    period = body(client.get("/v1/periods/2025-03"))
    assert (True, "open") == (period["is_historic"], period["state"])


def _problem(response: Any) -> tuple[int, str]:
    return response.status_code, json.loads(response.data)["type"].removeprefix("/problems/")


def test_a_commit_that_is_repeated_with_its_key_is_answered_again(client: Client) -> None:
    """The answer of the first one stands."""
    made = _begin(client, **{"from": "2025-06-01", "until": "2025-07-01"})
    path = f"/v1/backfills/{made['id']}"
    _stage(client, made["id"], _event("k", parse_instant(made["span"]["start_at"])))
    totals = body(client.post(f"{path}/submit", {"as": "chi"}))["totals"]
    named = {name: totals[name] for name in ("accepted_count", "batches_sha256")}
    body(client.post(f"{path}/approve", {"as": "anna", **named}))
    answers = [client.post(f"{path}/commit", {"as": "binh"}, idempotency_key="once") for _ in range(2)]

    assert [None, "true"] == [one.headers.get("Idempotent-Replay") for one in answers]
    assert answers[0].data == answers[1].data


def test_a_backfill_that_was_dropped_keeps_its_record(client: Client) -> None:
    """It is listed with its totals, and found by its state."""
    made = _begin(client)
    _stage(client, made["id"], _event("d", parse_instant(made["span"]["start_at"])))
    dropped = body(client.post(f"/v1/backfills/{made['id']}/drop", {"as": "chi"}))
    listed = body(client.get("/v1/backfills", state="dropped"))["items"]

    assert ("dropped", 1) == (dropped["state"], dropped["totals"]["accepted_count"])
    assert [dropped] == listed
    assert dropped == body(client.get(f"/v1/backfills/{made['id']}"))
    assert (409, "backfill-state") == _problem(client.post(f"/v1/backfills/{made['id']}/preview"))


@pytest.mark.parametrize(
    ("changes", "status", "slug", "pointer"),
    [
        ({"from": "2025-04-31"}, 422, "invalid-input", "/from"),
        ({"until": "2025-03-01"}, 422, "invalid-input", "/until"),
        ({"until": "2199-01-01"}, 422, "invalid-input", "/until"),
        ({"rulebook": "0" * 64}, 422, "invalid-input", "/rulebook"),
        ({"reason": "   "}, 422, "invalid-input", "/reason"),
        ({"as": "anna"}, 403, "role-missing", None),
        ({"as": "nobody"}, 404, "not-found", None),
    ],
)
def test_a_backfill_that_cannot_begin_says_why(
    client: Client, changes: dict[str, Any], status: int, slug: str, pointer: str | None
) -> None:
    """With the pointer of what is wrong."""
    wanted = {**SPAN, "rulebook": _rulebook(client), "reason": "x", "as": "chi", **changes}
    response = client.post("/v1/backfills", wanted)

    assert (status, slug) == _problem(response)
    errors = json.loads(response.data).get("errors", [])
    assert [pointer] * len(errors) == [one["pointer"] for one in errors]


def test_the_present_period_takes_no_backfill(client: Client, world: World) -> None:
    """The problem names it."""
    start_at = body(client.get(f"/v1/periods/{world.present_period}"))["span"]["start_at"]
    until = to_text(parse_instant(start_at) + timedelta(microseconds=1))
    wanted = {"from": start_at, "until": until, "rulebook": _rulebook(client), "reason": "x", "as": "chi"}
    response = client.post("/v1/backfills", wanted)

    assert (409, "backfill-span") == _problem(response)
    assert world.present_period == json.loads(response.data)["period"]
