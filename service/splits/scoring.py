"""Scoring: counted events in, points by creator and period of origin out.

Owns the parameters that a rulebook becomes, the run of its method's SQL, and the points of late events. Laws:
values reach an engine as tables, never as SQL text; points depend on the events, the rulebook and the
contributions only; what was settled for a period keeps its points, whatever arrives later; every score's walk
adds up to its points.

This module is plain Python; the engine is handed in.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import resources
from itertools import groupby
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, Final

from service.core import digests, spans
from service.events.manifest import LakeFile
from service.parties.contributions import WHOLE_BP, Contribution
from service.rules import rulebook as rulebooks
from service.rules.rulebook import ACTOR_POINTS_MAX, EVENT_POINTS_MAX, Rulebook
from service.splits.engines.base import Columns, Engine, Files, Parameters

COUNTED: Final[Columns] = (
    ("type", "STRING"),
    ("at", "TIMESTAMP"),
    ("day_on", "DATE"),
    ("creator", "STRING"),
    ("content", "STRING"),
    ("actor", "STRING"),
    ("quantity", "BIGINT"),
    ("origin_period_id", "STRING"),
)
"""What scoring reads of a seal's counted files."""

_PLACED: Final[Columns] = (*COUNTED, ("seq", "BIGINT"), ("position", "BIGINT"))
"""What naming the events that a clause leaves out reads."""

CHANGES: Final = ("caps", "below_zero", "minimum_points")
"""The clauses that change a creator's sum, in the order in which they do."""

_VOIDED: Final[Columns] = (("identity", "BINARY"), ("seq", "BIGINT"))
_WEIGHTS: Final[Columns] = (("type", "STRING"), ("points", "BIGINT"))
_CONTRIBUTIONS: Final[Columns] = (
    ("content", "STRING"),
    ("creator", "STRING"),
    ("from_at", "TIMESTAMP"),
    ("until_at", "TIMESTAMP"),
    ("share_bp", "BIGINT"),
)
_TERMS: Final[Columns] = (
    ("origin_period_id", "STRING"),
    ("actor_creator_day_points", "BIGINT"),
    ("self_engagement", "BOOLEAN"),
    ("minimum_points", "BIGINT"),
    ("event_points_max", "BIGINT"),
    ("actor_points_max", "BIGINT"),
)


