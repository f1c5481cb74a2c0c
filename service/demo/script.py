"""What happens on a demo platform, as acts with their instants, in order. Every act may be done again.

The acts are the same that the API and the command line call; only the clock is the script's own. Doing the
whole script again changes nothing, so that a build that was interrupted is simply run once more.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from service.calendar import periods
from service.calendar.periods import Period
from service.closing import onboarding, revenues, stages
from service.closing.revenues import Deduction
from service.core import spans
from service.demo import world
from service.demo.world import World
from service.events import intake
from service.parties import contributions, creators, partners, platforms, staff
from service.parties.actors import OPERATOR, Actor
from service.parties.platforms import Platform
from service.payouts import batches, funding, payees, settlement
from service.payouts.batches import NothingDue
from service.payouts.providers.sandbox import Sandbox
from service.runtime import db
from service.wiring import System, tools

MAKER = Actor("staff", "lan")
CHECKER = Actor("staff", "minh")
PARTNER_ID = "quy-sang-tao"
PAYEES = 24

_MEDIA_TYPE = "application/cloudevents-batch+json"
_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Cast:
    """One demo platform: its world, its rulebook and its size."""

    world: World
    name: str
    document: dict[str, Any]
    parent_id: str | None
    events_a_day: int
    revenue_scale: int


@dataclass(frozen=True, slots=True)
class Act:
    """Something to be done at an instant."""

    at: datetime
    title: str
    do: Callable[[System, datetime], None]


def acts(cast: Cast, zone_name: str, now: datetime) -> list[Act]:
    """Write the script of one platform up to `now`, earliest first; acts of one instant keep their order."""
    spanned = _months(cast, zone_name, now)
    found: list[Act] = list(_founding(cast, spanned[0][1].span.start_at))
    for month, named in spanned:
        found.extend(_days(cast, month, named, zone_name, now))
        found.extend(_revenue(cast, month, named, now))
        found.extend(_closing(cast, month, named))
    return sorted((one for one in found if one.at <= now), key=lambda one: one.at)


def _months(cast: Cast, zone_name: str, now: datetime) -> list[tuple[int, spans.Period]]:
    """Number the months: 3, 2 and 1 are posted and paid; 0 and below are not, up to the present one."""
    zone = ZoneInfo(zone_name)
    one = spans.period_of(now, zone, "month")
    unposted = [one]
    while _posted_at(cast, unposted[0]) + _DAY > now:
        name = spans.previous_name(unposted[0].name)
        unposted.insert(0, spans.Period(name, spans.span_of(name, zone)))
    last, *later = unposted
    found = [(1, last)]
    for month in range(2, world.PAST_MONTHS + 1):
        name = spans.previous_name(found[0][1].name)
        found.insert(0, (month, spans.Period(name, spans.span_of(name, zone))))
    return found + [(-number, named) for number, named in enumerate(later)]


def _posted_at(cast: Cast, named: spans.Period) -> datetime:
    hours = cast.document["grace_h"] + cast.document["challenge_window_h"]
    return named.span.end_at + timedelta(hours=hours)


def _founding(cast: Cast, at: datetime) -> Iterator[Act]:
    def found(system: System, now: datetime) -> None:
        with db.transaction(system.database) as session:
            _found(session, system, cast, now)

    yield Act(at, f"founding {cast.world.platform_id}", found)


def _found(session: Session, system: System, cast: Cast, now: datetime) -> None:
    platform_id = cast.world.platform_id
    if any(one.id == platform_id for one in platforms.listing(session)):
        return
    platform = platforms.create(
        session,
        platform_id=platform_id,
        name=cast.name,
        parent_id=cast.parent_id,
        actor=OPERATOR,
        now=now,
    )
    partners.register(session, platform_id, PARTNER_ID, "Quỹ Sáng tạo Trẻ", actor=OPERATOR, now=now)
    onboarding.equip(session, platform, document=cast.document, actor=OPERATOR, now=now)
    staff.register(
        session, platform_id, MAKER.id, "Nguyễn Thị Lan", ["finance_maker"], actor=OPERATOR, now=now
    )
    staff.register(
        session, platform_id, CHECKER.id, "Trần Đức Minh", ["finance_checker"], actor=OPERATOR, now=now
    )
    for number, person in enumerate(cast.world.creators):
        creators.register(
            session,
            platform_id,
            person.id,
            display_name=person.name,
            vault=system.vault,
            actor=OPERATOR,
            now=now,
        )
        _declare_payee(session, system, platform, person, number, now)
    for work in cast.world.works:
        contributions.register_content(
            session, platform_id, work.id, work.creator_id, actor=OPERATOR, now=now
        )
        if work.with_id is not None:
            shares_bp = {work.creator_id: 8_000, work.with_id: 2_000}
            contributions.declare(
                session, platform_id, work.id, shares_bp, from_at=now, actor=OPERATOR, now=now
            )


def _declare_payee(
    session: Session, system: System, platform: Platform, person: world.Person, number: int, now: datetime
) -> None:
    """Half of the creators have an account, and a few of these show what can go wrong."""
    endings = {3: "0001", 5: "0003", 7: "0004", 9: "0006"}
    if number >= PAYEES:
        return
    account_number = f"97041500{number:04}{endings.get(number, '8888')}"
    payees.declare(
        session,
        platform.id,
        person.id,
        provider=system.provider,
        destination={"account_number": account_number, "holder": person.name.upper()},
        vault=system.vault,
        actor=OPERATOR,
        now=now,
    )


def _days(cast: Cast, month: int, named: spans.Period, zone_name: str, now: datetime) -> Iterator[Act]:
    """Send each day's events shortly after midnight, the late ones after the month was sealed."""
    zone = ZoneInfo(zone_name)
    first_on = spans.local_day(named.span.start_at, zone)
    late: list[dict[str, Any]] = []
    for day in range(1, world.DAYS + 1):
        on = first_on + timedelta(days=day - 1)
        brought = world.day_of(cast.world, month, day, on, zone, cast.events_a_day)
        ends_at = spans.day_span(on, zone).end_at
        sent_at = min(ends_at + 5 * _MINUTE, max(now, named.span.start_at))
        sent = [one for one in brought.sent if datetime.fromisoformat(one["time"]) <= sent_at]
        if sent:
            yield Act(sent_at, f"events of {on}", _sending(cast.world.platform_id, sent))
        late.extend(brought.late)
    if late:
        sealed_at = named.span.end_at + timedelta(hours=cast.document["grace_h"])
        yield Act(
            sealed_at + 60 * _MINUTE, f"late events of {named.name}", _sending(cast.world.platform_id, late)
        )


