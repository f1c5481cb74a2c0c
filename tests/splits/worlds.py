"""Random worlds: few names, so that everything meets everything; quantities at every bound."""

from datetime import timedelta

from hypothesis import strategies as st

from service.parties.contributions import Contribution
from service.rules.rulebook import Rulebook
from tests.splits.model import DAY, PERIOD, START, Event, contribution, rulebook

CREATORS = ("an", "bình", "chi")
INSTANTS = st.sampled_from(
    [START + DAY * day + timedelta(hours=hour) for day in range(3) for hour in (0, 12)]
)
QUANTITIES = st.integers(-5, 5) | st.sampled_from(
    (10**8, -(10**8), 10**9, 10**9 + 1, -(10**9) - 1, 333_333_333, 333_333_334, 2**63 - 1, -(2**63))
)
EVENT_FIELDS = {
    "creator": st.sampled_from(CREATORS),
    "type": st.sampled_from(("view", "like", "nod", "wave")),
    "quantity": QUANTITIES,
    "actor": st.sampled_from((None, "u1", "u2", "an", "bình")),
    "content": st.sampled_from((None, "u1", "c1", "c2")),
    "at": INSTANTS,
    "origin_period_id": st.sampled_from((PERIOD, PERIOD, PERIOD, "2026-09")),
}
EVENTS = st.lists(st.fixed_dictionaries(EVENT_FIELDS).map(lambda fields: Event(**fields)), max_size=25)


@st.composite
def rulebooks(draw: st.DrawFn) -> Rulebook:
    cap = draw(st.none() | st.integers(3, 12))
    return rulebook(
        weights={"view": 1, "like": 3, "nod": 0},
        caps={"actor_creator_day_points": cap},
        exclude={"self_engagement": draw(st.booleans())},
        minimum_points=draw(st.sampled_from((0, 0, 1, 5))),
    )


@st.composite
def declarations(draw: st.DrawFn) -> list[Contribution]:
    """Who contributes to c1 and c2: dated one after another, each declaration a whole."""
    rows = []
    for content in draw(st.lists(st.sampled_from(("c1", "c2")), unique=True)):
        starts = sorted(draw(st.lists(INSTANTS, min_size=1, max_size=3, unique=True)))
        ends = [*starts[1:], draw(st.none() | st.just(starts[-1] + DAY))]
        for from_at, until_at in zip(starts, ends, strict=True):
            makers = draw(st.lists(st.sampled_from((*CREATORS, "u1")), min_size=1, max_size=3, unique=True))
            cuts = sorted(draw(st.lists(st.integers(1, 9_999), min_size=2, max_size=2, unique=True)))
            bounds = [0, *cuts[: len(makers) - 1], 10_000]
            rows += [
                contribution(content, maker, bounds[index + 1] - bounds[index], from_at, until_at)
                for index, maker in enumerate(makers)
            ]
    return rows
