"""Commands about revenue, periods and rulebooks."""

from collections.abc import Callable
from datetime import datetime
from typing import BinaryIO

import click

from service.api import strict_json
from service.calendar import periods
from service.cli import options, terminal
from service.cli.terminal import command, show
from service.closing import estimates, revenues, stages
from service.closing.revenues import Deduction
from service.core import money, spans
from service.core.errors import FieldError, Invalid
from service.core.spans import Span
from service.parties import platforms
from service.parties import staff as staff_acts
from service.rules import registry, words
from service.runtime import clock, db
from service.wiring import System, tools

_PERIOD_COLUMNS = ("id", "state", "is_historic", "start_at", "end_at", "sealed_at", "posted_at")


def add_to(main: click.Group) -> None:
    """Add this module's groups."""
    for group in (revenue, period, rulebook, estimate):
        main.add_command(group)


@click.group()
def revenue() -> None:
    """Recognised revenue: what pools are made of."""


@click.group()
def period() -> None:
    """Periods: open, close, approve, post."""


@click.group()
def rulebook() -> None:
    """Rulebooks: publish and read."""


@click.group()
def estimate() -> None:
    """Estimates of the open period."""


@command(revenue, "record")
@options.platform
@click.option("--stream", required=True, help="Where it comes from, such as ads or subscriptions.")
@click.option("--reference", required=True, help="Your own number for it; recorded once.")
@click.option(
    "--gross", required=True, metavar="AMOUNT", help="In the currency's own decimals; VND has none."
)
@click.option("--currency", help="Has to be the platform's; default: the platform's.")
@click.option("--deduction", "deductions", multiple=True, metavar="NAME=AMOUNT", help="Repeat for each.")
@click.option("--period", "period_id", metavar="NAME", help="The period it was earned in ...")
@click.option(
    "--from", "from_text", metavar="INSTANT", help="... or from this instant, RFC 3339 with a zone,"
)
@click.option("--until", "until_text", metavar="INSTANT", help="until this one, exclusive.")
@options.acting
def revenue_record(
    platform_id: str,
    stream: str,
    reference: str,
    gross: str,
    currency: str | None,
    deductions: tuple[str, ...],
    period_id: str | None,
    from_text: str | None,
    until_text: str | None,
    staff_id: str | None,
    as_json: bool,
) -> None:
    """Record revenue and book it to its period's pool."""
    span = None
    if from_text is not None or until_text is not None:
        if from_text is None or until_text is None:
            detail = "give both --from and --until, or --period"
            raise Invalid(f"span: {detail}.", errors=[FieldError("/span", detail)])
        with options.naming("--from"):
            from_at = spans.parse_instant(from_text)
        with options.naming("--until"):
            span = Span(from_at, spans.parse_instant(until_text))
    with options.acted() as (_, session, now):
        platform = platforms.get(session, platform_id)
        unit = currency or platform.currency
        with options.naming("--gross"):
            gross_minor = money.parse(gross, unit).minor
        made = revenues.record(
            session,
            platform,
            stream=stream,
            reference=reference,
            currency=unit,
            gross_minor=gross_minor,
            deductions=[_deduction(text, unit) for text in deductions],
            span=span,
            period_id=period_id,
            actor=options.actor_of(session, platform_id, staff_id),
            now=now,
        )
    show(made, as_json)


@command(revenue, "list")
@options.platform
@click.option("--period", "period_id", metavar="NAME", help="Only what joined this period's pool.")
def revenue_list(platform_id: str, period_id: str | None, as_json: bool) -> None:
    """List recorded revenue."""
    with options.acted() as (_, session, _now):
        platforms.get(session, platform_id)
        found = revenues.listing(session, platform_id, period_id=period_id, limit=10_000)
    columns = ["reference", "stream", "period_id", "origin_period_id", "gross_minor", "net_minor", "currency"]
    show(found, as_json, columns=columns)


@command(period, "list")
@options.platform
def period_list(platform_id: str, as_json: bool) -> None:
    """List a platform's periods, earliest first."""
    with options.acted() as (_, session, _now):
        platforms.get(session, platform_id)
        found = [_row(one) for one in periods.listing(session, platform_id)]
    show(found, as_json, columns=_PERIOD_COLUMNS)


@command(period, "open")
@options.platform
@click.option("--from", "from_text", metavar="DATE|INSTANT", help="The first day of history ...")
@click.option("--period", "period_id", metavar="NAME", help="... or the first period, such as 2026-01.")
@options.acting
def period_open(
    platform_id: str, from_text: str | None, period_id: str | None, staff_id: str | None, as_json: bool
) -> None:
    """Open periods for history: every missing one from a date up to now."""
    if (from_text is None) == (period_id is None):
        detail = "give either --from or --period"
        raise Invalid(f"{detail.capitalize()}.", errors=[FieldError("/from", detail)])
    with options.acted() as (_, session, now):
        platform = platforms.get(session, platform_id)
        if period_id is not None:
            with options.naming("--period"):
                from_at = spans.span_of(period_id, platform.zone).start_at
        else:
            assert from_text is not None, "checked above"
            from_at = _day_or_instant(from_text, platform)
        actor = options.actor_of(session, platform_id, staff_id)
        opened = periods.open_from(session, platform, from_at, actor=actor, now=now)
        found = [_row(one) for one in opened]
    show(found, as_json, columns=_PERIOD_COLUMNS)


