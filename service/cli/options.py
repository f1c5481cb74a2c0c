"""Options that many commands share, and the system behind them, opened when a command needs it."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import click
from sqlalchemy.orm import Session

from service.cli import terminal
from service.core.errors import Invalid
from service.parties import staff as staff_acts
from service.parties.actors import OPERATOR, Actor
from service.runtime import clock, db, logs, settings
from service.wiring import System, unwire, wire

platform = click.option("--platform", "platform_id", required=True, metavar="ID", help="The platform's id.")
period = click.option(
    "--period", "period_id", required=True, metavar="NAME", help="The period, such as 2026-10."
)
acting = click.option("--as", "staff_id", metavar="STAFF", help="The member of staff who acts.")
required_acting = click.option(
    "--as", "staff_id", required=True, metavar="STAFF", help="The member of staff who acts."
)


@contextmanager
def opened() -> Iterator[System]:
    """Open the system with the settings of the environment; close its connections at the end."""
    known = settings.read(os.environ)
    logs.configure(known.log_level, sys.stderr)
    system = wire(known, say=terminal.say)
    try:
        yield system
    finally:
        unwire(system)


@contextmanager
def acted() -> Iterator[tuple[System, Session, datetime]]:
    """Open the system and one transaction, for a command that is one act; commit at the end."""
    with opened() as system, db.transaction(system.database) as session:
        yield system, session, clock.now(session)


def actor_of(session: Session, platform_id: str, staff_id: str | None) -> Actor:
    """Name who acts: a member of staff, or the operator of this machine when none is named.

    Raises:
        NotFound: the platform has no such member of staff.
    """
    if staff_id is None:
        return OPERATOR
    return staff_acts.get(session, platform_id, staff_id).actor


def chosen(name: str, choices: tuple[str, ...], **attributes: Any) -> Callable[..., Any]:
    """Make an option with fixed choices."""
    return click.option(name, type=click.Choice(choices), **attributes)


@contextmanager
def naming(option: str) -> Iterator[None]:
    """Say which option a value that cannot be used was given to."""
    try:
        yield
    except Invalid as fault:
        raise type(fault)(f"{option}: {fault.detail}", errors=fault.errors) from fault
