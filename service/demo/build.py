"""Build the demo platforms, once: run their scripts through, then hand out keys and links."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.closing import estimates
from service.core import digests
from service.demo import script, world
from service.demo.proof import Proof
from service.demo.script import Cast
from service.events import compaction
from service.parties import keys, links, platforms
from service.parties.actors import OPERATOR
from service.parties.scopes import SCOPES
from service.rules import registry
from service.runtime import clock, db
from service.runtime.settings import keep_secret
from service.wiring import System, link_url, tools

SEED = 7
PLATFORM_ID = "demo"
CHILD_ID = "demo.bep"
TIME_ZONE = "Asia/Ho_Chi_Minh"

Report = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class Built:
    """What the demo is made of."""

    platform_id: str
    seed: int
    was_there: bool


@dataclass(frozen=True, slots=True)
class Welcome:
    """What a newcomer needs: addresses, a key, links that sign in once."""

    public_page: str
    child_page: str
    documentation: str
    creator_link: str
    creator_id: str
    maker_link: str
    checker_link: str
    key: str


def run(system: System, *, seed: int = SEED, report: Report = lambda _done, _total: None) -> Built:
    """Build the demo if it is not complete; one that is complete is left alone.

    Args:
        seed: the same one makes the same creators, events and revenue.
        report: called with acts done and acts in all.
    """
    if _record_path(system).exists():
        return Built(PLATFORM_ID, _record(system)["seed"], was_there=True)
    with db.transaction(system.database) as session:
        now = clock.now(session)
    acts = [act for cast in casts(seed) for act in script.acts(cast, TIME_ZONE, now)]
    acts.sort(key=lambda act: act.at)
    for done, act in enumerate(acts):
        report(done, len(acts))
        act.do(system, act.at)
    for cast in casts(seed):
        compaction.run(system.database, system.lake, cast.world.platform_id, now=now)
        estimates.refresh(tools(system), cast.world.platform_id, now=now)
    _hand_out(system, seed)
    return Built(PLATFORM_ID, seed, was_there=False)


def casts(seed: int) -> tuple[Cast, Cast]:
    """Describe the two demo platforms: a network, and a community of cooks within it."""
    founding = registry.founding_document()
    shares_bp = {"platform": 2_500, "parent": 0, "partners": {script.PARTNER_ID: 500}, "creators": 7_000}
    own = {**founding, "shares_bp": shares_bp}
    child_bp = {"platform": 1_000, "parent": 1_000, "partners": {}, "creators": 8_000}
    child = {**founding, "shares_bp": child_bp, "title": {"vi": "Quy tắc của Bếp", "en": "Rules of Bếp"}}
    return (
        Cast(world.make(PLATFORM_ID, seed), "Mạng Sen", own, None, world.EVENTS_A_DAY, 1),
        Cast(world.make(CHILD_ID, seed, 12), "Bếp Nhà", child, PLATFORM_ID, 60, 20),
    )


def welcome(system: System) -> Welcome:
    """Gather what to show at every start; sign-in links are new each time."""
    creator_id = casts(_record(system)["seed"])[0].world.works[0].creator_id
    base = system.settings.public_url
    return Welcome(
        public_page=f"{base}/p/{PLATFORM_ID}",
        child_page=f"{base}/p/{CHILD_ID}",
        documentation=f"{base}/docs",
        creator_link=_link(system, "creator", creator_id),
        creator_id=creator_id,
        maker_link=_link(system, "staff", script.MAKER.id),
        checker_link=_link(system, "staff", script.CHECKER.id),
        key=key_of(system),
    )


def welcome_lines(shown: Welcome, proof: Proof) -> Iterator[str]:
    """Write the welcome for people."""
    yield ""
    yield "benefit-ledger is running. Ctrl-C stops it; the next `make run` goes on where it was."
    yield ""
    yield f"  what anyone sees      {shown.public_page}"
    yield f"  a community within    {shown.child_page}"
    yield f"  the API               {shown.documentation}"
    yield f"  a creator ({shown.creator_id})     {shown.creator_link}"
    yield f"  finance, who prepares {shown.maker_link}"
    yield f"  finance, who approves {shown.checker_link}"
    yield f"  an API key            {shown.key}"
    yield ""
    yield "Proof: one event was posted, and the estimate of the open period changed."
    yield f"  {proof.event}"
    yield f"  {proof.creator_id}, {proof.period_id}: {proof.before} -> {proof.after}"
    yield ""


def key_of(system: System) -> str:
    """Read the demo's API key.

    Raises:
        FileNotFoundError: the demo is not built.
    """
    return str(_record(system)["key"])


def _hand_out(system: System, seed: int) -> None:
    with db.transaction(system.database) as session:
        _, secret = keys.create(
            session,
            PLATFORM_ID,
            label="demo",
            scopes=tuple(SCOPES),
            pepper=system.pepper,
            actor=OPERATOR,
            now=clock.now(session),
        )
    record: dict[str, Any] = {"platform": PLATFORM_ID, "seed": seed, "key": secret}
    keep_secret(system.settings.var_dir, _record_name(system), lambda: json.dumps(record))


def _link(system: System, kind: links.SubjectKind, subject_id: str) -> str:
    with db.transaction(system.database) as session:
        platforms.get(session, PLATFORM_ID)
        token = links.issue(
            session,
            PLATFORM_ID,
            kind,
            subject_id,
            pepper=system.pepper,
            actor=OPERATOR,
            now=clock.now(session),
            lifetime_s=12 * 3600,
        )
    return link_url(system, token)


def _record(system: System) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_record_path(system).read_text(encoding="utf-8"))
    return found


def _record_name(system: System) -> str:
    """Name the record after the database, so that another database gets a demo of its own."""
    address = system.settings.database_url or "embedded"
    return f"demo-{digests.sha256_hex(address.encode())[:8]}"


def _record_path(system: System) -> Path:
    return system.settings.var_dir / "secrets" / _record_name(system)