def _sending(platform_id: str, events: list[dict[str, Any]]) -> Callable[[System, datetime], None]:
    body = json.dumps(events, ensure_ascii=False).encode()

    def send(system: System, now: datetime) -> None:
        with db.transaction(system.database) as session:
            platform = platforms.get(session, platform_id)
            periods.ensure_current(session, platform, now)
            intake.receive(session, platform, body, _MEDIA_TYPE, channel="http", now=now)

    return send


def _revenue(cast: Cast, month: int, named: spans.Period, now: datetime) -> Iterator[Act]:
    at = min(named.span.end_at - 30 * _MINUTE, now)
    for stream, gross_minor, taken in world.revenues(month, cast.revenue_scale):
        yield Act(at, f"{stream} of {named.name}", _recording(cast, named.name, stream, gross_minor, taken))


def _recording(
    cast: Cast, period_id: str, stream: str, gross_minor: int, taken: dict[str, int]
) -> Callable[[System, datetime], None]:
    def record(system: System, now: datetime) -> None:
        with db.transaction(system.database) as session:
            platform = platforms.get(session, cast.world.platform_id)
            periods.ensure_current(session, platform, now)
            revenues.record(
                session,
                platform,
                stream=stream,
                reference=f"{period_id}-{stream.replace(' ', '-')}",
                currency=platform.currency,
                gross_minor=gross_minor,
                deductions=[Deduction(name, amount_minor) for name, amount_minor in taken.items()],
                period_id=period_id,
                actor=OPERATOR,
                now=now,
            )

    return record


def _closing(cast: Cast, month: int, named: spans.Period) -> Iterator[Act]:
    """Close after the grace, approve a day later, post after the challenge window, pay, and look again."""
    platform_id, period_id = cast.world.platform_id, named.name
    closed_at = named.span.end_at + timedelta(hours=cast.document["grace_h"])
    posted_at = _posted_at(cast, named)

    def close(system: System, now: datetime) -> None:
        stages.close(tools(system), platform_id, period_id, actor=MAKER, now=now)

    def approve(system: System, now: datetime) -> None:
        with db.transaction(system.database) as session:
            if _state(session, platform_id, period_id) == "published":
                stages.approve(session, platform_id, period_id, actor=CHECKER, now=now)

    def post(system: System, now: datetime) -> None:
        with db.transaction(system.database) as session:
            if _state(session, platform_id, period_id) == "approved":
                stages.post(session, platform_id, period_id, actor=MAKER, now=now)

    yield Act(closed_at, f"closing {period_id}", close)
    yield Act(closed_at + _DAY, f"approving {period_id}", approve)
    yield Act(posted_at, f"posting {period_id}", post)
    yield from _paying(cast, month, posted_at)


def _paying(cast: Cast, month: int, posted_at: datetime) -> Iterator[Act]:
    platform_id = cast.world.platform_id

    def submit(system: System, now: datetime) -> None:
        _fund(system, platform_id, f"{platform_id}-{month}", 90_000_000 // cast.revenue_scale, now)
        with db.transaction(system.database) as session:
            platform = platforms.get(session, platform_id)
            try:
                batches.submit(session, platform, actor=MAKER, now=now)
            except NothingDue:
                return

    def approve(system: System, now: datetime) -> None:
        with db.transaction(system.database) as session:
            for batch in batches.listing(session, platform_id, state="submitted"):
                batches.approve(session, platform_id, batch.id, actor=CHECKER, now=now)

    def settle(system: System, now: datetime) -> None:
        settlement.drain(
            system.database,
            _bank_at(system, now),
            system.vault,
            owner="demo",
            clock=lambda _session: now,
            platform_id=platform_id,
        )

    yield Act(posted_at + 60 * _MINUTE, "submitting payouts", submit)
    if month == 1:
        # The latest month's batch waits for its approval, so that there is something to approve.
        return
    yield Act(posted_at + 120 * _MINUTE, "approving payouts", approve)
    for wait in (timedelta(hours=3), _DAY, 3 * _DAY):
        yield Act(posted_at + wait, "settling payouts", settle)


def _fund(system: System, platform_id: str, reference: str, amount_minor: int, now: datetime) -> None:
    bank = _bank_at(system, now)
    with db.transaction(system.database) as session:
        platform = platforms.get(session, platform_id)
        funding.record(
            session,
            platform,
            provider=bank.name,
            amount_minor=amount_minor,
            reference=reference,
            actor=MAKER,
            now=now,
        )
    bank.fund(platform_id, platform.currency, amount_minor, reference)


def _bank_at(system: System, now: datetime) -> Sandbox:
    assert isinstance(system.provider, Sandbox), "the demo pays through the pretend bank"
    return replace(system.provider, clock=lambda _session: now)


def _state(session: Session, platform_id: str, period_id: str) -> str:
    found: Period = periods.get(session, platform_id, period_id)
    return found.state
