"""The stages of a period: seal, settle, score, split, publish; then approve and post.

Each stage is reached in a transaction of its own and only from the one before it, so that a close that was
interrupted anywhere is simply run again. Files and engines are used between transactions, never inside one.
What one person closed, another approves; what is posted is exactly what was approved.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from service.calendar import periods, seal_lock
from service.calendar.periods import Period, WrongState
from service.closing import clawbacks, computing, control_totals, readiness, revenues
from service.closing.control_totals import Found
from service.closing.readiness import LOOKS_MAX, SealContended, Seen
from service.closing.tools import Report, Tools, silent
from service.core import digests
from service.core.errors import Conflict
from service.core.spans import to_text
from service.events import compaction, manifest, quarantine, sealing
from service.events.sealing import Settled
from service.jobs import queue
from service.ledger import entries, journal
from service.parties import platforms, staff
from service.parties.actors import Actor
from service.parties.platforms import Platform
from service.rules import registry
from service.runtime import db
from service.splits import shares
from service.splits.shares import Split

_INSTANT = timedelta(microseconds=1)
_STEPS = 4

_INTERRUPTED = frozenset({"sealed", "scored", "split"})
"""States in which a close was begun; asking for it again carries it on."""


class PeriodNotOver(Conflict):
    """The period, or the grace after it, has not ended."""

    slug = "period-not-over"
    title = "The period is not over yet"


class EarlierPeriodOpen(Conflict):
    """Periods are sealed in the order of time."""

    slug = "earlier-period-open"
    title = "An earlier period is still open"


class ChallengeWindowOpen(Conflict):
    """Those concerned may still challenge the published result."""

    slug = "challenge-window-open"
    title = "The challenge window is still open"


class SplitChanged(Conflict):
    """The shares in the database are not the ones that were published."""

    slug = "split-changed"
    title = "The split is not the one that was published"


@dataclass(frozen=True, slots=True)
class DueStage:
    """A close or a posting that the calendar asks for."""

    job: str
    period_id: str
    due_at: datetime


def close(
    tools: Tools,
    platform_id: str,
    period_id: str,
    *,
    actor: Actor,
    now: datetime,
    report: Report = silent,
) -> Period:
    """Carry a period from open to published; run again after an interruption, it goes on where it was.

    Raises:
        PeriodNotOver, EarlierPeriodOpen: it cannot be sealed yet.
        AttributedRevenueDiffers, SenderTotalsDiffer, SealContended: it cannot be sealed as it stands.
        WrongState: it is published already, or further.
        RoleMissing: a member of staff who is no finance maker.
        LakeAway: the lake cannot be read or written; nothing of this stage is stored.
    """
    report(0, _STEPS)
    with db.transaction(tools.database) as session:
        platform = platforms.get(session, platform_id)
        staff.require(session, platform_id, actor, "finance_maker")
    period = _seal(tools, platform, period_id, actor=actor, now=now)
    report(1, _STEPS)
    if period.state == "sealed":
        settled = sealing.settle(tools.database, tools.lake, platform, period, now=now)
        report(2, _STEPS)
        compared = _compare(tools, platform, period, settled, now=now)
        with db.transaction(tools.database) as session:
            material = computing.gather(session, tools.lake, platform, period, origin_ids=settled.origins)
        scores = computing.score(tools, material)
        found = computing.find_exceptions(tools, material, settled, scores)
        verdicts = {"verdicts": dict(found.counts), "excluded": dict(found.clauses)}
        report(3, _STEPS)
        with db.transaction(tools.database) as session:
            db.lock(session, "split", platform_id)
            period = periods.get(session, platform_id, period_id, lock=True)
            if period.state == "sealed":
                pool = computing.pool(session, platform, period)
                made = computing.divide(material, scores, pool.divided_minor)
                split = shares.compose(
                    platform_id=platform_id,
                    period_id=period_id,
                    version=1,
                    rulebook_sha256=material.published.sha256,
                    currency=platform.currency,
                    pool_minor=pool.divided_minor,
                    deficit_minor=pool.deficit_minor,
                    shares=made,
                    inputs={**computing.inputs(tools, material), **verdicts},
                    computed_at=now,
                )
                shares.save(session, split, made)
                manifest.register(session, [found.file], now=now)
                control_totals.write_comparison(session, period, compared)
                period = periods.advance(session, period, "scored", actor=actor, now=now, detail=verdicts)
                period = periods.advance(
                    session, period, "split", actor=actor, now=now, detail=_identity(split)
                )
    with db.transaction(tools.database) as session:
        period = periods.get(session, platform_id, period_id, lock=True)
        if period.state == "split":
            period = periods.advance(session, period, "published", actor=actor, now=now)
    report(_STEPS, _STEPS)
    return period


def request_close(
    session: Session, platform: Platform, period_id: str, *, actor: Actor, now: datetime
) -> uuid.UUID:
    """Ask for a close as a job.

    Raises:
        As `close`; what can be refused at once is.
    """
    staff.require(session, platform.id, actor, "finance_maker")
    period = periods.get(session, platform.id, period_id)
    if period.state not in _INTERRUPTED:
        _check_closable(session, period, now)
    return queue.request(
        session,
        platform_id=platform.id,
        job="close",
        scope=period_id,
        due_at=now,
        requested_by=str(actor),
        now=now,
    )


def approve(session: Session, platform_id: str, period_id: str, *, actor: Actor, now: datetime) -> Period:
    """Approve a published split, as a second person.

    Raises:
        WrongState: it is not published, or approved already.
        SamePerson, RoleMissing: as `staff.require_second` says; the first person is who sealed it.
        SplitChanged: the shares are not those that were published.
    """
    period = periods.get(session, platform_id, period_id, lock=True)
    sealed = next(
        (step for step in periods.steps(session, platform_id, period_id) if step.state == "sealed"), None
    )
    if sealed is None or period.state != "published":
        raise WrongState(
            f"Period {period_id} is {period.state}; only a period that is published is approved."
        )
    staff.require_second(session, platform_id, actor, "finance_checker", prepared_by=sealed.actor)
    split = _verified(session, platform_id, period_id)
    return periods.advance(session, period, "approved", actor=actor, now=now, detail=_identity(split))


def post(session: Session, platform_id: str, period_id: str, *, actor: Actor, now: datetime) -> Period:
    """Book an approved split: the pool goes to those who earned it, and its account to zero.

    Raises:
        WrongState: it is not approved, or posted already.
        ChallengeWindowOpen: the rulebook's window after publication has not ended; history has none.
        RoleMissing: a member of staff who is no finance maker.
        SplitChanged: the shares are not those that were approved.
    """
    staff.require(session, platform_id, actor, "finance_maker")
    period = periods.get(session, platform_id, period_id, lock=True)
    _check_postable(session, period, now)
    split = _verified(session, platform_id, period_id)
    approved = next(
        step for step in periods.steps(session, platform_id, period_id) if step.state == "approved"
    )
    if approved.detail != _identity(split):
        raise SplitChanged(f"Split {split.version} of {period_id} is not the one that was approved.")
    platform = platforms.get(session, platform_id)
    _book(session, platform, period, split, now=now)
    _pass_on(session, platform, split, actor=actor, now=now)
    return periods.advance(session, period, "posted", actor=actor, now=now, detail=_identity(split))


def request_post(
    session: Session, platform: Platform, period_id: str, *, actor: Actor, now: datetime
) -> uuid.UUID:
    """Ask for a posting as a job.

    Raises:
        As `post`; what can be refused at once is.
    """
    staff.require(session, platform.id, actor, "finance_maker")
    _check_postable(session, periods.get(session, platform.id, period_id), now)
    return queue.request(
        session,
        platform_id=platform.id,
        job="post",
        scope=period_id,
        due_at=now,
        requested_by=str(actor),
        now=now,
    )


def due(session: Session, platform_id: str) -> Iterator[DueStage]:
    """Find the closes and postings that the calendar asks for, due now or later, earliest period first.

    History is closed and posted by people alone. A regular period waits for the one before it.
    """
    for period in periods.listing(session, platform_id):
        if period.is_historic:
            continue
        if period.state == "approved":
            yield DueStage("post", period.id, postable_at(session, period))
        elif period.state in {"open", "sealed", "scored", "split"}:
            yield DueStage("close", period.id, closable_at(session, period))
            if period.state == "open":
                return


def closable_at(session: Session, period: Period) -> datetime:
    """Tell from when on a period may be closed: its end, and the grace that its rulebook adds."""
    rule = registry.in_force(session, period.platform_id, period.span.start_at).rulebook
    return period.span.end_at + timedelta(hours=rule.grace_h)


def postable_at(session: Session, period: Period) -> datetime:
    """Tell from when on a published period may be posted: the end of its rulebook's challenge window."""
    assert period.published_at is not None, "the window begins with the publication"
    rule = registry.in_force(session, period.platform_id, period.span.start_at).rulebook
    return period.published_at + timedelta(hours=rule.challenge_window_h)


