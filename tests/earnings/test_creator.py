"""What a creator reads: where the money is, and how a pool became an amount."""

import uuid
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.orm import Session

from service.calendar import periods
from service.closing import estimates, revenues, stages
from service.closing.tables import estimate, estimate_run, revenue
from service.closing.tools import Tools
from service.core.errors import NotFound
from service.earnings import creator
from service.earnings.creator import Counted, PeriodEarning, State, Summary
from service.ledger.accounts import Role
from service.parties import staff
from service.parties.actors import OPERATOR, Actor
from service.payouts.due import Standing
from service.runtime import db, duck, texts
from service.runtime.db import Database
from service.splits.engines.duckdb import DuckEngine
from tests.events import worlds
from tests.payouts.world import World as PayingWorld
from tests.statements.world import World, walk_of

E4 = 10_000
AUGUST_END_AT = datetime(2026, 8, 31, 17, tzinfo=UTC)
SEPTEMBER = datetime(2026, 9, 6, tzinfo=UTC)
OCTOBER = datetime(2026, 10, 6, tzinfo=UTC)


def summary(world: World, creator_id: str = "hoa") -> Summary:
    return creator.summary(world.session, world.platform, creator_id, now=world.now)


def walk(world: World, period_id: str, creator_id: str = "hoa") -> PeriodEarning:
    return creator.of_period(world.session, world.platform, creator_id, period_id)


def listed(one: Summary) -> list[tuple[str, State, int | None]]:
    return [(each.period_id, each.state, each.amount_minor) for each in one.periods]


def estimated(world: World, period_id: str, amount_minor: int, points_e4: int, *, pool_minor: int) -> None:
    """Store an estimate of which `hoa` has a part and others have as many points."""
    line = {
        "origin_period_id": period_id,
        "points_e4": str(points_e4),
        "amount_minor": amount_minor,
        "walk": walk_of(points_e4),
    }
    common = {"platform_id": world.platform.id, "period_id": period_id}
    world.session.execute(
        insert(estimate_run).values(
            **common,
            as_of_at=world.now,
            seq_last=1,
            currency=world.currency,
            pool_minor=pool_minor,
            points_e4=2 * points_e4,
            event_count=6,
        )
    )
    world.session.execute(
        insert(estimate).values(
            **common,
            creator_id="hoa",
            points_e4=points_e4,
            amount_minor=amount_minor,
            walk={"lines": [line]},
        )
    )


