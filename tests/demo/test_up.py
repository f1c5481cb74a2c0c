"""`make run`, as a newcomer sees it.

Everything starts, the README's commands work as they stand there, what is killed comes back, and the second
start finds what the first one made.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
WAIT_S = 300


class Running:
    """One `benefit-ledger up` with a folder and ports of its own."""

    def __init__(self, folder: Path) -> None:
        self.port, metrics_port = _free_port(), _free_port()
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "VAR_DIR": str(folder / "var"),
            "BIND": f"127.0.0.1:{self.port}",
            "METRICS_BIND": f"127.0.0.1:{metrics_port}",
            "PUBLIC_URL": f"http://127.0.0.1:{self.port}",
        }
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        self.printed = ""

    def start(self) -> str:
        """Start it and wait for its proof; return what it printed."""
        output = self.folder / "up.log"
        with output.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service.cli", "up"],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        process = self.process
        _await(lambda: "->" in output.read_text(encoding="utf-8") or process.poll() is not None)
        printed = output.read_text(encoding="utf-8")
        assert process.poll() is None, printed
        return printed

    def stop(self) -> int:
        """Tell it to stop, and wait until it has."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_S)

    def children(self) -> dict[str, psutil.Process]:
        """Find the server and the scheduler."""
        assert self.process is not None
        found = {}
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.Error):
                for verb in ("serve", "scheduler"):
                    if verb in child.cmdline():
                        found[verb] = child
        return found

    def is_ready(self) -> bool:
        """Ask the server."""
        with (
            suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer,
        ):
            return bool(answer.status == 200)
        return False


@pytest.fixture(scope="module")
def up() -> Iterator[Running]:
    """Give one running service for the tests of this module, in their order."""
    with tempfile.TemporaryDirectory(prefix="bl-up-") as folder:
        # The database's own user has to reach the folder.
        Path(folder).chmod(0o755)
        running = Running(Path(folder))
        try:
            running.printed = running.start()
            yield running
        finally:
            if running.process is not None and running.process.poll() is None:
                running.stop()


def test_the_start_ends_in_a_visible_proof(up: Running) -> None:
    """Addresses, links, a key, and an estimate that went up."""
    before, after = re.findall(r": ([\d.]+)\s₫ -> ([\d.]+)\s₫", up.printed)[0]

    assert int(after.replace(".", "")) > int(before.replace(".", ""))
    assert f"http://127.0.0.1:{up.port}/p/demo" in up.printed
    assert 3 == up.printed.count("/sign-in/")
    assert "bl_live_" in up.printed


def test_the_numbers_are_those_of_the_readme(up: Running) -> None:
    """The same seed, the same pools."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    promised = [int(text.replace(",", "")) for text in re.findall(r"\| ([\d,]+) ₫ \|", readme)]
    page = urllib.request.urlopen(f"http://127.0.0.1:{up.port}/p/demo?lang=vi", timeout=10).read().decode()

    assert 3 == len(promised)
    assert [True] * 3 == [f"{amount:,}".replace(",", ".") in page for amount in promised]


def test_the_commands_of_the_readme_work_as_they_stand_there(up: Running) -> None:
    """Copied literally, but for the port and the place of the program."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```sh\n(KEY=.*?)```", readme, re.DOTALL)
    block = block.replace("127.0.0.1:8000", f"127.0.0.1:{up.port}")
    block = block.replace(".venv/bin/benefit-ledger", f"{sys.executable} -m service.cli")
    block = block.replace("/tmp/events", f"{up.folder}/events").replace("curl -s", "echo; curl -s")
    done = subprocess.run(
        ["bash", "-eu", "-c", block], cwd=ROOT, env=up.environment, capture_output=True, text=True, check=True
    )
    answers = [line for line in done.stdout.splitlines() if line.startswith("{")]
    earnings, first, again, revenue, refusal, walk, _books = map(json.loads, answers)

    assert "estimate" in earnings
    assert ({"accepted": 3, "rejected": 1}, False, True) == (
        first["counts"],
        first["replayed"],
        again["replayed"],
    )
    assert 5_000_000 == revenue["net"]["amount_minor"]
    assert ("/problems/invalid-input", "/gross/amount_minor") == (
        refusal["type"],
        refusal["errors"][0]["pointer"],
    )
    assert "posted" == walk["state"]
    assert "period_share" in done.stdout


def test_a_second_one_on_the_same_address_says_so(up: Running) -> None:
    """Exit code 3 and the address."""
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", "up"],
        cwd=ROOT,
        env=up.environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (3, True) == (done.returncode, f"127.0.0.1:{up.port}" in done.stderr)


def test_what_is_killed_comes_back(up: Running) -> None:
    """The server, the scheduler and the database, each killed without a word."""
    for verb in ("serve", "scheduler"):
        _await(lambda verb=verb: verb in up.children())
        victim = up.children()[verb]
        victim.kill()
        _await(lambda verb=verb, pid=victim.pid: verb in up.children() and up.children()[verb].pid != pid)
    pid = int(_pid_file(up).read_text().splitlines()[0])
    os.kill(pid, signal.SIGKILL)
    _await(lambda: _pid_file(up).exists() and int(_pid_file(up).read_text().splitlines()[0]) != pid)
    _await(up.is_ready)
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", "audit", "--json"],
        cwd=ROOT,
        env=up.environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert 0 == json.loads(done.stdout)["finding_count"]


def test_it_stops_everything_and_starts_again_where_it_was(up: Running) -> None:
    """No process stays behind; the second start builds nothing anew."""
    up.stop()
    left = [one.pid for one in psutil.process_iter() if _belongs(one, up)]
    again = up.start()

    assert ([], _key_id(up.printed)) == (left, _key_id(again))


def _key_id(printed: str) -> str:
    return printed.split("bl_live_")[1][:8]


def _belongs(process: psutil.Process, up: Running) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and str(up.folder) in " ".join(process.cmdline())
    except psutil.Error:
        return False


def _pid_file(up: Running) -> Path:
    return Path(up.environment["VAR_DIR"], "postgres").resolve() / "data" / "postmaster.pid"


def _await(condition: Callable[[], bool]) -> None:
    give_up_at_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < give_up_at_s, "it did not happen in time"
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