def _seal(tools: Tools, platform: Platform, period_id: str, *, actor: Actor, now: datetime) -> Period:
    """Seal the period if it is open: alone with the calendar, with every batch that committed before.

    Where something has to hold before (see `readiness`), it is looked at between two such moments.
    """
    seen: Seen | None = None
    for look_count in range(LOOKS_MAX + 1):
        with db.transaction(tools.database) as session:
            seal_lock.exclude(session, platform.id)
            period = periods.get(session, platform.id, period_id, lock=True)
            if period.state in _INTERRUPTED:
                return period
            _check_closable(session, period, now)
            wanted = readiness.demands(session, period)
            newest_seq = compaction.newest_seq(session, platform.id)
            if wanted.is_empty:
                return _advance_sealed(session, period, newest_seq, None, actor=actor, now=now)
            if seen is not None and readiness.still_holds(session, period, seen, wanted):
                return _advance_sealed(session, period, newest_seq, seen, actor=actor, now=now)
        if look_count < LOOKS_MAX:
            seen = readiness.look(tools, platform, period, wanted, newest_seq, now=now)
    raise SealContended(
        f"What {period_id} counts changed {LOOKS_MAX} times while it was looked at; close it when its events "
        "and revenue have come to rest."
    )


def _advance_sealed(
    session: Session, period: Period, cut_seq: int, seen: Seen | None, *, actor: Actor, now: datetime
) -> Period:
    detail = {
        "cut_seq": cut_seq,
        "quarantine_open": quarantine.open_count(session, period.platform_id, period.span),
    }
    detail |= {} if seen is None else seen.detail()
    return periods.advance(session, period, "sealed", actor=actor, now=now, cut_seq=cut_seq, detail=detail)


