"""Clawbacks: what corrections take back of splits that were posted.

Owns the tables of runs, of the lines that they took back, and of what later postings recovered. A sealed
amount never changes: what voided events carried in it is booked back, once the period is posted. Laws: of a
line of a split never more is taken back than it was worth, and never less than nothing; however many runs it
takes, all of them together take what the last one finds, rounded down once; a run of the same corrections is
recorded once; the books are moved in one transaction, in which nothing is computed from events.

A platform's clawbacks and postings are done one after the other, so that a receivable is recovered once.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from service.calendar import periods
from service.calendar.periods import LATE_PERIODS, Period
from service.closing import computing
from service.closing.computing import Material
from service.closing.tables import clawback, clawback_recovery, clawback_run
from service.closing.tools import Tools
from service.events import corrections
from service.ledger import balances, entries, journal
from service.ledger.accounts import Role
from service.parties import platforms
from service.parties.platforms import Platform
from service.rules import registry
from service.runtime import db
from service.splits import methods, scoring, shares
from service.splits.methods import Share
from service.splits.scoring import Score
from service.splits.shares import Split

JOB: Final = "claw_back"

Key = tuple[str, str]
"""A creator's line of a split: the creator and the period of origin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What one line of a split loses by a run.

    Args:
        points_e4, line_minor: of the line, as it was posted.
        lost_e4: of these points, what the line has not without what is void, all runs together.
        total_minor: what these points are worth: line_minor x lost_e4 / points_e4, rounded down.
        amount_minor: of the total, what earlier runs have not taken back.
    """

    creator_id: str
    origin_period_id: str
    points_e4: int
    lost_e4: int
    line_minor: int
    total_minor: int
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What was taken back of a creator's line by one run, and what of it the creator owes."""

    period_id: str
    origin_period_id: str
    lost_e4: int
    amount_minor: int
    receivable_minor: int
    currency: str
    entry_id: int
    effective_at: datetime


@dataclass(frozen=True, slots=True)
class Done:
    """What a run did."""

    period_id: str
    seq_last: int | None
    line_count: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class DueClawback:
    """A posted period that corrections concern which are not applied to it."""

    period_id: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class _Task:
    """What a run computes: the lines of a split that corrections up to a batch concern."""

    platform: Platform
    split: Split
    seq_last: int
    effective_at: datetime
    material: Material


def losses(
    period_id: str,
    made: Iterable[Share],
    rescored: Sequence[Score],
    *,
    concerned: Collection[str],
    taken: Mapping[Key, int],
) -> list[Loss]:
    """Compare the lines of a posted split with what they would be without what is void. Pure.

    A line that would have more points than it has gives nothing: what it gains is no part of this pool.

    Args:
        made: the split's shares.
        rescored: the scores of the concerned origins, without what is void.
        concerned: the periods of origin that corrections concern.
        taken: what earlier runs took back, by line, in minor units.

    Returns:
        The lines that something more is taken back of, by creator and origin.
    """
    lines = [one for one in made if one.party_kind == "creator"]
    anew = {(one.creator_id, one.origin_period_id): one.points_e4 for one in rescored}
    scores = [
        Score(
            one.party_id,
            one.origin_period_id,
            anew.get(_key(one), 0) if one.origin_period_id in concerned else _scored_e4(one),
            {},
        )
        for one in lines
    ]
    found = []
    for one, left_e4 in zip(lines, methods.taking_part(scores, period_id), strict=True):
        lost_e4 = one.points_e4 - left_e4
        if lost_e4 <= 0:
            continue
        total_minor = one.amount_minor * lost_e4 // one.points_e4
        amount_minor = total_minor - taken.get(_key(one), 0)
        if amount_minor > 0:
            found.append(
                Loss(
                    creator_id=one.party_id,
                    origin_period_id=one.origin_period_id,
                    points_e4=one.points_e4,
                    lost_e4=lost_e4,
                    line_minor=one.amount_minor,
                    total_minor=total_minor,
                    amount_minor=amount_minor,
                )
            )
    return sorted(found, key=lambda one: (one.creator_id, one.origin_period_id))


def run(tools: Tools, platform_id: str, period_id: str, *, now: datetime) -> Done:
    """Take back what corrections cost the lines of a posted period; a second call finds nothing to do.

    Raises:
        NotFound: no such platform or period.
        LakeAway: the lake cannot be read; nothing is stored.
    """
    with db.transaction(tools.database) as session:
        platform = platforms.get(session, platform_id)
        task = _task(session, tools, platform, periods.get(session, platform_id, period_id))
    if task is None:
        return Done(period_id, None, 0, 0)
    scores = scoring.score(tools.engine, task.material.origins)
    with db.transaction(tools.database) as session:
        hold(session, platform_id)
        if _last_run(session, platform_id).get(period_id, 0) >= task.seq_last:
            return Done(period_id, task.seq_last, 0, 0)
        return _book(session, task, scores, now=now)


