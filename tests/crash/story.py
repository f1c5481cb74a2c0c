"""What happens under load: a platform with days to close and creators to pay, people who approve, an end.

The days before today are over and without grace, so that the scheduler closes, posts and pays while the
clients send; today's day is closed when all is over.
"""

from collections import Counter
from collections.abc import Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy.exc import DBAPIError

from service.audit import replay
from service.calendar import periods
from service.closing import onboarding, revenues, stages
from service.core.errors import Unavailable
from service.events import intake, manifest, wire
from service.jobs import queue
from service.parties import creators, keys, platforms, staff
from service.parties.actors import OPERATOR
from service.payouts import batches, funding, payees, payouts
from service.payouts.providers.base import TransferState
from service.payouts.providers.sandbox import Sandbox
from service.payouts.transitions import SETTLED, State
from service.rules import registry
from service.runtime import db, duck
from service.scheduler import ticker
from service.wiring import System
from tests.crash.world import ACCOUNTS, LAN, MINH, Clock, batch, event

PLATFORM: Final = "sen"
DAYS: Final = 3
"""Days before today that are to be closed."""

FUNDS_MINOR: Final = 1_000_000_000
PAID: Final = tuple(ACCOUNTS)
SCOPES: Final = ("events:write", "revenue:write", "periods:operate")
ROUNDS_MAX: Final = 60


def begin(system: System) -> str:
    """Found the platform some days ago and let its creators earn; return a key."""
    now = datetime.now(UTC)
    at = now - timedelta(days=DAYS)
    with db.transaction(system.database) as session:
        rules = registry.founding_document()
        rules |= {"grace_h": 0, "challenge_window_h": 0, "minimum_payout_minor": 1}
        platform = onboarding.found(
            session,
            platform_id=PLATFORM,
            name="Sen",
            period_unit="day",
            document=rules,
            actor=OPERATOR,
            now=at,
        )
        for person, role in ((LAN, "finance_maker"), (MINH, "finance_checker")):
            staff.register(session, PLATFORM, person.id, person.id, [role], actor=OPERATOR, now=at)
        creators.ensure(session, PLATFORM, PAID, now=at)
        for creator_id, number in ACCOUNTS.items():
            payees.declare(
                session,
                PLATFORM,
                creator_id,
                provider=system.provider,
                destination={"account_number": number, "holder": creator_id},
                vault=system.vault,
                actor=OPERATOR,
                now=at,
            )
        _, secret = keys.create(
            session, PLATFORM, label="load", scopes=SCOPES, pepper=system.pepper, actor=OPERATOR, now=now
        )
        funding.record(
            session,
            platform,
            provider=system.provider.name,
            amount_minor=FUNDS_MINOR,
            reference="fund-1",
            actor=LAN,
            now=now,
        )
    bank(system).fund(PLATFORM, "VND", FUNDS_MINOR, "fund-1")
    for number in range(DAYS):
        _earn(system, at + timedelta(days=number), number)
    return secret


def _earn(system: System, at: datetime, number: int) -> None:
    """Bring revenue and events of one day."""
    body = batch(*(event(f"day-{number}-{one}", one, at, quantity=5) for one in PAID))
    with db.transaction(system.database) as session:
        platform = platforms.get(session, PLATFORM)
        day = periods.ensure_current(session, platform, at)
        revenues.record(
            session,
            platform,
            stream="ads",
            reference=f"day-{number}",
            currency="VND",
            gross_minor=10_000_000 + number,
            period_id=day.id,
            actor=OPERATOR,
            now=at,
        )
        receipt = intake.receive(session, platform, body, wire.BATCH, channel="http", now=at)
    assert receipt.accepted_count == len(PAID), receipt.rejected


