"""Corrections: an event that was accepted is voided, or replaced by another one of its name.

Owns the table of corrections. What was sent stays as it was sent; a correction is a batch of the log of its
own, without events, so that its number says which seals know of it. Refuses an event that is not there, one
whose period takes no events any more, a replacement of another creator or period, and whatever would undo a
void. Laws: all corrections of a request are recorded, or none; of several corrections of an event the last
one holds, and a void is the last one; a correction that would change nothing is not recorded.

Locks are taken in one order: the seal lock, shared as intakes hold it, and then a platform's corrections.
"""

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal

import zstandard
from sqlalchemy import Row, insert, select, true, tuple_
from sqlalchemy.orm import Session

from service.calendar import periods, seal_lock
from service.calendar.periods import Period
from service.calendar.tables import period as period_table
from service.core import digests, ids
from service.core.errors import FieldError, Invalid, NotFound
from service.core.spans import local_day, to_text
from service.events import partitions, search
from service.events.identities import attributes_text
from service.events.intake import FUTURE_TOLERANCE, ZSTD_LEVEL
from service.events.lake import Lake
from service.events.search import Found, Name
from service.events.tables import event_correction
from service.events.wire import Event
from service.parties import inputs, trail
from service.parties.actors import Actor
from service.parties.platforms import Platform
from service.runtime import db

Kind = Literal["void", "replace"]

KINDS: Final[tuple[Kind, ...]] = ("void", "replace")

CORRECTIONS_MAX: Final = 1_000
"""Corrections of one request."""

CHANNEL: Final = "correction"
MEDIA_TYPE: Final = "application/vnd.benefit-ledger.corrections+json"

Code = Literal[
    "unknown_event", "too_old", "id_voided", "other_name", "other_creator", "other_period", "in_future"
]
"""Why a correction is refused."""


class CorrectionRefused(Invalid):
    """Corrections of the request cannot be recorded; none was."""

    slug = "correction-refused"
    title = "A correction cannot be recorded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One correction as it is asked for; `event` is the replacement, and None for a void."""

    source: str
    event_id: str
    reason: str
    day_on: date | None = None
    event: Event | None = None

    @property
    def kind(self) -> Kind:
        """What is asked for."""
        return "void" if self.event is None else "replace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """What counts in place of an event; its name, creator and period are the event's."""

    type: str
    at: datetime
    day_on: date
    content: str | None
    actor: str | None
    quantity: int
    attributes: str | None
    fingerprint: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """One recorded correction, at its place in the log."""

    id: uuid.UUID
    platform_id: str
    seq: int
    position: int
    kind: Kind
    source: str
    event_id: str
    identity: bytes
    period_id: str
    creator_id: str
    first_seq: int
    first_position: int
    reason: str
    recorded_at: datetime
    recorded_by: str
    replacement: Replacement | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a correction that was asked for.

    Args:
        correction: the one that holds now; None where the event stands as it was sent.
        is_new: whether this request recorded it; if not, it would have changed nothing.
    """

    correction: Correction | None
    is_new: bool


@dataclass(frozen=True, slots=True)
class _Refusal:
    code: Code
    error: FieldError


Find = Callable[[Session, Lake, Platform, Sequence[Name]], list[Found | None]]
"""How events are found by name; see `search.find_events`."""


def record(
    session: Session,
    lake: Lake,
    platform: Platform,
    asked: Sequence[Asked],
    *,
    find: Find = search.find_events,
    actor: Actor,
    now: datetime,
) -> list[Outcome]:
    """Record corrections, all or none.

    Args:
        asked: 1 to CORRECTIONS_MAX; later ones of the same event follow earlier ones.

    Returns:
        What became of each, in order.

    Raises:
        CorrectionRefused: naming every one that cannot be recorded, and why; nothing is recorded.
        LakeAway: the lake cannot be read.
    """
    assert 0 < len(asked) <= CORRECTIONS_MAX, "the edge bounds a request"
    reasons = [
        inputs.check_name(one.reason, f"/corrections/{index}/reason") for index, one in enumerate(asked)
    ]
    # Files are read before any lock is held; what was accepted stays accepted.
    found = find(session, lake, platform, [Name(one.source, one.event_id, one.day_on) for one in asked])
    seal_lock.share(session, platform.id)
    db.lock(session, "corrections", platform.id)
    window = {one.id for one in periods.window(session, platform.id)}
    standing = _standing(session, platform.id, {_identity(one) for one in asked})
    outcomes: list[Outcome] = []
    refused: list[tuple[int, _Refusal]] = []
    for index, (one, event, reason) in enumerate(zip(asked, found, reasons, strict=True)):
        refusal = _refusal(one, event, standing, window, now)
        if refusal is not None:
            refused.append((index, refusal))
            continue
        assert event is not None, "what is not found is refused"
        outcome = _outcome(platform, one, event, standing, reason=reason, actor=actor, now=now)
        outcomes.append(outcome)
        if outcome.is_new and outcome.correction is not None:
            standing.setdefault(outcome.correction.identity, []).append(outcome.correction)
    if refused:
        raise _fault(refused)
    return _store(session, platform, outcomes, actor=actor, now=now)


def get(session: Session, platform_id: str, correction_id: uuid.UUID) -> Correction:
    """Read one correction.

    Raises:
        NotFound: the platform has none with this id.
    """
    row = session.execute(
        select(event_correction).where(
            event_correction.c.platform_id == platform_id, event_correction.c.id == correction_id
        )
    ).one_or_none()
    if row is None:
        raise NotFound(f"Platform {platform_id} has no correction {correction_id}.")
    return _correction(row)


def listing(
    session: Session,
    platform_id: str,
    *,
    period_id: str | None = None,
    after: tuple[int, int] | None = None,
    limit: int = 100,
) -> list[Correction]:
    """Read corrections in the order in which they were recorded.

    Args:
        period_id: only those of events of this period.
        after: batch and position of the one before the first.
    """
    query = select(event_correction).where(event_correction.c.platform_id == platform_id)
    if period_id is not None:
        query = query.where(event_correction.c.period_id == period_id)
    if after is not None:
        query = query.where(tuple_(event_correction.c.seq, event_correction.c.position) > after)
    query = query.order_by(event_correction.c.seq, event_correction.c.position).limit(limit)
    return [_correction(row) for row in session.execute(query)]


def of_event(session: Session, platform_id: str, source: str, event_id: str) -> list[Correction]:
    """Read every correction of an event, the first one first."""
    identity = Name(source, event_id).identity
    return _standing(session, platform_id, {identity}).get(identity, [])


def of_batch(session: Session, platform_id: str, seq: int) -> list[Correction]:
    """Read the corrections of a batch of the log, in order."""
    rows = session.execute(
        select(event_correction)
        .where(event_correction.c.platform_id == platform_id, event_correction.c.seq == seq)
        .order_by(event_correction.c.position)
    )
    return [_correction(row) for row in rows]


def holding(
    session: Session, platform_id: str, period_ids: Collection[str], *, up_to_seq: int
) -> list[Correction]:
    """Read the corrections that a seal has to know of, by identity.

    These are, as of a batch, every void, and of each other event of the periods the last replacement.
    """
    rows = session.execute(
        select(event_correction)
        .where(
            event_correction.c.platform_id == platform_id,
            event_correction.c.seq <= up_to_seq,
            (event_correction.c.kind == "void") | event_correction.c.period_id.in_(period_ids),
        )
        .order_by(event_correction.c.seq, event_correction.c.position)
    )
    held: dict[bytes, dict[str, Correction]] = {}
    for row in rows:
        one = _correction(row)
        if one.kind == "void":
            held[one.identity] = {one.period_id: one}
        else:
            held.setdefault(one.identity, {})[one.period_id] = one
    return [one for identity in sorted(held) for one in held[identity].values()]


def since_seal(
    session: Session, platform_id: str, period_id: str, *, after_seq: int, up_to_seq: int
) -> list[tuple[bytes, int]]:
    """Name what corrections took back of a period after its seal: identities, by identity.

    Returns:
        With each the batch of its last correction: rows of the identity from batches before it do not count.
    """
    rows = session.execute(
        select(event_correction.c.identity, event_correction.c.seq)
        .where(
            event_correction.c.platform_id == platform_id,
            event_correction.c.period_id == period_id,
            event_correction.c.seq > after_seq,
            event_correction.c.seq <= up_to_seq,
        )
        .order_by(event_correction.c.seq)
    )
    return sorted({bytes(row.identity): row.seq for row in rows}.items())


def newest(session: Session, platform_id: str) -> dict[str, tuple[int, datetime]]:
    """Read the batch and the instant of the last correction of each period's events, where there is one."""
    last = (
        select(event_correction.c.seq, event_correction.c.recorded_at)
        .where(
            event_correction.c.platform_id == period_table.c.platform_id,
            event_correction.c.period_id == period_table.c.id,
        )
        .order_by(event_correction.c.seq.desc())
        .limit(1)
        .lateral()
    )
    # Each period finds its own by the index, however many corrections there are.
    rows = session.execute(
        select(period_table.c.id, last.c.seq, last.c.recorded_at)
        .join(last, true())
        .where(period_table.c.platform_id == platform_id)
    )
    return {row.id: (row.seq, row.recorded_at) for row in rows}


def body_of(one: Correction) -> dict[str, Any]:
    """Write what a batch of the log says of a correction, as JSON values."""
    made: dict[str, Any] = {
        "kind": one.kind,
        "source": one.source,
        "id": one.event_id,
        "period": one.period_id,
        "creator": one.creator_id,
        "reason": one.reason,
        "recorded_by": one.recorded_by,
    }
    it = one.replacement
    if it is not None:
        made["event"] = {
            "type": it.type,
            "time": to_text(it.at),
            "content": it.content,
            "actor": it.actor,
            "quantity": str(it.quantity),
        }
        if it.attributes is not None:
            made["event"]["attributes"] = it.attributes
    return made


def _identity(one: Asked) -> bytes:
    return Name(one.source, one.event_id).identity


def _standing(
    session: Session, platform_id: str, identities: Collection[bytes]
) -> dict[bytes, list[Correction]]:
    """Read what was corrected before, by identity and in order."""
    rows = session.execute(
        select(event_correction)
        .where(event_correction.c.platform_id == platform_id, event_correction.c.identity.in_(identities))
        .order_by(event_correction.c.seq, event_correction.c.position)
    )
    made: dict[bytes, list[Correction]] = {}
    for row in rows:
        made.setdefault(bytes(row.identity), []).append(_correction(row))
    return made


def _last(
    standing: Mapping[bytes, Sequence[Correction]], identity: bytes, period: Period
) -> Correction | None:
    """Find the correction that holds for an event: a void of its name, or its last replacement."""
    known = standing.get(identity, ())
    for one in reversed(known):
        if one.kind == "void" or one.period_id == period.id:
            return one
    return None


def _refusal(
    one: Asked,
    found: Found | None,
    standing: Mapping[bytes, Sequence[Correction]],
    window: Collection[str],
    now: datetime,
) -> _Refusal | None:
    """Find what stands against a correction."""
    if found is None:
        detail = (
            "no accepted event of this source and id lies in the periods that take events; compare both with"
            " what was sent, byte by byte, and the day if one is given"
        )
        return _Refusal("unknown_event", FieldError("/id", detail))
    if found.period.id not in window:
        detail = (
            f"period {found.period.id} takes no corrections any more; bring the facts in as a backfill, or"
            " correct the period's revenue"
        )
        return _Refusal("too_old", FieldError("/id", detail))
    if one.event is None:
        return None
    last = _last(standing, _identity(one), found.period)
    if last is not None and last.kind == "void":
        detail = (
            f"the event was voided at {to_text(last.recorded_at)}, which is final; send a new event under an"
            " id of its own"
        )
        return _Refusal("id_voided", FieldError("/id", detail))
    return _misfit(one, one.event, found, now)


def _misfit(one: Asked, event: Event, found: Found, now: datetime) -> _Refusal | None:
    """Find what a replacement has otherwise that must be the event's own."""
    if (event.source, event.id) != (one.source, one.event_id):
        place = "/event/id" if event.source == one.source else "/event/source"
        return _Refusal(
            "other_name", FieldError(place, "a replacement has the source and the id of its event")
        )
    if event.data.creator != found.occurrence.creator_id:
        detail = "a replacement is about the same creator; void the event and send another one instead"
        return _Refusal("other_creator", FieldError("/event/data/creator", detail))
    if not found.period.span.contains(event.time):
        detail = (
            f"a replacement lies in the period of its event, {found.period.id}; void the event and send"
            " another one instead"
        )
        return _Refusal("other_period", FieldError("/event/time", detail))
    if event.time > now + FUTURE_TOLERANCE:
        minutes = FUTURE_TOLERANCE // timedelta(minutes=1)
        detail = f"the time is more than {minutes} minutes in the future"
        return _Refusal("in_future", FieldError("/event/time", detail))
    return None