@dataclass(frozen=True, slots=True)
class Score:
    """One creator's points of one period of origin.

    `points_e4` counts ten-thousandths of a point. `walk` leads to them: `counted` and `excluded` (by clause)
    say by event type how many events, of what quantity, made how many points; `changed` says by how much each
    clause moved the sum. Points and quantities are decimal texts, which may exceed what JSON keeps exact.
    """

    creator_id: str
    origin_period_id: str
    points_e4: int
    walk: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The events of one period, as far as they are known, and the rule that was in force for it.

    The pool's own period has no settled locations. An earlier one, of which late events arrived, names all
    its files, and among them those by which earlier pools were divided.
    """

    period_id: str
    rulebook: Rulebook
    contributions: Sequence[Contribution]
    """Those in force at some instant of the period."""
    locations: Sequence[str]
    """Files that hold counted rows of the period, as the engine finds them."""
    settled_locations: Sequence[str] = ()
    voided: Sequence[tuple[bytes, int]] = ()
    """What corrections took back after the period's seal: identities, and with each the batch before which
    its rows do not count. They are left out of all files, so that what is void changes no difference."""
    settled_seq: int = 0
    """The last event batch that the settled files hold."""


def score(engine: Engine, origins: Sequence[Origin]) -> list[Score]:
    """Compute the points of every creator for one pool.

    Late events count for what they add: the points of all events of their period, less the points of those
    that earlier pools were divided by. Where they take points back, the score is below zero.

    Returns:
        Scores sorted by creator and period; a creator of whom late events changed nothing has none.
    """
    assert len({origin.period_id for origin in origins}) == len(origins), "a period is scored once a pool"
    scores: list[Score] = []
    for origin in origins:
        if origin.settled_locations:
            assert set(origin.settled_locations) < set(origin.locations), (
                "late events come in files of their own"
            )
            settled = _run(engine, origin, origin.settled_locations)
            scores += _added(settled, _run(engine, origin, origin.locations))
        else:
            scores += _run(engine, origin, origin.locations)
    return sorted(scores, key=attrgetter("creator_id", "origin_period_id"))


def exclude(engine: Engine, origins: Sequence[Origin], scores: Sequence[Score], folder: Path) -> list[Path]:
    """Write which events of a pool earn nobody points, and by which clause: a Parquet file for each origin.

    Args:
        scores: of the same origins. Where their walks leave nothing out, no event is looked at again.

    Law: without contributors, as many events by clause and type as the scores' walks say; with them, an event
    is named once.

    Returns:
        Files of rows (seq, position, origin_period_id, clause) in the order of the log.
    """
    written = []
    leaving_out = {one.origin_period_id for one in scores if one.walk["excluded"]}
    for number, origin in enumerate(origins):
        if origin.period_id not in leaving_out and not origin.settled_locations:
            continue
        target = folder / f"excluded-{number}.parquet"
        files = _files(origin, _PLACED, origin.locations)
        settled = Parameters("settled", (("seq", "BIGINT"),), [(origin.settled_seq,)])
        engine.write(_read("excluded"), files, [*parameters(origin), settled], target)
        written.append(target)
    return written


def inputs(engine: Engine, origins: Sequence[Origin], files: Mapping[str, LakeFile]) -> dict[str, Any]:
    """Describe what the points were computed from, so that others can recompute them.

    Args:
        files: the manifest's line of each location.

    Returns:
        JSON values: the engine, and for each origin its rulebook, statement, contributions and files, each
        with its digest.
    """
    return {
        "engine": engine.label,
        "origins": [
            {
                "period_id": origin.period_id,
                "rulebook_sha256": rulebooks.sha256(rulebooks.to_document(origin.rulebook)),
                "statement": f"{origin.rulebook.method}.sql",
                "statement_sha256": digests.sha256_hex(statement(origin.rulebook.method).encode()),
                "contributions_sha256": _contributions_sha256(origin.contributions),
                **_voided_document(origin.voided),
                "files": [
                    {
                        "path": files[location].stored.path,
                        "sha256": files[location].stored.sha256.hex(),
                        "row_count": files[location].row_count,
                        "is_settled": location in origin.settled_locations,
                    }
                    for location in sorted(origin.locations)
                ],
            }
            for origin in origins
        ],
    }


@cache
def statement(method: str) -> str:
    """Read the SQL of a method, as it is published with every rule that uses it."""
    assert method in rulebooks.METHODS, "a rulebook names a method that there is"
    return _read(method)


def _read(name: str) -> str:
    return resources.files("service.splits").joinpath(f"sql/{name}.sql").read_text(encoding="utf-8")


def parameters(origin: Origin) -> list[Parameters]:
    """Turn a rulebook and the contributions into the small tables that the statement joins."""
    _check_contributions(origin.contributions)
    rule = origin.rulebook
    terms = (
        origin.period_id,
        rule.actor_creator_day_points,
        rule.excludes_self_engagement,
        rule.minimum_points,
        EVENT_POINTS_MAX,
        ACTOR_POINTS_MAX,
    )
    contributions = [
        (one.content_id, one.creator_id, one.from_at, one.until_at, one.share_bp)
        for one in origin.contributions
    ]
    return [
        Parameters("weights", _WEIGHTS, list(rule.weights.items())),
        Parameters("contributions", _CONTRIBUTIONS, contributions),
        Parameters("terms", _TERMS, [terms]),
    ]


def _check_contributions(contributions: Iterable[Contribution]) -> None:
    """Hold the law by which no points are made or lost on their way to contributors."""
    wholes: dict[tuple[str, datetime], int] = {}
    for one in contributions:
        key = (one.content_id, one.from_at)
        wholes[key] = wholes.get(key, 0) + one.share_bp
    assert all(total_bp == WHOLE_BP for total_bp in wholes.values()), "a content's shares make a whole"


def _contributions_sha256(contributions: Iterable[Contribution]) -> str:
    rows = [
        [
            one.content_id,
            one.creator_id,
            spans.to_text(one.from_at),
            None if one.until_at is None else spans.to_text(one.until_at),
            one.share_bp,
        ]
        for one in contributions
    ]
    return digests.digest_of(sorted(rows, key=lambda row: row[:3]))


def _voided_document(voided: Sequence[tuple[bytes, int]]) -> dict[str, Any]:
    """Describe what was left out as void, where anything was."""
    if not voided:
        return {}
    rows = [[identity.hex(), str(seq)] for identity, seq in voided]
    return {"voided_count": len(rows), "voided_sha256": digests.digest_of(sorted(rows))}


def _run(engine: Engine, origin: Origin, locations: Sequence[str]) -> list[Score]:
    files = _files(origin, COUNTED, locations)
    rows = engine.run(statement(origin.rulebook.method), files, parameters(origin))
    return list(_scores(rows, origin.period_id))


def _files(origin: Origin, columns: Columns, locations: Sequence[str]) -> Files:
    voided = Parameters("voided", _VOIDED, origin.voided) if origin.voided else None
    return Files("counted", columns, sorted(locations), voided)


def _scores(rows: Iterator[tuple[Any, ...]], origin_period_id: str) -> Iterator[Score]:
    """Fold the statement's rows, which come sorted by creator, into scores."""
    for creator_id, its_rows in groupby(rows, key=itemgetter(0)):
        counted: dict[str, Any] = {}
        excluded: dict[str, dict[str, Any]] = {}
        changed: dict[str, str] = {}
        points_e4, sum_e4 = 0, 0
        for _, clause, kind, events, quantity, text in its_rows:
            if clause == "total":
                points_e4 = int(text)
            elif clause in CHANGES:
                changed[clause] = text
                sum_e4 += int(text)
            else:
                line = {"events": events, "points_e4": text, "quantity": quantity}
                if clause == "counted":
                    counted[kind] = line
                    sum_e4 += int(text)
                else:
                    excluded.setdefault(clause, {})[kind] = line
        assert points_e4 == sum_e4, "a walk adds up to its points"
        walk = {"changed": changed, "counted": counted, "excluded": excluded}
        yield Score(creator_id, origin_period_id, points_e4, walk)


