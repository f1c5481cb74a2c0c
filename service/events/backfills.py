"""Backfills: events of a time that no period takes, staged apart until two people agree to let them in.

Owns what is staged, and how a backfill passes from one state to the next. Staged batches lie in tables of
their own: compaction, estimates, seals and look-ups never see them. Laws: the moves are those of MOVES; what
is staged changes only while the backfill is open, and what is approved is exactly what was submitted; a
commit moves all of it into the log, in its order, once; a receipt that was given stands for a staged batch
until the backfill is dropped.

Locks are taken in one order: the backfill, the seal lock, new creators, the receipt.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, cast

from sqlalchemy import Row, insert, select, update
from sqlalchemy.orm import Session

from service.calendar import periods
from service.calendar.periods import HISTORY_PERIODS_MAX, Period
from service.core import ids, spans
from service.core.errors import Conflict, FieldError, Invalid, NotFound
from service.core.spans import PeriodUnit, Span, to_text
from service.events import intake, staging
from service.events.intake import Channel, Destination, Receipt
from service.events.staging import Totals
from service.events.tables import (
    backfill,
    backfill_batch,
    backfill_receipt,
)
from service.parties import staff, trail
from service.parties.actors import Actor
from service.parties.platforms import Platform
from service.runtime import db

MOVES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "open": ("submitted", "dropped"),
        "submitted": ("approved", "dropped"),
        "approved": ("committed", "dropped"),
        "committed": (),
        "dropped": (),
    }
)
"""Every allowed move."""

REASON_LENGTH_MAX: Final = 500


class WrongBackfillState(Conflict):
    """The backfill is not in the state that the act needs."""

    slug = "backfill-state"
    title = "The backfill's state does not allow this"


class BackfillSpan(Conflict):
    """A period of the span takes its events another way, or takes none any more."""

    slug = "backfill-span"
    title = "The span holds a period that no backfill reaches"


class BackfillChanged(Conflict):
    """What is staged is not what was submitted, or not what the approval names."""

    slug = "backfill-changed"
    title = "The backfill is not what was submitted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """One backfill. `frozen` are its totals from when it was submitted, or dropped, on."""

    platform_id: str
    id: uuid.UUID
    state: str
    span: Span
    rulebook_sha256: str
    reason: str
    created_by: str
    created_at: datetime
    submitted_by: str | None
    submitted_at: datetime | None
    approved_by: str | None
    approved_at: datetime | None
    committed_by: str | None
    committed_at: datetime | None
    dropped_by: str | None
    dropped_at: datetime | None
    frozen: Totals | None
    preview: Mapping[str, Any] | None
    previewed_at: datetime | None


def create(
    session: Session,
    platform: Platform,
    *,
    span: Span,
    rulebook_sha256: str,
    reason: str,
    actor: Actor,
    now: datetime,
) -> Backfill:
    """Begin a backfill; whether the rulebook is one of the platform's is for the caller to know.

    Raises:
        RoleMissing: a member of staff who is no finance maker.
        Invalid: a span that is not over, of too many periods, or an empty reason.
        BackfillSpan: a period of it is regular, or closed.
    """
    staff.require(session, platform.id, actor, "finance_maker")
    reason = reason.strip()
    if not reason or len(reason) > REASON_LENGTH_MAX:
        raise _invalid("/reason", f"say why, in 1 to {REASON_LENGTH_MAX} characters")
    touched(session, platform, span, now=now)
    backfill_id = ids.new(now)
    session.execute(
        insert(backfill).values(
            platform_id=platform.id,
            id=backfill_id,
            state="open",
            from_at=span.start_at,
            until_at=span.end_at,
            rulebook_sha256=rulebook_sha256,
            reason=reason,
            created_by=str(actor),
            created_at=now,
        )
    )
    after = {
        "from": to_text(span.start_at),
        "until": to_text(span.end_at),
        "rulebook": rulebook_sha256,
        "reason": reason,
    }
    _record(session, platform.id, backfill_id, actor, "backfill.create", after=after, now=now)
    return get(session, platform.id, backfill_id)


def touched(session: Session, platform: Platform, span: Span, *, now: datetime) -> list[Period]:
    """Find the periods that a span touches, as they are or as a commit would open them, earliest first.

    Raises:
        Invalid: the span is not over, or touches more than HISTORY_PERIODS_MAX periods.
        BackfillSpan: names the first period that takes no backfill, and why.
    """
    if span.end_at > now:
        raise _invalid("/until", "choose an instant that is over: what is to come enters by itself")
    unit = cast("PeriodUnit", platform.period_unit)
    names = spans.names_between(span.start_at, span.end_at, platform.zone, unit)
    if len(names) > HISTORY_PERIODS_MAX:
        raise _invalid(
            "/from", f"these are {len(names)} periods; take at most {HISTORY_PERIODS_MAX} at a time"
        )
    known = {one.id: one for one in periods.listing(session, platform.id)}
    found = []
    for name in names:
        one = known.get(name) or periods.historic(platform, name, now=now)
        reason = _unreachable(one, now)
        if reason is not None:
            raise BackfillSpan(
                f"Period {name} {reason}.",
                errors=[FieldError("/from", f"period {name} {reason}")],
                period=name,
            )
        found.append(one)
    return found


def get(session: Session, platform_id: str, backfill_id: uuid.UUID, *, lock: bool = False) -> Backfill:
    """Read one backfill; with `lock`, hold its row until the transaction ends.

    Raises:
        NotFound: the platform has none with this id.
    """
    query = select(backfill).where(backfill.c.platform_id == platform_id, backfill.c.id == backfill_id)
    row = session.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFound(f"Platform {platform_id} has no backfill {backfill_id}.")
    return _backfill(row)


def listing(
    session: Session,
    platform_id: str,
    *,
    state: str | None = None,
    after: uuid.UUID | None = None,
    limit: int,
) -> list[Backfill]:
    """Read backfills, newest first.

    Args:
        state: only those in this state.
        after: only those that come after this one.
    """
    query = select(backfill).where(backfill.c.platform_id == platform_id).order_by(backfill.c.id.desc())
    if state is not None:
        query = query.where(backfill.c.state == state)
    if after is not None:
        query = query.where(backfill.c.id < after)
    return [_backfill(row) for row in session.execute(query.limit(limit))]


def receive(
    session: Session,
    platform: Platform,
    backfill_id: uuid.UUID,
    body: bytes,
    media_type: str,
    *,
    channel: Channel,
    now: datetime,
    admit: Callable[[int], None] = lambda _: None,
) -> Receipt:
    """Stage a batch: judged as intake judges, but for the times, which are the backfill's.

    Creators that the platform registers at their first event are registered now.

    Raises:
        NotFound: the platform has no such backfill.
        WrongBackfillState: it takes no more events; bytes that it took before still have their receipt.
        UnknownMediaType, TooLarge, Unreadable: as `intake.receive` says.
    """
    db.lock(session, "backfill", platform.id, str(backfill_id), is_shared=True)
    one = get(session, platform.id, backfill_id)
    into = Destination(backfill_batch, backfill_receipt, {"backfill_id": backfill_id}, one.span)
    if one.state != "open":
        known = intake.known_receipt(session, into, platform.id, body, media_type)
        if known is None:
            raise WrongBackfillState(
                f"Backfill {backfill_id} is {one.state} and takes no more events; create another one."
            )
        return known
    return intake.receive(
        session, platform, body, media_type, channel=channel, now=now, admit=admit, into=into
    )


def submit(
    session: Session, platform_id: str, backfill_id: uuid.UUID, *, actor: Actor, now: datetime
) -> Backfill:
    """Freeze what is staged, for a second person to look at.

    Raises:
        RoleMissing: a member of staff who is no finance maker.
        WrongBackfillState: it is not open, or nothing is staged.
    """
    staff.require(session, platform_id, actor, "finance_maker")
    one = _held(session, platform_id, backfill_id, to="submitted")
    found = staging.totals(session, platform_id, backfill_id)
    if not found.accepted_count:
        raise WrongBackfillState(f"Backfill {backfill_id} holds no accepted event; send some, or drop it.")
    return _advance(session, one, "submitted", actor=actor, now=now, frozen=found)


def approve(
    session: Session,
    platform_id: str,
    backfill_id: uuid.UUID,
    *,
    accepted_count: int,
    batches_sha256: str,
    actor: Actor,
    now: datetime,
) -> Backfill:
    """Approve exactly what was submitted, as a person who neither created nor submitted it.

    Args:
        accepted_count, batches_sha256: the totals that the person has seen.

    Raises:
        RoleMissing, SamePerson: as `staff.require_second` says.
        WrongBackfillState: it is not submitted.
        BackfillChanged: the totals are others.
    """
    one = _held(session, platform_id, backfill_id, to="approved")
    for prepared_by in (one.created_by, one.submitted_by):
        assert prepared_by is not None, "a submitted backfill has both"
        staff.require_second(session, platform_id, actor, "finance_checker", prepared_by=prepared_by)
    frozen = checked(session, one)
    if (frozen.accepted_count, frozen.batches_sha256) != (accepted_count, batches_sha256):
        detail = (
            f"it holds {frozen.accepted_count} events with the digest {frozen.batches_sha256}; "
            "look at it again, then approve these"
        )
        raise BackfillChanged(
            f"Backfill {backfill_id}: {detail}.", errors=[FieldError("/batches_sha256", detail)]
        )
    return _advance(session, one, "approved", actor=actor, now=now)


def drop(
    session: Session, platform_id: str, backfill_id: uuid.UUID, *, actor: Actor, now: datetime
) -> Backfill:
    """Remove what is staged; the record of it and its totals stay.

    Raises:
        RoleMissing: a member of staff who is no finance maker.
        WrongBackfillState: it is committed, or dropped already.
    """
    staff.require(session, platform_id, actor, "finance_maker")
    one = _held(session, platform_id, backfill_id, to="dropped")
    found = one.frozen or staging.totals(session, platform_id, backfill_id)
    staging.forget(session, platform_id, backfill_id)
    return _advance(session, one, "dropped", actor=actor, now=now, frozen=found)


def committing(session: Session, platform_id: str, backfill_id: uuid.UUID) -> Backfill:
    """Hold an approved backfill, alone, for its commit.

    Raises:
        WrongBackfillState: it is not approved, or committed already.
        BackfillChanged: what is staged is not what was approved.
    """
    one = _held(session, platform_id, backfill_id, to="committed")
    checked(session, one)
    return one


def move(session: Session, one: Backfill, *, actor: Actor, now: datetime) -> Backfill:
    """Append what is staged to the log, in its order, and forget it here; the caller holds the seal lock.

    The log knows the batches from now on: that is when they were received there. Their receipts stay, and
    bytes that the log had no receipt of have theirs there too.
    """
    staging.move(session, one.platform_id, one.id, now=now)
    return _advance(session, one, "committed", actor=actor, now=now)


def checked(session: Session, one: Backfill) -> Totals:
    """Give the frozen totals, having added them up again.

    Raises:
        BackfillChanged: they are not those of what is staged.
    """
    found = staging.totals(session, one.platform_id, one.id)
    if found != one.frozen:
        raise BackfillChanged(
            f"What is staged in {one.id} is not what was submitted; drop it, and send it anew."
        )
    return found


def keep_preview(
    session: Session, platform_id: str, backfill_id: uuid.UUID, document: Mapping[str, Any], *, now: datetime
) -> None:
    """Keep the latest preview beside its backfill."""
    session.execute(
        update(backfill)
        .where(backfill.c.platform_id == platform_id, backfill.c.id == backfill_id)
        .values(preview=dict(document), previewed_at=now)
    )


def _unreachable(one: Period, now: datetime) -> str | None:
    """Say why a period takes no backfill, if it does not."""
    if one.span.end_at > now:
        return "is not over; its events are sent as they happen"
    if not one.is_historic:
        return "is no history: it was open when it took place, and what came late is settled as late"
    if one.state != "open":
        return f"is {one.state}: what is sealed does not change"
    return None


def _held(session: Session, platform_id: str, backfill_id: uuid.UUID, *, to: str) -> Backfill:
    """Hold a backfill alone, when no batch is on its way into it, for a move.

    Raises:
        NotFound, WrongBackfillState: see their names.
    """
    db.lock(session, "backfill", platform_id, str(backfill_id))
    one = get(session, platform_id, backfill_id, lock=True)
    if to not in MOVES[one.state]:
        ways = " or ".join(MOVES[one.state]) or "nothing else"
        raise WrongBackfillState(
            f"Backfill {backfill_id} is {one.state} and does not become {to}; it can become {ways}."
        )
    return one


def _advance(
    session: Session, one: Backfill, to: str, *, actor: Actor, now: datetime, frozen: Totals | None = None
) -> Backfill:
    values: dict[str, Any] = {"state": to, f"{to}_by": str(actor), f"{to}_at": now}
    if frozen is not None:
        values |= {name: getattr(frozen, name) for name in Totals.__slots__}
    session.execute(
        update(backfill)
        .where(backfill.c.platform_id == one.platform_id, backfill.c.id == one.id)
        .values(values)
    )
    moved = get(session, one.platform_id, one.id)
    assert moved.frozen is not None, "from its submission on its totals are frozen"
    after = {
        "state": to,
        "accepted_count": moved.frozen.accepted_count,
        "batches_sha256": moved.frozen.batches_sha256,
    }
    before = {"state": one.state}
    _record(
        session, one.platform_id, one.id, actor, f"backfill.{_ACTS[to]}", before=before, after=after, now=now
    )
    return moved


_ACTS: Final = {"submitted": "submit", "approved": "approve", "committed": "commit", "dropped": "drop"}


def _record(
    session: Session,
    platform_id: str,
    backfill_id: uuid.UUID,
    actor: Actor,
    act: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any],
    now: datetime,
) -> None:
    trail.record(
        session,
        platform_id,
        actor,
        act,
        "backfill",
        str(backfill_id),
        before=before,
        after=after,
        now=now,
    )


def _backfill(row: Row[Any]) -> Backfill:
    values = dict(row._mapping)
    span = Span(values.pop("from_at"), values.pop("until_at"))
    found = {name: values.pop(name) for name in Totals.__slots__}
    frozen = None if found["batches_sha256"] is None else Totals(**found)
    return Backfill(**values, span=span, frozen=frozen)


def _invalid(pointer: str, detail: str) -> Invalid:
    return Invalid(f"{pointer[1:]}: {detail}.", errors=[FieldError(pointer, detail)])
