"""The visible proof at the end of `make run`: one event goes in over HTTP, one estimate changes."""

import json
import time
import urllib.request
import uuid
from dataclasses import dataclass
from typing import Any

from service.core.errors import Unavailable
from service.core.spans import to_text
from service.demo import build
from service.runtime import clock, db, texts
from service.wiring import System

WAIT_S = 60


@dataclass(frozen=True, slots=True)
class Proof:
    """What was sent, and the estimate before and after it."""

    event: str
    creator_id: str
    period_id: str
    before_minor: int
    after_minor: int
    before: str
    after: str


def run(system: System) -> Proof:
    """Post one share of a creator's video to the running server, and wait for the estimate.

    Raises:
        Unavailable: the scheduler did not compute the estimate in time.
    """
    key = build.key_of(system)
    creator_id = build.casts(build.SEED)[0].world.works[0].creator_id
    earnings = f"/v1/creators/{creator_id}/earnings"
    with db.transaction(system.database) as session:
        now = clock.now(session)
    before = _call(system, key, "GET", earnings)["estimate"]
    event = {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "https://demo.example/proof",
        "type": "share",
        "time": to_text(now),
        "data": {"creator": creator_id, "actor": f"newcomer-{uuid.uuid4().hex[:8]}"},
    }
    _call(system, key, "POST", "/v1/events", [event], "application/cloudevents-batch+json")
    period_id = before["period"]
    job = _call(system, key, "POST", f"/v1/periods/{period_id}/estimate")
    _await_job(system, key, job["id"])
    after = _call(system, key, "GET", earnings)["estimate"]
    currency = after["amount"]["currency"]
    before_minor, after_minor = before["amount"]["amount_minor"], after["amount"]["amount_minor"]
    return Proof(
        event=f"a share by {event['data']['actor']}, {event['time']}",  # type: ignore[index]
        creator_id=creator_id,
        period_id=period_id,
        before_minor=before_minor,
        after_minor=after_minor,
        before=texts.money(before_minor, currency, "vi"),
        after=texts.money(after_minor, currency, "vi"),
    )


def _await_job(system: System, key: str, job_id: str) -> None:
    give_up_at_s = time.monotonic() + WAIT_S
    while time.monotonic() < give_up_at_s:
        state = _call(system, key, "GET", f"/v1/jobs/{job_id}")["state"]
        if state == "done":
            return
        if state == "failed":
            break
        time.sleep(0.2)
    raise Unavailable(f"The estimate (job {job_id}) was not computed; see the scheduler's log.")


def _call(
    system: System,
    key: str,
    method: str,
    path: str,
    body: object = None,
    media_type: str = "application/json",
) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {key}"}
    if method == "POST":
        headers["Idempotency-Key"] = str(uuid.uuid4())
    if body is not None:
        headers["Content-Type"] = media_type
    request = urllib.request.Request(
        f"http://{system.settings.bind}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers=headers,
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 — as above.
        found: dict[str, Any] = json.load(answer)
        return found
