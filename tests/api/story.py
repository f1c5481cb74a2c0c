"""The whole loop, told over HTTP: events and revenue in, closed, approved, posted, paid, read."""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from service.calendar import periods
from service.core.spans import to_text
from service.events import wire
from service.parties import platforms
from service.parties.actors import OPERATOR
from service.payouts import funding
from service.runtime import clock, db
from service.scheduler import ticker
from tests.api.client import Client
from tests.api.world import PLATFORM, World

POOL_MINOR = 1_000_000_001
"""An amount that no share divides evenly."""


@dataclass(frozen=True)
class Refusal:
    """What came of an attempt that may not succeed: status, type, and whether anything was stored."""

    status: int
    slug: str
    is_stored: bool


@dataclass(frozen=True)
class Story:
    """The ids that the story made."""

    revenue: str
    job: str
    batch: str
    payout: str
    entry: int
    key: str
    rulebook: str
    content: str
    receipt: dict[str, Any]
    refusals: dict[str, Refusal]


def tell(client: Client, world: World) -> Story:
    """Run a past period from its first event to its payouts, as a platform's back end and its staff would."""
    period = world.past_period
    content = body(client.post("/v1/contents", {"id": "video-7", "creator": "linh"}))["id"]
    receipt = send_events(client, world)
    revenue = body(
        client.post(
            "/v1/revenues",
            {
                "stream": "ads",
                "reference": "ads-1",
                "gross": {"amount_minor": POOL_MINOR + 500, "currency": "VND"},
                "deductions": [{"name": "ad server", "amount_minor": 500}],
                "period": period,
            },
        )
    )
    job = body(client.post(f"/v1/periods/{period}/close", {"as": "chi"}))
    tick(world)
    own_period = attempt(client, world, f"/v1/periods/{period}/approve", "chi")
    body(client.post(f"/v1/periods/{period}/approve", {"as": "anna"}))
    body(client.post(f"/v1/periods/{period}/post"))
    tick(world)
    for number, creator in enumerate(("linh", "minh"), 1):
        destination = {"account_number": f"00710001234{number}", "holder": creator.upper()}
        body(client.put(f"/v1/creators/{creator}/payee", {"destination": destination}))
    fund(world)
    batch = body(client.post("/v1/payout-batches", {"as": "chi"}))
    own_batch = attempt(client, world, f"/v1/payout-batches/{batch['id']}/approve", "chi")
    no_checker = attempt(client, world, f"/v1/payout-batches/{batch['id']}/approve", "binh")
    body(client.post(f"/v1/payout-batches/{batch['id']}/approve", {"as": "anna"}))
    tick(world)
    tick(world, later_h=1)
    return Story(
        revenue=revenue["id"],
        job=job["id"],
        batch=batch["id"],
        payout=body(client.get("/v1/payouts"))["items"][0]["id"],
        entry=body(client.get("/v1/ledger/entries"))["items"][0]["id"],
        key=body(client.get("/v1/keys"))["items"][0]["id"],
        rulebook=body(client.get("/v1/rulebooks"))["items"][0]["sha256"],
        content=content,
        receipt=receipt,
        refusals={"own period": own_period, "own batch": own_batch, "no checker": no_checker},
    )


def attempt(client: Client, world: World, path: str, staff_id: str) -> Refusal:
    """Try to approve something as a person who may not."""
    before = world.stored()
    response = client.post(path, {"as": staff_id})
    problem = json.loads(response.data)
    slug = problem["type"].removeprefix("/problems/")
    return Refusal(response.status_code, slug, is_stored=before != world.stored())


def send_events(client: Client, world: World) -> dict[str, Any]:
    """Send three events of the past period: two for linh, one for minh."""
    with db.transaction(world.system.database) as session:
        start_at = periods.get(session, PLATFORM, world.past_period).span.start_at
    events = [
        {
            "specversion": "1.0",
            "id": f"e-{number}",
            "source": "app",
            "type": "view",
            "time": to_text(start_at + timedelta(hours=number)),
            "data": {"creator": creator, "content": "video-7", "actor": f"u-{number}", "quantity": quantity},
        }
        for number, (creator, quantity) in enumerate([("linh", 60), ("linh", 40), ("minh", 50)])
    ]
    receipt = body(
        client.send(
            "POST", "/v1/events", data=json.dumps(events).encode(), headers={"Content-Type": wire.BATCH}
        )
    )
    return dict(receipt)


def fund(world: World) -> None:
    """Put the platform's money where the provider pays from."""
    provider = world.system.provider
    provider.fund(PLATFORM, "VND", POOL_MINOR, "deposit-1")
    with db.transaction(world.system.database) as session:
        funding.record(
            session,
            platforms.get(session, PLATFORM),
            provider=provider.name,
            amount_minor=POOL_MINOR,
            reference="deposit-1",
            actor=OPERATOR,
            now=clock.now(session),
        )


def tick(world: World, *, later_h: int = 0) -> None:
    """Let the scheduler do what is due now, or some hours later."""
    done = ticker.tick(
        world.system, owner="test", now_of=lambda session: clock.now(session) + timedelta(hours=later_h)
    )
    assert done.failed_count == 0, done


def body(response: Any) -> dict[str, Any]:
    """Read the body of an answer that says done."""
    assert 200 <= response.status_code < 300, response.text
    value: dict[str, Any] = json.loads(response.data)
    return value
