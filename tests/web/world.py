"""A small world for the tests of the pages: a platform of days, in every state that a page can show.

Pages read the database's clock, so the world is built around the present: days before it are history, which
people may close and book without waiting for a challenge window to end.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

from cryptography.fernet import Fernet
from sqlalchemy.orm import Session

from service import wiring
from service.calendar import periods
from service.calendar.periods import Period
from service.closing import control_totals, estimates, onboarding, revenues, stages
from service.closing.control_totals import Given
from service.parties import creators, links, platforms, staff
from service.parties.actors import OPERATOR, SYSTEM, Actor
from service.parties.links import SubjectKind
from service.parties.platforms import Platform
from service.payouts import batches, funding, payees, settlement
from service.payouts.batches import Batch
from service.payouts.providers.sandbox import Sandbox
from service.rules import registry
from service.runtime import clock, db, settings
from service.runtime.db import Database
from service.wiring import System
from tests.world import event, send

PLATFORM = "sen"
STRANGER = "rival"
LAN = Actor("staff", "lan")
"""Prepares."""
MINH = Actor("staff", "minh")
"""Approves."""

STAFF = {
    "lan": ("Nguyễn Thị Lan", ["finance_maker"]),
    "minh": ("Trần Đức Minh", ["finance_checker"]),
    "hai": ("Vũ Hải", ["finance_maker", "finance_checker"]),
    "thu": ("Lê Thu", ["auditor"]),
    "ky": ("Phạm Kỳ", ["platform_engineer", "moderator"]),
}

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> {{7*7}}"
FORMULA = '=HYPERLINK("http://evil.example","x")'
CREATORS = {"an": "Ngô An", "binh": HOSTILE, "chi": FORMULA, "dung": "Hồ Dung", "em": "Võ Em"}
"""an is paid, binh's account is closed, chi named none, dung is below the minimum, em earned nothing."""

_ENCRYPTION_KEY = Fernet.generate_key().decode()

GROSS_MINOR = (1_000_001, 987_654_321_987, 1_000_001, 987_654_321_987)
"""Revenue of the booked, the published, the open and the present day: also such as fills a narrow screen."""

ACCOUNTS = {"an": "970415008888", "binh": "970415000001", "dung": "970415008889"}


@dataclass(frozen=True)
class Place:
    """A system that visitors can come to."""

    system: System

    def platform(self, platform_id: str = PLATFORM) -> Platform:
        """Read a platform."""
        with db.transaction(self.system.database) as session:
            return platforms.get(session, platform_id)

    def link(self, kind: str, subject_id: str, platform_id: str = PLATFORM) -> str:
        """Make a sign-in link and give its path."""
        with db.transaction(self.system.database) as session:
            token = links.issue(
                session,
                platform_id,
                cast("SubjectKind", kind),
                subject_id,
                pepper=self.system.pepper,
                actor=OPERATOR,
                now=clock.now(session),
            )
        return f"/sign-in/{token}"


@dataclass(frozen=True)
class World(Place):
    """What the tests need to know of it: periods by what became of them, batches likewise."""

    booked: str
    published: str
    """Closed by lan, waits for a second person."""
    over: str
    """History that nobody closed."""
    present: str
    done: Batch
    waiting: Batch

    def over_database(self, database: Database, var_dir: Path) -> "World":
        """Give the same world over a copy of its database and of its files."""
        return replace(self, system=wired(database, var_dir))


def wired(database: Database, var_dir: Path) -> System:
    """Wire a system around a database; every one of a run opens what another sealed."""
    known = {"VAR_DIR": str(var_dir), "SECRET_KEY": "s" * 32, "ENCRYPTION_KEYS": _ENCRYPTION_KEY}
    return wiring.assemble(settings.read(known), database)


