"""The client on the service as it ships: the page's example, refusals, and processes that are killed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benefit_ledger_client import Client, EventsRejected, Problem, Sender, event
from service.closing import onboarding
from service.events import compaction, manifest
from service.parties import creators, keys
from service.parties.actors import OPERATOR
from service.runtime import db
from service.wiring import System, unwire, wire
from tests.client.test_client import ROOT
from tests.client.test_sender import batches_in, killed_after, sending
from tests.crash import processes
from tests.crash.processes import READY_WITHIN_S, Processes, await_that
from tests.events import worlds

SENDERS = 2
SCOPES = ("events:write", "creators:write", "revenue:write")


@dataclass
class Stand:
    """The service, a platform on it, and a key."""

    service: Processes
    system: System
    key: str

    @property
    def url(self) -> str:
        """Where the service is."""
        return f"http://{self.service.settings.bind}"

    def client(self) -> Client:
        """Make a client."""
        return Client(self.url, self.key)

    def accepted(self) -> list[str]:
        """Compact what the service has and read the ids of it."""
        lake = self.system.lake
        now = datetime.now(UTC)
        compaction.run(self.system.database, lake, "sen", now=now)
        with db.transaction(self.system.database) as session:
            files = manifest.listing(session, "sen")
        paths = [one.stored.path for one in files if one.kind == "raw"]
        return [row[0] for row in worlds.rows(lake, paths, "id")]


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    """Give the web server as it ships, with a platform that knows the creators linh and khoa."""
    with processes.running() as service:
        system = wire(service.settings)
        now = datetime.now(UTC)
        with db.transaction(system.database) as session:
            onboarding.found(
                session, platform_id="sen", name="Sen", actor=OPERATOR, now=now - timedelta(days=1)
            )
            creators.ensure(session, "sen", ["linh", "khoa"], now=now)
            _, key = keys.create(
                session,
                "sen",
                label="client",
                scopes=SCOPES,
                pepper=system.pepper,
                actor=OPERATOR,
                now=now,
            )
        service.start("serve")
        await_that(service.is_ready, READY_WITHIN_S, "the server is ready")
        yield Stand(service, system, key)
        service.stop()
        unwire(system)


def test_the_example_of_the_page_runs(stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is written, on the service as it ships."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LEDGER_URL", stand.url)
    monkeypatch.setenv("LEDGER_KEY", stand.key)
    page = (ROOT / "client" / "README.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", page, re.DOTALL)

    for example in examples:
        exec(compile(example, "README.md", "exec"), {"__name__": "example"})  # noqa: S102 — our own page.

    assert 2 <= len(examples)
    assert {"order-1001", "order-1002", "order-1003"} <= set(stand.accepted())
    assert [] == batches_in(tmp_path)


def an_event(event_id: str, creator: str = "linh") -> dict[str, object]:
    """Make an event of now."""
    return event(id=event_id, source="app", type="like", time=datetime.now(UTC), creator=creator)


def test_a_rejected_event_is_repaired_and_sent_again_under_its_id(stand: Stand, tmp_path: Path) -> None:
    """The service names its place, its id and the fault, and the id is not used up."""
    with stand.client() as client, Sender(client, tmp_path) as sender:
        sender.send_all([an_event("r-1"), an_event("r-2", "nobody"), an_event("r-3")])
        with pytest.raises(EventsRejected) as caught:
            sender.flush()
        sender.send(an_event("r-2", "khoa"))
        sender.flush()

    (one,) = caught.value.rejected
    assert (1, "r-2", "unknown_creator") == (one.index, one.id, one.code)
    assert "/data/creator" == one.errors[0]["pointer"]
    assert {"r-1", "r-2", "r-3"} <= set(stand.accepted())


def test_the_same_events_posted_again_are_a_replay(stand: Stand) -> None:
    """The service knows the bytes, and the receipt says so."""
    many = [an_event(f"replay-{number}") for number in range(5)]
    with stand.client() as client:
        first, second = client.post(many), client.post(many)

    assert [False, True] == [one.is_replay for one in first + second]
    assert first[0].batch_id == second[0].batch_id
    assert 1 == stand.accepted().count("replay-0")


def test_a_wrong_key_is_a_problem(stand: Stand) -> None:
    """It is told at once."""
    with Client(stand.url, "no-key") as client, pytest.raises(Problem) as caught:
        client.post([an_event("k-1")])

    assert 401 == caught.value.status


def test_other_calls_reach_the_service(stand: Stand) -> None:
    """Revenue, as an example; the same call again takes effect once."""
    document = {
        "stream": "ads",
        "reference": "client-1",
        "gross": {"amount_minor": 5_000_000, "currency": "VND"},
        "period": f"{datetime.now(UTC) + timedelta(hours=7):%Y-%m}",
    }
    with stand.client() as client:
        first = client.request("POST", "/v1/revenues", json=document, idempotency_key="one")
        again = client.request("POST", "/v1/revenues", json=document, idempotency_key="one")

    assert 201 == first.status
    assert first.json()["id"] == again.json()["id"]


def test_every_event_of_killed_processes_counts_exactly_once(stand: Stand, tmp_path: Path) -> None:
    """Law: senders die in mid-spool, the web server in mid-request; the next sender brings the rest."""
    names = [f"kill{number}" for number in range(SENDERS)]
    started = [sending(stand.url, tmp_path, name, key=stand.key, events_max=5) for name in names]
    stand.service.children["serve"].kill()
    taken = [killed_after(one, 60) for one in started]

    def is_back() -> bool:
        stand.service.tend()
        return stand.service.is_ready()

    await_that(is_back, READY_WITHIN_S, "the server is back")
    last = sending(stand.url, tmp_path, "last", key=stand.key, count=3)
    assert 3 == killed_after(last, 1_000)

    found = stand.accepted()
    ids = [one for one in found if one.startswith(("kill", "last"))]
    assert len(set(ids)) == len(ids)
    for name, count in zip(names, taken, strict=True):
        mine = {one for one in ids if one.startswith(f"{name}-")}
        assert {f"{name}-{number}" for number in range(count)} <= mine
        assert len(mine) <= count + 1
    assert {"last-0", "last-1", "last-2"} <= set(ids)
    assert [] == batches_in(tmp_path)
