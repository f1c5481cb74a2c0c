"""What a rulebook leaves out: the events are those that the scores' walks count, each named once."""

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import sqlglot
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlglot import exp

from service.parties.contributions import Contribution
from service.rules.rulebook import METHODS, Rulebook
from service.splits import scoring
from service.splits.scoring import Origin
from tests.splits import lakes, model
from tests.splits.model import DAY, PERIOD, START, Event, contribution, rulebook
from tests.splits.worlds import EVENTS, declarations, rulebooks

Excluded = dict[tuple[int, int], str]


def excluded(
    rule: Rulebook,
    files: Sequence[Sequence[Event]],
    contributions: Sequence[Contribution] = (),
    *,
    settled_seq: int = 0,
    threads: int = 2,
) -> Excluded:
    """Write each list of events as a batch of its own; give the clause of each one left out, by its place."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        locations = [
            lakes.write(events, folder / f"{number}.parquet", seq=number)
            for number, events in enumerate(files, start=1)
        ]
        origin = Origin(
            period_id=PERIOD,
            rulebook=rule,
            contributions=contributions,
            locations=tuple(locations),
            settled_seq=settled_seq,
        )
        engine = lakes.engine(folder, threads=threads)
        written = scoring.exclude(engine, [origin], scoring.score(engine, [origin]), folder)
        rows = [row for one in written for row in pq.read_table(one).to_pylist()]
    assert rows == sorted(rows, key=lambda row: (row["seq"], row["position"]))
    assert all(row["origin_period_id"] == PERIOD for row in rows)
    found = {(row["seq"], row["position"]): row["clause"] for row in rows}
    assert len(found) == len(rows), "each event is named once"
    return found


@settings(max_examples=35)
@given(rulebooks(), EVENTS)
@example(rulebook(), [Event(creator="an", quantity=2**63 - 1, actor="u1")])
@example(rulebook(), [Event(creator="an", actor="an", quantity=10**8, type="like")] * 4)
def test_the_events_left_out_are_those_of_the_walks(rule: Rulebook, events: list[Event]) -> None:
    """Without contributors, as many by clause and type as the scores' walks say."""
    with tempfile.TemporaryDirectory() as folder:
        location = lakes.write(events, Path(folder) / "counted.parquet")
        origin = Origin(period_id=PERIOD, rulebook=rule, contributions=(), locations=(location,))
        scores = scoring.score(lakes.engine(Path(folder)), [origin])
    expected: Counter[tuple[str, str]] = Counter()
    for one in scores:
        for clause, lines in one.walk["excluded"].items():
            expected.update({(clause, kind): line["events"] for kind, line in lines.items()})

    actual = excluded(rule, [events])

    assert expected == Counter((clause, events[place].type) for (_, place), clause in actual.items())


@settings(max_examples=35)
@given(rulebooks(), EVENTS, declarations())
def test_each_event_is_left_out_by_the_first_clause_that_applies(
    rule: Rulebook, events: list[Event], contributions: list[Contribution]
) -> None:
    """As a person would judge it, once, however many contributors share in it."""
    expected = model.clauses(rule, events, contributions)

    assert {(1, place): clause for place, clause in expected.items()} == excluded(
        rule, [events], contributions
    )


@settings(max_examples=12)
@given(rulebooks(), EVENTS, st.integers(0, 25))
def test_threads_and_files_change_nothing(rule: Rulebook, events: list[Event], cut: int) -> None:
    """The same events in two files, on one thread."""
    whole = excluded(rule, [events])
    parts = excluded(rule, [events[:cut], events[cut:]], threads=1)

    joined = {
        (1, position + (len(events[:cut]) if seq == 2 else 0)): one for (seq, position), one in parts.items()
    }
    assert whole == joined


def test_what_was_settled_before_is_not_named_again_but_adds_up() -> None:
    """The late event takes its actor beyond the limit: it is left out, and the earlier ones were told of."""
    rule = rulebook()
    heavy = [Event(creator="an", actor="u1", quantity=10**9)] * 9_000
    late = [Event(creator="an", actor="u1", quantity=1), Event(creator="an", actor="u2")]

    assert {} == excluded(rule, [heavy])
    assert {(2, 0): "actor_limit"} == excluded(rule, [heavy, late], settled_seq=1)


def test_a_contributor_s_own_engagement_is_left_out_while_the_contribution_holds() -> None:
    """To the instant."""
    shares = [
        contribution("c1", "an", 5_000, until_at=START + DAY),
        contribution("c1", "bình", 5_000, until_at=START + DAY),
    ]
    events = [
        Event(creator="an", actor="bình", content="c1", at=START),
        Event(creator="an", actor="bình", content="c1", at=START + DAY),
        Event(creator="an", actor="bình", content="c2", at=START),
    ]

    assert {(1, 0): "self_engagement"} == excluded(rulebook(), [events], shares)


def test_a_period_of_which_nothing_is_left_out_is_not_read_again(tmp_path: Path) -> None:
    """The scores say so; a period with late events is always read, since its walks are differences."""
    locations = tuple(lakes.write([Event(creator="an")], tmp_path / name) for name in ("one", "two"))
    plain = Origin(period_id=PERIOD, rulebook=rulebook(), contributions=(), locations=locations)
    late = replace(plain, settled_locations=locations[:1], settled_seq=1)
    engine = lakes.engine(tmp_path)

    assert [] == scoring.exclude(engine, [plain], scoring.score(engine, [plain]), tmp_path)
    assert 1 == len(scoring.exclude(engine, [late], scoring.score(engine, [late]), tmp_path))


# The clauses are written twice: in each method's statement, where points hang on them, and here.

EXCESSIVE = "excessive"
JUDGED = ("clause", "is_unnamed", "is_beyond", "leaves_self")


def parts_of(name: str) -> dict[str, str]:
    """Take from a statement what decides about a clause, each part as the parser writes it."""
    text = resources.files("service.splits").joinpath(f"sql/{name}.sql").read_text(encoding="utf-8")
    tree = sqlglot.parse_one(text, dialect="spark")
    parts = {}
    for one in tree.find_all(exp.CTE):
        if one.alias == EXCESSIVE:
            parts[EXCESSIVE] = one.this.sql()
    for alias in tree.find_all(exp.Alias):
        if alias.alias in JUDGED and not isinstance(alias.this, exp.Column | exp.Literal):
            parts[alias.alias] = alias.this.sql()
        elif alias.alias == "leaves_self":
            parts["leaves_self"] = alias.this.sql()
    for join in tree.find_all(exp.Join):
        if join.alias_or_name in {"own", EXCESSIVE}:
            parts[f"join {join.alias_or_name}"] = join.sql()
    return parts


@pytest.mark.parametrize("method", METHODS)
def test_the_clauses_of_each_method_are_those_that_name_the_events(method: str) -> None:
    """The same CASE, the same conditions, the same joins."""
    expected = parts_of(method)

    assert {*JUDGED, EXCESSIVE, "join own", f"join {EXCESSIVE}"} == set(expected)
    assert expected == parts_of("excluded")
