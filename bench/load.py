"""The load: a process of its own that sends batches for some seconds and prints what came of it, as JSON.

`python -m bench.load '{"url": ..., "key": ..., "clients": 4, "for_s": 6, "name": ..., "at": ...}'`
"""

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from bench import batches


@dataclass
class Sent:
    """What clients sent and were told: events, requests and the seconds that each took."""

    accepted: int = 0
    rejected: int = 0
    replayed: int = 0
    size_bytes: int = 0
    taken_s: float = 0.0
    latencies_s: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Events a second that the service judged and did not know before."""
        return (self.accepted + self.rejected) / self.taken_s

    def percentile_ms(self, share: float) -> float:
        """Give the latency that a share of the requests does not exceed."""
        ordered = sorted(self.latencies_s)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def __str__(self) -> str:
        """Say how long requests took."""
        parts = [f"p{100 * share:g} {self.percentile_ms(share):.1f} ms" for share in (0.5, 0.95, 0.99)]
        return f"{len(self.latencies_s)} requests, {', '.join(parts)}, max {self.percentile_ms(1):.1f} ms"


def run(address: str, key: str, *, name: str, now: datetime, clients: int, for_s: float) -> Sent:
    """Send from a process of its own, and wait for it."""
    asked = {
        "url": address,
        "key": key,
        "name": name,
        "at": now.isoformat(),
        "clients": clients,
        "for_s": for_s,
    }
    done = subprocess.run(
        [sys.executable, "-m", "bench.load", json.dumps(asked)],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        check=True,
    )
    return Sent(**json.loads(done.stdout))


def _main(asked: dict[str, Any]) -> None:
    sent, lock = Sent(), threading.Lock()
    begin_s = time.perf_counter()

    def client(number: int) -> None:
        connection = http.client.HTTPConnection(urlsplit(asked["url"]).netloc, timeout=60)
        headers = {
            "Authorization": f"Bearer {asked['key']}",
            "Content-Type": batches.MEDIA_TYPE,
            "Prefer": "return=minimal",
        }
        for body in batches.stream(f"{asked['name']}-{number}", datetime.fromisoformat(asked["at"])):
            since_s = time.perf_counter()
            if since_s - begin_s >= asked["for_s"] and sent.latencies_s:
                break
            connection.request("POST", "/v1/events", body, headers)
            answer = connection.getresponse()
            receipt = json.loads(answer.read())
            taken_s = time.perf_counter() - since_s
            assert answer.status in {200, 207}, receipt
            with lock:
                sent.latencies_s.append(taken_s)
                sent.size_bytes += len(body)
                if receipt["replayed"]:
                    sent.replayed += 1
                else:
                    sent.accepted += receipt["counts"]["accepted"]
                    sent.rejected += receipt["counts"]["rejected"]
        connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(asked["clients"])]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    sent.taken_s = time.perf_counter() - begin_s
    sys.stdout.write(json.dumps(asdict(sent)))


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
