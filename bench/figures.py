"""What a benchmark reports."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure, the baseline of the same run, and whether their ratio holds the bar.

    Larger is better for `value` and `baseline`: both are rates in `unit`. `note` says under which conditions.
    """

    name: str
    unit: str
    value: float
    baseline: float
    bar: float
    note: str = ""

    @property
    def ratio(self) -> float:
        """Our rate as a part of the baseline's."""
        return self.value / self.baseline if self.baseline else 0.0

    @property
    def holds(self) -> bool:
        """Whether the ratio reaches the bar."""
        return self.ratio >= self.bar

    def document(self) -> dict[str, str | float | bool]:
        """Write the figure as JSON values."""
        return {
            "name": self.name,
            "unit": self.unit,
            "value": round(self.value, 1),
            "baseline": round(self.baseline, 1),
            "ratio": round(self.ratio, 3),
            "bar": self.bar,
            "holds": self.holds,
        }


def seconds(act: Callable[[], object], rounds: int = 3) -> float:
    """Measure an act's wall time: the median of some rounds."""
    taken = []
    for _ in range(rounds):
        begin = time.perf_counter()
        act()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def rate(act: Callable[[], int], for_s: float = 3.0) -> float:
    """Repeat an act for a while; return how many of what it counts it did in a second."""
    done, begin = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - begin) < for_s:
        done += act()
    return done / elapsed
