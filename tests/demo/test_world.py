"""The demo's world is a function of its seed: the same everywhere, on any day."""

from collections import Counter
from datetime import UTC, date, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from service.demo import build, script, world

_ZONE = ZoneInfo("Asia/Ho_Chi_Minh")


def _bodies(month: int, on: date) -> list[dict[str, object]]:
    made = world.day_of(world.make("demo", build.SEED), month, 3, on, _ZONE)
    return [{name: value for name, value in one.items() if name != "time"} for one in made.sent + made.late]


def test_a_day_is_the_same_whatever_its_date() -> None:
    """Only the date of its events follows the calendar."""
    assert sorted(map(str, _bodies(1, date(2026, 10, 3)))) == sorted(map(str, _bodies(1, date(2031, 2, 3))))


def test_another_seed_makes_another_world() -> None:
    """And the same one the same."""
    assert world.make("demo", 7) == world.make("demo", 7)
    assert world.make("demo", 7) != world.make("demo", 8)


def test_the_world_shows_everything_there_is_to_show() -> None:
    """Repeats, contradictions, late ones, self-engagement, corrections, shared contents, few who get most."""
    made = world.make("demo", build.SEED)
    days = [world.day_of(made, 1, day, date(2026, 10, day), _ZONE) for day in range(1, world.DAYS + 1)]
    sent = [one for day in days for one in day.sent]
    by_id: dict[object, list[object]] = {}
    for one in sent:
        by_id.setdefault(one["id"], []).append(one["data"])
    repeats = [datas for datas in by_id.values() if len(datas) > 1]
    creators = Counter(one["data"]["creator"] for one in sent)

    assert any(datas[0] == datas[1] for datas in repeats)
    assert any(datas[0] != datas[-1] for datas in repeats)
    assert any(day.late for day in days)
    assert any(one["data"].get("actor") == one["data"]["creator"] for one in sent)
    assert any(one["data"].get("quantity", 1) < 0 for one in sent)
    assert any(work.with_id for work in made.works)
    assert creators.most_common(1)[0][1] > 5 * sorted(creators.values())[len(creators) // 2]


def test_the_script_goes_forward_and_ends_now() -> None:
    """Acts are in order of time, and none is in the future."""
    now = datetime(2026, 11, 21, 6, tzinfo=UTC)
    acts = script.acts(build.casts(build.SEED)[0], build.TIME_ZONE, now)

    assert all(one.at <= other.at for one, other in pairwise(acts))
    assert max(one.at for one in acts) <= now
    assert 3 == sum(one.title.startswith("posting") for one in acts)


@pytest.mark.parametrize(
    "now",
    [
        datetime(2026, 2, 28, 16, 59, tzinfo=UTC),
        datetime(2026, 2, 28, 17, 1, tzinfo=UTC),
        datetime(2026, 3, 4, 12, tzinfo=UTC),
        datetime(2026, 3, 8, 12, tzinfo=UTC),
    ],
)
def test_whatever_the_day_three_months_are_posted(now: datetime) -> None:
    """Also when the month before is still in its grace, or may be challenged."""
    acts = script.acts(build.casts(build.SEED)[0], build.TIME_ZONE, now)

    assert 3 == sum(one.title.startswith("posting") for one in acts)
