"""The whole loop by hand: a file of events in, a month split, booked, paid, a statement out."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run

_ROWS = """day,video,channel,category,views_delta,likes_delta,comments_delta
2026-09-01,v1,an,Music,600,10,0
2026-09-02,v1,an,Music,-100,0,2
2026-09-02,v2,binh,Gaming,300,0,0
2026-09-03,v3,chi,News,0,0,0
"""
"""An 516 + 30 (views 500, likes 10 x 3, comments 2 x 8) = 546 points, Bình 300, Chi nothing."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give a file in the form of daily counters, corrections included."""
    path = tmp_path / "daily.csv"
    path.write_text(_ROWS, encoding="utf-8")
    return path


def _import(ask: Callable[..., Any], file: Path) -> Any:
    return ask("events", "import", str(file), "--platform", "sen", "--mapping", "vn_video_daily")


def _posted(ask: Callable[..., Any], file: Path) -> None:
    _import(ask, file)
    of = ("--platform", "sen", "--period", "2026-09")
    ask("revenue", "record", *of, "--stream", "ads", "--reference", "r1", "--gross", "1000000000")
    ask("period", "close", *of, "--as", "lan")
    ask("period", "approve", *of, "--as", "minh")
    ask("period", "post", *of, "--as", "lan")


def test_a_month_goes_from_a_file_to_statements(ask: Callable[..., Any], network: str, file: Path) -> None:
    """The sum of all shares is the pool to the dong, the audit is clean, every statement ties."""
    _posted(ask, file)
    shares = ask(
        "export", "shares", "--platform", network, "--period", "2026-09", "--output", str(file) + ".out"
    )
    rows = list(csv.DictReader(io.StringIO(Path(shares["file"]).read_text(encoding="utf-8"))))
    statements = [
        json.loads(_text(ask, "statement", "--platform", "sen", "--period", "2026-09", "--creator", creator))
        for creator in ("an", "binh")
    ]

    amounts = {(row["party_kind"], row["party_id"]): int(row["amount"]) for row in rows}
    # 700,000,000 x 546 / 846 = 451,773,049.6..., the rest to Bình.
    assert {
        ("platform", "sen"): 300_000_000,
        ("creator", "an"): 451_773_050,
        ("creator", "binh"): 248_226_950,
    } == amounts
    closing = [one["values"]["closing"]["payable_minor"] for one in statements]
    assert [451_773_050, 248_226_950] == closing
    assert 0 == ask("audit")["finding_count"]
    assert [] == ask("recompute", "--platform", "sen", "--period", "2026-09")["differences"]


def _text(ask: Callable[..., Any], *arguments: str) -> str:
    return json.dumps(ask(*arguments))


def test_importing_the_same_file_again_changes_nothing(
    ask: Callable[..., Any], network: str, file: Path
) -> None:
    """It says what it brought before and brings nothing."""
    first, again = _import(ask, file), _import(ask, file)

    assert (5, 5, 0) == (first["accepted_count"], first["taken_count"], again["taken_count"])


def test_payouts_go_out_after_a_second_persons_approval(
    ask: Callable[..., Any], network: str, file: Path
) -> None:
    """Only creators with an account are paid; for the others it says why not."""
    _posted(ask, file)
    ask("payouts", "payee", "an", "--platform", "sen", "--account", "970415008888", "--holder", "AN")
    due = {one["creator_id"]: one["verdict"] for one in ask("payouts", "due", "--platform", "sen")}
    ask("payouts", "fund", "--platform", "sen", "--amount", "500000000", "--reference", "f1")
    batch = ask("payouts", "run", "--platform", "sen", "--as", "lan")["batch"]
    ask("payouts", "approve", "--platform", "sen", "--batch", batch["id"], "--as", "minh")
    sent = ask("payouts", "run", "--platform", "sen", "--as", "lan")["sent"]
    (payout,) = ask("payouts", "status", "--platform", "sen", "--batch", batch["id"])

    assert {"an": "payable", "binh": "no_payee"} == due
    assert (1, 451_773_050, "sent") == (sent["sent"], payout["amount_minor"], payout["state"])


def test_a_statement_verifies_and_a_forged_one_does_not(
    ask: Callable[..., Any], run: Run, network: str, file: Path, tmp_path: Path
) -> None:
    """Exit code 1 and the difference, for one dong more."""
    _posted(ask, file)
    genuine = tmp_path / "statement.json"
    run("statement", *_of("an"), "--format", "json", "--output", str(genuine))
    forged = tmp_path / "forged.json"
    forged.write_text(genuine.read_text(encoding="utf-8").replace("451773050", "451773051"), encoding="utf-8")

    assert (0, 1) == (run("verify", str(genuine)).exit_code, run("verify", str(forged)).exit_code)


def _of(creator: str) -> tuple[str, ...]:
    return ("--platform", "sen", "--period", "2026-09", "--creator", creator)


def test_a_statement_in_csv_speaks_the_chosen_language(
    ask: Callable[..., Any], run: Run, network: str, file: Path
) -> None:
    """The labels differ, the figures do not."""
    _posted(ask, file)
    tables = {}
    for locale in ("vi", "en"):
        text = run("statement", *_of("an"), "--locale", locale).stdout.lstrip("\ufeff")
        tables[locale] = list(csv.DictReader(io.StringIO(text)))

    assert [row["amount"] for row in tables["vi"]] == [row["amount"] for row in tables["en"]]
    assert tables["vi"][1]["description"] != tables["en"][1]["description"]