@command(period, "close")
@options.platform
@options.period
@options.acting
def period_close(platform_id: str, period_id: str, staff_id: str | None, as_json: bool) -> None:
    """Seal a period that is over, score its events, split its pool and publish the result."""

    def close(system: System, now: datetime) -> None:
        with db.transaction(system.database) as session:
            platforms.get(session, platform_id)
            actor = options.actor_of(session, platform_id, staff_id)
            staff_acts.require(session, platform_id, actor, "finance_maker")
        with terminal.progress(f"Closing {period_id}") as report:
            stages.close(tools(system), platform_id, period_id, actor=actor, now=now, report=report)

    _work(platform_id, period_id, close, as_json)


@command(period, "approve")
@options.platform
@options.period
@options.required_acting
def period_approve(platform_id: str, period_id: str, staff_id: str, as_json: bool) -> None:
    """Approve a published split that another person prepared."""
    with options.acted() as (_, session, now):
        platforms.get(session, platform_id)
        actor = options.actor_of(session, platform_id, staff_id)
        approved = stages.approve(session, platform_id, period_id, actor=actor, now=now)
        found = _row(approved)
    show(found, as_json)


@command(period, "post")
@options.platform
@options.period
@options.acting
def period_post(platform_id: str, period_id: str, staff_id: str | None, as_json: bool) -> None:
    """Book an approved split in the ledger."""
    with options.acted() as (_, session, now):
        platforms.get(session, platform_id)
        actor = options.actor_of(session, platform_id, staff_id)
        posted = stages.post(session, platform_id, period_id, actor=actor, now=now)
        found = _row(posted)
    show(found, as_json)


@command(estimate, "refresh")
@options.platform
def estimate_refresh(platform_id: str, as_json: bool) -> None:
    """Compute the open period's estimate anew."""
    with options.opened() as system:
        with db.transaction(system.database) as session:
            now = clock.now(session)
        made = estimates.refresh(tools(system), platform_id, now=now)
    show(made, as_json)


@command(rulebook, "publish")
@options.platform
@click.option(
    "--document", type=click.File("rb", lazy=False), required=True, help="The rulebook, a JSON document."
)
@click.option(
    "--from", "from_text", required=True, metavar="DATE|INSTANT", help="The start of a period to come."
)
@options.acting
def rulebook_publish(
    platform_id: str, document: BinaryIO, from_text: str, staff_id: str | None, as_json: bool
) -> None:
    """Publish a new version of the rulebook, in force from a period to come."""
    with options.acted() as (_, session, now):
        platform = platforms.get(session, platform_id)
        made = registry.publish(
            session,
            platform,
            strict_json.load(document.read()),
            in_force_from_at=_day_or_instant(from_text, platform),
            actor=options.actor_of(session, platform_id, staff_id),
            now=now,
        )
    show({"version": made.version, "sha256": made.sha256, "in_force_from_at": made.in_force_from_at}, as_json)


@command(rulebook, "show")
@options.platform
@options.chosen("--locale", platforms.LOCALES, default="en", show_default=True)
def rulebook_show(platform_id: str, locale: str, as_json: bool) -> None:
    """Show the rulebook in force, in words; with --json the document."""
    with options.acted() as (_, session, now):
        published = registry.in_force(session, platform_id, now)
        currency = platforms.get(session, platform_id).currency
    if as_json:
        show({"sha256": published.sha256, "document": published.document}, as_json)
        return
    for clause in words.render(published.rulebook, locale, currency=currency):
        click.echo(f"{clause.title}\n  {clause.text}\n")


def _work(platform_id: str, period_id: str, act: Callable[[System, datetime], None], as_json: bool) -> None:
    with options.opened() as system:
        with db.transaction(system.database) as session:
            now = clock.now(session)
        act(system, now)
        with db.transaction(system.database) as session:
            found = _row(periods.get(session, platform_id, period_id))
    show(found, as_json)


def _row(one: periods.Period) -> dict[str, object]:
    return {
        "id": one.id,
        "state": one.state,
        "is_historic": one.is_historic,
        "start_at": one.span.start_at,
        "end_at": one.span.end_at,
        "sealed_at": one.sealed_at,
        "published_at": one.published_at,
        "posted_at": one.posted_at,
    }


def _deduction(text: str, currency: str) -> Deduction:
    name, separator, amount = text.rpartition("=")
    if not separator or not name.strip():
        detail = f"write {text!r} as NAME=AMOUNT"
        raise Invalid(f"--deduction: {detail}.", errors=[FieldError("/deductions", detail)])
    with options.naming("--deduction"):
        return Deduction(name.strip(), money.parse(amount, currency).minor)


def _day_or_instant(text: str, platform: platforms.Platform) -> datetime:
    with options.naming("--from"):
        if len(text) == len("2026-10-01"):
            return spans.span_of(text, platform.zone).start_at
        return spans.parse_instant(text)
