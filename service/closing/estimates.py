"""Estimates of the open period, by the very same scoring and division; provisional, booked nowhere.

An estimate counts what is compacted and what revenue is recorded so far. It is replaced as a whole, and says
up to when it looked.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from service.calendar import periods
from service.closing import computing, control_totals
from service.closing.tables import estimate, estimate_run
from service.closing.tools import Tools
from service.core.errors import NotFound
from service.events import compaction, sealing
from service.jobs import queue
from service.parties import platforms
from service.parties.actors import Actor
from service.parties.platforms import Platform
from service.runtime import db
from service.splits.methods import Share

REFRESH_EVERY_S = 300


@dataclass(frozen=True, slots=True)
class EstimateRun:
    """One computation of the open period."""

    platform_id: str
    period_id: str
    as_of_at: datetime
    seq_last: int
    currency: str
    pool_minor: int
    points_e4: int
    event_count: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a creator would get if the period ended as it stands."""

    period_id: str
    as_of_at: datetime
    currency: str
    points_e4: int
    amount_minor: int
    walk: Mapping[str, Any]
    pool_minor: int
    pool_points_e4: int


def refresh(tools: Tools, platform_id: str, *, now: datetime) -> EstimateRun:
    """Compute the estimate of the oldest open period anew from everything that is compacted.

    Raises:
        NotFound: no such platform, or no period is open.
        LakeAway: the lake cannot be read; the estimate stays as it was.
    """
    with db.transaction(tools.database) as session:
        platform = platforms.get(session, platform_id)
        period = periods.oldest_unsealed(session, platform_id)
    if period is None:
        raise NotFound(f"Platform {platform_id} has no open period.")
    compaction.run(tools.database, tools.lake, platform_id, now=now)
    with sealing.preview(tools.database, tools.lake, platform, period) as seen:
        with db.transaction(tools.database) as session:
            material = computing.gather(
                session,
                tools.lake,
                platform,
                period,
                origin_ids=seen.origins,
                own_locations=[seen.location],
                up_to_seq=seen.last_seq,
            )
            pool = computing.pool(session, platform, period)
            totals = control_totals.listing(session, platform_id, period.id)
        scores = computing.score(tools, material)
        compared = control_totals.compare(
            tools.lake,
            period,
            totals,
            raw_locations=seen.raw_locations,
            verdicts_locations=[seen.verdicts_location],
            cut_seq=seen.last_seq,
            now=now,
        )
    made = computing.divide(material, scores, pool.divided_minor)
    run = EstimateRun(
        platform_id=platform_id,
        period_id=period.id,
        as_of_at=now,
        seq_last=seen.last_seq,
        currency=platform.currency,
        pool_minor=pool.divided_minor,
        points_e4=sum(one.points_e4 for one in made),
        event_count=sum(seen.origins.values()),
    )
    with db.transaction(tools.database) as session:
        db.lock(session, "estimate", platform_id)
        _replace(session, run, made)
        control_totals.replace_looks(session, platform_id, compared)
    return run


def request(session: Session, platform: Platform, *, actor: Actor, now: datetime) -> uuid.UUID:
    """Ask for a refresh as a job."""
    return queue.request(
        session,
        platform_id=platform.id,
        job="estimate",
        scope="",
        due_at=now,
        requested_by=str(actor),
        now=now,
    )


def due_at(session: Session, platform_id: str, *, now: datetime) -> datetime | None:
    """Tell since when a refresh is due: something arrived that the estimate does not count, and it is old."""
    period = periods.oldest_unsealed(session, platform_id)
    seq = compaction.newest_seq(session, platform_id)
    if period is None or seq == 0:
        return None
    run = latest(session, platform_id)
    if run is not None and run.period_id == period.id and run.seq_last >= seq:
        return None
    elapsed_s = int(now.timestamp())
    slot_at = datetime.fromtimestamp(elapsed_s - elapsed_s % REFRESH_EVERY_S, UTC)
    if run is None or run.period_id != period.id:
        return slot_at
    return max(slot_at, run.as_of_at + timedelta(seconds=REFRESH_EVERY_S))


def latest(session: Session, platform_id: str) -> EstimateRun | None:
    """Read the latest estimate's run of a platform."""
    row = session.execute(
        select(estimate_run)
        .where(estimate_run.c.platform_id == platform_id)
        .order_by(estimate_run.c.as_of_at.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    return EstimateRun(**{**row._mapping, "points_e4": int(row.points_e4)})


def of_creator(session: Session, platform_id: str, creator_id: str) -> Estimate | None:
    """Read a creator's estimate of the period that was estimated last; None before the first estimate.

    A creator without any points so far has an estimate of nothing.
    """
    run = latest(session, platform_id)
    if run is None:
        return None
    row = session.execute(
        select(estimate).where(
            estimate.c.platform_id == platform_id,
            estimate.c.period_id == run.period_id,
            estimate.c.creator_id == creator_id,
        )
    ).one_or_none()
    return Estimate(
        period_id=run.period_id,
        as_of_at=run.as_of_at,
        currency=run.currency,
        points_e4=0 if row is None else int(row.points_e4),
        amount_minor=0 if row is None else row.amount_minor,
        walk={"lines": []} if row is None else row.walk,
        pool_minor=run.pool_minor,
        pool_points_e4=run.points_e4,
    )


def _replace(session: Session, run: EstimateRun, made: Iterable[Share]) -> None:
    of_run = estimate_run.c.platform_id == run.platform_id
    session.execute(delete(estimate).where(estimate.c.platform_id == run.platform_id))
    session.execute(delete(estimate_run).where(of_run))
    session.execute(
        insert(estimate_run).values(
            {column.name: getattr(run, column.name) for column in estimate_run.columns}
        )
    )
    lines: dict[str, list[Share]] = {}
    for one in made:
        if one.party_kind == "creator":
            lines.setdefault(one.party_id, []).append(one)
    rows = [
        {
            "platform_id": run.platform_id,
            "period_id": run.period_id,
            "creator_id": creator_id,
            "points_e4": sum(one.points_e4 for one in own),
            "amount_minor": sum(one.amount_minor for one in own),
            "walk": {"lines": [_line(one) for one in own]},
        }
        for creator_id, own in lines.items()
    ]
    if rows:
        session.execute(insert(estimate), rows)


def _line(one: Share) -> dict[str, Any]:
    return {
        "origin_period_id": one.origin_period_id,
        "points_e4": str(one.points_e4),
        "amount_minor": one.amount_minor,
        "walk": dict(one.walk),
    }
