"""The flows that are killed: each does its work, or goes on with what an earlier run of it left undone.

A flow is told to whoever waits for it: what it acknowledges is written down at once, and has to be there
after any death. A run that goes on acknowledges the same.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from service.calendar import periods
from service.closing import estimates, stages
from service.events import compaction, importers, mapping, wire
from service.parties import platforms
from service.payouts import batches, funding, payouts, settlement
from service.payouts.batches import Batch
from service.payouts.settlement import Pace
from service.payouts.transitions import SETTLED
from service.runtime import db
from service.scheduler import ticker
from service.wiring import System, tools
from tests.crash import world
from tests.crash.points import WatchedBank
from tests.crash.world import LAN, MINH, PART, WAITING, Clock

Acknowledge = Callable[[str, Any], None]
"""Called with a name and what a caller is told under it, once that is durable."""

PIECE_ROWS = 4
"""Rows of a piece of the file that is imported."""

PACE = Pace(watch_every_s=3 * 86_400, watch_s=3 * 86_400)
"""Paid payouts are looked up once more, after the bank has returned what it returns."""

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What a flow plays on.

    Args:
        folder: a folder of this run and those that go on with it.
        owner: names this process uniquely.
    """

    system: System
    clock: Clock
    folder: Path
    owner: str
    acknowledge: Acknowledge

    @property
    def bank(self) -> WatchedBank:
        """The pretend bank."""
        assert isinstance(self.system.provider, WatchedBank), "the flows are watched"
        return self.system.provider


def intake(stage: Stage) -> None:
    """Take batches: of known and unknown creators, with items that are rejected, and one of them twice."""
    at = world.STARTS_AT - _HOUR
    plain = world.batch(*(world.event(f"i-{number}", "an", at) for number in range(3)))
    mixed = world.batch(
        world.event("i-new", "new-one", at),
        world.event("i-bad", "an", at, type="nonsense"),
        world.event("i-old", "an", at - timedelta(days=400)),
    )
    late = world.event("i-late", "binh", world.SEPTEMBER_CLOSED_AT - timedelta(days=10))
    lines = b"".join(json.dumps(one).encode() + b"\n" for one in (late, world.event("i-line", "chi", at)))
    for name, body, media_type in (
        ("plain", plain, wire.BATCH),
        ("mixed", mixed, wire.BATCH),
        ("plain again", plain, wire.BATCH),
        ("lines", lines, wire.LINES),
    ):
        receipt = world.send(stage.system, body, stage.clock.now, media_type)
        stage.acknowledge(name, receipt.to_document() | {"replayed": None})


def imports(stage: Stage) -> None:
    """Import a file of several pieces, with rows that cannot be taken in the middle one."""
    known = mapping.parse(json.dumps(_MAPPING))
    file = stage.folder / "views.csv"
    file.write_text(_views(), encoding="utf-8")
    system = stage.system
    with db.transaction(system.database) as session:
        platform = platforms.get(session, PART)
    rejects = stage.folder / "rejects.ndjson"
    done = importers.run(
        system.database,
        platform,
        file,
        known,
        now_of=stage.clock,
        rejects_path=rejects,
        piece_rows=PIECE_ROWS,
    )
    stage.acknowledge("imported", asdict(done) | {"taken_count": None, "rejects_path": None, "advice": None})
    stage.acknowledge("rejects", rejects.read_text(encoding="utf-8"))


def compact(stage: Stage) -> None:
    """Move what waits in the log into the lake, a batch at a time."""
    system = stage.system
    compaction.run(system.database, system.lake, PART, chunk_events=1, now=stage.clock.now)


def close(stage: Stage) -> None:
    """Close October, approve it as a second person, post it."""
    system, clock = stage.system, stage.clock
    if _state(stage) in {"open", "sealed", "scored", "split"}:
        stages.close(tools(system), PART, WAITING, actor=LAN, now=clock.reach(world.GRACE_ENDS_AT))
    stage.acknowledge("closed", WAITING)
    _approve(stage)
    stage.acknowledge("approved", WAITING)
    clock.reach(world.WINDOW_ENDS_AT + _HOUR)
    if _state(stage) == "approved":
        with db.transaction(system.database) as session:
            stages.post(session, PART, WAITING, actor=LAN, now=clock.now)
    stage.acknowledge("posted", WAITING)


