"""Commands about payouts."""

import os
import socket
import uuid
from collections.abc import Iterator

import click
from sqlalchemy.orm import Session

from service.cli import options, terminal
from service.cli.terminal import command, show
from service.core import money
from service.core.errors import FieldError, Invalid
from service.parties import platforms
from service.payouts import batches, due, funding, payees, settlement
from service.payouts import payouts as orders
from service.payouts.batches import NothingDue
from service.payouts.payouts import Payout
from service.payouts.providers.sandbox import Sandbox
from service.runtime import clock, db

PAGE = 500


def add_to(main: click.Group) -> None:
    """Add this module's group."""
    main.add_command(payouts)


@click.group()
def payouts() -> None:
    """Payouts: what is due, batches, sending."""


@command(payouts, "due")
@options.platform
def payouts_due(platform_id: str, as_json: bool) -> None:
    """Show what would be paid and, for everyone who would not, why not. Nothing is written."""
    with options.acted() as (_, session, now):
        found = due.listing(session, platforms.get(session, platform_id), now=now)
    show(found, as_json, columns=["creator_id", "payable_minor", "currency", "verdict", "reason"])


@command(payouts, "payee")
@options.platform
@click.argument("creator_id", metavar="CREATOR")
@click.option("--account", required=True, metavar="NUMBER", help="The account to pay to.")
@click.option("--holder", required=True, help="Whose account it is.")
def payouts_payee(platform_id: str, creator_id: str, account: str, holder: str, as_json: bool) -> None:
    """Declare where a creator is paid; kept encrypted."""
    with options.acted() as (system, session, now):
        platforms.get(session, platform_id)
        made = payees.declare(
            session,
            platform_id,
            creator_id,
            destination={"account_number": account, "holder": holder},
            provider=system.provider,
            vault=system.vault,
            actor=options.actor_of(session, platform_id, None),
            now=now,
        )
    show(made, as_json)


@command(payouts, "fund")
@options.platform
@click.option("--amount", required=True, help="In the currency's own decimals.")
@click.option("--reference", required=True, help="The number of the transfer; booked once.")
@options.acting
def payouts_fund(platform_id: str, amount: str, reference: str, staff_id: str | None, as_json: bool) -> None:
    """Book money that was moved to the provider; with the pretend bank, also put it there."""
    with options.acted() as (system, session, now):
        platform = platforms.get(session, platform_id)
        with options.naming("--amount"):
            amount_minor = money.parse(amount, platform.currency).minor
        is_new = funding.record(
            session,
            platform,
            provider=system.provider.name,
            amount_minor=amount_minor,
            reference=reference,
            actor=options.actor_of(session, platform_id, staff_id),
            now=now,
        )
    if isinstance(system.provider, Sandbox):
        with options.opened() as opened:
            assert isinstance(opened.provider, Sandbox), "the same settings give the same provider"
            opened.provider.fund(platform_id, platform.currency, amount_minor, reference)
    show({"reference": reference, "amount_minor": amount_minor, "was_booked": not is_new}, as_json)


@command(payouts, "run")
@options.platform
@options.acting
def payouts_run(platform_id: str, staff_id: str | None, as_json: bool) -> None:
    """Put everything that is due into a batch for approval, and send what is approved."""
    with options.opened() as system:
        with db.transaction(system.database) as session:
            now = clock.now(session)
            platform = platforms.get(session, platform_id)
            actor = options.actor_of(session, platform_id, staff_id)
            try:
                batch = batches.submit(session, platform, actor=actor, now=now)
            except NothingDue:
                batch = None
        with terminal.progress("Sending approved payouts"):
            sent = settlement.drain(
                system.database,
                system.provider,
                system.vault,
                platform_id=platform_id,
                owner=f"{socket.gethostname()}:{os.getpid()}",
            )
    show({"batch": batch, "sent": sent}, as_json)


@command(payouts, "approve")
@options.platform
@click.option(
    "--batch", "batch_text", required=True, metavar="ID", help="The batch, as `payouts status` shows it."
)
@options.required_acting
def payouts_approve(platform_id: str, batch_text: str, staff_id: str, as_json: bool) -> None:
    """Approve a batch that another person submitted."""
    batch_id = _uuid(batch_text)
    with options.acted() as (_, session, now):
        actor = options.actor_of(session, platform_id, staff_id)
        approved = batches.approve(session, platform_id, batch_id, actor=actor, now=now)
    show(approved, as_json)


@command(payouts, "status")
@options.platform
@click.option("--batch", "batch_text", metavar="ID", help="Only this batch's payouts, one by one.")
def payouts_status(platform_id: str, batch_text: str | None, as_json: bool) -> None:
    """Show batches, or one batch's payouts."""
    with options.acted() as (_, session, _now):
        platforms.get(session, platform_id)
        if batch_text is None:
            columns = [
                "id",
                "state",
                "payout_count",
                "amount_minor",
                "currency",
                "submitted_by",
                "approved_by",
            ]
            found: list[object] = list(batches.listing(session, platform_id))
        else:
            columns = [
                "id",
                "creator_id",
                "amount_minor",
                "currency",
                "state",
                "reason",
                "provider_reference",
            ]
            found = list(_all_of(session, platform_id, _uuid(batch_text)))
    show(found, as_json, columns=columns)


def _all_of(session: Session, platform_id: str, batch_id: uuid.UUID) -> Iterator[Payout]:
    after: uuid.UUID | None = None
    while page := orders.listing(session, platform_id, batch_id=batch_id, after=after, limit=PAGE):
        yield from page
        after = page[-1].id


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        detail = f"{text!r} is not a batch's id; `payouts status` shows them"
        raise Invalid(f"--batch: {detail}.", errors=[FieldError("/batch", detail)]) from None
