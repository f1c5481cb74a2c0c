"""The demo's world: creators, fans and what they do, from a seed. Pure.

Law: the same seed makes the same creators, the same events a month and the same revenue, whatever today's
date is: months are counted back from the present one and every day of a month falls on its days 1 to 28.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import accumulate
from typing import Any
from zoneinfo import ZoneInfo

CREATOR_COUNT = 48
FAN_COUNT = 1_200
CONTENTS_EACH = 5
EVENTS_A_DAY = 360
DAYS = 28
PAST_MONTHS = 3

SOURCE = "https://demo.example/app"

_FAMILY = (
    "Nguyễn",
    "Trần",
    "Lê",
    "Phạm",
    "Hoàng",
    "Huỳnh",
    "Vũ",
    "Võ",
    "Đặng",
    "Bùi",
    "Đỗ",
    "Hồ",
    "Ngô",
    "Dương",
)
_MIDDLE = ("Thị", "Văn", "Minh", "Ngọc", "Thanh", "Quốc", "Bảo", "Gia", "Hải", "Thu", "Đức", "Khánh")
_GIVEN = (
    *(
        "An",
        "Bình",
        "Chi",
        "Dung",
        "Giang",
        "Hà",
        "Hạnh",
        "Hiếu",
        "Hoa",
        "Huy",
        "Khoa",
        "Lan",
        "Linh",
        "Long",
    ),
    *("Mai", "Nam", "Nga", "Nhung", "Phong", "Phúc", "Quân", "Quỳnh", "Sơn", "Tâm", "Thảo", "Trang", "Yến"),
)
_HOUR_WEIGHTS = (3, 2, 1, 1, 1, 2, 5, 9, 11, 9, 9, 12, 14, 11, 9, 9, 11, 14, 18, 23, 27, 25, 16, 8)
_TYPES = ("view", "like", "comment", "share", "follow")
_TYPE_WEIGHTS = (700, 190, 60, 35, 15)

SELF_ENGAGED = 0.01
REPEATED = 0.02
CONFLICTING = 0.002
LATE = 0.006


@dataclass(frozen=True, slots=True)
class Person:
    """A creator of the demo."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Work:
    """A content; `with_id` has a fifth of it from its date on, where two made it together."""

    id: str
    creator_id: str
    with_id: str | None


@dataclass(frozen=True, slots=True)
class World:
    """Who is there."""

    platform_id: str
    seed: int
    creators: Sequence[Person]
    works: Sequence[Work]


@dataclass(frozen=True, slots=True)
class Day:
    """What one day brings: events sent at its end, and those that only come after the month was sealed."""

    sent: list[dict[str, Any]]
    late: list[dict[str, Any]]


def make(platform_id: str, seed: int, creator_count: int = CREATOR_COUNT) -> World:
    """Make the creators and their works."""
    draw = random.Random(f"{seed}/{platform_id}/people")  # noqa: S311 — a demo, not a secret.
    names: set[str] = set()
    while len(names) < creator_count:
        names.add(f"{draw.choice(_FAMILY)} {draw.choice(_MIDDLE)} {draw.choice(_GIVEN)}")
    people = [Person(f"c-{number:03}", name) for number, name in enumerate(sorted(names), 1)]
    draw.shuffle(people)
    works = []
    for person in people:
        for number in range(1, CONTENTS_EACH + 1):
            partner = draw.choice(people) if draw.random() < 0.08 else person
            with_id = partner.id if partner.id != person.id else None
            works.append(Work(f"v-{person.id[2:]}-{number}", person.id, with_id))
    return World(platform_id=platform_id, seed=seed, creators=people, works=works)


def day_of(
    world: World, month: int, day: int, on: date, zone: ZoneInfo, events_a_day: int = EVENTS_A_DAY
) -> Day:
    """Make the events of one day.

    Args:
        month: how many months before the present one; part of the seed, as `day` is.
        day: 1 to 28.
        on: the date that it falls on.
    """
    draw = random.Random(f"{world.seed}/{world.platform_id}/{month}/{day}")  # noqa: S311 — as above.
    popularity = _falling(len(world.works), 2)
    zeal = _falling(FAN_COUNT, 30)
    sent: list[dict[str, Any]] = []
    late: list[dict[str, Any]] = []
    for number in range(events_a_day):
        work = draw.choices(world.works, cum_weights=popularity)[0]
        actor = work.creator_id if draw.random() < SELF_ENGAGED else _fan(draw, zeal)
        one = _event(
            f"{month}-{day}-{number}",
            draw.choices(_TYPES, _TYPE_WEIGHTS)[0],
            _instant(draw, on, zone),
            {"creator": work.creator_id, "content": work.id, "actor": actor},
        )
        (late if draw.random() < LATE else sent).append(one)
    sent.sort(key=lambda one: str(one["time"]))
    repeated = draw.sample(sent, int(len(sent) * REPEATED))
    contradicted = draw.sample(sent, max(1, int(len(sent) * CONFLICTING)))
    sent.extend(repeated)
    sent.extend({**one, "data": {**one["data"], "quantity": 2}} for one in contradicted)
    sent.extend(_corrections(draw, world, month, day, on, zone))
    return Day(sent=sent, late=late)


def revenues(month: int, scale: int = 1) -> Iterator[tuple[str, int, dict[str, int]]]:
    """Make a month's revenue: stream, gross in dong, deductions by name; a correction two months ago."""
    ads = (64_250_000 + 3_125_000 * (PAST_MONTHS - month)) // scale
    yield "ads", ads, {"ad network fee": ads * 12 // 100}
    yield "subscriptions", (21_400_000 + 950_000 * (PAST_MONTHS - month)) // scale, {}
    if month == 2:
        yield "ads correction", -(1_830_000 // scale), {}


def _corrections(
    draw: random.Random, world: World, month: int, day: int, on: date, zone: ZoneInfo
) -> Iterator[dict[str, Any]]:
    """A counter of views, and on some days what had to be taken off it again."""
    work = world.works[day % 7]
    counted = draw.randint(40, 90)
    base = {"creator": work.creator_id, "content": work.id}
    yield _event(f"{month}-{day}-counter", "view", _instant(draw, on, zone), {**base, "quantity": counted})
    if day % 9 == 0:
        off = {**base, "quantity": -draw.randint(5, 30)}
        yield _event(f"{month}-{day}-correction", "view", _instant(draw, on, zone), off)


def _event(event_id: str, kind: str, at: datetime, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": SOURCE,
        "type": kind,
        "time": at.isoformat(),
        "data": data,
    }


def _instant(draw: random.Random, on: date, zone: ZoneInfo) -> datetime:
    hour = draw.choices(range(24), _HOUR_WEIGHTS)[0]
    begin = datetime(on.year, on.month, on.day, tzinfo=zone)
    return begin + timedelta(hours=hour, seconds=draw.randrange(3600))


def _fan(draw: random.Random, zeal: list[float]) -> str:
    return f"fan-{draw.choices(range(FAN_COUNT), cum_weights=zeal)[0]:04}"


def _falling(count: int, offset: int) -> list[float]:
    """Cumulative weights that fall as one over the rank: a few do or get most of it, as in life."""
    return list(accumulate(1 / (rank + offset) for rank in range(count)))