def build(database: Database, var_dir: Path) -> World:
    """Wire a system and let four days pass on its platform."""
    system = wired(database, var_dir)
    now, days = found(system)
    for number, day in enumerate(days):
        _live(system, day, number, now)
    for day in days[1:3]:
        _count(system, day, now)
    booked, published = days[0].id, days[1].id
    _close(system, booked, now)
    _book(system, booked, now)
    done = _pay(system, now)
    _close(system, published, now)
    with db.transaction(database) as session:
        later = clock.now(session)
        waiting = batches.submit(session, platforms.get(session, PLATFORM), actor=LAN, now=later)
        _stranger(session, later)
    estimates.refresh(wiring.tools(system), PLATFORM, now=later)
    return World(
        system=system,
        booked=booked,
        published=published,
        over=days[2].id,
        present=days[-1].id,
        done=done,
        waiting=waiting,
    )


def found(system: System, history: int = 6) -> tuple[datetime, Sequence[Period]]:
    """Found the platform an hour ago; give that instant and days: the three earliest, and the present one."""
    with db.transaction(system.database) as session:
        now = clock.now(session) - timedelta(hours=1)
        # Somewhere it is not about to be midnight: the tests speak of today.
        zone = "Asia/Ho_Chi_Minh" if not 15 <= now.hour < 18 else "UTC"
        platform = onboarding.found(
            session,
            platform_id=PLATFORM,
            name="Mạng Sen",
            period_unit="day",
            time_zone=zone,
            actor=OPERATOR,
            now=now,
        )
        for staff_id, (name, roles) in STAFF.items():
            staff.register(session, PLATFORM, staff_id, name, roles, actor=OPERATOR, now=now)
        for creator_id, name in CREATORS.items():
            creators.register(
                session,
                PLATFORM,
                creator_id,
                display_name=name,
                vault=system.vault,
                actor=OPERATOR,
                now=now,
            )
        for creator_id, account in ACCOUNTS.items():
            payees.declare(
                session,
                PLATFORM,
                creator_id,
                provider=system.provider,
                destination={"account_number": account, "holder": creator_id.upper()},
                vault=system.vault,
                actor=OPERATOR,
                now=now,
            )
        begin_at = now - timedelta(days=history)
        opened = periods.open_from(session, platform, begin_at, actor=OPERATOR, now=now)
        present = periods.containing(session, PLATFORM, now)
        assert present is not None, "founding opened the present day"
    bank = system.provider
    assert isinstance(bank, Sandbox)
    with db.transaction(system.database) as session:
        platform = platforms.get(session, PLATFORM)
        funding.record(
            session,
            platform,
            provider=bank.name,
            amount_minor=5_000_000_000_000,
            reference="f1",
            actor=LAN,
            now=now,
        )
    bank.fund(PLATFORM, "VND", 5_000_000_000_000, "f1")
    return now, [*opened[:3], present]


def publish_second_rule(system: System) -> None:
    """Publish a rulebook that comes in force in some days."""
    with db.transaction(system.database) as session:
        platform = platforms.get(session, PLATFORM)
        now = clock.now(session)
        document: dict[str, Any] = copy.deepcopy(registry.founding_document())
        document["title"] = {"vi": "Quy tắc thứ hai", "en": "Second rules"}
        document["shares_bp"] |= {"platform": 2_500, "creators": 7_500}
        today = periods.containing(session, PLATFORM, now)
        assert today is not None, "there is always a present day"
        from_at = today.span.end_at + timedelta(days=2)
        registry.publish(session, platform, document, in_force_from_at=from_at, actor=OPERATOR, now=now)


def build_late(database: Database, var_dir: Path) -> tuple[Place, str]:
    """Let two days pass ten days ago: a like came late for the first, and the second has another rule.

    A like is worth 3 points by the first rule, and 5 by the second.

    Returns:
        The place, and the second day.
    """
    system = wired(database, var_dir)
    with db.transaction(database) as session:
        begin_at = clock.now(session) - timedelta(days=10)
        platform = onboarding.found(
            session, platform_id=PLATFORM, name="Sen", period_unit="day", actor=OPERATOR, now=begin_at
        )
        creators.ensure(session, PLATFORM, ["an"], now=begin_at)
        first = periods.ensure_current(session, platform, begin_at)
        document: dict[str, Any] = copy.deepcopy(registry.founding_document())
        document["weights"]["like"] = 5
        registry.publish(
            session, platform, document, in_force_from_at=first.span.end_at, actor=OPERATOR, now=begin_at
        )
        second = periods.ensure_current(session, platform, first.span.end_at)
    for number, day in enumerate((first, second)):
        _record(system, day, number, begin_at, 1_000_000)
    likes = [event(f"like-{day.id}", "like", day.span.start_at, "an", actor="fan") for day in (first, second)]
    late = event("late", "like", first.span.start_at, "an", actor="another")
    send(database, platform, likes, now=second.span.start_at)
    for day in (first, second):
        _close(system, day.id, day.span.end_at + timedelta(hours=72), actor=SYSTEM)
        if day is first:
            send(database, platform, [late], now=day.span.end_at + timedelta(hours=73))
    return Place(system), second.id


