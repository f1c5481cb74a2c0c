"""Commands about backfills: history that is staged, approved by two people, and let in."""

import uuid
from collections.abc import Callable
from datetime import datetime

import click
from sqlalchemy.orm import Session

from service.cli import options, terminal
from service.cli.terminal import command, show
from service.closing import backfilling
from service.core import spans
from service.core.spans import Span
from service.events import backfills, staging
from service.events.backfills import Backfill
from service.parties import platforms
from service.parties.actors import Actor
from service.parties.platforms import Platform
from service.runtime import clock, db
from service.wiring import tools

LISTED_MAX = 1_000

_COLUMNS = ("id", "state", "from", "until", "accepted_count", "rejected_count", "reason", "created_by")

_named = click.argument("backfill_id", metavar="ID", type=click.UUID)


def add_to(main: click.Group) -> None:
    """Add this module's group."""
    main.add_command(backfill)


@click.group()
def backfill() -> None:
    """Backfills: bring history in; see also `events import --backfill`."""


@command(backfill, "create")
@options.platform
@click.option(
    "--from", "from_text", required=True, metavar="DATE|INSTANT", help="The first time it takes ..."
)
@click.option(
    "--until", "until_text", required=True, metavar="DATE|INSTANT", help="... until this one, exclusive."
)
@click.option("--rulebook", required=True, metavar="SHA256", help="A published version of the rulebook.")
@click.option("--reason", required=True, help="Why; it stays in the record.")
@options.required_acting
def backfill_create(
    platform_id: str,
    from_text: str,
    until_text: str,
    rulebook: str,
    reason: str,
    staff_id: str,
    as_json: bool,
) -> None:
    """Begin a backfill of a span whose periods are missing, or historic and open."""
    with options.acted() as (_, session, now):
        platform = platforms.get(session, platform_id)
        span = Span(_bound("--from", from_text, platform), _bound("--until", until_text, platform))
        made = backfilling.create(
            session,
            platform,
            span=span,
            rulebook_sha256=rulebook,
            reason=reason,
            actor=options.actor_of(session, platform_id, staff_id),
            now=now,
        )
        found = _row(session, made)
    show(found, as_json)


@command(backfill, "list")
@options.platform
def backfill_list(platform_id: str, as_json: bool) -> None:
    """List backfills, newest first."""
    with options.acted() as (_, session, _now):
        platforms.get(session, platform_id)
        found = [_row(session, one) for one in backfills.listing(session, platform_id, limit=LISTED_MAX)]
    show(found, as_json, columns=_COLUMNS)


@command(backfill, "submit")
@options.platform
@_named
@options.required_acting
def backfill_submit(platform_id: str, backfill_id: uuid.UUID, staff_id: str, as_json: bool) -> None:
    """Freeze what is staged; then a second person looks at it."""
    _act(
        platform_id,
        staff_id,
        lambda session, _, actor, now: backfilling.submit(
            session, platform_id, backfill_id, actor=actor, now=now
        ),
        as_json,
    )


@command(backfill, "preview")
@options.platform
@_named
def backfill_preview(platform_id: str, backfill_id: uuid.UUID, as_json: bool) -> None:
    """Compute what a commit would do now: events, points, pools and amounts by period."""
    with options.opened() as system:
        with db.transaction(system.database) as session:
            now: datetime = clock.now(session)
        with terminal.progress("Looking ahead") as report:
            found = backfilling.preview(tools(system), platform_id, backfill_id, now=now, report=report)
    show(found, as_json)


@command(backfill, "approve")
@options.platform
@_named
@click.option("--events", "accepted_count", type=int, required=True, help="How many events you have seen.")
@click.option("--digest", required=True, metavar="SHA256", help="The digest of the batches you have seen.")
@options.required_acting
def backfill_approve(
    platform_id: str,
    backfill_id: uuid.UUID,
    accepted_count: int,
    digest: str,
    staff_id: str,
    as_json: bool,
) -> None:
    """Approve exactly what another person submitted."""
    _act(
        platform_id,
        staff_id,
        lambda session, _, actor, now: backfills.approve(
            session,
            platform_id,
            backfill_id,
            accepted_count=accepted_count,
            batches_sha256=digest,
            actor=actor,
            now=now,
        ),
        as_json,
    )


@command(backfill, "commit")
@options.platform
@_named
@options.required_acting
def backfill_commit(platform_id: str, backfill_id: uuid.UUID, staff_id: str, as_json: bool) -> None:
    """Let an approved backfill in: its periods, its rulebook, its batches."""
    _act(
        platform_id,
        staff_id,
        lambda session, platform, actor, now: backfilling.commit(
            session, platform, backfill_id, actor=actor, now=now
        ),
        as_json,
    )


@command(backfill, "drop")
@options.platform
@_named
@options.required_acting
def backfill_drop(platform_id: str, backfill_id: uuid.UUID, staff_id: str, as_json: bool) -> None:
    """Remove what is staged; the record of it stays."""
    _act(
        platform_id,
        staff_id,
        lambda session, _, actor, now: backfills.drop(
            session, platform_id, backfill_id, actor=actor, now=now
        ),
        as_json,
    )


def _act(
    platform_id: str,
    staff_id: str,
    act: Callable[[Session, Platform, Actor, datetime], Backfill],
    as_json: bool,
) -> None:
    with options.acted() as (_, session, now):
        platform = platforms.get(session, platform_id)
        actor = options.actor_of(session, platform_id, staff_id)
        found = _row(session, act(session, platform, actor, now))
    show(found, as_json)


def _row(session: Session, one: Backfill) -> dict[str, object]:
    totals = one.frozen or staging.totals(session, one.platform_id, one.id)
    return {
        "id": one.id,
        "state": one.state,
        "from": one.span.start_at,
        "until": one.span.end_at,
        "rulebook": one.rulebook_sha256,
        "reason": one.reason,
        "batch_count": totals.batch_count,
        "accepted_count": totals.accepted_count,
        "rejected_count": totals.rejected_count,
        "batches_sha256": totals.batches_sha256,
        "created_by": one.created_by,
        "submitted_by": one.submitted_by,
        "approved_by": one.approved_by,
        "committed_by": one.committed_by,
        "dropped_by": one.dropped_by,
    }


def _bound(option: str, text: str, platform: Platform) -> datetime:
    with options.naming(option):
        if len(text) == len("2026-10-01"):
            return spans.span_of(text, platform.zone).start_at
        return spans.parse_instant(text)
