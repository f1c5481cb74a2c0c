"""Compute a period's split again from its sealed events, and compare it with the one on record."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from service.calendar import periods
from service.closing import computing
from service.closing.tools import Tools
from service.core.errors import Conflict
from service.events import sealing
from service.parties import platforms
from service.runtime import db
from service.splits import shares
from service.splits.methods import Share


class NotSplit(Conflict):
    """The period has no split yet."""

    slug = "period-not-split"
    title = "The period has no split yet"


@dataclass(frozen=True, slots=True)
class Difference:
    """One share that comes out otherwise; an amount of None stands for no such share."""

    party_kind: str
    party_id: str
    origin_period_id: str
    recorded_minor: int | None
    recomputed_minor: int | None


@dataclass(frozen=True, slots=True)
class Recomputed:
    """What a recomputation found."""

    platform_id: str
    period_id: str
    version: int
    pool_minor: int
    share_count: int
    recorded_sha256: str
    recomputed_sha256: str
    differences: tuple[Difference, ...]


def run(tools: Tools, platform_id: str, period_id: str, *, now: datetime) -> Recomputed:
    """Score and divide again, from the sealed files, the rulebook and the contributions alone.

    Raises:
        NotFound: no such platform or period.
        NotSplit: there is nothing to compare with.
        EventsRemoved: the platform's policy had the events removed.
        LakeAway: the lake cannot be read.
    """
    with db.transaction(tools.database) as session:
        platform = platforms.get(session, platform_id)
        period = periods.get(session, platform_id, period_id)
        split = shares.latest(session, platform_id, period_id)
        if split is None:
            raise NotSplit(f"Period {period_id} is {period.state}; it is split when it is closed.")
        recorded = shares.of_period(session, platform_id, period_id, split.version)
    settled = sealing.settle(tools.database, tools.lake, platform, period, now=now)
    with db.transaction(tools.database) as session:
        material = computing.gather(
            session,
            tools.lake,
            platform,
            period,
            origin_ids=settled.origins,
            known_at=split.computed_at,
        )
    made = computing.divide(material, computing.score(tools, material), split.pool_minor)
    return Recomputed(
        platform_id=platform_id,
        period_id=period_id,
        version=split.version,
        pool_minor=split.pool_minor,
        share_count=len(made),
        recorded_sha256=split.shares_sha256,
        recomputed_sha256=shares.digest(made),
        differences=tuple(compare(recorded, made)),
    )


def compare(recorded: Iterable[Share], recomputed: Iterable[Share]) -> list[Difference]:
    """Find the shares that differ, by kind, party and origin."""
    one, other = _amounts(recorded), _amounts(recomputed)
    return [
        Difference(*key, recorded_minor=one.get(key), recomputed_minor=other.get(key))
        for key in sorted(one.keys() | other.keys())
        if one.get(key) != other.get(key)
    ]


def _amounts(found: Iterable[Share]) -> dict[tuple[str, str, str], int]:
    return {(share.party_kind, share.party_id, share.origin_period_id): share.amount_minor for share in found}
