"""The stage of a benchmark: an embedded PostgreSQL as shipped, durable, in a folder that goes afterwards."""

import itertools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from service.closing import onboarding
from service.parties import creators, keys, staff
from service.parties.actors import OPERATOR, Actor
from service.parties.platforms import Platform
from service.parties.scopes import SCOPES
from service.runtime import clock, cluster, db, migrations, postgres, settings
from service.wiring import System, unwire, wire

MAKER = Actor("staff", "maker")
CHECKER = Actor("staff", "checker")
HISTORY = datetime(2026, 1, 1, 5, tzinfo=UTC)
"""An instant in a month that is long over."""

_NUMBERS = itertools.count()


@dataclass(frozen=True, slots=True)
class Stage:
    """A wired system, its settings, and how large the benchmarks are (1: as the bars say)."""

    system: System
    environment: dict[str, str]
    folder: Path
    scale: float

    def size(self, full: int) -> int:
        """Scale a full size down, to no less than ten."""
        return max(10, int(full * self.scale))


@contextmanager
def built(scale: float) -> Iterator[Stage]:
    """Start everything; stop and remove it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="bl-bench-"))
    folder.chmod(0o755)
    port, metrics_port = _free_port(), _free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "VAR_DIR": str(folder / "var"),
        "BIND": f"127.0.0.1:{port}",
        "METRICS_BIND": f"127.0.0.1:{metrics_port}",
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "LOG_LEVEL": "error",
    }
    known = settings.read(environment)
    endpoint = postgres.start(known.var_dir)
    try:
        migrations.upgrade(endpoint.owner_url)
        system = wire(known)
        yield Stage(system, environment, folder, scale)
        unwire(system)
    finally:
        postgres.stop(known.var_dir)
        shutil.rmtree(cluster.home(known.var_dir), ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def served(stage: Stage) -> Iterator[str]:
    """Run the web server as it ships; give its address."""
    process = subprocess.Popen([sys.executable, "-m", "service.cli", "serve"], env=stage.environment)
    address = f"http://{stage.environment['BIND']}"
    try:
        for _ in range(600):
            with suppress(OSError), urllib.request.urlopen(f"{address}/readyz", timeout=2):  # noqa: S310
                break
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(60)


def platform(stage: Stage, creator_count: int) -> tuple[Platform, str]:
    """Found a platform of its own for a benchmark, with creators; give it and an API key."""
    platform_id = f"bench-{next(_NUMBERS)}"
    with db.transaction(stage.system.database) as session:
        now = clock.now(session)
        made = onboarding.found(session, platform_id=platform_id, name="Bench", actor=OPERATOR, now=now)
        for person, role in ((MAKER, "finance_maker"), (CHECKER, "finance_checker")):
            staff.register(session, platform_id, person.id, person.id, [role], actor=OPERATOR, now=now)
        creators.ensure(session, platform_id, [creator(number) for number in range(creator_count)], now=now)
        _, key = keys.create(
            session,
            platform_id,
            label="bench",
            scopes=tuple(SCOPES),
            pepper=stage.system.pepper,
            actor=OPERATOR,
            now=now,
        )
    return made, key


def creator(number: int) -> str:
    """Name the creator of a number."""
    return f"c{number:07}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
