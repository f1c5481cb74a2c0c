"""Commands about engagement events."""

import uuid
from datetime import datetime
from pathlib import Path

import click

from service.cli import options, terminal
from service.cli.terminal import command, show
from service.events import compaction, importers, partitions
from service.events import mapping as mappings
from service.parties import platforms
from service.runtime import clock, db
from service.wiring import owner_address


def add_to(main: click.Group) -> None:
    """Add this module's group."""
    main.add_command(events)


@click.group()
def events() -> None:
    """Engagement events: import files, compact the log."""


@command(events, "import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@options.platform
@click.option(
    "--mapping", required=True, metavar="FILE|NAME", help="How rows become events; see `events mappings`."
)
@click.option(
    "--rejects", type=click.Path(dir_okay=False, path_type=Path), help="Where refused rows are written."
)
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Judge every row, and store nothing.")
@click.option("--backfill", "backfill_id", type=click.UUID, metavar="ID", help="Stage them in this backfill.")
def events_import(
    file: Path,
    platform_id: str,
    mapping: str,
    rejects: Path | None,
    is_dry_run: bool,
    backfill_id: uuid.UUID | None,
    as_json: bool,
) -> None:
    """Import a CSV, TSV, NDJSON or Parquet file of events; resumable, and a second import changes nothing."""
    with options.opened() as system:
        with db.transaction(system.database) as session:
            platform = platforms.get(session, platform_id)
        with terminal.progress(f"{'Judging' if is_dry_run else 'Importing'} {file.name}") as report:
            done = importers.run(
                system.database,
                platform,
                file,
                mappings.load(mapping),
                now_of=clock.now,
                rejects_path=rejects or file.with_name(file.name + ".rejects.ndjson"),
                is_dry_run=is_dry_run,
                report=report,
                say=terminal.say,
                backfill_id=backfill_id,
            )
    show(done, as_json)
    if done.rejected_count:
        terminal.say(done.advice)


@command(events, "mappings")
def events_mappings(as_json: bool) -> None:
    """List the mappings that ship with the service."""
    show([{"name": name, "title": title} for name, title in mappings.shipped_mappings()], as_json)


@command(events, "compact")
@options.platform
def events_compact(platform_id: str, as_json: bool) -> None:
    """Move everything in the event log into the lake now."""
    with options.opened() as system:
        with db.transaction(system.database) as session:
            platforms.get(session, platform_id)
            now: datetime = clock.now(session)
        done = compaction.run(system.database, system.lake, platform_id, now=now)
    show(done, as_json)


@command(events, "prune")
def events_prune(as_json: bool) -> None:
    """Drop the days of the event log that the lake has had for a day; make the days to come."""
    with options.opened() as system:
        owner_url = owner_address(system)
        if owner_url is None:
            terminal.fail(
                "DATABASE_OWNER_URL is not set: partitions are dropped by the role that owns the tables.",
                terminal.BAD_INPUT,
            )
        with db.transaction(system.database) as session:
            now: datetime = clock.now(session)
        done = partitions.prune(owner_url, now=now)
    show(done, as_json)
