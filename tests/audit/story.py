"""The story that the audit replays: every kind of fact, once at least."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from service.calendar import periods
from service.closing import clawbacks, revenues, stages
from service.closing.revenues import Deduction
from service.closing.tools import Tools
from service.events import corrections
from service.events.corrections import Asked
from service.events.wire import Event
from service.ledger import balances, journal
from service.ledger.accounts import AccountRef, Role
from service.ledger.entries import Entry, Line
from service.parties import platforms
from service.parties.actors import OPERATOR
from service.parties.platforms import Platform
from service.payouts import batches, funding, payees, settlement
from service.payouts.batches import Batch
from service.payouts.providers.sandbox import NAME, Sandbox
from service.runtime import db
from service.runtime.db import Database
from tests.world import LAN, MINH, VAULT, event, founded_platform, send, tools_in

START = datetime(2026, 9, 30, 17, tzinfo=UTC)
"""October in Ho Chi Minh City."""

OCTOBER_END = datetime(2026, 10, 31, 17, tzinfo=UTC)
NOVEMBER_END = datetime(2026, 11, 30, 17, tzinfo=UTC)
DECEMBER_END = datetime(2026, 12, 31, 17, tzinfo=UTC)
DAY = timedelta(days=1)
GRACE = 3 * DAY
DESTINATIONS = {
    "an": "970418001234",
    "binh": "970418000001",
    "chi": "970418000003",
    "dung": "970418000004",
    "em": "970418004321",
}
"""An is paid, Bình is refused, Chi is paid and it comes back, Dũng's first answer is lost, Em waits."""


def play(database: Database, folder: Path) -> None:
    """Play it from the founding to a batch that waits for approval."""
    tools = tools_in(database, folder)
    with db.transaction(database) as session:
        platform = founded_platform(session, now=START, creator_ids=tuple(DESTINATIONS))
        founded_platform(session, "hoa", now=START)
    _october(tools, platform)
    _close(tools, "2026-10", OCTOBER_END + GRACE)
    _november(tools, platform)
    _close(tools, "2026-11", NOVEMBER_END + GRACE)
    _correct(tools, platform, NOVEMBER_END + 7 * DAY)
    _record(tools, platform, 900_000_000, reference="r-3", now=NOVEMBER_END + 8 * DAY, period_id="2026-12")
    _close(tools, "2026-12", DECEMBER_END + GRACE)
    _by_hand(database)
    _pay(database, platform, DECEMBER_END + 8 * DAY)


def _october(tools: Tools, platform: Platform) -> None:
    """A billion and three dong after fees; likes for everybody, one of them twice."""
    _record(tools, platform, 1_100_000_003, reference="r-1", now=START, fees_minor=100_000_000)
    at = START + DAY
    events = [
        event(f"{creator}-{number}", "like", at, creator, actor=f"fan-{number}")
        for size, creator in enumerate(DESTINATIONS, 1)
        for number in range(size)
    ]
    send(tools.database, platform, [*events, events[0]], now=at + DAY)
    send(tools.database, platform, [event("x", "like", at, "nobody", actor="fan-1")], now=at + DAY)


def _november(tools: Tools, platform: Platform) -> None:
    """A late like for October, and a correction that leaves the pool short."""
    with db.transaction(tools.database) as session:
        assert periods.containing(session, platform.id, OCTOBER_END + 9 * DAY) is not None
    late = [event("late", "like", START + 2 * DAY, "an", actor="fan-9")]
    send(tools.database, platform, late, now=OCTOBER_END + 9 * DAY)
    _record(tools, platform, -50_000_000, reference="r-2", now=OCTOBER_END + 9 * DAY, period_id="2026-11")


def _correct(tools: Tools, platform: Platform, now: datetime) -> None:
    """Void events of October twice: one of Chi's while her money is set aside, which December repays.

    Em's is replaced: it is taken back, and counts late in December.
    """
    bank = Sandbox(database=tools.database, delay_s=60, clock=lambda _: now)
    batch = _submit(tools.database, bank, platform, ["chi"], now)
    _void(tools, platform, now, "chi-0", "dung-1")
    other = event("em-2", "comment", START + DAY, "em", actor="fan-2")
    replacement = msgspec.json.decode(json.dumps(other), type=Event)
    asked = Asked(source="app", event_id="em-2", reason="a comment", event=replacement)
    _record_corrections(tools, platform, now, asked)
    clawbacks.run(tools, platform.id, "2026-10", now=now)
    _void(tools, platform, now + DAY, "dung-3", "late")
    for period_id in ("2026-10", "2026-11"):
        clawbacks.run(tools, platform.id, period_id, now=now + DAY)
    with db.transaction(tools.database) as session:
        batches.cancel(session, platform.id, batch.id, actor=LAN, now=now + DAY)