class TestSummary:
    """Where a creator's money is."""

    def test_a_new_creator_has_nothing_yet(self, session: Session) -> None:
        """The period that runs is listed, without an amount; the next one, open ahead of time, is not."""
        world = World(session)
        world.register("hoa")
        world.until(AUGUST_END_AT - timedelta(hours=1))

        one = summary(world)

        assert "2026-09" in [each.id for each in periods.listing(session, world.platform.id)]
        assert [("2026-08", State.OPEN, None)] == listed(one)
        assert one.estimate is None
        assert one.next_payout is None
        figures = (one.payable_minor, one.held_minor, one.reserved_minor, one.under_way_minor, one.paid_minor)
        assert figures == (0, 0, 0, 0, 0)

    def test_final_earnings_are_payable_until_they_are_reserved_or_held(self, session: Session) -> None:
        """Each dong is in one place."""
        world = World(session)
        world.close("2026-08", 1_000, {("hoa", "2026-08"): E4}, now=SEPTEMBER)
        world.pay("hoa", 300)
        world.hold("hoa", 150)

        one = summary(world)

        assert (250, 150, 300) == (one.payable_minor, one.held_minor, one.reserved_minor)
        assert [("2026-09", State.OPEN, None), ("2026-08", State.POSTED, 700)] == listed(one)

    def test_amounts_show_once_they_are_published(self, session: Session) -> None:
        """While the period is sealed and computed there is no figure, not even the last estimate."""
        world = World(session)
        world.register("hoa")
        estimated(world, "2026-08", 350, E4, pool_minor=1_000)
        world.until(SEPTEMBER)
        world.recognise("2026-08", 1_000)
        while_open = summary(world)
        world.advance(periods.get(session, world.platform.id, "2026-08"), "sealed")
        while_closing = summary(world)
        world.publish("2026-08", {("hoa", "2026-08"): E4})
        published = summary(world)

        first = [listed(one)[-1] for one in (while_open, while_closing, published)]
        assert [
            ("2026-08", State.OPEN, 350),
            ("2026-08", State.CLOSING, None),
            ("2026-08", State.PUBLISHED, 700),
        ] == first
        assert [False, True, True] == [one.estimate is None for one in (while_open, while_closing, published)]
        assert published.payable_minor == 0

    def test_a_period_without_earnings_is_listed_until_it_is_published(self, session: Session) -> None:
        """A creator's list holds what concerns the creator."""
        world = World(session)
        world.close("2026-08", 1_000, {("lan", "2026-08"): E4}, now=SEPTEMBER)
        world.register("hoa")

        assert [("2026-09", State.OPEN, None)] == listed(summary(world))

    def test_open_history_is_not_listed(self, session: Session) -> None:
        """It is other people's work until it is published."""
        world = World(session)
        world.register("hoa")
        from_at = datetime(2026, 7, 10, tzinfo=UTC)
        periods.open_from(session, world.platform, from_at, actor=OPERATOR, now=world.now)

        assert [("2026-08", State.OPEN, None)] == listed(summary(world))

    @pytest.mark.parametrize(
        ("minimum_minor", "verdict"), [(0, Standing.NO_PAYEE), (50_000, Standing.NO_PAYEE)]
    )
    def test_what_blocks_the_next_payout_is_named(
        self, session: Session, minimum_minor: int, verdict: Standing
    ) -> None:
        """The creator can do something about a missing destination."""
        world = World(session, document={"minimum_payout_minor": minimum_minor})
        world.close("2026-08", 1_000, {("hoa", "2026-08"): E4}, now=SEPTEMBER)

        blocked = summary(world).next_payout

        assert blocked is not None
        assert (verdict, 700, minimum_minor) == (
            blocked.verdict,
            blocked.payable_minor,
            blocked.minimum_minor,
        )

    def test_a_payout_is_followed_to_its_arrival(self, database: Database) -> None:
        """Due, reserved, under way, paid: the figures move with the money."""
        world = PayingWorld(database)
        world.earn({"hoa": 700, "lan": 50})
        world.declare("hoa", "1000200030")
        world.declare("lan", "1000200031")
        world.fund(750)

        def figures() -> tuple[int, ...]:
            with db.transaction(database) as session:
                one = creator.summary(session, world.platform, "hoa", now=world.clock.now)
            next_minor = one.next_payout.payable_minor if one.next_payout else 0
            where = (one.payable_minor, one.reserved_minor, one.under_way_minor, one.paid_minor)
            return (next_minor, *where)

        due = figures()
        batch = world.submit()
        reserved = figures()
        world.approve(batch)
        world.step()
        sent = figures()
        world.clock.move(hours=3)
        world.step()
        paid = figures()

        assert (700, 700, 0, 0, 0) == due
        assert (0, 0, 700, 0, 0) == reserved
        assert (0, 0, 0, 700, 0) == sent
        assert (0, 0, 0, 0, 700) == paid

    def test_an_unknown_creator_has_no_summary(self, session: Session) -> None:
        """Nor has another platform's."""
        world, other = World(session), World(session)
        other.register("hoa")

        with pytest.raises(NotFound):
            summary(world)


