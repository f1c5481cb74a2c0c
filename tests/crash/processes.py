"""The service as real processes: an embedded PostgreSQL, the web server, the scheduler; and their deaths.

What dies is started again, as the supervisor of `make run` does it.
"""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from service.core.errors import Unavailable
from service.runtime import cluster, migrations, postgres, settings
from service.runtime.postgres import APP_ROLE
from service.runtime.settings import Settings

READY_WITHIN_S: Final = 120
STOP_WITHIN_S: Final = 40
TEND_EVERY_S: Final = 0.2
TRACEBACK_LINES: Final = 60

_ROOT: Final = Path(__file__).parent.parent.parent


@dataclass
class Processes:
    """The processes of one service, in a VAR_DIR and on ports of their own."""

    environ: Mapping[str, str]
    settings: Settings
    children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    groups: set[int] = field(default_factory=set)
    restarts: int = 0

    @property
    def data(self) -> Path:
        """The folder of PostgreSQL's data."""
        return cluster.home(self.settings.var_dir) / "data"

    def log(self, verb: str) -> Path:
        """Name the log of a child."""
        return self.settings.var_dir / f"{verb}.log"

    def start(self, verb: str) -> None:
        """Start one child; it ends when this process does."""
        with self.log(verb).open("ab") as log:
            self.children[verb] = subprocess.Popen(
                [sys.executable, "-m", "service.cli", verb, "--with-parent"],
                cwd=_ROOT,
                env=dict(self.environ),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.groups.add(self.children[verb].pid)

    def tend(self) -> None:
        """Start again whatever is not there."""
        if postgres.running(self.settings.var_dir) is None:
            self.restarts += 1
            with suppress(Unavailable):
                postgres.start(self.settings.var_dir)
        for verb, child in list(self.children.items()):
            if child.poll() is not None:
                self.restarts += 1
                _end(child)
                self.start(verb)

    def stop(self) -> None:
        """Stop the children in good order; the database runs on."""
        for child in self.children.values():
            child.terminate()
        for child in self.children.values():
            with suppress(subprocess.TimeoutExpired):
                child.wait(STOP_WITHIN_S)
            _end(child)
        self.children.clear()
        for group in self.groups:
            # Workers whose master was killed notice it by themselves, but not at once.
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        self.groups.clear()

    def is_ready(self) -> bool:
        """Ask the server whether it can serve."""
        with (
            suppress(OSError),
            urllib.request.urlopen(f"http://{self.settings.bind}/readyz", timeout=5) as answer,
        ):
            return bool(answer.status == 200)
        return False

    def worker(self, chance: random.Random) -> psutil.Process | None:
        """Choose a worker of the web server."""
        return _chosen(chance, lambda: psutil.Process(self.children["serve"].pid).children())

    def master(self, _chance: random.Random) -> psutil.Process | None:
        """Name the web server's master."""
        return _process(self.children["serve"])

    def scheduler(self, _chance: random.Random) -> psutil.Process | None:
        """Name the scheduler."""
        return _process(self.children["scheduler"])

    def backend(self, chance: random.Random) -> psutil.Process | None:
        """Choose a session of the service on the database's side."""

        def sessions() -> list[psutil.Process]:
            server = cluster.postmaster(self.data)
            found = [] if server is None else server.children()
            return [one for one in found if any(APP_ROLE in word for word in one.cmdline())]

        return _chosen(chance, sessions)

    def postmaster(self, _chance: random.Random) -> psutil.Process | None:
        """Name the database's own master."""
        return cluster.postmaster(self.data)

    @property
    def victims(self) -> Mapping[str, Callable[[random.Random], psutil.Process | None]]:
        """What may be killed, by its name."""
        return {
            "web worker": self.worker,
            "gunicorn master": self.master,
            "scheduler": self.scheduler,
            "PostgreSQL backend": self.backend,
            "postmaster": self.postmaster,
        }

    def kill(self, kind: str, chance: random.Random) -> bool:
        """Kill one process of a kind as kill -9 does; False if there is none at this moment."""
        victim = self.victims[kind](chance)
        if victim is None:
            return False
        try:
            victim.kill()
        except psutil.NoSuchProcess:
            return False
        return True

    def complaints(self) -> list[Mapping[str, Any]]:
        """Read the errors in the children's logs: what nobody expected."""
        found = []
        for path in self.settings.var_dir.glob("*.log"):
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            for number, line in enumerate(lines):
                said = _document(line)
                if said.get("level") in {"error", "critical"}:
                    found.append(said)
                if line.startswith("Traceback"):
                    found.append({"log": path.name, "lines": lines[number : number + TRACEBACK_LINES]})
        return found


@contextmanager
def running() -> Iterator[Processes]:
    """Start a database, migrate it, and remove everything at the end; children are started by the caller."""
    var_dir = Path(tempfile.mkdtemp(prefix="benefit-ledger-kills-"))
    # The system user of the database passes through here.
    var_dir.chmod(0o755)
    given = {
        "VAR_DIR": str(var_dir),
        "BIND": f"127.0.0.1:{_free_port()}",
        "METRICS_BIND": f"127.0.0.1:{_free_port()}",
        "WEB_WORKERS": "2",
        "SCHEDULER_INTERVAL_S": "1",
        "LOG_LEVEL": "warning",
    }
    passed_on = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    processes = Processes({**passed_on, **given}, settings.read(given))
    try:
        migrations.upgrade(postgres.start(var_dir).owner_url)
        yield processes
    finally:
        processes.stop()
        postgres.stop(var_dir)
        shutil.rmtree(cluster.home(var_dir), ignore_errors=True)
        shutil.rmtree(var_dir, ignore_errors=True)


@contextmanager
def tended(processes: Processes) -> Iterator[None]:
    """Start server and scheduler and keep everything running meanwhile; stop both at the end."""
    is_over = threading.Event()

    def tend() -> None:
        while not is_over.wait(TEND_EVERY_S):
            processes.tend()

    for verb in ("serve", "scheduler"):
        processes.start(verb)
    tender = threading.Thread(target=tend, name="tender")
    tender.start()
    try:
        await_that(processes.is_ready, READY_WITHIN_S, "the server is ready")
        yield
        # Whatever was killed last comes back by itself as well.
        await_that(processes.is_ready, READY_WITHIN_S, "the server is ready again")
    finally:
        is_over.set()
        tender.join()
        processes.stop()


def await_that(condition: Callable[[], bool], timeout_s: float, words: str) -> None:
    """Wait until something holds."""
    ends = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < ends, f"waited {timeout_s} s in vain until {words}"
        time.sleep(0.05)


def _document(line: str) -> Mapping[str, Any]:
    """Read a line of a log; what is no JSON object says nothing."""
    with suppress(ValueError):
        said = json.loads(line)
        if isinstance(said, dict):
            return said
    return {}


def _process(child: subprocess.Popen[bytes]) -> psutil.Process | None:
    return psutil.Process(child.pid) if child.poll() is None else None


def _chosen(chance: random.Random, find: Callable[[], list[psutil.Process]]) -> psutil.Process | None:
    with suppress(psutil.Error):
        found = sorted(find(), key=lambda one: one.pid)
        return chance.choice(found) if found else None
    return None


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a child and let go of it; those of its own children that outlived it end by themselves."""
    child.kill()
    child.wait()
    if child.stdin is not None:
        child.stdin.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
