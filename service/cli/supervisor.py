"""`make run`: the database, the demo at the first start, the server and the scheduler, kept running.

What dies is started again; what is there is used again. Children hold the other end of a pipe and end when
this process ends, however it ends.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click

from service.cli import terminal
from service.core.errors import Unavailable
from service.demo import build, proof
from service.runtime import db, migrations, postgres
from service.runtime.settings import Settings
from service.wiring import System, unwire, wire

Say = Callable[[str], None]

READY_TIMEOUT_S = 60
WATCH_EVERY_S = 1
RESTART_WAIT_MAX_S = 30
STOP_TIMEOUT_S = 35


class PortBusy(Unavailable):
    """Another program listens on the address."""

    slug = "port-busy"
    title = "The address is in use"


@dataclass(slots=True)
class Child:
    """One process that is kept running."""

    name: str
    arguments: Sequence[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    start_at_s: float = 0.0
    restart_count: int = 0


def run(settings: Settings, *, seed: int, say: Say, as_json: bool) -> None:
    """Run everything until told to stop (Ctrl-C or SIGTERM).

    Raises:
        PortBusy: the address of BIND is in use.
        Unavailable: the database did not start, or the server did not become ready.
    """
    _check_port(settings)
    signal.signal(signal.SIGTERM, _interrupt)
    children = [_child("serve", settings), _child("scheduler", settings)]
    system = None
    try:
        system = _prepare(settings, seed, say)
        for child in children:
            _start(child)
        _await_ready(settings, children[0], say)
        shown = proof.run(system)
        _print(system, shown, as_json)
        _watch(settings, children, say)
    except KeyboardInterrupt:
        say("Stopping ...")
    finally:
        for child in reversed(children):
            _stop(child)
        if system is not None:
            unwire(system)
        if settings.database_url is None:
            postgres.stop(settings.var_dir)


def _prepare(settings: Settings, seed: int, say: Say) -> System:
    if settings.database_url is None:
        endpoint = postgres.start(settings.var_dir, say=say)
        migrations.upgrade(endpoint.owner_url)
    elif settings.database_owner_url is not None:
        app_role = db.role_of(settings.database_url)
        migrations.upgrade(settings.database_owner_url, app_role=app_role)
    system = wire(settings, say=say)
    with terminal.progress("Building the demo platform") as report:
        build.run(system, seed=seed, report=report)
    return system


def _check_port(settings: Settings) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.bind.host, settings.bind.port))
        except OSError as fault:
            remedy = "stop the program that listens there, or set BIND to another address"
            msg = f"{settings.bind} is in use; {remedy}."
            raise PortBusy(msg) from fault


def _child(verb: str, settings: Settings) -> Child:
    log = settings.var_dir / "log" / f"{verb}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    return Child(verb, (sys.executable, "-m", "service.cli", verb, "--with-parent"), log)


def _start(child: Child) -> None:
    with child.log.open("ab") as log:
        child.process = subprocess.Popen(
            child.arguments, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
        )
    child.start_at_s = time.monotonic()


def _await_ready(settings: Settings, child: Child, say: Say) -> None:
    say("Starting the server and the scheduler ...")
    address = f"http://{settings.bind}/readyz"
    give_up_at_s = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < give_up_at_s:
        assert child.process is not None, "it was started before"
        if child.process.poll() is not None:
            break
        with suppress(urllib.error.URLError, OSError), urllib.request.urlopen(address, timeout=2) as answer:
            if answer.status == 200:
                return
        time.sleep(0.2)
    raise Unavailable(f"The server did not become ready; its last words are in {child.log}.")


def _watch(settings: Settings, children: list[Child], say: Say) -> None:
    """Start again what has ended, slower when it ends again and again; bring the database back too."""
    known = postgres.running(settings.var_dir)
    while True:
        time.sleep(WATCH_EVERY_S)
        if settings.database_url is None and postgres.running(settings.var_dir) is None:
            say("The database is away; starting it again ...")
            with suppress(Unavailable):
                again = postgres.start(settings.var_dir, say=say)
                if known is not None and again.port != known.port:
                    # Somebody else has the old port by now; the children know that one only.
                    for child in children:
                        _stop(child)
                known = again
        for child in children:
            _revive(child, say)


def _revive(child: Child, say: Say) -> None:
    assert child.process is not None, "all were started"
    if child.process.poll() is None:
        return
    lived_s = time.monotonic() - child.start_at_s
    child.restart_count = 0 if lived_s > RESTART_WAIT_MAX_S else child.restart_count + 1
    say(f"{child.name} ended with {child.process.returncode}; starting it again ...")
    time.sleep(min(2**child.restart_count, RESTART_WAIT_MAX_S) - 1)
    _start(child)


def _stop(child: Child) -> None:
    process = child.process
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _print(system: System, shown: proof.Proof, as_json: bool) -> None:
    welcome = build.welcome(system)
    if as_json:
        plain = terminal.to_plain({"welcome": welcome, "proof": shown})
        click.echo(json.dumps(plain, ensure_ascii=False))
        return
    for line in build.welcome_lines(welcome, shown):
        click.echo(line)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt
