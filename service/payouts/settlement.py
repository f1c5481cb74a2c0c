"""Settlement: approved payouts are sent and followed until the money has arrived or is back.

Claim, call, record. One transaction claims a payout, freezes its request and books that its money may move;
the provider is called outside any transaction; a second transaction records the answer. Laws:

- one attempt is one key and one request, whoever presents it and however often;
- only a proven rejection is `failed`: no answer, a broken answer or an exception is `unknown`, and the same
  attempt is repeated later with the same key;
- a process that dies between claim and record loses nothing: its lease passes, another repeats the attempt;
- an answer counts only for the latest claim, and a look-up only where the table of moves leads: late ones
  change nothing.
"""

import traceback
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import structlog
from sqlalchemy import Row, Select, func, insert, select, update
from sqlalchemy.orm import Session

from service.core import digests
from service.payouts import batches, payees, payouts
from service.payouts.payouts import Payout
from service.payouts.providers.base import (
    Outcome,
    Provider,
    TransferRequest,
    TransferState,
    TransferView,
    Verdict,
)
from service.payouts.tables import payout, payout_attempt
from service.payouts.transitions import State, is_allowed
from service.runtime import clock as database_clock
from service.runtime.db import Database, run
from service.runtime.vault import Vault

log = structlog.get_logger(__name__)

STEP_LIMIT: Final = 50
"""Calls of a kind in one step, so that a step ends soon and its `now` stays true enough."""

_SENDABLE: Final = (State.APPROVED, State.SENDING, State.UNKNOWN)
_WATCHED: Final = (State.SENT, State.PAID)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long to wait for what, in seconds; waits grow with the age of what is waited for."""

    lease_s: int = 300
    """A claim is its holder's so long: more than a provider's slowest answer."""
    retry_first_s: int = 30
    retry_max_s: int = 3_600
    look_up_first_s: int = 60
    look_up_max_s: int = 6 * 3_600
    watch_every_s: int = 86_400
    """A paid payout is looked up so often, because banks return money days later ..."""
    watch_s: int = 10 * 86_400
    """... and so long."""

    def __post_init__(self) -> None:
        assert all(getattr(self, one.name) >= 1 for one in fields(self)), (
            "without a wait a step would not end"
        )


PACE: Final = Pace()


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a run of the settlement did, in numbers of payouts."""

    sent: int = 0
    failed: int = 0
    unknown: int = 0
    paid: int = 0
    returned: int = 0
    looked_up: int = 0
    refused: int = 0
    """Answers that came too late to count."""
    unanswered: int = 0
    """Look-ups without an answer, or with one that does not fit our books."""
    batches_done: int = 0

    def __add__(self, other: "Progress") -> "Progress":
        return Progress(
            **{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)}
        )

    @property
    def is_idle(self) -> bool:
        """Whether nothing was due."""
        return self == Progress()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to present one attempt once; void as soon as another claims it."""

    payout: Payout
    destination_sealed: bytes = field(repr=False)
    number: int
    key: str
    owner: str
    count: int
    since_at: datetime
    is_unchanged: bool
    """Whether the request is the one that was frozen at the first claim."""


def step(
    database: Database,
    provider: Provider,
    vault: Vault,
    *,
    owner: str,
    now: datetime,
    platform_id: str | None = None,
    limit: int = STEP_LIMIT,
    pace: Pace = PACE,
) -> Progress:
    """Send what is due, look up what is under way, and mark batches done; each in transactions of its own.

    Args:
        provider: payouts of others are left alone.
        owner: names this process uniquely.
        now: when the step began; a step of `limit` slow calls should end within the lease.
        platform_id: payouts of this platform only; None: of all.
        limit: at most so many calls to send, and as many look-ups.
    """
    progress = Progress()
    for _ in range(limit):
        claim = run(database, lambda session: _claim(session, provider.name, platform_id, owner, now, pace))
        if claim is None:
            break
        progress += _present(database, provider, vault, claim, now, pace)
    for _ in range(limit):
        watched = run(
            database, lambda session: _claim_look_up(session, provider.name, platform_id, now, pace)
        )
        if watched is None:
            break
        progress += _look_up(database, provider, watched, now, pace)
    done = run(
        database,
        lambda session: batches.finish(session, provider=provider.name, platform_id=platform_id, now=now),
    )
    return progress + Progress(batches_done=done)


def drain(
    database: Database,
    provider: Provider,
    vault: Vault,
    *,
    owner: str,
    clock: Callable[[Session], datetime] = database_clock.now,
    platform_id: str | None = None,
    limit: int = STEP_LIMIT,
    pace: Pace = PACE,
) -> Progress:
    """Take steps until nothing is due at the clock's instant; what has to wait stays for a later run."""
    total = Progress()
    while True:
        progress = step(
            database,
            provider,
            vault,
            owner=owner,
            now=run(database, clock),
            platform_id=platform_id,
            limit=limit,
            pace=pace,
        )
        if progress.is_idle:
            return total
        total += progress


def due_at(session: Session, platform_id: str) -> datetime | None:
    """Find when the settlement has something to do for a platform next; None: nothing waits."""
    next_at = session.scalar(
        select(func.min(payout.c.due_at)).where(
            payout.c.platform_id == platform_id, payout.c.due_at.is_not(None)
        )
    )
    waiting = [one for one in (next_at, batches.finishable_at(session, platform_id)) if one is not None]
    return min(waiting, default=None)


def narrative_of(payout_id: uuid.UUID) -> str:
    """Write what the receiver reads: ASCII, short, and enough to find the payout again."""
    return f"PAYOUT {payout_id.hex[-12:].upper()}"


def _claim(
    session: Session, provider: str, platform_id: str | None, owner: str, now: datetime, pace: Pace
) -> Claim | None:
    """Take the payout that has waited longest, for the first time or again after a lost answer or holder."""
    row = session.execute(_next(_SENDABLE, provider, platform_id, now)).one_or_none()
    if row is None:
        return None
    one = payouts.from_row(row)
    lease_until = now + timedelta(seconds=pace.lease_s)
    frozen = _frozen_sha256(one, row.destination_sealed)
    attempt = _attempt(session, one, owner=owner, frozen=frozen, lease_until=lease_until, now=now)
    detail = {"attempt": attempt.number, "claim": attempt.claim_count, "owner": owner}
    if one.state is State.SENDING:
        # Its holder let the lease pass: the same state, held by another.
        session.execute(
            update(payout)
            .where(payout.c.platform_id == one.platform_id, payout.c.id == one.id)
            .values(due_at=lease_until)
        )
        payouts.write_step(session, one.platform_id, one.id, State.SENDING, now=now, detail=detail)
    else:
        payouts.move(session, one, State.SENDING, now=now, due_at=lease_until, detail=detail)
    return Claim(
        payout=one,
        destination_sealed=row.destination_sealed,
        number=attempt.number,
        key=attempt.key,
        owner=owner,
        count=attempt.claim_count,
        since_at=attempt.claimed_at,
        is_unchanged=bytes(attempt.request_sha256) == frozen,
    )


def _next(states: Sequence[State], provider: str, platform_id: str | None, now: datetime) -> Select[Any]:
    query = select(payout).where(
        payout.c.provider == provider,
        payout.c.due_at <= now,
        payout.c.state.in_([state.value for state in states]),
    )
    if platform_id is not None:
        query = query.where(payout.c.platform_id == platform_id)
    return query.order_by(payout.c.due_at, payout.c.id).limit(1).with_for_update(skip_locked=True)


def _attempt(
    session: Session, one: Payout, *, owner: str, frozen: bytes, lease_until: datetime, now: datetime
) -> Row[Any]:
    """Make the first attempt of a payout, or claim the open one again; its key and request stay."""
    if one.state is State.APPROVED:
        query = insert(payout_attempt).values(
            platform_id=one.platform_id,
            payout_id=one.id,
            number=1,
            key=f"{one.id}-1",
            request_sha256=frozen,
            state="claimed",
            owner=owner,
            claim_count=1,
            lease_until=lease_until,
            claimed_at=now,
        )
        return session.execute(query.returning(payout_attempt)).one()
    # A payout that may have been sent has one open attempt: a rejected one has ended it.
    again = update(payout_attempt).where(
        payout_attempt.c.platform_id == one.platform_id,
        payout_attempt.c.payout_id == one.id,
        payout_attempt.c.state.in_(("claimed", "unknown")),
    )
    values = {"state": "claimed", "owner": owner, "lease_until": lease_until}
    return session.execute(
        again.values(claim_count=payout_attempt.c.claim_count + 1, **values).returning(payout_attempt)
    ).one()


def _frozen_sha256(one: Payout, destination_sealed: bytes) -> bytes:
    """Digest all that the request is made of, the destination as it is stored."""
    parts = (one.platform_id, str(one.id), one.currency, str(one.amount_minor), narrative_of(one.id))
    return digests.sha256(digests.framed(*(part.encode() for part in parts), bytes(destination_sealed)))


def _present(
    database: Database, provider: Provider, vault: Vault, claim: Claim, now: datetime, pace: Pace
) -> Progress:
    outcome = _send(provider, vault, claim)
    return run(database, lambda session: _record(session, claim, outcome, now, pace))


def _send(provider: Provider, vault: Vault, claim: Claim) -> Outcome:
    """Call the provider; whatever is not an answer is `unknown`, because the money may have moved."""
    one = claim.payout
    if not claim.is_unchanged:
        log.error("payout.request_changed", payout_id=str(one.id), attempt=claim.number)
        return Outcome(verdict=Verdict.UNKNOWN, reason="request_changed")
    try:
        request = TransferRequest(
            platform_id=one.platform_id,
            payout_id=one.id,
            currency=one.currency,
            amount_minor=one.amount_minor,
            destination=payees.unseal(vault, claim.destination_sealed),
            narrative=narrative_of(one.id),
        )
        return provider.send(request, claim.key)
    except Exception as fault:
        log.warning("payout.no_answer", payout_id=str(one.id), attempt=claim.number, fault=_name_of(fault))
        return Outcome(verdict=Verdict.UNKNOWN, reason=type(fault).__name__)


def _record(session: Session, claim: Claim, outcome: Outcome, now: datetime, pace: Pace) -> Progress:
    """Record the answer to a claim, unless another has claimed the attempt since."""
    one = _locked(session, claim.payout)
    attempt = session.execute(
        update(payout_attempt)
        .where(
            payout_attempt.c.platform_id == one.platform_id,
            payout_attempt.c.payout_id == one.id,
            payout_attempt.c.number == claim.number,
            payout_attempt.c.owner == claim.owner,
            payout_attempt.c.claim_count == claim.count,
            payout_attempt.c.state == "claimed",
        )
        .values(
            state=outcome.verdict.value,
            recorded_at=now,
            outcome={"reference": outcome.reference, "reason": outcome.reason},
        )
        .returning(payout_attempt.c.number)
    ).one_or_none()
    if attempt is None:
        log.warning("payout.late_answer", payout_id=str(one.id), attempt=claim.number, owner=claim.owner)
        return Progress(refused=1)
    detail = {"attempt": claim.number, "reference": outcome.reference, "reason": outcome.reason}
    match outcome.verdict:
        case Verdict.ACCEPTED:
            look_at = now + timedelta(seconds=pace.look_up_first_s)
            payouts.move(
                session,
                one,
                State.SENT,
                now=now,
                due_at=look_at,
                detail=detail,
                provider_reference=outcome.reference,
            )
            return Progress(sent=1)
        case Verdict.REJECTED:
            payouts.move(
                session, one, State.FAILED, now=now, due_at=None, detail=detail, reason=outcome.reason
            )
            return Progress(failed=1)
        case Verdict.UNKNOWN:
            retry_at = now + _wait(now - claim.since_at, pace.retry_first_s, pace.retry_max_s)
            payouts.move(
                session, one, State.UNKNOWN, now=now, due_at=retry_at, detail=detail, reason=outcome.reason
            )
            return Progress(unknown=1)