def _outcome(
    platform: Platform,
    one: Asked,
    found: Found,
    standing: Mapping[bytes, Sequence[Correction]],
    *,
    reason: str,
    actor: Actor,
    now: datetime,
) -> Outcome:
    """Draft a correction, or say that there is nothing to change. Its place in the log comes later."""
    identity = _identity(one)
    last = _last(standing, identity, found.period)
    replacement = None if one.event is None else _replacement(platform, one.event)
    if replacement is None:
        if last is not None and last.kind == "void":
            return Outcome(last, is_new=False)
    else:
        stands = found.occurrence.fingerprint
        if last is not None:
            assert last.replacement is not None, "an event that was voided is not replaced"
            stands = last.replacement.fingerprint
        if stands == replacement.fingerprint:
            return Outcome(last, is_new=False)
    drafted = Correction(
        id=ids.new(now),
        platform_id=platform.id,
        seq=0,
        position=0,
        kind=one.kind,
        source=one.source,
        event_id=one.event_id,
        identity=identity,
        period_id=found.period.id,
        creator_id=found.occurrence.creator_id,
        first_seq=found.occurrence.seq,
        first_position=found.occurrence.position,
        reason=reason,
        recorded_at=now,
        recorded_by=str(actor),
        replacement=replacement,
    )
    return Outcome(drafted, is_new=True)


def _replacement(platform: Platform, event: Event) -> Replacement:
    at = event.time.astimezone(UTC)
    return Replacement(
        type=event.type,
        at=at,
        day_on=local_day(at, platform.zone),
        content=event.data.content,
        actor=event.data.actor,
        quantity=event.data.quantity,
        attributes=attributes_text(event.data.attributes),
        fingerprint=search.fingerprint(event),
    )


def _fault(refused: Sequence[tuple[int, _Refusal]]) -> CorrectionRefused:
    errors = [
        FieldError(f"/corrections/{index}{one.error.pointer}", one.error.detail) for index, one in refused
    ]
    others = f" ({len(errors) - 1} more are listed in errors)" if len(errors) > 1 else ""
    return CorrectionRefused(
        f"{errors[0].pointer}: {errors[0].detail}{others}.",
        errors=errors,
        refusals=[{"index": index, "code": one.code} for index, one in refused],
    )


def _store(
    session: Session, platform: Platform, outcomes: Sequence[Outcome], *, actor: Actor, now: datetime
) -> list[Outcome]:
    """Append the new corrections to the log, as one batch."""
    new = [one.correction for one in outcomes if one.is_new and one.correction is not None]
    if not new:
        return list(outcomes)
    body = digests.canonical_json([body_of(one) for one in new])
    batch_id = ids.new(now)
    seq = partitions.append(
        session,
        {
            "platform_id": platform.id,
            "id": batch_id,
            "received_at": now,
            "channel": CHANNEL,
            "media_type": MEDIA_TYPE,
            "item_count": 0,
            "accepted_count": 0,
            "first_at": None,
            "last_at": None,
            "body_sha256": digests.sha256(body),
            "body_zstd": zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(body),
            "rejections": [],
        },
    )
    session.execute(
        insert(event_correction),
        [_values(one, seq, position) for position, one in enumerate(new)],
    )
    counts: dict[str, int] = {kind: sum(one.kind == kind for one in new) for kind in KINDS}
    trail.record(
        session, platform.id, actor, "correction.record", "event_batch", str(batch_id), after=counts, now=now
    )
    placed = {one.id: one for one in of_batch(session, platform.id, seq)}
    return [
        replace(one, correction=placed.get(one.correction.id, one.correction)) if one.correction else one
        for one in outcomes
    ]


_OWN: Final = ("type", "at", "day_on", "content", "actor", "quantity", "attributes", "fingerprint")


def _values(one: Correction, seq: int, position: int) -> dict[str, Any]:
    shared = {
        column.name: getattr(one, column.name)
        for column in event_correction.columns
        if column.name not in _OWN
    }
    own = {name: None if one.replacement is None else getattr(one.replacement, name) for name in _OWN}
    return {**shared, **own, "seq": seq, "position": position}


def _correction(row: Row[Any]) -> Correction:
    replacement = None
    if row.kind == "replace":
        replacement = Replacement(
            type=row.type,
            at=row.at,
            day_on=row.day_on,
            content=row.content,
            actor=row.actor,
            quantity=row.quantity,
            attributes=row.attributes,
            fingerprint=bytes(row.fingerprint),
        )
    return Correction(
        id=row.id,
        platform_id=row.platform_id,
        seq=row.seq,
        position=row.position,
        kind=row.kind,
        source=row.source,
        event_id=row.event_id,
        identity=bytes(row.identity),
        period_id=row.period_id,
        creator_id=row.creator_id,
        first_seq=row.first_seq,
        first_position=row.first_position,
        reason=row.reason,
        recorded_at=row.recorded_at,
        recorded_by=row.recorded_by,
        replacement=replacement,
    )
