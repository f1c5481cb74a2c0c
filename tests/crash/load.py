"""Load: clients that send, and write down what they intend before they do and what they were told after.

A client that got no answer sends the same bytes again, or at times puts them aside; what was put aside is
sent when the load is over, in another order. Among the events are repeats, contradictions and bad ones.
"""

import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from service.runtime.settings import Address

EVENTS_A_BATCH: Final = 20
GIVES_UP_AT: Final = 0.1
"""How often a client puts a batch aside after a failure."""

PAUSE_S: Final = 0.02

Answer = tuple[int, Mapping[str, Any]]


@dataclass
class Record:
    """What the clients intended and what they were told; ids of events and references of revenue."""

    sent: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    aside: list[tuple[list[str], bytes]] = field(default_factory=list)
    """Batches of events that nobody has acknowledged yet, with the ids of their good events."""
    item_count: int = 0
    """Items of all batches, each batch counted once however often it was sent."""
    rejected_count: int = 0
    """Items that the receipts of these batches name as rejected."""
    seen: Counter[str] = field(default_factory=Counter)
    """How often what happened: acknowledged, replayed, failed, put aside."""
    broken: list[Any] = field(default_factory=list)
    """Answers that no client should get."""
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass
class Client:
    """One client with its own connection; it sends until it is told to stop."""

    name: str
    address: Address
    key: str
    creators: tuple[str, ...]
    record: Record
    is_over: threading.Event
    chance: random.Random
    past: list[dict[str, Any]] = field(default_factory=list)
    gives_up_at: float = GIVES_UP_AT

    def run(self) -> None:
        """Send batches of events, and after every fifth a revenue."""
        number = 0
        while not self.is_over.is_set():
            number += 1
            self._send_events(number)
            if number % 5 == 0:
                self._send_revenue(number)
            time.sleep(PAUSE_S)

    def _send_events(self, number: int) -> None:
        at = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
        ids = [f"{self.name}-{number}-{place}" for place in range(EVENTS_A_BATCH)]
        events = [
            {
                "specversion": "1.0",
                "id": one,
                "source": "load",
                "type": "like",
                "time": at,
                "data": {"creator": self.chance.choice(self.creators), "actor": one},
            }
            for one in ids
        ]
        items = [*events, *self._awkward(number)]
        self.past += events
        self.chance.shuffle(items)
        with self.record.lock:
            self.record.item_count += len(items)
        self._deliver(ids, json.dumps(items).encode())

    def deliver_aside(self) -> None:
        """Send what was put aside, until nothing is left."""
        while True:
            with self.record.lock:
                if not self.record.aside:
                    return
                place = self.chance.randrange(len(self.record.aside))
                ids, body = self.record.aside.pop(place)
            self._deliver(ids, body)

    def _deliver(self, ids: list[str], body: bytes) -> None:
        answer = self._insist(ids, "/v1/events", body, "application/cloudevents-batch+json", {})
        if answer is None:
            with self.record.lock:
                self.record.aside.append((ids, body))
            return
        taken = {one["id"] for one in answer["items"] if one["verdict"] == "accepted"}
        with self.record.lock:
            self.record.rejected_count += answer["counts"]["rejected"]
        self._note(taken & set(ids), "replayed" if answer["replayed"] else "acknowledged")

    def _awkward(self, number: int) -> list[dict[str, Any]]:
        """Write a repeat and a contradiction of earlier events, and an event that nobody can take."""
        if not self.past:
            return []
        repeat, other = self.chance.choice(self.past), self.chance.choice(self.past)
        contradiction = {**other, "data": {**other["data"], "quantity": 1_000 + number}}
        bad = {**other, "id": f"bad-{self.name}-{number}", "data": {"creator": "nobody"}}
        return [repeat, contradiction, bad]

    def _send_revenue(self, number: int) -> None:
        reference = f"{self.name}-{number}"
        # A whole minute begins no second before midnight that ends after it.
        start_at = (datetime.now(UTC) - timedelta(minutes=1)).replace(second=0, microsecond=0)
        document = {
            "stream": "ads",
            "reference": reference,
            "gross": {"amount_minor": 1_000 + number, "currency": "VND"},
            "span": {
                "start_at": start_at.isoformat(),
                "end_at": (start_at + timedelta(seconds=1)).isoformat(),
            },
        }
        body = json.dumps(document).encode()
        headers = {"Idempotency-Key": f"revenue-{reference}"}
        if self._insist([reference], "/v1/revenues", body, "application/json", headers) is not None:
            self._note({reference}, "revenue")

    def _insist(
        self, ids: list[str], path: str, body: bytes, media_type: str, headers: Mapping[str, str]
    ) -> Mapping[str, Any] | None:
        """Send the same again until it is answered; None when the client gives up."""
        with self.record.lock:
            # The intent comes before the act: what is there and was never sent would be made up.
            self.record.sent.update(ids)
        while True:
            answer = self._post(path, body, {"Content-Type": media_type, **headers})
            if answer is not None and answer[0] in {200, 201, 207}:
                return answer[1]
            with self.record.lock:
                self.record.seen["failed"] += 1
                if answer is not None and answer[0] not in {409, 503}:
                    self.record.broken.append(answer)
                    return None
                if self.is_over.is_set() or self.chance.random() < self.gives_up_at:
                    self.record.seen["put aside"] += 1
                    return None
            time.sleep(0.1)

    def _post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer | None:
        """Send once; None when there is no whole answer."""
        connection = http.client.HTTPConnection(self.address.host, self.address.port, timeout=30)
        try:
            with suppress(OSError, http.client.HTTPException, ValueError):
                connection.request("POST", path, body, {"Authorization": f"Bearer {self.key}", **headers})
                with connection.getresponse() as response:
                    return response.status, json.loads(response.read())
            return None
        finally:
            connection.close()

    def _note(self, ids: set[str], word: str) -> None:
        with self.record.lock:
            self.record.acknowledged |= ids
            self.record.seen[word] += 1


def until(is_over: threading.Event, act: Callable[[], None], every_s: float) -> threading.Thread:
    """Do something again and again in a thread of its own, until it is over."""

    def run() -> None:
        while not is_over.wait(every_s):
            act()

    thread = threading.Thread(target=run, name="again and again")
    thread.start()
    return thread