def pay(stage: Stage) -> None:
    """Fund, submit, approve and settle a batch of payouts, and follow them until nothing is left to do."""
    system, clock = stage.system, stage.clock
    _fund(stage)
    with db.transaction(system.database) as session:
        platform = platforms.get(session, PART)
        known = batches.listing(session, PART)
        batch = known[0] if known else batches.submit(session, platform, actor=LAN, now=clock.now)
    stage.acknowledge("submitted", str(batch.id))
    _approve_batch(stage, batch)
    stage.acknowledge("released", str(batch.id))
    while True:
        settlement.drain(
            system.database,
            system.provider,
            system.vault,
            owner=stage.owner,
            clock=clock,
            platform_id=PART,
            pace=PACE,
        )
        with db.transaction(system.database) as session:
            due_at = settlement.due_at(session, PART)
        if due_at is None:
            return
        clock.reach(due_at)


def estimate(stage: Stage) -> None:
    """Compute the estimate of the open period, twice: the second one replaces the first."""
    system = stage.system
    for _ in range(2):
        estimates.refresh(tools(system), PART, now=stage.clock.now)
        stage.clock.now += _HOUR


def tick(stage: Stage) -> None:
    """Let the scheduler compact, estimate, close, publish and submit payouts; and estimate the next month."""
    stage.clock.reach(world.GRACE_ENDS_AT)
    _tick(stage)
    stage.clock.now += _HOUR
    _tick(stage)


def settling(stage: Stage) -> None:
    """Let the scheduler post, pay, settle and fold, until all is paid; a person approves the batch."""
    stage.clock.reach(world.WINDOW_ENDS_AT)
    _fund(stage)
    while True:
        _tick(stage)
        with db.transaction(stage.system.database) as session:
            waiting = batches.listing(session, PART, state="submitted")
            made = payouts.listing(session, PART)
        if not waiting and all(one.state in SETTLED for one in made):
            return
        for batch in waiting:
            _approve_batch(stage, batch)
        stage.clock.now += _HOUR


@dataclass(frozen=True, slots=True)
class Flow:
    """What is played, and the world that it starts in."""

    play: Callable[[Stage], None]
    world: str = "waiting"


FLOWS: Mapping[str, Flow] = {
    "intake": Flow(intake),
    "import": Flow(imports),
    "compaction": Flow(compact),
    "close": Flow(close),
    "payouts": Flow(pay),
    "estimate": Flow(estimate),
    "tick": Flow(tick),
    "settling tick": Flow(settling, "approved"),
}

_MAPPING = {
    "title": "Views of a day",
    "format": "csv",
    "events": [
        {
            "source": "file",
            "id": "{id}",
            "type": "view",
            "time": {"column": "at", "as": "rfc3339"},
            "creator": "{creator}",
            "quantity_column": "views",
            "skip_when_zero": True,
        }
    ],
}


def _views() -> str:
    at = (world.STARTS_AT - _HOUR).isoformat()
    rows = [f"f-{number},{at},an,{number % 7}" for number in range(3 * PIECE_ROWS - 1)]
    rows[PIECE_ROWS + 1] = f"f-bad,{at},an,many"
    return "\n".join(["id,at,creator,views", *rows]) + "\n"


def _state(stage: Stage) -> str:
    with db.transaction(stage.system.database) as session:
        return periods.get(session, PART, WAITING).state


def _approve(stage: Stage) -> None:
    """Approve October, if it waits for that, as a person does who looks before clicking."""
    if _state(stage) == "published":
        with db.transaction(stage.system.database) as session:
            stages.approve(session, PART, WAITING, actor=MINH, now=stage.clock.now)


def _approve_batch(stage: Stage, batch: Batch) -> None:
    with db.transaction(stage.system.database) as session:
        if batches.get(session, PART, batch.id).state == "submitted":
            batches.approve(session, PART, batch.id, actor=MINH, now=stage.clock.now)


def _fund(stage: Stage) -> None:
    """Move the platform's money to the bank, and book it; each once for the reference."""
    with db.transaction(stage.system.database) as session:
        platform = platforms.get(session, PART)
        funding.record(
            session,
            platform,
            provider=stage.bank.name,
            amount_minor=50_000_000,
            reference="fund-1",
            actor=LAN,
            now=stage.clock.now,
        )
    stage.bank.fund(PART, platform.currency, 50_000_000, "fund-1")


def _tick(stage: Stage) -> None:
    ticker.tick(stage.system, owner=stage.owner, now_of=stage.clock)