def _void(tools: Tools, platform: Platform, now: datetime, *event_ids: str) -> None:
    asked = [Asked(source="app", event_id=one, reason="a robot") for one in event_ids]
    _record_corrections(tools, platform, now, *asked)


def _record_corrections(tools: Tools, platform: Platform, now: datetime, *asked: Asked) -> None:
    with db.transaction(tools.database) as session:
        corrections.record(session, tools.lake, platform, asked, actor=OPERATOR, now=now)


def _record(
    tools: Tools,
    platform: Platform,
    gross_minor: int,
    *,
    reference: str,
    now: datetime,
    fees_minor: int = 0,
    period_id: str = "2026-10",
) -> None:
    with db.transaction(tools.database) as session:
        periods.ensure_current(session, platform, now)
        revenues.record(
            session,
            platform,
            stream="ads",
            reference=reference,
            currency="VND",
            gross_minor=gross_minor,
            deductions=[Deduction("fees", fees_minor)] if fees_minor else [],
            period_id=period_id,
            actor=OPERATOR,
            now=now,
        )


def _close(tools: Tools, period_id: str, at: datetime) -> None:
    """Close, approve and post a period, and open the one that runs meanwhile."""
    with db.transaction(tools.database) as session:
        periods.ensure_current(session, platforms.get(session, "sen"), at)
    stages.close(tools, "sen", period_id, actor=LAN, now=at)
    with db.transaction(tools.database) as session:
        stages.approve(session, "sen", period_id, actor=MINH, now=at)
    with db.transaction(tools.database) as session:
        stages.post(session, "sen", period_id, actor=LAN, now=at + GRACE)


def _by_hand(database: Database) -> None:
    """Book something and undo it, and fold some of the tallies."""
    asked = Entry(
        platform_id="sen",
        kind="adjustment",
        cause_kind="test",
        cause_id="1",
        currency="VND",
        effective_at=OCTOBER_END,
        key="adjustment:1",
        lines=(
            Line(AccountRef(Role.SUSPENSE), AccountRef(Role.CLEARING), 7),
            Line(AccountRef(Role.BANK), AccountRef(Role.SUSPENSE), 8),
        ),
    )
    with db.transaction(database) as session:
        posted = journal.post(session, asked, now=DECEMBER_END)
        journal.reverse(
            session,
            "sen",
            posted.entry_id,
            key="undo:1",
            cause_kind="test",
            cause_id="1",
            now=DECEMBER_END,
        )
    with db.transaction(database) as session:
        assert 2 == balances.fold(session, "sen", limit=2)


def _pay(database: Database, platform: Platform, now: datetime) -> None:
    """Pay a batch through the pretend bank, cancel one, and submit one that waits."""
    moment = [now]
    bank = Sandbox(database=database, delay_s=60, clock=lambda _: moment[0])
    bank.fund(platform.id, "VND", 2_000_000_000, "f-1")
    with db.transaction(database) as session:
        funding.record(
            session,
            platform,
            provider=NAME,
            amount_minor=2_000_000_000,
            reference="f-1",
            actor=OPERATOR,
            now=now,
        )
    first = _submit(database, bank, platform, ["an"], now)
    with db.transaction(database) as session:
        batches.cancel(session, platform.id, first.id, actor=LAN, now=now)
    batch = _submit(database, bank, platform, ["binh", "chi", "dung"], now)
    with db.transaction(database) as session:
        batches.approve(session, platform.id, batch.id, actor=MINH, now=now)
    for _ in range(6):
        settlement.step(database, bank, VAULT, owner="worker", now=moment[0], platform_id=platform.id)
        moment[0] += DAY
    _submit(database, bank, platform, ["em"], moment[0])


def _submit(
    database: Database, bank: Sandbox, platform: Platform, creator_ids: list[str], now: datetime
) -> Batch:
    """Let creators say where to be paid, and put all that is due into a batch."""
    with db.transaction(database) as session:
        for creator_id in creator_ids:
            payees.declare(
                session,
                platform.id,
                creator_id,
                provider=bank,
                destination={"account_number": DESTINATIONS[creator_id], "holder": creator_id},
                vault=VAULT,
                actor=OPERATOR,
                now=now,
            )
    with db.transaction(database) as session:
        return batches.submit(session, platform, actor=LAN, now=now)
