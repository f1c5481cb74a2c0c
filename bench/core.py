"""The exact division, beside the bare floor of every quota."""

import random

from bench.figures import Figure, seconds
from bench.stage import Stage
from service.core.apportion import apportion

WEIGHTS = 1_000_000


def measure_apportion(stage: Stage) -> list[Figure]:
    """Divide a pool over a million weights; the baseline only floors them."""
    count = stage.size(WEIGHTS)
    draw = random.Random(7)
    weights = [(f"creator/{number}", draw.randrange(1, 10**9)) for number in range(count)]
    pool = 10**12 + 7

    def floor() -> list[int]:
        total = sum(weight for _, weight in weights)
        return [pool * weight // total for _, weight in weights]

    ours_s = seconds(lambda: apportion(pool, weights, seed=b"bench"))
    bare_s = seconds(floor)
    return [Figure("apportion", "weights/s", count / ours_s, count / bare_s, 0.1)]
