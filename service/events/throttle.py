"""The throttle: how many events and bytes a platform may send in a minute, over all processes together.

Owns each platform's own limits and the quota that is leased of the present minute. A process leases a part of
what is left of the minute from the platform's one row, in a short transaction of its own, and spends it
without asking again: no request waits for another one's transaction. Laws: what all processes spend in a
minute never passes the limit; what they may leave unspent is at most what each of them had leased, 1/32 of
what was left when it asked; a platform's quota is no other's business. A crash of the database forgets the
present minute (the rows are not logged), which only lets more through.

A batch is never larger than a whole minute's quota, so waiting always helps.
"""

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.core.errors import Fault, FieldError, Invalid
from service.events import wire
from service.events.tables import event_quota, platform_limit
from service.parties import platforms, trail
from service.parties.actors import Actor
from service.runtime import db
from service.runtime.db import Database

WINDOW: Final = timedelta(minutes=1)
LEASE_PARTS: Final = 32
PER_MINUTE_MAX: Final = 10**15 - 1
"""The largest integer of an HTTP structured field (RFC 9651)."""


_NEVER: Final = datetime.min.replace(tzinfo=UTC)


class QuotaExceeded(Fault):
    """The platform has sent what it may send in this minute."""

    status = 429
    slug = "quota-exceeded"
    title = "The quota of this minute is spent"

    def __init__(self, detail: str, standing: "Standing", policy: str) -> None:
        """Take the sentence, how the quota stands, and the policy that is violated."""
        super().__init__(detail, limits="/v1/limits")
        self.extra["violated-policies"] = [policy]
        self.extra["events_per_minute"] = standing.limit.events
        self.extra["bytes_per_minute"] = standing.limit.size_bytes
        self.standing = standing


@dataclass(frozen=True, slots=True)
class Quota:
    """A number of events and of bytes (as they were before any packing)."""

    events: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How a platform's quota stands, as far as this process knows: the limit, what is left, until when."""

    limit: Quota
    left: Quota
    renews_in_s: int


@dataclass(slots=True)
class _Purse:
    """What this process has leased of a platform's minute, and how the row stood when it last asked."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    window_at: datetime = _NEVER
    limit: Quota = Quota(0, 0)
    held: Quota = Quota(0, 0)
    unleased: Quota = Quota(0, 0)
    spent_policy: str | None = None


@dataclass(frozen=True, slots=True)
class _Lease:
    """What the platform's row gave: of which minute, how much, and what is left for everybody."""

    window_at: datetime
    limit: Quota
    granted: Quota
    unleased: Quota


@dataclass(frozen=True, slots=True)
class Throttle:
    """The purses of one process.

    Args:
        default: the limit of a platform that has none of its own.
    """

    database: Database
    default: Quota
    purses: dict[str, _Purse] = field(default_factory=dict)


def check(throttle: Throttle, platform_id: str, now: datetime) -> None:
    """Refuse a platform whose quota is known to be spent, before anything is read for it.

    Raises:
        QuotaExceeded: a batch of this minute was refused already.
    """
    purse = _purse(throttle, platform_id)
    if purse.spent_policy is not None and purse.window_at >= window_of(now):
        raise _refusal(purse, purse.spent_policy, now)


def spend(
    throttle: Throttle, platform_id: str, *, events: int = 0, size_bytes: int = 0, now: datetime
) -> None:
    """Take events and bytes from a platform's quota, all of them or none.

    Raises:
        QuotaExceeded: they are not left; until the minute is over `check` refuses from now on.
        Unavailable: the database is away.
    """
    wanted = Quota(events, size_bytes)
    purse = _purse(throttle, platform_id)
    with purse.lock:
        # A request that began in the minute before is a request of this minute: time does not go back.
        if purse.window_at < window_of(now) or not _covers(purse.held, wanted):
            _lease(throttle, platform_id, purse, wanted, now)
        if not _covers(purse.held, wanted):
            policy = "events" if purse.held.events < events else "bytes"
            purse.spent_policy = policy
            raise _refusal(purse, policy, now)
        purse.held = _less(purse.held, wanted)


def standing(throttle: Throttle, platform_id: str, now: datetime) -> Standing:
    """Tell how a platform's quota stands after what this process spent of it."""
    return _standing(_purse(throttle, platform_id), now)


def limit_of(session: Session, platform_id: str, default: Quota) -> Quota:
    """Read how much a platform may send in a minute."""
    row = session.execute(
        select(platform_limit.c.events_per_minute, platform_limit.c.bytes_per_minute).where(
            platform_limit.c.platform_id == platform_id
        )
    ).one_or_none()
    return default if row is None else Quota(row.events_per_minute, row.bytes_per_minute)


