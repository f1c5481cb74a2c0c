"""Intake over HTTP on the shipped server, beside the bare decode of the same bytes and one row an event."""

import http.client
import json
import threading
import time
import uuid
from datetime import datetime
from urllib.parse import urlsplit

from sqlalchemy import text

from bench.figures import Figure, rate
from bench.stage import Stage, creator, platform, served
from service.events import types, wire
from service.runtime import clock, db, postgres

BATCH_EVENTS = 1_000
CLIENTS = 4
RUN_S = 6.0
MEDIA_TYPE = "application/cloudevents-batch+json"


def measure_intake(stage: Stage) -> list[Figure]:
    """Send batches of 1,000 events for some seconds, from clients on the same cores."""
    made, key = platform(stage, 1_000)
    with db.transaction(stage.system.database) as session:
        now = clock.now(session)
        known = types.of_platform(session, made.id)
    with served(stage) as address:
        sent = _send(address, key, now, RUN_S * min(1.0, stage.scale * 4))
    body = _batch(now)

    def decode() -> int:
        return len(wire.decode(body, MEDIA_TYPE, known).events)

    return [
        Figure("intake", "events/s (bar: bare decode)", sent, rate(decode), 0.40),
        Figure("intake", "events/s (bar: one row an event)", sent, _rows(stage, body), 5.0),
    ]


def _send(address: str, key: str, now: datetime, for_s: float) -> float:
    counts = [0] * CLIENTS
    end_at_s = time.perf_counter() + for_s

    def client(number: int) -> None:
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
        headers = {"Authorization": f"Bearer {key}", "Content-Type": MEDIA_TYPE}
        while time.perf_counter() < end_at_s:
            connection.request("POST", "/v1/events", _batch(now), headers)
            answer = connection.getresponse()
            accepted = json.loads(answer.read())["counts"]["accepted"]
            assert accepted == BATCH_EVENTS, accepted
            counts[number] += accepted
        connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - begin)


_TEMPLATE = (
    '{{"specversion":"1.0","id":"{run}-{number}","source":"bench","type":"view","time":"{at}",'
    '"data":{{"creator":"{creator}","content":"v{number}","actor":"a{number}"}}}}'
)


def _batch(now: datetime) -> bytes:
    run, at = uuid.uuid4().hex, now.isoformat()
    items = (
        _TEMPLATE.format(run=run, number=number, at=at, creator=creator(number))
        for number in range(BATCH_EVENTS)
    )
    return f"[{','.join(items)}]".encode()


def _rows(stage: Stage, body: bytes) -> float:
    """Store one row an event with ON CONFLICT, as services commonly do, in the same database."""
    owner = db.connect(owner_url(stage), application_name="bench")
    with db.transaction(owner) as session:
        session.execute(text("CREATE TABLE bench_event (id text PRIMARY KEY, body jsonb NOT NULL)"))
    insert = text(
        "INSERT INTO bench_event"
        " SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:bodies AS jsonb[])) ON CONFLICT DO NOTHING"
    )
    items = json.loads(body)

    def store() -> int:
        run = uuid.uuid4().hex
        with db.transaction(owner) as session:
            ids = [f"{run}-{number}" for number in range(len(items))]
            session.execute(insert, {"ids": ids, "bodies": [json.dumps(item) for item in items]})
        return len(items)

    found = rate(store)
    with db.transaction(owner) as session:
        session.execute(text("DROP TABLE bench_event"))
    db.close(owner)
    return found


def owner_url(stage: Stage) -> str:
    endpoint = postgres.running(stage.system.settings.var_dir)
    assert endpoint is not None, "the stage's database runs"
    return endpoint.owner_url
