"""Event types over HTTP: defined, read, changed, and their schema."""

import json
from typing import Any

import jsonschema_rs
from werkzeug.test import TestResponse

from service.events import wire
from service.parties import trail
from service.runtime import db
from tests.api.client import Client
from tests.api.world import PLATFORM, World

GIFT = {"actor": "required", "unit": "gift", "quantity_min": 1, "quantity_max": 1000}
AD = {
    "kind": "attributed_revenue",
    "actor": "none",
    "quantity_min": 0,
    "quantity_max": 9_000_000_000_000_000,
    "stream": "Video ads",
    "currency": "VND",
}


def body(response: TestResponse) -> Any:
    """Read a good answer."""
    assert response.status_code < 300, response.text
    return json.loads(response.data)


def test_a_type_is_created_read_and_changed(client: Client) -> None:
    """201, then 200 with the same answer; the list has it among the default ones."""
    created = client.put("/v1/event-types/gift", GIFT)
    again = client.put("/v1/event-types/gift", GIFT)
    read = client.get("/v1/event-types/gift")
    changed = client.put("/v1/event-types/gift", GIFT | {"quantity_max": 5})

    expected = GIFT | {
        "name": "gift",
        "kind": "engagement",
        "stream": None,
        "currency": None,
        "attributes": {},
    }
    assert (201, 200, 200) == (created.status_code, again.status_code, changed.status_code)
    assert "/v1/event-types/gift" == created.headers["Location"]
    assert expected == body(created) == body(again) == body(read)
    assert expected | {"quantity_max": 5} == body(changed)
    names = [one["name"] for one in body(client.get("/v1/event-types"))["items"]]
    assert {"gift", "view"} <= set(names)
    assert names == sorted(names)


def test_what_a_read_gives_can_be_put_back_at_its_own_address(client: Client) -> None:
    """Under its name only."""
    client.put("/v1/event-types/echo", GIFT)
    read = body(client.get("/v1/event-types/echo"))
    elsewhere = client.put("/v1/event-types/other", read)

    assert read == body(client.put("/v1/event-types/echo", read))
    assert (422, ["/name"]) == (
        elsewhere.status_code,
        [error["pointer"] for error in json.loads(elsewhere.data)["errors"]],
    )
    assert 404 == client.get("/v1/event-types/other").status_code


def test_several_are_defined_in_one_act(client: Client) -> None:
    """All or none; the faults of each stand at its place."""
    wrong = client.put(
        "/v1/event-types", {"items": [GIFT | {"name": "rose"}, AD | {"name": "banner", "currency": "USD"}]}
    )
    missing = client.get("/v1/event-types/rose")
    right = client.put("/v1/event-types", {"items": [AD | {"name": "banner"}, GIFT | {"name": "rose"}]})

    assert 422 == wrong.status_code
    assert ["/items/1/currency"] == [one["pointer"] for one in json.loads(wrong.data)["errors"]]
    assert 404 == missing.status_code
    assert [("banner", "micro"), ("rose", "gift")] == [
        (one["name"], one["unit"]) for one in body(right)["items"]
    ]


def test_what_may_not_change_is_named(client: Client, world: World) -> None:
    """Once an event was taken; and by whom it was defined is on the trail."""
    body(client.put("/v1/event-types/wave", GIFT | {"unit": "wave"}))
    sent = {
        "specversion": "1.0",
        "id": "w-1",
        "source": "app",
        "type": "wave",
        "time": world.now().isoformat(),
        "data": {"creator": "linh", "actor": "u-1"},
    }
    body(client.send("POST", "/v1/events", headers={"Content-Type": wire.SINGLE}, data=json.dumps(sent)))

    refused = client.put("/v1/event-types/wave", GIFT)

    problem = json.loads(refused.data)
    assert (409, "/problems/event-type-in-use") == (refused.status_code, problem["type"])
    assert ["/unit"] == [one["pointer"] for one in problem["errors"]]
    with db.transaction(world.system.database) as session:
        acts = trail.listing(session, PLATFORM, limit=500)
    assert ["key"] == [
        one.actor_kind for one in acts if (one.act, one.subject_id) == ("event_type.define", "wave")
    ]


def test_bounds_that_break_a_rulebook_are_refused(client: Client) -> None:
    """With the rulebook's digest."""
    wide = GIFT | {"unit": "like", "actor": "optional", "quantity_min": -(10**9), "quantity_max": 10**9}

    refused = client.put("/v1/event-types/like", wide)

    problem = json.loads(refused.data)
    assert (409, "/problems/event-type-breaks-rulebook") == (refused.status_code, problem["type"])
    assert body(client.get("/v1/rulebooks/in-force"))["sha256"] == problem["rulebook"]


def test_the_schema_of_a_type_is_served(client: Client) -> None:
    """As JSON Schema, which says what intake will say."""
    body(client.put("/v1/event-types/advert", AD))

    response = client.get("/v1/event-types/advert/schema")

    assert "application/schema+json" == response.mimetype
    served = json.loads(response.data)
    jsonschema_rs.meta.validate(served)
    assert {"const": "advert"} == served["properties"]["type"]
    assert 404 == client.get("/v1/event-types/nothing/schema").status_code