def set_limit(
    session: Session, platform_id: str, limit: Quota, *, default: Quota, actor: Actor, now: datetime
) -> Quota:
    """Set how much a platform may send in a minute; every process knows it within a minute.

    Args:
        default: what holds as long as nothing is set.

    Raises:
        NotFound: there is no such platform.
        Invalid: a batch of the largest size would not fit, or the number is beyond PER_MINUTE_MAX.
    """
    platforms.get(session, platform_id)
    check_limit(limit)
    before = limit_of(session, platform_id, default)
    values = {"events_per_minute": limit.events, "bytes_per_minute": limit.size_bytes}
    session.execute(
        insert(platform_limit)
        .values(platform_id=platform_id, **values)
        .on_conflict_do_update(index_elements=["platform_id"], set_=values)
    )
    trail.record(
        session,
        platform_id,
        actor,
        "platform.limit",
        "platform",
        platform_id,
        before={"events_per_minute": before.events, "bytes_per_minute": before.size_bytes},
        after=values,
        now=now,
    )
    return limit


def check_limit(limit: Quota) -> None:
    """Refuse a limit under which a batch of the largest size could never be sent.

    Raises:
        Invalid: naming each number that is out of bounds.
    """
    errors = [
        FieldError(f"/{name}", f"Give {low} to {PER_MINUTE_MAX}: a batch of the largest size has to fit.")
        for name, low, value in (
            ("events_per_minute", wire.ITEMS_MAX, limit.events),
            ("bytes_per_minute", wire.BODY_BYTES_MAX, limit.size_bytes),
        )
        if not low <= value <= PER_MINUTE_MAX
    ]
    if errors:
        raise Invalid("; ".join(f"{one.pointer[1:]}: {one.detail}" for one in errors), errors=errors)


def window_of(now: datetime) -> datetime:
    """Give the start of the minute that an instant lies in."""
    return now.astimezone(UTC).replace(second=0, microsecond=0)


def _purse(throttle: Throttle, platform_id: str) -> _Purse:
    # One step of the interpreter: two threads that ask at once get the same purse.
    return throttle.purses.setdefault(platform_id, _Purse())


def _lease(throttle: Throttle, platform_id: str, purse: _Purse, wanted: Quota, now: datetime) -> None:
    """Lease what is wanted, or a part of what is left if that is more; in a transaction of its own."""
    window_at = max(purse.window_at, window_of(now))
    held = purse.held if purse.window_at == window_at else Quota(0, 0)
    missing = Quota(max(0, wanted.events - held.events), max(0, wanted.size_bytes - held.size_bytes))
    found = db.run(
        throttle.database,
        lambda session: _lease_row(session, platform_id, window_at, missing, throttle.default),
    )
    if purse.window_at != found.window_at:
        purse.window_at, purse.held, purse.spent_policy = found.window_at, Quota(0, 0), None
    purse.limit, purse.unleased = found.limit, found.unleased
    purse.held = _plus(purse.held, found.granted)


def _lease_row(
    session: Session, platform_id: str, window_at: datetime, missing: Quota, default: Quota
) -> _Lease:
    """Lease from the platform's row; it may know of a later minute than the one that asks."""
    limit = limit_of(session, platform_id, default)
    session.execute(
        insert(event_quota)
        .values(platform_id=platform_id, window_at=window_at, events_leased=0, bytes_leased=0)
        .on_conflict_do_nothing()
    )
    is_own = event_quota.c.platform_id == platform_id
    row = session.execute(select(event_quota).where(is_own).with_for_update()).one()
    is_begun = row.window_at >= window_at
    leased = Quota(row.events_leased, row.bytes_leased) if is_begun else Quota(0, 0)
    left = Quota(max(0, limit.events - leased.events), max(0, limit.size_bytes - leased.size_bytes))
    granted = Quota(_part(missing.events, left.events), _part(missing.size_bytes, left.size_bytes))
    leased = _plus(leased, granted)
    window_at = max(window_at, row.window_at)
    session.execute(
        update(event_quota)
        .where(is_own)
        .values(window_at=window_at, events_leased=leased.events, bytes_leased=leased.size_bytes)
    )
    return _Lease(window_at, limit, granted, _less(left, granted))


def _part(missing: int, left: int) -> int:
    """Tell how much to lease of what is left: nothing when nothing is missing, else at least what is."""
    return min(left, max(missing, left // LEASE_PARTS)) if missing else 0


def _covers(held: Quota, wanted: Quota) -> bool:
    return held.events >= wanted.events and held.size_bytes >= wanted.size_bytes


def _plus(one: Quota, other: Quota) -> Quota:
    return Quota(one.events + other.events, one.size_bytes + other.size_bytes)


def _less(one: Quota, other: Quota) -> Quota:
    return Quota(one.events - other.events, one.size_bytes - other.size_bytes)


def _standing(purse: _Purse, now: datetime) -> Standing:
    renews_in = max(window_of(now), purse.window_at) + WINDOW - now
    left = _plus(purse.held, purse.unleased)
    # Whole seconds, rounded up: whoever waits that long finds the next minute begun.
    return Standing(purse.limit, left, max(1, -(-renews_in // timedelta(seconds=1))))


def _refusal(purse: _Purse, policy: str, now: datetime) -> QuotaExceeded:
    found = _standing(purse, now)
    limit = found.limit.events if policy == "events" else found.limit.size_bytes
    detail = (
        f"The platform may send {limit} {policy} a minute, and this would be more;"
        f" send it again in {found.renews_in_s} s. Nothing was stored."
    )
    return QuotaExceeded(detail, found, policy)
