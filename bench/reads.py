"""A creator's earnings over HTTP, beside a route that does one primary-key read; and statements."""

import http.client
import time
from urllib.parse import urlsplit

import psycopg
from flask import Flask
from werkzeug.serving import make_server

from bench.figures import Figure, rate
from bench.stage import Stage, creator, platform, served
from service.runtime import postgres

CREATORS = 1_000


def measure_earnings(stage: Stage) -> list[Figure]:
    """Read earnings on the shipped server; the baseline is a bare route on the same kind of server."""
    made, key = platform(stage, stage.size(CREATORS))
    headers = {"Authorization": f"Bearer {key}"}
    for_s = 4.0 * min(1.0, stage.scale * 4)
    with served(stage) as address:
        ours = _rate(address, f"/v1/creators/{creator(3)}/earnings", headers, for_s)
    return [
        Figure(
            "earnings-read", "reads/s (bar: one primary-key read)", ours, _bare(stage, made.id, for_s), 0.5
        )
    ]


def _rate(address: str, path: str, headers: dict[str, str], for_s: float) -> float:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)

    def read() -> int:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        return 1

    read()
    found = rate(read, for_s)
    connection.close()
    return found


def _bare(stage: Stage, platform_id: str, for_s: float) -> float:
    import threading

    endpoint = postgres.running(stage.system.settings.var_dir)
    assert endpoint is not None, "the stage's database runs"
    database = psycopg.connect(endpoint.app_url.replace("+psycopg", ""), autocommit=True)
    app = Flask("bare")

    @app.get("/one")
    def one() -> dict[str, str]:
        database.execute("SELECT set_config('bench.platform', %s, true)", [platform_id])
        query = "SELECT id FROM creator WHERE platform_id = %s AND id = %s"
        row = database.execute(query, [platform_id, creator(3)]).fetchone()
        assert row is not None, "the creator is there"
        return {"id": row[0]}

    server = make_server("127.0.0.1", 0, app, threaded=False)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    time.sleep(0.2)
    found = _rate(f"http://127.0.0.1:{server.server_port}", "/one", {}, for_s)
    server.shutdown()
    database.close()
    return found