class TestWalk:
    """From a pool to an amount."""

    def test_a_reader_with_a_calculator_arrives_at_the_amount(self, session: Session) -> None:
        """Every figure that the fraction needs is beside it, for own and for late events."""
        world = World(session)
        world.close("2026-08", 999, {("hoa", "2026-08"): E4, ("lan", "2026-08"): 2 * E4}, now=SEPTEMBER)
        points = {
            ("hoa", "2026-09"): 3 * E4,
            ("hoa", "2026-08"): 5_000,
            ("lan", "2026-09"): 3 * E4 + 1,
        }
        world.close("2026-09", 10_007, points, now=OCTOBER)

        one = walk(world, "2026-09")

        assert one.pool is not None
        assert one.points_total_e4 == sum(points.values())
        assert [("2026-09", 3 * E4), ("2026-08", 5_000)] == [
            (line.origin_period_id, line.quota.points_e4) for line in one.lines
        ]
        for line in one.lines:
            exact = (
                Fraction(one.pool.divided_minor)
                * Fraction(one.rule.rulebook.creators_bp, 10_000)
                * Fraction(line.quota.points_e4, one.points_total_e4)
            )
            assert exact == Fraction(line.quota.numerator, line.quota.denominator)
            rounded_up = line.quota.rounding == "up"
            assert line.amount_minor == exact.numerator // exact.denominator + rounded_up
            assert line.scored_e4 == sum(each.points_e4 for each in line.counted) + sum(
                line.changed_e4.values()
            )
        assert one.amount_minor == sum(line.amount_minor for line in one.lines)
        assert one.amount_minor == world.balance(Role.CREATOR_PAYABLE, "hoa") - 233

    def test_a_posted_walk_names_its_proof(self, session: Session) -> None:
        """Split, rulebook, and when it became final."""
        world = World(session)
        world.close("2026-08", 1_000, {("hoa", "2026-08"): E4}, now=SEPTEMBER)

        one = walk(world, "2026-08")

        assert (State.POSTED, 1, SEPTEMBER, SEPTEMBER, None) == (
            one.state,
            one.split_version,
            one.published_at,
            one.posted_at,
            one.as_of_at,
        )
        assert one.rule.version == 1
        assert one.shares_sha256 is not None

    def test_the_pool_starts_from_recorded_revenue(self, session: Session) -> None:
        """Every record, late ones and corrections included, each with what it added."""
        world = World(session)
        world.recognise("2026-08", 1_500)
        world.until(world.now + timedelta(seconds=1))
        world.recognise("2026-08", -500)
        world.close("2026-08", 0, {("hoa", "2026-08"): E4}, now=SEPTEMBER)

        pool = walk(world, "2026-08").pool

        assert pool is not None
        assert [1_500, -500] == [record.net_minor for record in pool.revenues]
        assert (1_000, 0, 0, 1_000) == (
            pool.recorded_minor,
            pool.recovered_minor,
            pool.carried_minor,
            pool.divided_minor,
        )

    def test_a_pool_of_many_records_is_added_up_whole(self, session: Session) -> None:
        """More than are read at a time: each once."""
        world = World(session)
        world.close("2026-08", 1_000, {("hoa", "2026-08"): E4}, now=SEPTEMBER)
        [known] = revenues.listing(session, world.platform.id)
        common: dict[str, Any] = {
            **{column.name: getattr(known, column.name, None) for column in revenue.columns},
            "deductions": [],
            "start_at": known.span.start_at,
            "end_at": known.span.end_at,
        }
        many = [
            common | {"id": uuid.uuid4(), "reference": str(number), "net_minor": 2, "entry_id": None}
            for number in range(creator.PAGE + 1)
        ]
        session.execute(insert(revenue), many)

        pool = walk(world, "2026-08").pool

        assert pool is not None
        assert (creator.PAGE + 2, 1_000 + 2 * len(many)) == (len(pool.revenues), pool.recorded_minor)

    def test_a_deficit_is_carried_and_then_recovered(self, session: Session) -> None:
        """August was short by 300; September's pool gives them back before it is divided."""
        world = World(session)
        world.close("2026-08", -300, {("hoa", "2026-08"): E4}, now=SEPTEMBER)
        world.close("2026-09", 1_000, {("hoa", "2026-09"): E4}, now=OCTOBER)

        pools = [walk(world, period_id).pool for period_id in ("2026-08", "2026-09")]

        assert [(-300, 0, 300, 0), (1_000, 300, 0, 700)] == [
            (one.recorded_minor, one.recovered_minor, one.carried_minor, one.divided_minor)
            for one in pools
            if one is not None
        ]
        assert walk(world, "2026-09").amount_minor == 490

    def test_points_that_late_corrections_took_back_are_shown(self, session: Session) -> None:
        """What was scored, and the fewer points that took part."""
        world = World(session)
        world.close("2026-08", 1_000, {("hoa", "2026-08"): 5 * E4}, now=SEPTEMBER)
        points = {("hoa", "2026-09"): 3 * E4, ("hoa", "2026-08"): -1 * E4, ("lan", "2026-09"): 2 * E4}
        world.close("2026-09", 1_000, points, now=OCTOBER)

        lines = walk(world, "2026-09").lines

        assert [("2026-09", 3 * E4, 2 * E4, 350), ("2026-08", -1 * E4, 0, 0)] == [
            (line.origin_period_id, line.scored_e4, line.quota.points_e4, line.amount_minor) for line in lines
        ]

    def test_a_creator_without_points_walks_to_nothing(self, session: Session) -> None:
        """The pool and the rule are there, and no line."""
        world = World(session)
        world.close("2026-08", 1_000, {("lan", "2026-08"): E4}, now=SEPTEMBER)
        world.register("hoa")

        one = walk(world, "2026-08")

        assert ((), 0) == (tuple(one.lines), one.amount_minor)
        assert one.pool is not None

    def test_an_estimate_says_that_it_is_one(self, session: Session) -> None:
        """With its instant, and only the revenue that was there by then."""
        world = World(session)
        world.register("hoa")
        world.recognise("2026-08", 1_000)
        estimated(world, "2026-08", 350, E4, pool_minor=1_000)
        as_of_at = world.now
        world.until(world.now + timedelta(hours=1))
        world.recognise("2026-08", 77)

        one = walk(world, "2026-08")

        assert (State.OPEN, as_of_at, 350, None) == (
            one.state,
            one.as_of_at,
            one.amount_minor,
            one.split_version,
        )
        assert one.pool is not None
        assert (1_000, 1_000) == (one.pool.recorded_minor, one.pool.divided_minor)
        assert ["exact"] == [line.quota.rounding for line in one.lines]

    @pytest.mark.parametrize("state", ["open", "sealed", "scored", "split"])
    def test_before_it_is_published_there_is_nothing_to_walk(self, session: Session, state: str) -> None:
        """Neither an old estimate nor a split that nobody was shown."""
        world = World(session)
        world.register("hoa")
        world.until(SEPTEMBER)
        world.advance(periods.get(session, world.platform.id, "2026-08"), state)

        one = walk(world, "2026-08")

        assert (State.OPEN if state == "open" else State.CLOSING) == one.state
        assert (None, None, None, ()) == (one.pool, one.amount_minor, one.points_total_e4, one.lines)
        assert one.rule.version == 1

    @pytest.mark.parametrize(("creator_id", "period_id"), [("lan", "2026-08"), ("hoa", "2025-08")])
    def test_what_is_not_there_has_no_walk(self, session: Session, creator_id: str, period_id: str) -> None:
        """Neither an unknown creator nor an unknown period."""
        world = World(session)
        world.register("hoa")

        with pytest.raises(NotFound):
            walk(world, period_id, creator_id)


