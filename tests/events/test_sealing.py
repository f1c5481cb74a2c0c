"""Sealing: what becomes of each event, beside a small model in plain Python that says what should."""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from service.calendar import periods
from service.calendar.periods import Period
from service.events import compaction, manifest, sealing, types
from service.events.intake import Receipt
from service.events.lake import Lake, LakeAway
from service.events.sealing import Settled
from service.events.tables import event_batch
from service.events.types import Attribute
from service.parties.actors import OPERATOR
from service.parties.platforms import Platform
from service.runtime import db, duck
from service.runtime.db import Database
from tests.events import worlds
from tests.events.worlds import DAY, NOW, TYPES, event

FIRST = NOW - 4 * DAY
"""Noon of 16 November in Asia/Ho_Chi_Minh: periods are days from then to the 21st, which is opened ahead."""

NUMBERS = count()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Give an empty lake."""
    return worlds.lake_in(tmp_path / "lake")


@pytest.fixture
def platform(database: Database) -> Platform:
    """Found a platform with daily periods, all of them open."""
    return daily(database)


def daily(database: Database, platform_id: str = "tiktak") -> Platform:
    """Found a platform with daily periods from the 16th on."""
    with db.transaction(database) as session:
        platform = worlds.found(session, platform_id=platform_id, period_unit="day", now=FIRST)
        periods.ensure_current(session, platform, NOW)
    return platform


def on(day: int, event_id: str = "e-1", **changes: Any) -> dict[str, Any]:
    """Make an event at noon of a day of November."""
    return event(event_id, **{"time": f"2026-11-{day}T05:00:00Z", **changes})


def name_of(day: int) -> str:
    """Name the period of a day of November."""
    return f"2026-11-{day}"


def close(database: Database, lake: Lake, platform: Platform, day: int) -> Settled:
    """Seal a day and settle it."""
    period = worlds.seal(database, platform, name_of(day))
    return sealing.settle(database, lake, platform, period, now=NOW)


def counted(lake: Lake, settled: Settled) -> list[tuple[str, int, str]]:
    """Read id, quantity and origin of what counts, in a settled order."""
    paths = [file.stored.path for file in settled.counted]
    return sorted(worlds.rows(lake, paths, "id, quantity, origin_period_id"))


def tallies(settled: Settled) -> tuple[int, int, int, int]:
    """Give the counts of the events that nobody corrected: counted, late, duplicate, conflict."""
    found = settled.counts
    return found["counted"], found["late"], found["duplicate"], found["conflict"]


def test_what_was_sent_once_counts(database: Database, lake: Lake, platform: Platform) -> None:
    """Negative quantities are corrections, and rows like others."""
    worlds.send(database, platform, on(16, "e-1"), on(16, "e-2", quantity=-5), on(17, "e-3"))

    settled = close(database, lake, platform, 16)

    assert [("e-1", 1, "2026-11-16"), ("e-2", -5, "2026-11-16")] == counted(lake, settled)
    assert (2, 0, 0, 0) == tallies(settled)
    assert {"2026-11-16": 2} == settled.origins


def test_a_period_without_events_is_settled_with_empty_files(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """They have their columns, so that whoever reads them needs no exception."""
    settled = close(database, lake, platform, 16)

    assert [] == counted(lake, settled)
    assert ((0, 0, 0, 0), {}) == (tallies(settled), settled.origins)


def test_the_columns_are_those_that_every_engine_expects(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """Names and types, in order; sorted by creator."""
    worlds.send(database, platform, *(on(16, f"e-{name}", creator=name) for name in "cab"))

    settled = close(database, lake, platform, 16)

    (file,) = settled.counted
    with closing(duck.connect(temp_dir=Path(lake.url))) as connection:
        described = connection.execute(
            "DESCRIBE SELECT * FROM read_parquet($path)", {"path": lake.location(file.stored.path)}
        ).fetchall()
    assert {
        "seq": "BIGINT",
        "position": "INTEGER",
        "source": "VARCHAR",
        "id": "VARCHAR",
        "type": "VARCHAR",
        "at": "TIMESTAMP",
        "day_on": "DATE",
        "creator": "VARCHAR",
        "content": "VARCHAR",
        "actor": "VARCHAR",
        "quantity": "BIGINT",
        "identity": "BLOB",
        "fingerprint": "BLOB",
        "attributes": "VARCHAR",
        "origin_period_id": "VARCHAR",
    } == {row[0]: row[1] for row in described}
    assert [("a",), ("b",), ("c",)] == worlds.rows(lake, [file.stored.path], "creator")


def test_files_from_before_there_were_attributes_are_read_beside_new_ones(
    database: Database, lake: Lake, platform: Platform, tmp_path: Path
) -> None:
    """An old file lacks the column; its events repeat others, and are repeated, as ever."""
    with db.transaction(database) as session:
        topic = replace(TYPES["view"], attributes={"topic": Attribute("string")})
        types.define(session, platform.id, [topic], currency="VND", pointers=[""], actor=OPERATOR, now=FIRST)
    worlds.send(database, platform, on(16, "old"), on(16, "changed"))
    compaction.run(database, lake, platform.id, now=NOW)
    without_attributes(database, lake, platform, tmp_path)
    worlds.send(
        database,
        platform,
        on(16, "old"),
        on(16, "changed", attributes={"topic": "music"}),
        on(16, "new", attributes={"topic": "music"}),
    )

    settled = close(database, lake, platform, 16)

    assert (3, 0, 1, 1) == tallies(settled)
    paths = [file.stored.path for file in settled.counted]
    assert [("changed", None), ("new", '{"topic":"music"}'), ("old", None)] == sorted(
        worlds.rows(lake, paths, "id, attributes")
    )


def without_attributes(database: Database, lake: Lake, platform: Platform, folder: Path) -> None:
    """Make the raw files what they were before the column: put such a file where the manifest says."""
    with db.transaction(database) as session:
        known = manifest.listing(session, platform.id)
    for file in known:
        if file.kind != "raw":
            continue
        location = Path(lake.location(file.stored.path))
        old = folder / "old.parquet"
        with closing(duck.connect(temp_dir=folder)) as connection:
            connection.execute(
                "COPY (SELECT * EXCLUDE (attributes) FROM read_parquet($path)) TO $target (FORMAT parquet)",
                {"path": str(location), "target": str(old)},
            )
        old.replace(location)


def test_the_first_of_equal_events_counts_and_the_others_are_duplicates(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """In one batch and across batches, however they were written."""
    worlds.send(database, platform, on(16, "e-1"), on(16, "e-1"))
    worlds.send(database, platform, on(16, "e-1", time="2026-11-16T12:00:00.000+07:00", traceparent="x"))

    settled = close(database, lake, platform, 16)

    assert [("e-1", 1, "2026-11-16")] == counted(lake, settled)
    assert (1, 0, 2, 0) == tallies(settled)


def test_the_first_of_unequal_events_counts_and_the_others_are_conflicts(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """The verdict names the first one and both fingerprints."""
    worlds.send(database, platform, on(16, "e-1", quantity=1))
    worlds.send(database, platform, on(16, "e-2"), on(16, "e-1", quantity=2), on(16, "e-1", quantity=1))

    settled = close(database, lake, platform, 16)

    assert [("e-1", 1, "2026-11-16"), ("e-2", 1, "2026-11-16")] == counted(lake, settled)
    assert (2, 0, 1, 1) == tallies(settled)
    columns = "verdict, position, first_position, seq > first_seq, fingerprint = first_fingerprint"
    rows = worlds.rows(lake, [file.stored.path for file in settled.verdicts], columns)
    assert [("conflict", 1, 0, True, False), ("duplicate", 2, 0, True, True)] == sorted(
        row for row in rows if row[0] != "counted"
    )


def test_other_sources_have_names_of_their_own(database: Database, lake: Lake, platform: Platform) -> None:
    """Identity is source and id."""
    worlds.send(database, platform, on(16, "e-1", source="app"), on(16, "e-1", source="web"))

    assert (2, 0, 0, 0) == tallies(close(database, lake, platform, 16))


def test_an_identity_counts_once_across_periods(database: Database, lake: Lake, platform: Platform) -> None:
    """Whether the first one lies in an earlier or a later period: the log's order decides."""
    worlds.send(database, platform, on(16, "early-first"), on(17, "late-first"))
    worlds.send(database, platform, on(17, "early-first"), on(16, "late-first"))

    first, second = close(database, lake, platform, 16), close(database, lake, platform, 17)

    assert [("early-first", 1, "2026-11-16")] == counted(lake, first)
    assert [("late-first", 1, "2026-11-17")] == counted(lake, second)
    assert [(1, 0, 0, 1), (1, 0, 0, 1)] == [tallies(first), tallies(second)]


