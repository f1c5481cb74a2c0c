"""Splits in the database: whole, in order, written once, read as they were divided."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from service.calendar import periods
from service.core import digests
from service.core.errors import NotFound
from service.rules import registry
from service.splits import methods, shares
from service.splits.methods import Share
from service.splits.scoring import Score
from service.splits.shares import Earned, Split
from tests import world

PERIOD = "2026-11"
INPUTS = {"engine": "a test", "origins": []}
BIG_E4 = 10**30


def scores() -> list[Score]:
    """Creators whose order in PostgreSQL's and in the code points' alphabet differ, one with late points."""
    line = {"events": 1, "points_e4": "10000", "quantity": "1"}
    walk = {"changed": {}, "counted": {"view": line}, "excluded": {"caps": {"like": line}}}
    names = ("b", "B", "_", "z-1", "z_1")
    return [
        *(Score(name, PERIOD, 10_000 * (index + 1), walk) for index, name in enumerate(names)),
        Score("b", "2026-10", 5_000, walk),
        Score("B", "2026-10", -5_000, walk),
    ]


def made(
    session: Session, *, version: int = 1, pool_minor: int = 1_000, points: list[Score] | None = None
) -> tuple[Split, list[Share]]:
    """Divide a pool and describe the split."""
    published = registry.in_force(session, "sen", world.NOW)
    divided = methods.divide(
        platform_id="sen",
        period_id=PERIOD,
        pool_minor=pool_minor,
        points=scores() if points is None else points,
        rulebook=published.rulebook,
        seed=methods.seed_of("sen", PERIOD),
        has_parent=None,
    )
    split = shares.compose(
        platform_id="sen",
        period_id=PERIOD,
        version=version,
        rulebook_sha256=published.sha256,
        currency="VND",
        pool_minor=pool_minor,
        deficit_minor=0,
        shares=divided,
        inputs=INPUTS,
        computed_at=world.NOW,
    )
    return split, divided


@pytest.fixture
def founded(session: Session) -> Session:
    world.founded_platform(session)
    return session


def test_what_is_saved_is_read_back_in_its_order(founded: Session) -> None:
    """A split and its shares come back as they were, points beyond 64 bits included."""
    split, divided = made(founded, points=[*scores(), Score("huge", PERIOD, BIG_E4, {})])

    shares.save(founded, split, divided)

    assert split == shares.latest(founded, "sen", PERIOD) == shares.get(founded, "sen", PERIOD, 1)
    assert divided == shares.of_period(founded, "sen", PERIOD)
    assert split.shares_sha256 == shares.digest(shares.stream(founded, split))


def test_a_split_is_described_by_its_shares(founded: Session) -> None:
    """Count, points and digest are computed, not told."""
    split, divided = made(founded)

    assert len(divided) == split.share_count
    assert sum(one.points_e4 for one in divided) == split.points_e4 == 150_000
    assert shares.digest(divided) == split.shares_sha256


def test_shares_that_do_not_sum_to_the_pool_are_not_saved(founded: Session) -> None:
    """One minor unit more is refused before anything is written."""
    split, divided = made(founded)
    divided[0] = replace(divided[0], amount_minor=divided[0].amount_minor + 1)

    with pytest.raises(AssertionError, match="sum to the pool"):
        shares.save(founded, split, divided)
    assert shares.latest(founded, "sen", PERIOD) is None


@pytest.mark.parametrize("change", [{"share_count": 1}, {"shares_sha256": "0" * 64}])
def test_shares_that_a_split_does_not_describe_are_not_saved(
    founded: Session, change: dict[str, object]
) -> None:
    """Another count or digest is refused; the transaction does not commit."""
    split, divided = made(founded)

    with pytest.raises(AssertionError):
        shares.save(founded, replace(split, **change), divided)


def test_the_newest_version_is_read_and_the_older_one_is_kept(founded: Session) -> None:
    """Version 2 of a period's split stands beside version 1."""
    first, first_shares = made(founded)
    second, second_shares = made(founded, version=2, pool_minor=2_000)
    shares.save(founded, first, first_shares)
    shares.save(founded, second, second_shares)

    assert second == shares.latest(founded, "sen", PERIOD)
    assert second_shares == shares.of_period(founded, "sen", PERIOD)
    assert first_shares == shares.of_period(founded, "sen", PERIOD, 1)
    assert [first, second] == shares.versions(founded, "sen", PERIOD)
    assert {2} == {one.version for one in shares.of_creator(founded, "sen", "b")}