def _claim_look_up(
    session: Session, provider: str, platform_id: str | None, now: datetime, pace: Pace
) -> Payout | None:
    """Take the payout whose look-up is due longest; if we die over it, it is due again after the lease."""
    row = session.execute(_next(_WATCHED, provider, platform_id, now)).one_or_none()
    if row is None:
        return None
    one = payouts.from_row(row)
    _defer(session, one, now + timedelta(seconds=pace.lease_s))
    return one


def _look_up(database: Database, provider: Provider, one: Payout, now: datetime, pace: Pace) -> Progress:
    try:
        views = provider.look_up(str(one.id))
    except Exception as fault:
        log.warning("payout.look_up_unanswered", payout_id=str(one.id), fault=_name_of(fault))
        return Progress(looked_up=1, unanswered=1)
    seen = run(database, lambda session: _record_look_up(session, one, views, now, pace))
    return Progress(looked_up=1) + seen


def _record_look_up(
    session: Session, looked_up: Payout, views: Sequence[TransferView], now: datetime, pace: Pace
) -> Progress:
    """Record what the provider shows, where it leads on from what we know."""
    one = _locked(session, looked_up)
    if one.state not in _WATCHED:
        return Progress(refused=1)
    view = _fitting(one, views)
    if view is None:
        log.error("payout.look_up_differs", payout_id=str(one.id), transfer_count=len(views))
        _defer(session, one, _next_look_at(one, now, pace))
        return Progress(unanswered=1)
    to = _state_of(view, one.state)
    if not is_allowed(one.state, to):
        _defer(session, one, _next_look_at(one, now, pace))
        return Progress()
    detail = {"reference": view.reference, "reason": view.reason, "changed_at": view.changed_at.isoformat()}
    watch_at = now + timedelta(seconds=pace.watch_every_s) if to is State.PAID else None
    payouts.move(session, one, to, now=now, due_at=watch_at, detail=detail, reason=view.reason)
    return Progress(**{to.value: 1})


def _fitting(one: Payout, views: Sequence[TransferView]) -> TransferView | None:
    """Pick the transfer that is ours; None when it is missing, differs, or is not the only one.

    Several transfers of one payout may be a double payment: people have to look before anything is booked.
    """
    if len(views) != 1:
        return None
    view = views[0]
    ours = (one.provider_reference, str(one.id), one.currency, one.amount_minor)
    return view if (view.reference, view.group, view.currency, view.amount_minor) == ours else None


def _state_of(view: TransferView, known: State) -> State:
    match view.state:
        case TransferState.PENDING:
            return State.SENT
        case TransferState.PAID:
            return State.PAID
        case TransferState.FAILED:
            # Some providers call it failed when money that had arrived came back.
            return State.RETURNED if known is State.PAID else State.FAILED
        case TransferState.RETURNED:
            return State.RETURNED


def _next_look_at(one: Payout, now: datetime, pace: Pace) -> datetime | None:
    if one.settled_at is None:
        assert one.sent_at is not None, "only what was sent is looked up"
        return now + _wait(now - one.sent_at, pace.look_up_first_s, pace.look_up_max_s)
    is_over = now - one.settled_at >= timedelta(seconds=pace.watch_s)
    return None if is_over else now + timedelta(seconds=pace.watch_every_s)


def _wait(age: timedelta, first_s: int, longest_s: int) -> timedelta:
    """Wait as long again as it has taken so far, within bounds: the waits double."""
    return max(timedelta(seconds=first_s), min(age, timedelta(seconds=longest_s)))


def _locked(session: Session, one: Payout) -> Payout:
    """Read a payout again and hold its row until the transaction ends."""
    row = session.execute(
        select(*payouts.COLUMNS)
        .where(payout.c.platform_id == one.platform_id, payout.c.id == one.id)
        .with_for_update()
    ).one()
    return payouts.from_row(row)


def _name_of(fault: Exception) -> str:
    """Say what went wrong and where, without the message: it may quote bank details."""
    place = traceback.extract_tb(fault.__traceback__)[-1]
    return f"{type(fault).__name__} at {Path(place.filename).name}:{place.lineno}"


def _defer(session: Session, one: Payout, due_at: datetime | None) -> None:
    session.execute(
        update(payout)
        .where(payout.c.platform_id == one.platform_id, payout.c.id == one.id)
        .values(due_at=due_at)
    )