def test_the_order_within_a_batch_decides_across_periods_as_well(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """Both rows are in the last batch that the seal takes, in files of days that do not touch."""
    worlds.send(database, platform, on(18, "late-first"), on(16, "late-first"), on(16, "e-1"), on(18, "e-1"))

    settled = [close(database, lake, platform, day) for day in (16, 17, 18)]

    assert [["e-1"], [], ["late-first"]] == [[row[0] for row in counted(lake, one)] for one in settled]


def test_a_repeat_is_found_two_periods_back_and_not_three(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """The horizon: LATE_PERIODS before the period."""
    worlds.send(database, platform, on(16, "e-1"), on(17, "e-2"))
    worlds.send(database, platform, on(19, "e-1"), on(19, "e-2"))

    settled = [close(database, lake, platform, day) for day in (16, 17, 18, 19)]

    assert [("e-1", 1, "2026-11-19")] == counted(lake, settled[3])


def test_late_events_join_the_next_seal_under_the_name_of_their_period(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """Once: the seal after that does not carry them again."""
    worlds.send(database, platform, on(16, "e-1"))
    close(database, lake, platform, 16)
    worlds.send(database, platform, on(16, "late-1"), on(16, "e-1"), on(17, "e-2"))
    second = close(database, lake, platform, 17)
    worlds.send(database, platform, on(16, "late-2"), on(17, "late-3"), on(16, "late-1"))
    third = close(database, lake, platform, 18)

    assert [("e-2", 1, "2026-11-17"), ("late-1", 1, "2026-11-16")] == counted(lake, second)
    assert (1, 1, 1, 0) == tallies(second)
    assert [("late-2", 1, "2026-11-16"), ("late-3", 1, "2026-11-17")] == counted(lake, third)
    assert (0, 2, 1, 0) == tallies(third)
    assert {"2026-11-16": 1, "2026-11-17": 1} == third.origins


def test_an_event_of_the_cut_is_not_late_and_the_next_one_is(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """The seal's last batch, and the one after it, sent before the seal was settled."""
    worlds.send(database, platform, on(16, "e-1"))
    period = worlds.seal(database, platform, name_of(16))
    worlds.send(database, platform, on(16, "e-2"))
    compaction.run(database, lake, platform.id, now=NOW)

    first = sealing.settle(database, lake, platform, period, now=NOW)
    second = close(database, lake, platform, 17)

    assert [("e-1", 1, "2026-11-16")] == counted(lake, first)
    assert [("e-2", 1, "2026-11-16")] == counted(lake, second)


def test_midnight_belongs_to_the_day_that_it_begins(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """To the microsecond, in the platform's zone."""
    worlds.send(
        database,
        platform,
        on(16, "last", time="2026-11-16T16:59:59.999999Z"),
        on(16, "first", time="2026-11-16T17:00:00Z"),
    )

    settled = [close(database, lake, platform, day) for day in (16, 17)]

    assert [["last"], ["first"]] == [[row[0] for row in counted(lake, one)] for one in settled]


def test_history_is_settled_by_itself_and_in_any_order(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """A historic period carries nothing late, and its repeats are found wherever they were counted."""
    with db.transaction(database) as session:
        periods.open_from(session, platform, FIRST - 3 * DAY, actor=OPERATOR, now=NOW)
    worlds.send(database, platform, on(14, "e-1"), on(13, "e-2"), on(16, "e-3"))
    worlds.send(database, platform, on(13, "e-1"), on(14, "e-2"), on(13, "e-3"), on(13, "e-4"))

    settled = {day: close(database, lake, platform, day) for day in (14, 16, 13, 15)}

    assert [["e-1"], ["e-3"], ["e-2", "e-4"], []] == [
        [row[0] for row in counted(lake, settled[day])] for day in (14, 16, 13, 15)
    ]
    assert (2, 0, 0, 2) == tallies(settled[13])


def test_settling_again_gives_the_same_and_writes_nothing(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """Also after more has come in."""
    worlds.send(database, platform, on(16, "e-1"))
    period = worlds.seal(database, platform, name_of(16))
    first = sealing.settle(database, lake, platform, period, now=NOW)
    worlds.send(database, platform, on(16, "e-2"))
    said: list[str] = []

    again = sealing.settle(database, lake, platform, period, now=NOW + DAY, say=said.append)

    assert (first, []) == (again, said)


def test_the_files_of_a_seal_do_not_depend_on_how_the_log_was_cut_into_files(
    database: Database, tmp_path: Path, platform: Platform
) -> None:
    """Compacted batch by batch or at once, on a second lake: the same bytes."""
    for number in range(6):
        worlds.send(
            database, platform, *(on(16, f"e-{number * 7 % 5}-{one}", quantity=one) for one in range(20))
        )
    period = worlds.seal(database, platform, name_of(16))
    other = daily(database, "other")

    at_once = sealing.settle(database, worlds.lake_in(tmp_path / "one"), platform, period, now=NOW)
    for number in range(6):
        worlds.send(
            database, other, *(on(16, f"e-{number * 7 % 5}-{one}", quantity=one) for one in range(20))
        )
        compaction.run(database, worlds.lake_in(tmp_path / "two"), other.id, now=NOW)
    piecewise = close(database, worlds.lake_in(tmp_path / "two"), other, 16)

    assert tallies(at_once) == tallies(piecewise)
    columns = "position, id, quantity, creator, identity, fingerprint, origin_period_id"
    one, two = (
        worlds.rows(worlds.lake_in(tmp_path / name), [file.stored.path for file in settled.counted], columns)
        for name, settled in (("one", at_once), ("two", piecewise))
    )
    assert one == two


def test_a_seal_that_is_ended_at_any_step_is_finished_by_the_next_run(
    database: Database, tmp_path: Path
) -> None:
    """Each step in turn, compaction's included; in the end the result is that of an undisturbed run."""

    def world(name: str) -> tuple[Platform, Lake, Period]:
        platform, lake = daily(database, name), worlds.lake_in(tmp_path / name)
        worlds.send(database, platform, on(16, "e-1"), on(16, "e-1"), on(17, "e-2"))
        close(database, lake, platform, 16)
        worlds.send(database, platform, on(16, "late"), on(17, "e-2", quantity=3), on(17, "e-3"))
        return platform, lake, worlds.seal(database, platform, name_of(17))

    steps: list[str] = []
    platform, lake, period = world("reference")
    reference = sealing.settle(database, lake, platform, period, now=NOW, say=steps.append)
    assert len(steps) >= 6

    for number in range(len(steps)):
        platform, lake, period = world(f"killed-{number}")
        with pytest.raises(worlds.Killed):
            sealing.settle(database, lake, platform, period, now=NOW, say=worlds.killer(number))

        settled = sealing.settle(database, lake, platform, period, now=NOW)

        assert (tallies(reference), reference.origins) == (tallies(settled), settled.origins), steps[number]
        with db.transaction(database) as session:
            named = {file.stored.path for file in manifest.listing(session, platform.id)}
        there = {str(path.relative_to(lake.url)) for path in Path(lake.url).rglob("*") if path.is_file()}
        assert named == there


def test_workers_at_the_same_time_settle_once(database: Database, lake: Lake, platform: Platform) -> None:
    """Both get the one result."""
    worlds.send(database, platform, *(on(16, f"e-{number}") for number in range(50)))
    period = worlds.seal(database, platform, name_of(16))

    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(sealing.settle, database, lake, platform, period, now=NOW) for _ in range(3)]
        settled = [job.result() for job in jobs]

    assert settled[0] == settled[1] == settled[2]
    with db.transaction(database) as session:
        kinds = Counter(file.kind for file in manifest.listing(session, platform.id))
    assert Counter(raw=1, index=1, counted=1, verdicts=1) == kinds


def test_a_lake_that_lost_a_file_is_a_fault_and_nothing_is_recorded(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """The seal is repeated once the file is back."""
    worlds.send(database, platform, on(16, "e-1"))
    compaction.run(database, lake, platform.id, now=NOW)
    period = worlds.seal(database, platform, name_of(16))
    (lost,) = Path(lake.url).rglob("raw/**/*.parquet")
    content = lost.read_bytes()
    lost.unlink()

    with pytest.raises(LakeAway):
        sealing.settle(database, lake, platform, period, now=NOW)
    lost.write_bytes(content)

    assert (1, 0, 0, 0) == tallies(sealing.settle(database, lake, platform, period, now=NOW))


def test_a_seal_on_an_object_store_is_the_same(database: Database, lake: Lake, platform: Platform) -> None:
    """Files by name and bytes, whatever holds them."""
    worlds.send(database, platform, on(16, "e-1"), on(16, "e-1"), on(16, "e-2"))
    store = Lake("memory://sealing")
    compaction.run(database, store, platform.id, now=NOW)
    period = worlds.seal(database, platform, name_of(16))

    settled = sealing.settle(database, store, platform, period, now=NOW)

    assert (2, 0, 1, 0) == tallies(settled)
    assert [("e-1", 1, "2026-11-16"), ("e-2", 1, "2026-11-16")] == counted(store, settled)


def read_preview(
    database: Database, lake: Lake, platform: Platform, day: int
) -> tuple[list[tuple[Any, ...]], Mapping[str, int], int]:
    """Read the rows, the counts and the last batch of a preview."""
    with db.transaction(database) as session:
        period = periods.get(session, platform.id, name_of(day))
    with sealing.preview(database, lake, platform, period) as seen:
        with closing(duck.connect(temp_dir=Path(lake.url))) as connection:
            query = "SELECT id, quantity, origin_period_id FROM read_parquet($path) ORDER BY ALL"
            rows = connection.execute(query, {"path": seen.location}).fetchall()
        assert Path(seen.location).exists()
    assert not Path(seen.location).exists()
    return rows, seen.counts, seen.last_seq


def test_a_preview_shows_what_is_compacted_and_records_nothing(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """As a seal would count it now; what waits in the log is not seen."""
    worlds.send(database, platform, on(16, "e-1"), on(16, "e-1"), on(16, "e-2"))
    compaction.run(database, lake, platform.id, now=NOW)
    with db.transaction(database) as session:
        last_seq = compaction.last_compacted_seq(session, platform.id)
    worlds.send(database, platform, on(16, "waiting"))

    rows, counts, seen_seq = read_preview(database, lake, platform, 16)

    assert [("e-1", 1, "2026-11-16"), ("e-2", 1, "2026-11-16")] == rows
    assert ({"counted": 2, "late": 0, "duplicate": 1, "conflict": 0, "voided": 0}, last_seq) == (
        counts,
        seen_seq,
    )
    with db.transaction(database) as session:
        assert [] == manifest.files_of_period(session, platform.id, name_of(16), "counted")


def test_a_preview_carries_what_came_late_for_sealed_periods(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """But not what came for a period that is still open: that period's own seal will take it."""
    close(database, lake, platform, 16)
    worlds.send(database, platform, on(16, "late"), on(17, "e-1"), on(18, "e-2"))
    compaction.run(database, lake, platform.id, now=NOW)

    next_one, one_after = (read_preview(database, lake, platform, day)[0] for day in (17, 18))

    assert [("e-1", 1, "2026-11-17"), ("late", 1, "2026-11-16")] == next_one
    assert [("e-2", 1, "2026-11-18")] == one_after


def test_a_preview_of_nothing_is_empty(database: Database, lake: Lake, platform: Platform) -> None:
    """Before the first event was ever compacted."""
    assert ([], 0) == read_preview(database, lake, platform, 16)[::2]


# A model of the whole: what was sent, what was accepted, which rows each seal settles and how.


@dataclass(frozen=True)
class Sent:
    """An event as the model sees it."""

    day: int
    name: str
    quantity: int

    def as_event(self) -> dict[str, Any]:
        return on(self.day, self.name, quantity=self.quantity)


@dataclass
class Model:
    """Periods are days 16 to 21; batches are numbered in the order in which they were sent."""

    log: list[tuple[int, int, Sent]] = field(default_factory=list)
    cuts: dict[int, int] = field(default_factory=dict)

    def accepts(self, one: Sent) -> bool:
        oldest_open = next(day for day in range(16, 22) if day not in self.cuts)
        return one.day >= oldest_open - 2

    def send(self, number: int, events: Sequence[Sent]) -> list[int]:
        taken = [position for position, one in enumerate(events) if self.accepts(one)]
        self.log += [(number, position, events[position]) for position in taken]
        return taken

    def settle(self, day: int) -> dict[tuple[int, int], tuple[str, int]]:
        """Give the verdict and the day of each row that the seal of a day settles."""
        cut, cut_before = self.cuts[day], self.cuts.get(day - 1)
        reach = [row for row in self.log if row[2].day >= max(day - 2, 16) and row[0] <= cut]
        first: dict[str, tuple[int, int, Sent]] = {}
        for row in reach:
            first.setdefault(row[2].name, row)
        verdicts = {}
        for number, position, one in reach:
            is_late = cut_before is not None and one.day in (day - 1, day - 2) and number > cut_before
            if one.day != day and not is_late:
                continue
            first_number, first_position, first_one = first[one.name]
            if (first_number, first_position) == (number, position):
                verdict = "counted" if one.day == day else "late"
            else:
                verdict = "duplicate" if first_one == one else "conflict"
            verdicts[number, position] = (verdict, one.day)
        return verdicts


EVENTS = st.builds(
    Sent, day=st.integers(16, 20), name=st.sampled_from("abcd"), quantity=st.sampled_from([1, 1, 1, -2])
)
STEPS = st.lists(
    st.lists(EVENTS, min_size=1, max_size=6) | st.just("seal") | st.just("compact"), min_size=2, max_size=9
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=STEPS)
@example(steps=[[Sent(17, "a", 1), Sent(16, "a", 1)], "seal", [Sent(16, "a", 1), Sent(16, "b", 1)], "seal"])
@example(steps=[[Sent(16, "a", 1)], "seal", "seal", "seal", [Sent(16, "a", 1), Sent(17, "a", -2)], "seal"])
def test_what_counts_is_what_the_model_says(
    database: Database, tmp_path: Path, steps: list[list[Sent] | str]
) -> None:
    """Any order of sends, repeats, conflicts, late events, compactions and seals."""
    number = next(NUMBERS)
    platform, lake = daily(database, f"world-{number}"), worlds.lake_in(tmp_path / str(number))
    model, seqs, unsettled = Model(), Sequences(database, platform), iter(range(16, 21))
    for step in [*steps, "seal", "seal", "seal"]:
        if step == "compact":
            compaction.run(database, lake, platform.id, now=NOW)
        elif step == "seal":
            day = next(unsettled, None)
            if day is None:
                continue
            model.cuts[day] = seqs.last_number()
            settled = close(database, lake, platform, day)

            expected = model.settle(day)
            assert {place: verdict for place, (verdict, _) in expected.items()} == {
                (seqs.number_of(seq), position): verdict
                for (seq, position), verdict in worlds.verdicts(lake, settled.verdicts).items()
            }
            assert sorted(
                (seqs.number_of(seq), position, origin)
                for seq, position, origin in worlds.rows(
                    lake, [file.stored.path for file in settled.counted], "seq, position, origin_period_id"
                )
            ) == sorted(
                (*place, name_of(origin))
                for place, (verdict, origin) in expected.items()
                if verdict in {"counted", "late"}
            )
        else:
            receipt = worlds.send(database, platform, *(one.as_event() for one in step))
            if not receipt.is_replay:
                rejected = {one.index for one in receipt.rejected}
                taken = model.send(seqs.add(receipt), list(step))
                assert taken == [place for place in range(len(step)) if place not in rejected]


class Sequences:
    """The batches of a platform by their order, since the log's numbers are shared by all platforms."""

    def __init__(self, database: Database, platform: Platform) -> None:
        self.database, self.platform = database, platform
        self.seqs: list[int] = []

    def add(self, receipt: Receipt) -> int:
        with db.transaction(self.database) as session:
            self.seqs.append(
                session.execute(
                    select(event_batch.c.seq).where(event_batch.c.id == receipt.batch_id)
                ).scalar_one()
            )
        return len(self.seqs)

    def number_of(self, seq: int) -> int:
        return self.seqs.index(seq) + 1

    def last_number(self) -> int:
        return len(self.seqs)