def test_a_period_without_a_split_has_no_shares(founded: Session) -> None:
    """Nothing is not a fault; a version that was named and is not there is one."""
    assert shares.latest(founded, "sen", PERIOD) is None
    assert [] == shares.of_period(founded, "sen", PERIOD)
    with pytest.raises(NotFound, match="no split of version 1"):
        shares.of_period(founded, "sen", PERIOD, 1)


def test_a_creators_shares_name_their_period_and_currency(founded: Session) -> None:
    """Both lines of a creator come, the latest origin first; nobody else's do."""
    split, divided = made(founded)
    shares.save(founded, split, divided)
    late, own = [one for one in divided if one.party_id == "b"]

    expected = [Earned(PERIOD, 1, "VND", own), Earned(PERIOD, 1, "VND", late)]
    assert expected == shares.of_creator(founded, "sen", "b")
    assert expected == shares.of_creator(founded, "sen", "b", PERIOD)
    assert [] == shares.of_creator(founded, "sen", "b", "2026-10")
    assert [] == shares.of_creator(founded, "sen", "sen")
    assert [] == shares.of_creator(founded, "another", "b")


def test_totals_are_sums_by_kind(founded: Session) -> None:
    """300 of 1,000 for the platform, 700 for the creators."""
    split, divided = made(founded)
    shares.save(founded, split, divided)

    assert {"platform": 300, "creator": 700} == shares.totals(founded, split)


def test_a_split_belongs_to_a_period_and_a_rulebook_that_are_there(founded: Session) -> None:
    """The database refuses a split of a rulebook that was never published."""
    split, divided = made(founded)

    with pytest.raises(DBAPIError, match="rulebook"):
        shares.save(founded, replace(split, rulebook_sha256="0" * 64), divided)


@pytest.mark.parametrize(
    "change", ["UPDATE share SET amount_minor = 0", "DELETE FROM share", "DELETE FROM split"]
)
def test_a_split_is_written_once(founded: Session, change: str) -> None:
    """The database refuses any change of what is saved."""
    split, divided = made(founded)
    shares.save(founded, split, divided)

    with pytest.raises(DBAPIError, match="permission denied"):
        founded.execute(text(change))


@pytest.mark.parametrize(
    "change",
    [
        {"party_kind": "partner"},
        {"party_id": "c"},
        {"origin_period_id": "2026-09"},
        {"points_e4": 1},
        {"amount_minor": 1},
        {"walk": {"changed": {"caps": "-1"}}},
    ],
)
def test_the_digest_covers_every_field(change: dict[str, object]) -> None:
    """Another value in any field gives another digest."""
    one = Share("creator", "a", PERIOD, 2, 2, {})

    assert shares.digest([one]) != shares.digest([replace(one, **change)])


def test_the_digest_covers_the_order() -> None:
    """The same shares in another order are another list."""
    both = [Share("creator", name, PERIOD, 1, 1, {}) for name in "ab"]

    assert shares.digest(both) != shares.digest(both[::-1])


TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=4)
WALKS = st.recursive(
    TEXTS | st.integers(0, digests.INTEGER_MAX),
    lambda inner: st.dictionaries(st.text(st.characters(max_codepoint=126), max_size=4), inner, max_size=3),
    max_leaves=8,
).map(lambda inner: {"counted": inner})


@given(WALKS)
def test_a_walk_is_written_as_canonical_json(walk: dict[str, object]) -> None:
    """The fast encoder and the canonical one agree on every walk."""
    assert digests.canonical_json(walk).decode() == shares._walk_text(walk)
    assert walk == json.loads(shares._walk_text(walk))


def test_periods_are_read_latest_first(founded: Session) -> None:
    """A creator with shares of two periods sees the later one first."""
    platform = world.platforms.get(founded, "sen")
    periods.ensure_current(founded, platform, world.NOW + timedelta(days=30))
    split, divided = made(founded)
    shares.save(founded, split, divided)
    later = replace(split, period_id="2026-12")
    shares.save(founded, later, divided)

    periods_read = [one.period_id for one in shares.of_creator(founded, "sen", "_")]

    assert ["2026-12", PERIOD] == periods_read
