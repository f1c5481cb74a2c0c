"""Commands about the books: statements, exports, the audit, and checks of what was handed out."""

import itertools
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import click
from sqlalchemy.orm import Session

from service.api import strict_json
from service.audit import recompute as recomputing
from service.audit import replay
from service.cli import options, terminal
from service.cli.terminal import command, show
from service.events.manifest import EventsRemoved
from service.parties import platforms
from service.runtime import clock, db
from service.statements import documents, exports, verification
from service.statements.exports import Table
from service.statements.formats import csv
from service.wiring import tools


def add_to(main: click.Group) -> None:
    """Add this module's commands."""
    for one in (statement, export, audit, verify, recompute):
        main.add_command(one)


@click.group(invoke_without_command=False)
def export() -> None:
    """Exports for finance, as CSV on standard output or in a file."""


_output = click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="Where to; default: standard output."
)


@command(None, "statement")
@options.platform
@options.period
@click.option("--creator", "creator_id", required=True, metavar="ID")
@options.chosen("--format", documents.FORMS, default="csv", show_default=True)
@options.chosen("--locale", platforms.LOCALES, default="vi", show_default=True)
@_output
def statement(
    platform_id: str,
    period_id: str,
    creator_id: str,
    format: str,  # noqa: A002 — the option's name.
    locale: str,
    output: Path | None,
    as_json: bool,
) -> None:
    """Write a creator's statement of a posted period."""
    with options.acted() as (system, session, now):
        document = documents.write(
            session,
            platforms.get(session, platform_id),
            creator_id,
            period_id,
            form="json" if as_json else format,
            locale=locale,
            vault=system.vault,
            now=now,
        )
    _write([document.content], output)


def _export(name: str, read: Callable[[Session, str], Table], summary: str) -> None:
    def act(platform_id: str, output: Path | None, as_json: bool) -> None:
        with options.acted() as (_, session, _now):
            platforms.get(session, platform_id)
            table = read(session, platform_id)
            _write((piece.encode() for piece in csv.stream(table.header, table.rows)), output)
        if as_json and output is not None:
            show({"file": output, "size_bytes": output.stat().st_size}, as_json)

    act.__doc__ = summary
    command(export, name)(options.platform(_output(act)))


_export("journal", exports.journal, "Every line of every entry.")
_export("trial-balance", exports.trial_balance, "The balance of every account; debits equal credits.")
_export("payouts", exports.payouts, "Every payout with its state.")


@command(export, "shares")
@options.platform
@options.period
@_output
def export_shares(platform_id: str, period_id: str, output: Path | None, as_json: bool) -> None:
    """Every share of a period's split."""
    with options.acted() as (_, session, _now):
        platforms.get(session, platform_id)
        table = exports.shares(session, platform_id, period_id=period_id)
        _write((piece.encode() for piece in csv.stream(table.header, table.rows)), output)
    if as_json and output is not None:
        show({"file": output, "size_bytes": output.stat().st_size}, as_json)


@command(None, "audit")
@click.option("--platform", "platform_id", metavar="ID", help="Only this platform; default: all.")
def audit(platform_id: str | None, as_json: bool) -> None:
    """Replay everything against everything; exit code 1 when anything differs."""
    with options.opened() as system:
        if platform_id is not None:
            with db.transaction(system.database) as session:
                platforms.get(session, platform_id)
        with terminal.progress("Auditing") as advance:
            seen = itertools.count(1)
            report = replay.run(
                system.database,
                system.lake,
                platform_id=platform_id,
                say=lambda _line: advance(next(seen), None),
            )
    if as_json:
        show(report, as_json)
    else:
        show([{"check": name, "looked_at": count} for name, count in report.checks.items()], as_json)
        terminal.say("Everything agrees." if report.is_clean else f"{report.finding_count} differences.")
        for remark in report.remarks:
            terminal.say(f"{remark}.")
        for one in report.findings:
            where = f"{one.check}: {one.platform_id} {one.subject}"
            terminal.say(f"{where}: expected {one.expected}, found {one.found}")
    if not report.is_clean:
        sys.exit(terminal.CHECK_FAILED)


@command(None, "verify")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def verify(file: Path, as_json: bool) -> None:
    """Check a statement in JSON against itself and against the books; exit code 1 when it differs."""
    document = strict_json.load(file.read_bytes())
    with options.acted() as (system, session, _now):
        differences = verification.differences(session, document, vault=system.vault)
    show({"file": file, "is_genuine": not differences, "differences": differences}, as_json)
    if differences:
        sys.exit(terminal.CHECK_FAILED)


@command(None, "recompute")
@options.platform
@options.period
def recompute(platform_id: str, period_id: str, as_json: bool) -> None:
    """Score and split a period again from its sealed events; exit code 1 when a share differs."""
    with options.opened() as system:
        with db.transaction(system.database) as session:
            now = clock.now(session)
        try:
            result = recomputing.run(tools(system), platform_id, period_id, now=now)
        except EventsRemoved as fault:
            # Nothing differs: there is nothing left to compute from, as the platform decided.
            show({"platform_id": platform_id, "period_id": period_id, "removed": fault.detail}, as_json)
            return
    show(result, as_json)
    if result.differences:
        sys.exit(terminal.CHECK_FAILED)


def _write(parts: Iterable[bytes], output: Path | None) -> None:
    if output is None:
        for part in parts:
            click.echo(part, nl=False)
        return
    with output.open("wb") as handle:
        for part in parts:
            handle.write(part)
