"""History by hand: a file into a backfill, looked at, approved by another person, in, and posted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run

_ROWS = """day,video,channel,category,views_delta,likes_delta,comments_delta
2025-03-01,v1,an,Music,600,10,0
2025-03-02,v2,binh,Gaming,300,0,0
2025-05-01,v2,binh,Gaming,300,0,0
"""
_OF = ("--platform", "sen")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give a file in the form of daily counters; its last day lies outside of the span."""
    path = tmp_path / "daily.csv"
    path.write_text(_ROWS, encoding="utf-8")
    return path


def _begin(ask: Callable[..., Any]) -> str:
    rulebook = ask("rulebook", "show", *_OF)["sha256"]
    span = ("--from", "2025-03-01", "--until", "2025-04-01", "--rulebook", rulebook)
    made: str = ask("backfill", "create", *_OF, *span, "--reason", "the old system", "--as", "lan")["id"]
    return made


def _import(ask: Callable[..., Any], file: Path, backfill_id: str) -> Any:
    mapping = ("--mapping", "vn_video_daily", "--backfill", backfill_id)
    return ask("events", "import", str(file), *_OF, *mapping)


def test_a_file_of_history_goes_into_the_books(ask: Callable[..., Any], network: str, file: Path) -> None:
    """An 630 points, Bình 300; 700,000 dong are divided by them."""
    backfill_id = _begin(ask)
    imported, again = _import(ask, file, backfill_id), _import(ask, file, backfill_id)
    submitted = ask("backfill", "submit", backfill_id, *_OF, "--as", "lan")
    seen = ask("backfill", "preview", backfill_id, *_OF)
    totals = ("--events", str(submitted["accepted_count"]), "--digest", submitted["batches_sha256"])
    ask("backfill", "approve", backfill_id, *_OF, *totals, "--as", "minh")
    committed = ask("backfill", "commit", backfill_id, *_OF, "--as", "lan")
    period = (*_OF, "--period", "2025-03")
    ask("revenue", "record", *period, "--stream", "ads", "--reference", "r1", "--gross", "1000000")
    ask("period", "close", *period, "--as", "lan")
    ask("period", "approve", *period, "--as", "minh")
    posted = ask("period", "post", *period, "--as", "lan")

    assert (3, {"no_period": 1}, 0) == (
        imported["accepted_count"],
        imported["rejected"],
        again["taken_count"],
    )
    assert [("2025-03", "9300000")] == [(one["period"], one["points_e4"]) for one in seen["periods"]]
    assert ("committed", "posted", True) == (committed["state"], posted["state"], posted["is_historic"])
    walks = {one["creator"]: one["points_e4"] for one in seen["creators"]}
    assert {"an": "6300000", "binh": "3000000"} == walks
    assert 0 == ask("audit")["finding_count"]
    assert [] == ask("recompute", *period)["differences"]
    assert [(backfill_id, "committed")] == [
        (one["id"], one["state"]) for one in ask("backfill", "list", *_OF)
    ]


def test_a_file_may_go_into_another_backfill_after_the_first_was_dropped(
    ask: Callable[..., Any], network: str, file: Path
) -> None:
    """Each has a progress of its own; one that was dropped takes nothing."""
    first = _begin(ask)
    _import(ask, file, first)
    dropped = ask("backfill", "drop", first, *_OF, "--as", "lan")
    second = _import(ask, file, _begin(ask))

    assert ("dropped", 3, 3) == (dropped["state"], dropped["accepted_count"], second["taken_count"])


def test_what_cannot_be_done_is_said(run: Run, ask: Callable[..., Any], network: str, file: Path) -> None:
    """In a clear line, with exit code 2."""
    backfill_id = _begin(ask)
    approval = ("--events", "1", "--digest", "0" * 64, "--as", "minh")
    span = ("--from", "2026-09-01", "--until", "2026-10-01", "--rulebook", "0" * 64)
    for arguments, said in (
        (("submit", backfill_id, "--as", "lan"), "holds no accepted event"),
        (("approve", backfill_id, *approval), "is open and does not become approved"),
        (("commit", backfill_id, "--as", "lan"), "is open and does not become committed"),
        (("create", *span, "--reason", "x", "--as", "lan"), "no rulebook"),
    ):
        result = run("backfill", *arguments, *_OF)
        assert (2, True) == (result.exit_code, said in result.stderr), result.stderr