def _compare(
    tools: Tools, platform: Platform, period: Period, settled: Settled, *, now: datetime
) -> dict[int, Found]:
    """Hold what senders said against what was settled; without totals, at the cost of one statement."""
    assert period.cut_seq is not None, "only a sealed period is settled"
    with db.transaction(tools.database) as session:
        totals = control_totals.listing(session, platform.id, period.id)
        raw = sealing.raw_locations(session, tools.lake, platform, period) if totals else ()
    return control_totals.compare(
        tools.lake,
        period,
        totals,
        raw_locations=raw,
        verdicts_locations=[tools.lake.location(file.stored.path) for file in settled.verdicts],
        cut_seq=period.cut_seq,
        now=now,
    )


def _check_closable(session: Session, period: Period, now: datetime) -> None:
    if period.state != "open":
        raise WrongState(f"Period {period.id} is {period.state}; only a period that is open is closed.")
    if now < period.span.end_at:
        raise PeriodNotOver(
            f"Period {period.id} ends at {to_text(period.span.end_at)}; close it after its grace."
        )
    grace_end_at = closable_at(session, period)
    if now < grace_end_at:
        msg = f"Late events of {period.id} still count until {to_text(grace_end_at)}; close it then."
        raise PeriodNotOver(msg)
    if not period.is_historic:
        earlier = periods.oldest_unsealed(session, period.platform_id)
        if earlier is not None and earlier.span.start_at < period.span.start_at:
            raise EarlierPeriodOpen(f"Period {earlier.id} is still open; close it before {period.id}.")