def approve(system: System) -> None:
    """Approve whatever waits for a second person, as people do who try again when the service is away."""
    with suppress(Unavailable, DBAPIError):
        with db.transaction(system.database) as session:
            published = [one.id for one in periods.listing(session, PLATFORM) if one.state == "published"]
            submitted = [one.id for one in batches.listing(session, PLATFORM, state="submitted")]
        for period_id in published:
            with db.transaction(system.database) as session:
                if periods.get(session, PLATFORM, period_id, lock=True).state == "published":
                    stages.approve(session, PLATFORM, period_id, actor=MINH, now=datetime.now(UTC))
        for batch_id in submitted:
            with db.transaction(system.database) as session:
                batches.approve(session, PLATFORM, batch_id, actor=MINH, now=datetime.now(UTC))


def end(system: System) -> list[str]:
    """Let two days pass and do what is due until every day up to today's is posted and all is paid.

    Returns:
        The days that were posted.
    """
    today = datetime.now(UTC)
    clock = Clock(today + timedelta(days=1, hours=1))
    for _ in range(ROUNDS_MAX):
        ticker.tick(system, owner="the end", now_of=clock)
        approve(system)
        clock.now += timedelta(minutes=30)
        with db.transaction(system.database) as session:
            days = [one for one in periods.listing(session, PLATFORM) if one.span.start_at <= today]
            moving = [
                one for one in payouts.listing(session, PLATFORM, limit=500) if one.state not in SETTLED
            ]
            runs = queue.listing(session, PLATFORM, states=("due", "running", "failed"), limit=1_000)
        if all(one.state == "posted" for one in days) and not moving and not runs:
            return [one.id for one in days]
    states = [(one.id, one.state) for one in days]
    waiting = [(run.job, run.scope, run.state, run.fault) for run in runs]
    msg = f"it does not come to an end: {states}, {moving}, {waiting}"
    raise AssertionError(msg)


def counted(system: System) -> Counter[str]:
    """Count how often each event of the load was counted, by its id."""
    with db.transaction(system.database) as session:
        files = [one for one in manifest.listing(session, PLATFORM) if one.kind == "counted"]
    locations = [system.lake.location(one.stored.path) for one in files]
    with closing(duck.connect(temp_dir=Path(system.settings.var_dir))) as connection:
        rows = connection.execute(
            "SELECT id FROM read_parquet($files) WHERE source = 'load'", {"files": locations}
        ).fetchall()
    return Counter(one for (one,) in rows)


def settled_count(system: System) -> int:
    """Count the events of the load that seals settled, whatever their verdict."""
    with db.transaction(system.database) as session:
        known = [one for one in periods.listing(session, PLATFORM) if one.cut_seq is not None]
        steps = [step for one in known for step in periods.steps(session, PLATFORM, one.id)]
    verdicts = [step.detail["verdicts"] for step in steps if step.state == "scored"]
    return sum(sum(one.values()) for one in verdicts) - DAYS * len(PAID)


def recorded(system: System) -> Counter[str]:
    """Count how often each revenue of the load is in the books, by its reference."""
    with db.transaction(system.database) as session:
        known = revenues.listing(session, PLATFORM, limit=100_000)
    return Counter(one.reference for one in known if not one.reference.startswith("day-"))


def bank(system: System) -> Sandbox:
    """Name the pretend bank."""
    assert isinstance(system.provider, Sandbox), "the embedded default"
    return system.provider


def paid_twice_or_wrongly(system: System) -> list[Mapping[str, Any]]:
    """Compare every payout with what the bank did for it."""
    wrong: list[Mapping[str, Any]] = []
    with db.transaction(system.database) as session:
        made = payouts.listing(session, PLATFORM, limit=500)
    for one in made:
        moved = bank(system).look_up(str(one.id))
        arrived = [view for view in moved if view.state is TransferState.PAID]
        is_right = len(moved) <= 1 and bool(arrived) == (one.state is State.PAID)
        if not is_right or any(view.amount_minor != one.amount_minor for view in moved):
            wrong.append({"payout": one, "bank": moved})
    return wrong


def audited(system: System) -> list[Any]:
    """Replay everything against everything."""
    return list(replay.run(system.database, system.lake).findings)
