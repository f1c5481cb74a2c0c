"""Commands that run and look after the service's processes."""

import os
import signal
import sys
import threading
from types import FrameType

import click

from service import server
from service.app import create
from service.cli import options, supervisor, terminal
from service.cli.terminal import command, show
from service.demo import build, proof
from service.runtime import logs, metrics, migrations, postgres, settings
from service.runtime.db import role_of
from service.scheduler import ticker
from service.wiring import doctor as examine
from service.wiring import wire


def add_to(main: click.Group) -> None:
    """Add this module's commands."""
    for one in (up, serve, scheduler, tick, migrate, demo, settings_command, doctor):
        main.add_command(one)


@command(None, "up")
@click.option("--seed", default=build.SEED, show_default=True, help="Of the demo platform.")
def up(seed: int, as_json: bool) -> None:
    """Set everything up and keep it running: database, demo at the first start, server, scheduler."""
    known = settings.read(os.environ)
    logs.configure("error", sys.stderr)
    supervisor.run(known, seed=seed, say=terminal.say, as_json=as_json)


@command(None, "serve")
@click.option("--with-parent", is_flag=True, hidden=True)
def serve(with_parent: bool, as_json: bool) -> None:
    """Serve the API and the pages."""
    del as_json
    known = settings.read(os.environ)
    logs.configure(known.log_level, sys.stderr)
    if with_parent:
        _end_with_parent()
    server.serve(known, lambda: create(wire(known, say=terminal.say)))


@command(None, "scheduler")
@click.option("--with-parent", is_flag=True, hidden=True)
def scheduler(with_parent: bool, as_json: bool) -> None:
    """Run what is due, for as long as the process lives; start as many as you like."""
    del as_json
    if with_parent:
        _end_with_parent()
    with options.opened() as system:
        metrics.share(system.settings.var_dir)
        ticker.run_forever(system)


@command(None, "tick")
def tick(as_json: bool) -> None:
    """Run what is due once, and end: for cron and its like."""
    with options.opened() as system:
        done = ticker.tick(system, owner=ticker.owner())
    show(done, as_json)
    if done.failed_count:
        sys.exit(terminal.CHECK_FAILED)


@command(None, "migrate")
def migrate(as_json: bool) -> None:
    """Bring the database to the newest schema, as the owner role."""
    known = settings.read(os.environ)
    owner_url, app_role = known.database_owner_url, postgres.APP_ROLE
    if known.database_url is None:
        endpoint = postgres.start(known.var_dir, say=terminal.say)
        owner_url = endpoint.owner_url
    else:
        app_role = role_of(known.database_url)
    if owner_url is None:
        terminal.fail(
            "DATABASE_OWNER_URL is not set: migrations run as the role that owns the tables.",
            terminal.BAD_INPUT,
        )
    show({"revision": migrations.upgrade(owner_url, app_role=app_role)}, as_json)


@command(None, "demo")
@click.option("--seed", default=build.SEED, show_default=True, help="The same seed makes the same numbers.")
@click.option(
    "--event", is_flag=True, help="Send one event to the running server and show the estimate change."
)
@click.option("--key", is_flag=True, help="Print the demo's API key.")
def demo(seed: int, event: bool, key: bool, as_json: bool) -> None:
    """Build the demo platform if it is not there: closed periods, an open one, payouts, statements."""
    with options.opened() as system:
        if event:
            show(proof.run(system), as_json)
            return
        if key:
            found = build.key_of(system)
            show({"key": found} if as_json else found, as_json)
            return
        with terminal.progress("Building the demo platform") as report:
            show(build.run(system, seed=seed, report=report), as_json)


@command(None, "settings")
def settings_command(as_json: bool) -> None:
    """List every setting: its name, value, default and meaning."""
    show(settings.describe(os.environ), as_json, columns=["name", "value", "default", "meaning"])


@command(None, "doctor")
def doctor(as_json: bool) -> None:
    """Check the installation: settings, database, schema, lake, keys; exit code 1 when something is wrong."""
    with options.opened() as system:
        checks = examine(system)
    show(checks, as_json, columns=["name", "is_good", "detail"])
    if not all(one.is_good for one in checks):
        sys.exit(terminal.CHECK_FAILED)


def _end_with_parent() -> None:
    """End this process when the one that started it is gone: its end of our standard input closes."""

    def wait() -> None:
        # Unbuffered: a buffered read would hold a lock that the interpreter wants when it ends.
        while os.read(sys.stdin.fileno(), 1):
            continue
        os.kill(os.getpid(), signal.SIGTERM)

    def end(_number: int, _frame: FrameType | None) -> None:
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    threading.Thread(target=wait, daemon=True, name="with-parent").start()
