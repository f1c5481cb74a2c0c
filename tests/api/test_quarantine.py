"""Quarantine over HTTP: listed, read, retried, discarded."""

import base64
import json
from typing import Any

from werkzeug.test import TestResponse

from service.events import wire
from tests.api.client import Client
from tests.api.world import CHILD, World


def body(response: TestResponse) -> Any:
    """Read a good answer."""
    assert response.status_code < 300, response.text
    return json.loads(response.data)


def event(world: World, event_id: str, **data: Any) -> dict[str, Any]:
    """Make an event of the present."""
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": "app",
        "type": "view",
        "time": world.now().isoformat(),
        "data": {"creator": "linh", **data},
    }


def send(client: Client, *events: Any) -> Any:
    """Send a batch and read its receipt."""
    response = client.send(
        "POST", "/v1/events", headers={"Content-Type": wire.BATCH}, data=json.dumps(events).encode()
    )
    return body(response)


def held(client: Client, batch_id: str) -> list[dict[str, Any]]:
    """List what a batch left in quarantine."""
    items: list[dict[str, Any]] = body(client.get("/v1/quarantine", batch=batch_id))["items"]
    return items


def test_a_rejected_event_is_found_put_right_and_taken(client: Client, world: World) -> None:
    """The receipt of the retry is one like others; the bytes are gone when it is taken."""
    wrong = event(world, "fix-me", quantity="2")
    receipt = send(client, event(world, "good"), wrong)

    (found,) = held(client, receipt["batch_id"])
    read = body(client.get(f"/v1/quarantine/{found['id']}"))
    wrong_again = body(client.post(f"/v1/quarantine/{found['id']}/retry"))
    done = body(
        client.post(f"/v1/quarantine/{found['id']}/retry", {"event": event(world, "fix-me", quantity=2)})
    )

    assert ("open", "invalid", 1, "fix-me") == tuple(
        found[name] for name in ("state", "code", "index", "event_id")
    )
    assert wrong == json.loads(base64.b64decode(read["content_base64"]))
    assert {"accepted": 0, "rejected": 1} == wrong_again["receipt"]["counts"]
    assert "open" == wrong_again["quarantined"]["state"]
    assert {"accepted": 1, "rejected": 0} == done["receipt"]["counts"]
    assert ("retried", done["receipt"]["batch_id"], None) == tuple(
        done["quarantined"][name] for name in ("state", "retry_batch_id", "content_base64")
    )
    assert 409 == client.post(f"/v1/quarantine/{found['id']}/retry").status_code


def test_a_retry_is_done_once_for_its_key(client: Client, world: World) -> None:
    """The same request with the same key has the same answer."""
    receipt = send(client, event(world, "once", quantity="2"))
    (found,) = held(client, receipt["batch_id"])
    path, fixed = f"/v1/quarantine/{found['id']}/retry", {"event": event(world, "once")}

    first = client.post(path, fixed, idempotency_key="retry-once")
    second = client.post(path, fixed, idempotency_key="retry-once")

    assert body(first) == body(second)
    assert "true" == second.headers["Idempotent-Replay"]


def test_all_of_a_code_are_retried_when_its_reason_is_gone(client: Client, world: World) -> None:
    """The type was missing, and is there now."""
    events = [event(world, f"wave-{number}") | {"type": "hello"} for number in range(3)]
    receipt = send(client, *events)
    body(client.put("/v1/event-types/hello", {"actor": "optional", "quantity_min": 0, "quantity_max": 9}))

    done = body(client.post("/v1/quarantine/retry", {"code": "unknown_type"}))

    assert (3, 3) == (done["tried_count"], done["retried_count"])
    assert [(3, 0)] == [(one["accepted_count"], one["rejected_count"]) for one in done["batches"]]
    assert {"retried"} == {one["state"] for one in held(client, receipt["batch_id"])}
    assert 422 == client.post("/v1/quarantine/retry", {"code": "too_large"}).status_code


def test_a_discarded_event_says_why_and_by_whom(client: Client, world: World) -> None:
    """And is in the list of discarded ones only; another platform does not see it."""
    receipt = send(client, event(world, "junk", quantity="2"))
    (found,) = held(client, receipt["batch_id"])

    done = body(client.post(f"/v1/quarantine/{found['id']}/discard", {"reason": "A test."}))

    assert ("discarded", "A test.", "key") == (
        done["state"],
        done["reason"],
        done["resolved_by"].partition(":")[0],
    )
    in_state = {
        state: [one["id"] for one in body(client.get("/v1/quarantine", state=state))["items"]]
        for state in ("open", "discarded")
    }
    assert found["id"] in in_state["discarded"]
    assert found["id"] not in in_state["open"]
    assert [] == body(client.get("/v1/quarantine", platform=CHILD))["items"]
    assert 404 == client.get(f"/v1/quarantine/{found['id']}", platform=CHILD).status_code


def test_pages_show_every_event_once(client: Client, world: World) -> None:
    """Many are received in one instant."""
    receipt = send(client, *({"id": f"page-{number}"} for number in range(7)))
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = body(client.get("/v1/quarantine", batch=receipt["batch_id"], limit=3, **cursor))
        seen += [one["event_id"] for one in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}

    assert {f"page-{number}" for number in range(7)} == set(seen)
    assert 7 == len(seen)
    assert page["open_count"] >= 7
    assert 0 == page["missed_count"]