def _live(system: System, day: Period, number: int, now: datetime) -> None:
    """Let a day have revenue, and events a minute after it began."""
    platform = _record(system, day, number, now, GROSS_MINOR[number])
    at = day.span.start_at + timedelta(minutes=1)
    kinds = [("an", "like", 60), ("an", "comment", 2), ("binh", "view", 90), ("chi", "follow", 9)]
    sent = [
        event(f"{number}-{kind}-{creator}", kind, at, creator, actor=f"fan-{number}", quantity=count)
        for creator, kind, count in [*kinds, ("dung", "view", 2)]
    ]
    sent.append(event(f"{number}-self", "like", at, "an", actor="an"))
    send(system.database, platform, sent, now=now)


def _count(system: System, day: Period, now: datetime) -> None:
    """Let senders say of a day what they sent: right, wrong, and from somewhere that nothing came from."""
    wanted = [
        ("app", "like", 2, 61),
        ("app", "view", 3, 1_092),
        (HOSTILE, "view", 5, 5),
        ("x" * 200, "like", 0, 0),
    ]
    with db.transaction(system.database) as session:
        platform = platforms.get(session, PLATFORM)
        totals = [
            Given(
                source=source,
                type=kind,
                span=day.span,
                event_count=count,
                quantity=quantity,
                is_blocking=False,
            )
            for source, kind, count, quantity in wanted
        ]
        control_totals.record(session, platform, totals, actor=OPERATOR, now=now)


def _record(system: System, day: Period, number: int, now: datetime, gross_minor: int) -> Platform:
    """Let a day have revenue, less a fee."""
    with db.transaction(system.database) as session:
        platform = platforms.get(session, PLATFORM)
        revenues.record(
            session,
            platform,
            stream="ads",
            reference=f"r{number}",
            currency="VND",
            gross_minor=gross_minor,
            deductions=[revenues.Deduction("network fee", 100_000)],
            period_id=day.id,
            actor=OPERATOR,
            now=now,
        )
    return platform


def _close(system: System, period_id: str, now: datetime, *, actor: Actor = LAN) -> None:
    stages.close(wiring.tools(system), PLATFORM, period_id, actor=actor, now=now)


def _book(system: System, period_id: str, now: datetime) -> None:
    with db.transaction(system.database) as session:
        stages.approve(session, PLATFORM, period_id, actor=MINH, now=now)
        stages.post(session, PLATFORM, period_id, actor=LAN, now=now)


def _pay(system: System, now: datetime) -> Batch:
    """Pay what is due; one payout arrives, the one to a closed account fails."""
    with db.transaction(system.database) as session:
        made = batches.submit(session, platforms.get(session, PLATFORM), actor=LAN, now=now)
        batches.approve(session, PLATFORM, made.id, actor=MINH, now=now)
    for wait in (timedelta(), timedelta(days=3)):
        settlement.drain(
            system.database,
            system.provider,
            system.vault,
            owner="test",
            clock=partial(_at, now + wait),
            platform_id=PLATFORM,
        )
    with db.transaction(system.database) as session:
        return batches.get(session, PLATFORM, made.id)


def _at(instant: datetime, _session: Session) -> datetime:
    return instant


def _stranger(session: Session, now: datetime) -> None:
    """Found another platform, of months, with people of the same names."""
    platform = onboarding.found(session, platform_id=STRANGER, name="Rival", actor=OPERATOR, now=now)
    staff.register(session, platform.id, "lan", "Another Lan", ["finance_maker"], actor=OPERATOR, now=now)
    creators.ensure(session, platform.id, ["an"], now=now)
