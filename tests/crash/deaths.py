"""Deaths: which points of a flow are tried, and what has to hold after each.

With SOAK set every point is tried. Otherwise a sample is drawn from a seed, which is told with the result:
CRASH_SEED=<seed> draws the same points again.
"""

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.crash import state
from tests.crash.points import Point
from tests.crash.stand import LEASES_END, Stand

PARTS_SOAKED: Final = 24
"""The points of a flow are tried in so many tests, so that several processes share them."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What was tried of a flow."""

    flow: str
    point_count: int
    tried_count: int
    seed: int | None

    def __str__(self) -> str:
        """Say it."""
        drawn = "" if self.seed is None else f", drawn by CRASH_SEED={self.seed}"
        return f"{self.flow}: died at {self.tried_count} of {self.point_count} points{drawn}"


def is_soaking() -> bool:
    """Tell whether everything is to be tried."""
    return bool(os.environ.get("SOAK"))


def parts() -> Sequence[int]:
    """Number the parts that the points of a flow are tried in."""
    return range(PARTS_SOAKED if is_soaking() else 1)


def try_part(stand: Stand, flow: str, part: int, *, sample: int) -> Tried:
    """Die at points of a flow, go on each time, and check that it made no difference.

    Args:
        sample: how many points are tried when not all are.
    """
    points = stand.play_whole(flow).points
    if is_soaking():
        numbers, seed = list(range(len(points)))[part :: len(parts())], None
    else:
        seed = int(os.environ.get("CRASH_SEED") or random.SystemRandom().randrange(10**6))
        numbers = draw(points, sample, seed)
    for number in numbers:
        _die(stand, flow, number, seed)
    return Tried(flow, len(points), len(numbers), seed)


def draw(points: Sequence[Point], sample: int, seed: int) -> list[int]:
    """Draw points, half of them between transactions, where what is stored differs, as far as there are."""
    chance = random.Random(f"{seed}/{len(points)}")
    outer = [number for number, point in enumerate(points) if not point.is_inner]
    inner = [number for number, point in enumerate(points) if point.is_inner]
    inner_count = min(len(inner), max(sample // 2, sample - len(outer)))
    outer_count = min(len(outer), sample - inner_count)
    return sorted(chance.sample(outer, outer_count) + chance.sample(inner, inner_count))


def _die(stand: Stand, flow: str, number: int, seed: int | None) -> None:
    """Die at one point, and go on as a service that is started again does."""
    whole = stand.play_whole(flow)
    with stand.site(flow) as site:
        died = stand.play(flow, site, dies_at=number)
        place = f"{flow}, point {number} ({whole.points[number]}), CRASH_SEED={seed}"
        if not died.is_killed:
            msg = f"{place}: it did not die but ended with {died.code}: {died.words}"
            raise AssertionError(msg)
        assert whole.points[: number + 1] == died.points, f"{place}: it took another way"

        went_on = stand.play(flow, site, starts_at=died.ended_at + LEASES_END)

        assert went_on.code == 0, f"{place}, died {died.points[-1]}: {went_on.words}"
        found = state.differences(whole.state, went_on.state)
        found += [
            f"{name} was acknowledged as {value} and then as {went_on.acknowledged.get(name)}"
            for name, value in died.acknowledged.items()
            if went_on.acknowledged.get(name) != value
        ]
        if found:
            msg = "\n".join([f"{place}, died {died.points[-1]}:", *found[:40], went_on.words])
            raise AssertionError(msg)