def due(session: Session, platform_id: str) -> Iterator[DueClawback]:
    """Find the posted periods that corrections concern which are not applied to them, earliest first."""
    newest = corrections.newest(session, platform_id)
    if not newest:
        return
    known = periods.listing(session, platform_id)
    done = _last_run(session, platform_id)
    for period in known:
        last = _newest(period, known, newest)
        if period.posted_at is None or last is None or last[0] <= _applied(period, done):
            continue
        yield DueClawback(period.id, max(period.posted_at, last[1]))


def hold(session: Session, platform_id: str) -> None:
    """Hold a platform's clawbacks and postings until the transaction ends: they follow one another.

    Submissions of payouts are held as well, by the lock that they take: what one has found to be payable is
    not to be gone when it is reserved.
    """
    db.lock(session, "clawbacks", platform_id)
    db.lock(session, "payouts.submit", platform_id)


def recover(
    session: Session, platform: Platform, period: Period, *, effective_at: datetime, now: datetime
) -> int:
    """Let what a posting earned repay what creators owe, before payouts take it; `hold` is held.

    Returns:
        What was recovered, in minor units.
    """
    owed = balances.of_role(session, platform.id, Role.CLAWBACK_RECEIVABLE, platform.currency)
    owing = sorted(creator_id for creator_id, owed_minor in owed.items() if owed_minor > 0)
    if not owing:
        return 0
    free = balances.hold(session, platform.id, Role.CREATOR_PAYABLE, owing, platform.currency)
    parts = [
        (creator_id, amount_minor)
        for creator_id in owing
        if (amount_minor := min(owed[creator_id], free.get(creator_id, 0))) > 0
    ]
    if not parts:
        return 0
    session.execute(
        insert(clawback_recovery),
        [
            {
                "platform_id": platform.id,
                "period_id": period.id,
                "creator_id": creator_id,
                "amount_minor": amount_minor,
                "recorded_at": now,
            }
            for creator_id, amount_minor in parts
        ],
    )
    entry = entries.claw_back_recovered(
        platform.id,
        period_id=period.id,
        currency=platform.currency,
        parts=parts,
        effective_at=effective_at,
    )
    journal.post(session, entry, now=now)
    return entry.amount_minor


def of_creator(
    session: Session, platform_id: str, creator_id: str, period_id: str | None = None
) -> list[Taken]:
    """Read what was taken back of a creator's lines, in the order in which it was.

    Args:
        period_id: only of this period's split; None reads all.
    """
    query = (
        select(clawback, clawback_run.c.currency, clawback_run.c.entry_id, clawback_run.c.effective_at)
        .join(clawback_run)
        .where(clawback.c.platform_id == platform_id, clawback.c.creator_id == creator_id)
        .order_by(clawback.c.seq_last, clawback.c.period_id, clawback.c.origin_period_id)
    )
    if period_id is not None:
        query = query.where(clawback.c.period_id == period_id)
    return [
        Taken(
            period_id=row.period_id,
            origin_period_id=row.origin_period_id,
            lost_e4=int(row.lost_e4),
            amount_minor=row.amount_minor,
            receivable_minor=row.receivable_minor,
            currency=row.currency,
            entry_id=row.entry_id,
            effective_at=row.effective_at,
        )
        for row in session.execute(query)
    ]


def _task(session: Session, tools: Tools, platform: Platform, period: Period) -> _Task | None:
    """Read what a run computes; None if no correction waits for it."""
    known = periods.listing(session, platform.id)
    newest = corrections.newest(session, platform.id)
    last = _newest(period, known, newest)
    if period.posted_at is None or last is None:
        return None
    seq_last, recorded_at = last
    if seq_last <= _applied(period, _last_run(session, platform.id)):
        return None
    split = shares.latest(session, platform.id, period.id)
    assert split is not None, "a posted period has a split"
    carried = {one["period_id"] for one in split.inputs["origins"]}
    material = computing.gather(
        session,
        tools.lake,
        platform,
        period,
        origin_ids=carried,
        up_to_seq=seq_last,
        known_at=split.computed_at,
    )
    assert period.cut_seq is not None, "a posted period is sealed"
    concerned = [
        one
        for one in material.origins
        if one.period_id in newest and newest[one.period_id][0] > period.cut_seq
    ]
    return _Task(
        platform=platform,
        split=split,
        seq_last=seq_last,
        effective_at=max(period.posted_at, recorded_at),
        material=replace(material, origins=concerned),
    )


