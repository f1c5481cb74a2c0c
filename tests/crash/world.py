"""The worlds that flows start in: a platform, a part of it that pays it a share, and two months.

In September the part was closed and posted, so that its creators are owed money. October waits to be closed,
with everything that a close has to tell apart; November has begun.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from service.calendar import periods
from service.closing import onboarding, revenues, stages
from service.closing.revenues import Deduction
from service.events import compaction, intake, wire
from service.events.intake import Receipt
from service.parties import contributions, creators, platforms, staff
from service.parties.actors import OPERATOR, Actor
from service.payouts import payees
from service.rules import registry
from service.runtime import db
from service.wiring import System, tools

PARENT = "sen"
PART = "sen.hoa"
"""The part of the platform that the flows are about."""

POSTED = "2026-09"
WAITING = "2026-10"
"""The month that is over and open."""

LAN = Actor("staff", "lan")
"""Prepares."""

MINH = Actor("staff", "minh")
"""Approves."""

ACCOUNTS: Mapping[str, str] = {
    "an": "9704150000008888",
    "binh": "9704150000010001",
    "chi": "9704150000020003",
    "dung": "9704150000030004",
    "em": "9704150000040006",
}
"""Where creators are paid: all goes well; rejected; arrives and comes back; the answer is lost; fails on its
way. Giang has not said where."""

CREATORS = (*ACCOUNTS, "giang")

FOUNDED_AT = datetime(2026, 9, 1, 2, 0, tzinfo=UTC)
SEPTEMBER_CLOSED_AT = datetime(2026, 10, 4, 2, 0, tzinfo=UTC)
STARTS_AT = datetime(2026, 11, 2, 2, 0, tzinfo=UTC)
"""When the flows start: 09:00 in Ho Chi Minh City, October is over and within its grace."""

GRACE_ENDS_AT = datetime(2026, 11, 3, 17, 0, tzinfo=UTC)
WINDOW_ENDS_AT = GRACE_ENDS_AT + timedelta(hours=72)

_HOUR = timedelta(hours=1)


@dataclass
class Clock:
    """The clock of the service and of the bank: it stands still until a flow lets time pass."""

    now: datetime

    def __call__(self, session: Session) -> datetime:
        """Read it, as service.runtime.clock.now is read."""
        return self.now

    def reach(self, at: datetime) -> datetime:
        """Let time pass until an instant, unless it is later already."""
        self.now = max(self.now, at)
        return self.now


def event(event_id: str, creator: str, at: datetime, **data: Any) -> dict[str, Any]:
    """Write an event; a type and members of `data` may be given by their names."""
    kind = data.pop("type", "view")
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": "app",
        "type": kind,
        "time": at.isoformat().replace("+00:00", "Z"),
        "data": {"creator": creator, "actor": "fan", "quantity": 1, **data},
    }


def batch(*events: Mapping[str, Any]) -> bytes:
    """Write events as a CloudEvents batch."""
    return json.dumps(events).encode()


def send(system: System, body: bytes, now: datetime, media_type: str = wire.BATCH) -> Receipt:
    """Send a batch to the part, as the API does."""
    with db.transaction(system.database) as session:
        platform = platforms.get(session, PART)
        return intake.receive(session, platform, body, media_type, channel="http", now=now)


def _sent(system: System, now: datetime, *events: Mapping[str, Any]) -> None:
    receipt = send(system, batch(*events), now)
    assert not receipt.rejected, "the world is as it is meant to be"


def waiting(system: System) -> None:
    """Let everything happen that is over when the flows start; October waits to be closed."""
    _prepare(system, ACCOUNTS)


def approved(system: System) -> None:
    """Go on until October is approved; two creators have said where to be paid."""
    _prepare(system, {name: ACCOUNTS[name] for name in ("an", "binh")})
    stages.close(tools(system), PART, WAITING, actor=LAN, now=GRACE_ENDS_AT)
    with db.transaction(system.database) as session:
        stages.approve(session, PART, WAITING, actor=MINH, now=GRACE_ENDS_AT + _HOUR)


WORLDS: Mapping[str, Callable[[System], None]] = {"waiting": waiting, "approved": approved}
"""How the worlds are made that flows start in."""


def _prepare(system: System, accounts: Mapping[str, str]) -> None:
    with db.transaction(system.database) as session:
        _found(session, system, accounts)
    _send_september(system)
    actor_tools = tools(system)
    stages.close(actor_tools, PART, POSTED, actor=LAN, now=SEPTEMBER_CLOSED_AT)
    posted_at = STARTS_AT - 6 * _HOUR
    with db.transaction(system.database) as session:
        stages.approve(session, PART, POSTED, actor=MINH, now=posted_at)
        stages.post(session, PART, POSTED, actor=LAN, now=posted_at)
    _send_october(system)


def _found(session: Session, system: System, accounts: Mapping[str, str]) -> None:
    parent = onboarding.found(
        session, platform_id=PARENT, name="Sen", actor=OPERATOR, now=STARTS_AT - 8 * _HOUR
    )
    rules = registry.founding_document()
    rules["shares_bp"] = {"platform": 2_000, "parent": 1_000, "partners": {}, "creators": 7_000}
    rules["minimum_payout_minor"] = 1_000
    part = onboarding.found(
        session,
        platform_id=PART,
        name="Sen Hoa",
        parent_id=parent.id,
        document=rules,
        unknown_creators="register",
        actor=OPERATOR,
        now=FOUNDED_AT,
    )
    for person, role in ((LAN, "finance_maker"), (MINH, "finance_checker")):
        staff.register(session, part.id, person.id, person.id, [role], actor=OPERATOR, now=FOUNDED_AT)
    creators.ensure(session, part.id, CREATORS, now=FOUNDED_AT)
    for creator_id, number in accounts.items():
        payees.declare(
            session,
            part.id,
            creator_id,
            provider=system.provider,
            destination={"account_number": number, "holder": creator_id.upper()},
            vault=system.vault,
            actor=OPERATOR,
            now=FOUNDED_AT,
        )
    contributions.register_content(session, part.id, "duet", "an", actor=OPERATOR, now=FOUNDED_AT)
    contributions.declare(
        session,
        part.id,
        "duet",
        {"an": 7_500, "binh": 2_500},
        from_at=FOUNDED_AT,
        actor=OPERATOR,
        now=FOUNDED_AT,
    )


def _send_september(system: System) -> None:
    at = datetime(2026, 9, 10, 5, 0, tzinfo=UTC)
    made = [event(f"s-{creator}", creator, at, quantity=100 + n) for n, creator in enumerate(CREATORS)]
    _sent(system, at + _HOUR, *made)
    _record(system, "ads-09", 7_000_003, POSTED, at + _HOUR)


def _send_october(system: System) -> None:
    """Bring what a close of October has to tell apart; some of it is compacted already, the rest waits."""
    at = datetime(2026, 10, 12, 5, 0, tzinfo=UTC)
    _open_periods(system, at)
    first = [event(f"o-{creator}", creator, at, quantity=10 + n) for n, creator in enumerate(CREATORS)]
    duet = event("o-duet", "an", at, content="duet", type="share", quantity=7)
    _sent(system, at + _HOUR, *first, duet)
    compaction.run(system.database, system.lake, PART, now=at + 2 * _HOUR)
    late = event("s-late", "chi", datetime(2026, 9, 29, 5, 0, tzinfo=UTC), quantity=50)
    early = event("s-an", "an", datetime(2026, 9, 10, 5, 0, tzinfo=UTC), quantity=100)
    repeated, other = first[0], {**first[1], "type": "like"}
    _sent(system, at + 24 * _HOUR, repeated, other, early, late)
    _open_periods(system, STARTS_AT - 2 * _HOUR)
    own = event("o-own", "dung", at, actor="dung", quantity=1_000)
    after = event("n-an", "an", datetime(2026, 11, 1, 5, 0, tzinfo=UTC))
    last = event("o-last", "em", at + 240 * _HOUR, quantity=3)
    _sent(system, STARTS_AT - _HOUR, own, after, last)
    _record(system, "ads-10", 9_999_999, WAITING, STARTS_AT - _HOUR)


def _open_periods(system: System, now: datetime) -> None:
    """Open what the scheduler opens in time."""
    with db.transaction(system.database) as session:
        periods.ensure_current(session, platforms.get(session, PART), now)


def _record(system: System, reference: str, gross_minor: int, period_id: str, now: datetime) -> None:
    with db.transaction(system.database) as session:
        revenues.record(
            session,
            platforms.get(session, PART),
            stream="ads",
            reference=reference,
            currency="VND",
            gross_minor=gross_minor,
            deductions=[Deduction("vat", 1_000)],
            period_id=period_id,
            actor=OPERATOR,
            now=now,
        )
