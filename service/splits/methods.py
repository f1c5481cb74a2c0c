"""Division: one pool and everybody's points in, everybody's share out.

Owns the lines of a pool and the one apportionment over all of them. Pure. Laws: the shares sum exactly to the
pool; none is negative; each is the floor or the ceiling of its quota; the same for any order of the scores;
dividing again by the points that the shares carry gives the same shares.

Quotas, of a pool P with S points in all: P x basis points / 10,000 for the platform, its parent and each
partner; P x creators' basis points x points / (10,000 x S) for a creator's line. If nobody has points, the
creators' part is one line of its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from service.core import digests
from service.core.apportion import apportion
from service.rules.rulebook import Rulebook
from service.splits.scoring import Score

PartyKind = Literal["platform", "parent", "partner", "creator", "unearned"]

KINDS: Final[tuple[PartyKind, ...]] = ("platform", "parent", "partner", "creator", "unearned")
"""The kinds of parties, in the order of their shares."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one line of a pool gets, in minor units of the pool's currency.

    A creator has a line for each period of origin. The party of an `unearned` line is where the rulebook
    sends it: `unallocated` or `platform`. `points_e4` are those that took part in the division, never below
    zero; where corrections of earlier periods lowered them, the walk's `scored_e4` says what was scored.
    """

    party_kind: PartyKind
    party_id: str
    origin_period_id: str
    points_e4: int
    amount_minor: int
    walk: Mapping[str, Any]


def seed_of(platform_id: str, period_id: str) -> bytes:
    """Make the seed by which a pool's ties are drawn: no party wins every period's."""
    return digests.sha256(digests.framed(platform_id.encode(), period_id.encode()))


def divide(
    *,
    platform_id: str,
    period_id: str,
    pool_minor: int,
    points: Sequence[Score],
    rulebook: Rulebook,
    seed: bytes,
    has_parent: str | None,
) -> list[Share]:
    """Divide one pool over all its parties.

    Args:
        pool_minor: what is divided, >= 0.
        points: at most one score for each creator and period of origin, in any order.
        rulebook: the one in force for the pool's own period.
        seed: see seed_of.
        has_parent: the parent platform's id.

    Returns:
        Shares by kind (in the order of KINDS), party and period of origin.
    """
    assert pool_minor >= 0, "a pool is not negative: a deficit is carried, not divided"
    assert rulebook.parent_bp == 0 or has_parent, "a rulebook gives nothing to a parent that is not there"
    counted_e4 = taking_part(points, period_id)
    total_e4 = sum(counted_e4)
    parties = _parties(platform_id, rulebook, has_parent, is_unearned=total_e4 == 0)
    # With nobody's points every weight is in basis points, else in basis points times points.
    unit = total_e4 or 1
    weights = [(f"{kind}/{name}/{period_id}", share_bp * unit) for kind, name, share_bp in parties]
    weights += [
        (f"creator/{one.creator_id}/{one.origin_period_id}", rulebook.creators_bp * points_e4)
        for one, points_e4 in zip(points, counted_e4, strict=True)
    ]
    amounts = apportion(pool_minor, weights, seed=seed)
    shares = [
        Share(kind, name, period_id, 0, amount, {"share_bp": share_bp})
        for (kind, name, share_bp), amount in zip(parties, amounts, strict=False)
    ]
    shares += [
        Share(
            "creator",
            one.creator_id,
            one.origin_period_id,
            points_e4,
            amount,
            one.walk if points_e4 == one.points_e4 else {**one.walk, "scored_e4": str(one.points_e4)},
        )
        for one, points_e4, amount in zip(points, counted_e4, amounts[len(parties) :], strict=True)
    ]
    return in_order(shares)


def in_order(shares: Iterable[Share]) -> list[Share]:
    """Sort shares as a split keeps them: by kind, party and period of origin."""
    rank = {kind: number for number, kind in enumerate(KINDS)}
    return sorted(shares, key=lambda one: (rank[one.party_kind], one.party_id, one.origin_period_id))


def scores_of(shares: Iterable[Share]) -> list[Score]:
    """Read back from a split's shares the scores that divide its pool in the same way."""
    return [
        Score(one.party_id, one.origin_period_id, one.points_e4, one.walk)
        for one in shares
        if one.party_kind == "creator"
    ]


def _parties(
    platform_id: str, rulebook: Rulebook, parent_id: str | None, *, is_unearned: bool
) -> list[tuple[PartyKind, str, int]]:
    """List the lines whose part is a number of basis points of the pool, with these."""
    parties: list[tuple[PartyKind, str, int]] = [("platform", platform_id, rulebook.platform_bp)]
    if parent_id is not None and rulebook.parent_bp:
        parties.append(("parent", parent_id, rulebook.parent_bp))
    parties += [("partner", name, share_bp) for name, share_bp in rulebook.partners_bp.items()]
    if is_unearned and rulebook.creators_bp:
        parties.append(("unearned", rulebook.unearned_to, rulebook.creators_bp))
    return parties


def taking_part(points: Sequence[Score], period_id: str) -> list[int]:
    """Say with how many points each score takes part: those below zero are taken from its creator's others.

    What late corrections take back comes first from the pool's own period, then from the latest one, and goes
    as far as there are points.
    """
    counted_e4 = [one.points_e4 for one in points]
    of_creator: dict[str, list[int]] = {one.creator_id: [] for one in points if one.points_e4 < 0}
    for index, one in enumerate(points):
        if one.creator_id in of_creator:
            of_creator[one.creator_id].append(index)
    for indexes in of_creator.values():
        debt_e4 = -sum(min(counted_e4[index], 0) for index in indexes)
        indexes.sort(key=lambda index: _takes_first(points[index], period_id), reverse=True)
        for index in indexes:
            scored_e4 = max(counted_e4[index], 0)
            taken_e4 = min(scored_e4, debt_e4)
            debt_e4 -= taken_e4
            counted_e4[index] = scored_e4 - taken_e4
    return counted_e4


def _takes_first(one: Score, period_id: str) -> tuple[bool, str]:
    return one.origin_period_id == period_id, one.origin_period_id