def _book(session: Session, task: _Task, scores: Sequence[Score], *, now: datetime) -> Done:
    """Write down what a run takes back, and move it in the books."""
    platform, split = task.platform, task.split
    found = losses(
        split.period_id,
        shares.stream(session, split),
        scores,
        concerned={one.period_id for one in task.material.origins},
        taken=_taken(session, platform.id, split.period_id),
    )
    receivables = _receivables(session, platform, found)
    amount_minor = sum(one.amount_minor for one in found)
    entry_id = None
    if found:
        entry = entries.claw_back(
            platform.id,
            period_id=split.period_id,
            seq_last=task.seq_last,
            currency=split.currency,
            unearned_to=registry.get(session, platform.id, split.rulebook_sha256).rulebook.unearned_to,
            parts=[
                (one.creator_id, one.amount_minor - owed_minor, owed_minor)
                for one, owed_minor in zip(found, receivables, strict=True)
            ],
            effective_at=task.effective_at,
        )
        entry_id = journal.post(session, entry, now=now).entry_id
    name = {"platform_id": platform.id, "period_id": split.period_id, "seq_last": task.seq_last}
    session.execute(
        insert(clawback_run).values(
            **name,
            version=split.version,
            currency=split.currency,
            amount_minor=amount_minor,
            effective_at=task.effective_at,
            entry_id=entry_id,
            recorded_at=now,
        )
    )
    if found:
        rows = [
            {**name, **asdict(one), "receivable_minor": owed_minor}
            for one, owed_minor in zip(found, receivables, strict=True)
        ]
        session.execute(insert(clawback), rows)
    return Done(split.period_id, task.seq_last, len(found), amount_minor)


def _receivables(session: Session, platform: Platform, found: Sequence[Loss]) -> list[int]:
    """Tell for each loss what the creator's payable, held from here on, does not cover."""
    owners = sorted({one.creator_id for one in found})
    free = balances.hold(session, platform.id, Role.CREATOR_PAYABLE, owners, platform.currency)
    owed = []
    for one in found:
        covered_minor = min(one.amount_minor, free.get(one.creator_id, 0))
        free[one.creator_id] = free.get(one.creator_id, 0) - covered_minor
        owed.append(one.amount_minor - covered_minor)
    return owed


def _taken(session: Session, platform_id: str, period_id: str) -> dict[Key, int]:
    """Sum what earlier runs took back of each line of a split."""
    rows = session.execute(
        select(clawback.c.creator_id, clawback.c.origin_period_id, func.sum(clawback.c.amount_minor))
        .where(clawback.c.platform_id == platform_id, clawback.c.period_id == period_id)
        .group_by(clawback.c.creator_id, clawback.c.origin_period_id)
    )
    return {(creator_id, origin_id): int(sum_minor) for creator_id, origin_id, sum_minor in rows}


def _last_run(session: Session, platform_id: str) -> dict[str, int]:
    """Read up to which batch corrections are applied, by period."""
    rows = session.execute(
        select(clawback_run.c.period_id, func.max(clawback_run.c.seq_last).label("seq_last"))
        .where(clawback_run.c.platform_id == platform_id)
        .group_by(clawback_run.c.period_id)
    )
    return {row.period_id: row.seq_last for row in rows}


def _applied(period: Period, done: Mapping[str, int]) -> int:
    """Name the last batch whose corrections a period's lines know of: by its seal, or by a run."""
    assert period.cut_seq is not None, "a posted period is sealed"
    return max(period.cut_seq, done.get(period.id, 0))


def _newest(
    period: Period, known: Sequence[Period], newest: Mapping[str, tuple[int, datetime]]
) -> tuple[int, datetime] | None:
    """Find the last correction of a period whose events this period's split may have counted."""
    before = [one.id for one in known if not one.is_historic and one.span.end_at <= period.span.start_at]
    origins = [period.id, *([] if period.is_historic else before[-LATE_PERIODS:])]
    return max((newest[one] for one in origins if one in newest), default=None)


def _key(one: Share) -> Key:
    return one.party_id, one.origin_period_id


def _scored_e4(one: Share) -> int:
    """Read what a line scored, where another number of points took part."""
    return int(one.walk.get("scored_e4", one.points_e4))
