"""Benchmarks run at a small scale, and what their load sends is what it says."""

import json
import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from itertools import islice, pairwise
from pathlib import Path

from bench import batches
from bench.load import Sent
from service.events import wire
from tests.events.worlds import TYPES

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 20, 5, 0, tzinfo=UTC)
EVENT_BENCHMARKS = ("intake", "intake-history", "compaction", "seal")


def test_the_benchmarks_of_events_run_at_a_small_scale(tmp_path: Path) -> None:
    """And write each figure with its baseline, ratio and bar."""
    output = tmp_path / "bench.json"
    only = [word for name in EVENT_BENCHMARKS for word in ("--only", name)]

    subprocess.run(
        [sys.executable, "-m", "bench", "--scale", "0.0005", "--output", str(output), *only],
        cwd=ROOT,
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        check=True,
        capture_output=True,
    )

    figures = json.loads(output.read_text())
    assert ["intake", "intake", "intake-history", "compaction", "compaction-memory", "seal"] == [
        one["name"] for one in figures
    ]
    for one in figures:
        assert {"name", "unit", "value", "baseline", "ratio", "bar", "holds"} == one.keys()
        assert one["value"] > 0
        assert one["baseline"] > 0
        assert one["holds"] == (one["value"] / one["baseline"] >= one["bar"]) or one["ratio"] == one["bar"]


def test_the_load_repeats_and_spoils_what_it_says() -> None:
    """Each batch has ids of its own, but for the repeats; intake can read all of it."""
    bodies = list(islice(batches.stream("a", NOW), 51))
    known = [wire.decode(body, batches.MEDIA_TYPE, TYPES) for body in bodies]
    ids = [[event.id for event in one.events.values()] for one in known[:50]]
    creators = Counter(event.data.creator for one in known[:50] for event in one.events.values())

    assert {(batches.EVENTS, 0)} == {(one.item_count, len(one.rejected)) for one in known}
    assert bodies[49] == bodies[50]
    assert 5 * batches.EVENTS // batches.BAD_EVERY == creators["nobody"]
    repeats = batches.EVENTS // batches.REPEAT_EVERY
    for before, here in pairwise(ids):
        assert batches.EVENTS == len(set(here))
        assert repeats == len(set(before) & set(here))
    (other,) = islice(batches.stream("b", NOW), 1)
    others = wire.decode(other, batches.MEDIA_TYPE, TYPES).events.values()
    assert not {event.id for event in others} & {one for batch in ids for one in batch}


def test_percentiles_are_of_what_was_measured() -> None:
    """The largest is the last."""
    sent = Sent(accepted=90, rejected=10, taken_s=2.0, latencies_s=[0.001 * n for n in range(100, 0, -1)])

    assert 50 == sent.rate
    assert [51, 96, 100] == [round(sent.percentile_ms(share)) for share in (0.5, 0.95, 1)]