def _added(settled: Sequence[Score], all_scores: Sequence[Score]) -> Iterator[Score]:
    """Say what late events add to what is settled, creator by creator."""
    before = {one.creator_id: one for one in settled}
    after = {one.creator_id: one for one in all_scores}
    for creator_id in before.keys() | after.keys():
        one, other = after.get(creator_id), before.get(creator_id)
        some = one or other
        assert some is not None, "the creator is in one of the two"
        walk = _walk_difference(one.walk if one else _EMPTY, other.walk if other else _EMPTY)
        points_e4 = (one.points_e4 if one else 0) - (other.points_e4 if other else 0)
        if walk != _EMPTY:
            yield Score(creator_id, some.origin_period_id, points_e4, walk)


_EMPTY: Final[Mapping[str, Any]] = {"changed": {}, "counted": {}, "excluded": {}}


def _walk_difference(after: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    changed = {
        clause: str(moved_e4)
        for clause in CHANGES
        if (moved_e4 := int(after["changed"].get(clause, 0)) - int(before["changed"].get(clause, 0)))
    }
    excluded = {
        clause: lines
        for clause in sorted({*after["excluded"], *before["excluded"]})
        if (lines := _lines_difference(after["excluded"].get(clause, {}), before["excluded"].get(clause, {})))
    }
    counted = _lines_difference(after["counted"], before["counted"])
    return {"changed": changed, "counted": counted, "excluded": excluded}


_NOTHING: Final[Mapping[str, Any]] = {"events": 0, "points_e4": "0", "quantity": "0"}


def _lines_difference(after: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    lines = {}
    for kind in sorted({*after, *before}):
        one, other = after.get(kind, _NOTHING), before.get(kind, _NOTHING)
        if one != other:
            lines[kind] = {
                "events": one["events"] - other["events"],
                "points_e4": str(int(one["points_e4"]) - int(other["points_e4"])),
                "quantity": str(int(one["quantity"]) - int(other["quantity"])),
            }
    return lines