def _check_postable(session: Session, period: Period, now: datetime) -> None:
    if period.state != "approved":
        raise WrongState(f"Period {period.id} is {period.state}; only a period that is approved is posted.")
    window_end_at = postable_at(session, period)
    if now < window_end_at and not period.is_historic:
        msg = f"The split of {period.id} may be challenged until {to_text(window_end_at)}; post it then."
        raise ChallengeWindowOpen(msg)


def _verified(session: Session, platform_id: str, period_id: str) -> Split:
    """Read the newest split and check that its shares are those it was published with."""
    split = shares.latest(session, platform_id, period_id)
    assert split is not None, "a published period has a split"
    made = shares.of_period(session, platform_id, period_id, split.version)
    if (
        shares.digest(made) != split.shares_sha256
        or sum(one.amount_minor for one in made) != split.pool_minor
    ):
        raise SplitChanged(f"The shares of {period_id} are not those that were published; run the audit.")
    return split


def _identity(split: Split) -> dict[str, object]:
    return {"version": split.version, "shares_sha256": split.shares_sha256, "pool_minor": split.pool_minor}


def _book(session: Session, platform: Platform, period: Period, split: Split, *, now: datetime) -> None:
    # The last instant of the period: its statement and its books show what was earned in it.
    effective_at = period.span.end_at - _INSTANT
    clawbacks.hold(session, platform.id)
    balance_minor = computing.pool_balance(session, platform, period.id)
    if split.deficit_minor:
        assert balance_minor == -split.deficit_minor, "a sealed period's pool does not change"
        entry = entries.deficit_carried(
            platform.id,
            period_id=period.id,
            currency=split.currency,
            amount_minor=split.deficit_minor,
            effective_at=effective_at,
        )
        journal.post(session, entry, now=now)
    elif balance_minor > split.pool_minor:
        entry = entries.deficit_recovered(
            platform.id,
            period_id=period.id,
            currency=split.currency,
            amount_minor=balance_minor - split.pool_minor,
            effective_at=effective_at,
        )
        journal.post(session, entry, now=now)
    if split.pool_minor:
        made = shares.of_period(session, platform.id, period.id, split.version)
        entry = entries.period_posted(
            platform.id,
            period_id=period.id,
            version=split.version,
            currency=split.currency,
            shares=[(one.party_kind, one.party_id, one.amount_minor) for one in made],
            effective_at=effective_at,
        )
        journal.post(session, entry, now=now)
    clawbacks.recover(session, platform, period, effective_at=effective_at, now=now)
    assert computing.pool_balance(session, platform, period.id) == 0, "posting empties the pool"


def _pass_on(session: Session, platform: Platform, split: Split, *, actor: Actor, now: datetime) -> None:
    """Record the parent's share as revenue of the parent's open period."""
    made = shares.of_period(session, platform.id, split.period_id, split.version)
    amount_minor = sum(one.amount_minor for one in made if one.party_kind == "parent")
    if platform.parent_id is None or not amount_minor:
        return
    parent = platforms.get(session, platform.parent_id)
    current = periods.ensure_current(session, parent, now)
    source = digests.sha256_hex(digests.framed(platform.id.encode()))[:16]
    revenues.record(
        session,
        parent,
        stream=f"share of {platform.id}",
        reference=f"sub:{source}:{split.period_id}:{split.version}",
        currency=platform.currency,
        gross_minor=amount_minor,
        period_id=current.id,
        actor=actor,
        now=now,
    )
