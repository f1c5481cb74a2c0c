"""Corrections over HTTP: sent, answered, listed, refused; the bad bodies are in test_bad_input."""

import uuid
from datetime import timedelta
from typing import Any

import pytest

from service.core.spans import to_text
from tests.api.client import Client
from tests.api.story import body
from tests.api.world import CHILD, World

TYPE = "application/cloudevents-batch+json"


@pytest.fixture
def sent(client: Client, world: World) -> list[dict[str, Any]]:
    """Send two events of new names, an hour old."""
    at = to_text(world.now() - timedelta(hours=1))
    events = [
        {
            "specversion": "1.0",
            "id": f"{uuid.uuid4().hex[:12]}",
            "source": "app",
            "type": "view",
            "time": at,
            "data": {"creator": "linh", "actor": "u-1"},
        }
        for _ in range(2)
    ]
    receipt = body(client.send("POST", "/v1/events", json=events, headers={"Content-Type": TYPE}))
    assert 2 == receipt["counts"]["accepted"]
    return events


def correct(client: Client, *corrections: dict[str, Any], **more: Any) -> Any:
    """Post corrections."""
    return client.post("/v1/corrections", {"corrections": list(corrections), **more})


def void(event: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Write a void of an event."""
    return {"kind": "void", "source": event["source"], "id": event["id"], "reason": "a robot", **more}


def replacement(event: dict[str, Any], quantity: int) -> dict[str, Any]:
    """Write a replacement that differs in its quantity."""
    other = {**event, "data": {**event["data"], "quantity": quantity}}
    return {**void(event), "kind": "replace", "event": other}


def test_corrections_are_recorded_listed_and_read(
    client: Client, world: World, sent: list[dict[str, Any]]
) -> None:
    """In a person's name, whom the trail remembers."""
    answer = correct(client, void(sent[0]), replacement(sent[1], 7), **{"as": "binh"})
    first, second = (one["correction"] for one in body(answer)["items"])

    assert (201, "staff:binh") == (answer.status_code, first["recorded_by"])
    assert ("replace", "7") == (second["kind"], second["replacement"]["quantity"])
    assert first == body(client.get(f"/v1/corrections/{first['id']}"))
    listed = body(client.get("/v1/corrections", period=first["period"], limit=200))["items"]
    assert [first, second] == [one for one in listed if one["id"] in {first["id"], second["id"]}]
    page = body(client.get("/v1/corrections", limit=1))
    assert page["next"] is not None
    assert page["items"] != body(client.get("/v1/corrections", limit=1, cursor=page["next"]))["items"]


def test_what_changes_nothing_is_answered_with_200(client: Client, sent: list[dict[str, Any]]) -> None:
    """A second void names the first; equal values name nothing."""
    (made,) = body(correct(client, void(sent[0])))["items"]

    again = correct(client, void(sent[0]), replacement(sent[1], 1))

    assert 200 == again.status_code
    assert [
        {"effect": "none", "correction": made["correction"]},
        {"effect": "none", "correction": None},
    ] == body(again)["items"]


def test_a_refusal_names_every_correction_at_fault(client: Client, sent: list[dict[str, Any]]) -> None:
    """And records none of the others."""
    unknown = {**void(sent[0]), "id": "never-sent"}
    other = replacement(sent[1], 2)
    other["event"]["data"]["creator"] = "minh"

    refused = correct(client, void(sent[0]), unknown, other)

    assert (422, "/problems/correction-refused") == (refused.status_code, refused.json["type"])
    assert [
        {"index": 1, "code": "unknown_event"},
        {"index": 2, "code": "other_creator"},
    ] == refused.json["refusals"]
    assert ["/corrections/1/id", "/corrections/2/event/data/creator"] == [
        one["pointer"] for one in refused.json["errors"]
    ]
    assert 201 == correct(client, void(sent[0])).status_code


def test_a_replacement_is_judged_as_an_event(client: Client, sent: list[dict[str, Any]]) -> None:
    """Its faults are named in their places, those of several corrections together."""
    wrong, strange = replacement(sent[0], 2), replacement(sent[1], 2)
    wrong["event"]["data"]["quantity"] = 10**12
    strange["event"]["type"] = "unheard-of"

    refused = correct(client, wrong, strange)

    assert (422, "/problems/invalid-input") == (refused.status_code, refused.json["type"])
    assert ["/corrections/0/event/data/quantity", "/corrections/1/event/type"] == [
        one["pointer"] for one in refused.json["errors"]
    ]


@pytest.mark.parametrize("day", ["2026-1-2", "2026-13-01", "20261121", "tomorrow", "", 7])
def test_a_day_that_is_none_is_refused(client: Client, sent: list[dict[str, Any]], day: Any) -> None:
    """It is written in one way only."""
    refused = correct(client, void(sent[0], day=day))

    assert ["/corrections/0/day"] == [one["pointer"] for one in refused.json["errors"]]


def test_another_platform_s_events_are_unknown(
    client: Client, world: World, sent: list[dict[str, Any]]
) -> None:
    """Not even the parent's."""
    refused = correct(client.of(world.key(CHILD)), void(sent[0]))

    assert [{"index": 0, "code": "unknown_event"}] == refused.json["refusals"]
