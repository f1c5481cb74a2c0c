"""Quotas over HTTP: refused with the second in which to come back, and nobody else is."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from service.events import throttle, wire
from service.events.throttle import Quota, QuotaExceeded
from service.parties.actors import OPERATOR
from service.runtime import db
from tests.api.client import Client
from tests.api.world import CHILD, PLATFORM, STRANGER, World
from tests.world import event

LIMIT = Quota(20_000, 9 * 1_048_576)


def send(client: Client, world: World, name: str, count: int = 1, **options: Any) -> TestResponse:
    """Send a batch of new events."""
    at = world.now()
    content = json.dumps([event(f"{name}-{number}", "view", at, "linh") for number in range(count)]).encode()
    return client.send("POST", "/v1/events", data=content, headers={"Content-Type": wire.BATCH}, **options)


def spend(world: World, platform_id: str, **amounts: int) -> None:
    """Spend of a platform's quota as another process does: of this minute and of the one after it.

    Whatever the clock shows while a test runs, its minute is then one of these.
    """
    other = throttle.Throttle(world.system.database, world.system.throttle.default)
    throttle.spend(other, platform_id, now=world.now() + timedelta(minutes=1), **amounts)


def limit(world: World, platform_id: str) -> None:
    """Give a platform a small limit of its own."""
    with db.transaction(world.system.database) as session:
        throttle.set_limit(
            session,
            platform_id,
            LIMIT,
            default=world.system.throttle.default,
            actor=OPERATOR,
            now=world.now(),
        )


def test_every_answer_that_was_paid_for_says_how_the_quota_stands(client: Client, world: World) -> None:
    """In the two headers of the draft, for events and for bytes."""
    response = send(client, world, "h", 3)
    default = world.system.throttle.default

    assert [
        f'"events";q={default.events};w=60;qu="events"',
        f'"bytes";q={default.size_bytes};w=60;qu="content-bytes"',
    ] == response.headers["RateLimit-Policy"].split(", ")
    found = re.fullmatch(r'"events";r=(\d+);t=(\d+), "bytes";r=(\d+);t=(\d+)', response.headers["RateLimit"])
    assert found is not None
    events, reset_s, size_bytes, _ = map(int, found.groups())
    assert default.events - 100 < events <= default.events - 3
    assert size_bytes < default.size_bytes
    assert 1 <= reset_s <= 60


def test_a_spent_quota_is_refused_with_the_time_to_wait(client: Client, world: World) -> None:
    """429 for events, whichever process they were sent to; nothing is stored; others are served."""
    child = client.of(world.key(CHILD))
    limit(world, CHILD)
    spend(world, CHILD, events=LIMIT.events)
    before = world.stored()
    response = send(child, world, "q")
    problem = json.loads(response.data)

    assert (429, "/problems/quota-exceeded") == (response.status_code, problem["type"])
    assert ["events"] == problem["violated-policies"]
    assert LIMIT == Quota(problem["events_per_minute"], problem["bytes_per_minute"])
    assert 1 <= int(response.headers["Retry-After"]) <= 120
    assert '"events";r=0;' in response.headers["RateLimit"]
    assert before == world.stored()
    assert (
        429 == child.send("POST", "/v1/events", data=b"x", headers={"Content-Type": wire.BATCH}).status_code
    )
    assert 200 == send(client, world, "q").status_code
    assert 200 == send(client.of(world.key(STRANGER)), world, "q").status_code


def test_the_quota_is_that_of_the_platform_that_is_acted_on(client: Client, world: World) -> None:
    """A parent that sends for a sub-platform spends the sub-platform's."""
    response = send(client, world, "o", query_string={"platform": CHILD})

    assert 429 == response.status_code


def test_bytes_are_counted_unpacked_and_replays_cost_no_events(client: Client, world: World) -> None:
    """The largest batch fits once into nine MiB; a replay costs its bytes again, and no events."""
    stranger = client.of(world.key(STRANGER))
    limit(world, STRANGER)
    spend(world, STRANGER, events=1)
    # The processes of this test know the limit from the next lease on.
    world.system.throttle.purses.clear()
    at = world.now()
    content = json.dumps([event("b-1", "view", at, "linh")]).encode().ljust(3 * 1_048_576)

    def again() -> TestResponse:
        return stranger.send("POST", "/v1/events", data=content, headers={"Content-Type": wire.BATCH})

    answers = [again() for _ in range(4)]
    left = {one.headers["RateLimit"].partition(";t=")[0] for one in answers[:3]}

    assert [200, 200, 200, 429] == [one.status_code for one in answers]
    assert 1 == len(left)
    assert ["bytes"] == json.loads(answers[3].data)["violated-policies"]


def test_the_limits_are_shown(client: Client, world: World) -> None:
    """The platform's own, or everybody's."""
    default = world.system.throttle.default
    shown = {
        name: json.loads(client.get("/v1/limits", platform=name).data)["events"] for name in (PLATFORM, CHILD)
    }

    assert (default.events, default.size_bytes) == (
        shown[PLATFORM]["events_per_minute"],
        shown[PLATFORM]["bytes_per_minute"],
    )
    assert (LIMIT.events, LIMIT.size_bytes) == (
        shown[CHILD]["events_per_minute"],
        shown[CHILD]["bytes_per_minute"],
    )
    assert ["gzip", "zstd"] == shown[PLATFORM]["content_codings"]


def test_a_refused_batch_costs_nobody_else(world: World) -> None:
    """The purses of platforms are apart."""
    with pytest.raises(QuotaExceeded):
        throttle.spend(world.system.throttle, CHILD, events=LIMIT.events + 1, now=world.now())
    throttle.spend(world.system.throttle, PLATFORM, events=LIMIT.events + 1, now=world.now())