@pytest.mark.parametrize("locale", texts.LOCALES)
def test_every_state_has_words(locale: str) -> None:
    """Four states, four texts, in each language."""
    said = {texts.translator(locale).gettext(creator.WORDS[state]) for state in State}

    assert len(said) == len(State)


def test_real_events_explain_an_estimate_and_a_final_amount(database: Database, tmp_path: Path) -> None:
    """From events through the very rooms that compute: the walk adds up, before and after the close."""
    now = datetime(2026, 11, 20, 5, tzinfo=UTC)
    maker, checker = Actor("staff", "mai"), Actor("staff", "chi")
    lake = worlds.lake_in(tmp_path)
    scratch = tmp_path / "scratch"
    tools = Tools(database, lake, DuckEngine(lambda: duck.connect(temp_dir=scratch)))
    with db.transaction(database) as session:
        world = World(session, now=now)
        for person, role in ((maker, "finance_maker"), (checker, "finance_checker")):
            staff.register(session, world.platform.id, person.id, person.id, [role], actor=OPERATOR, now=now)
        world.register("c-1", "c-2")
        world.recognise("2026-11", 1_000)
    platform = world.platform
    of_hoa: list[dict[str, Any]] = [
        worlds.event(f"v-{number}", actor=f"u-{number}", quantity=2) for number in range(3)
    ]
    own_like = worlds.event("own", type="like", actor="c-1")
    others = worlds.event("other", creator="c-2", content="v-2", type="comment")
    worlds.send(database, platform, *of_hoa, own_like, others, now=now)
    estimates.refresh(tools, platform.id, now=now)

    def read() -> PeriodEarning:
        with db.transaction(database) as session:
            return creator.of_period(session, platform, "c-1", "2026-11")

    provisional = read()
    end_at = provisional.span.end_at
    stages.close(tools, platform.id, "2026-11", actor=maker, now=end_at + timedelta(days=4))
    published = read()
    with db.transaction(database) as session:
        stages.approve(session, platform.id, "2026-11", actor=checker, now=end_at + timedelta(days=5))
        stages.post(session, platform.id, "2026-11", actor=maker, now=end_at + timedelta(days=8))
    final = read()

    view = Counted(type="view", event_count=3, quantity=6, points_e4=6 * E4)
    like = Counted(type="like", event_count=1, quantity=1, points_e4=3 * E4)
    [line] = final.lines
    assert ([view], {"self_engagement": [like]}, {}) == (line.counted, line.excluded, line.changed_e4)
    assert (1_000 * 7_000 * 6 * E4, 10_000 * 14 * E4) == (line.quota.numerator, line.quota.denominator)
    assert (300, 300, 300) == (provisional.amount_minor, published.amount_minor, final.amount_minor)
    assert provisional.lines == published.lines == final.lines
    assert [State.OPEN, State.PUBLISHED, State.POSTED] == [
        one.state for one in (provisional, published, final)
    ]
