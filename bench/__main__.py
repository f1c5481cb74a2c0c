"""`make bench`: run the benchmarks, print a table, write var/bench.json."""

import json
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from bench import books, close, core, events, reads, settling
from bench.figures import Figure
from bench.stage import Stage, built

BENCHMARKS: dict[str, Callable[[Stage], list[Figure]]] = {
    "apportion": core.measure_apportion,
    "intake": events.measure_intake,
    "intake-history": events.measure_history,
    "compaction": settling.measure_compaction,
    "seal": settling.measure_seal,
    "post-100k": books.measure_post,
    "post-hot": books.measure_hot,
    "balance-read": books.measure_balance,
    "earnings-read": reads.measure_earnings,
    "close-pro-rata": close.measure_close,
}


@click.command()
@click.option("--only", type=click.Choice(sorted(BENCHMARKS)), multiple=True, help="One of them; repeatable.")
@click.option("--scale", default=1.0, show_default=True, help="A part of the full size, to see that it runs.")
@click.option("--output", type=click.Path(path_type=Path), default=Path("var/bench.json"), show_default=True)
def main(only: tuple[str, ...], scale: float, output: Path) -> None:
    """Measure; a figure that misses its bar is shown, and fails nothing."""
    console = Console()
    figures: list[Figure] = []
    with built(scale) as stage:
        for name, measure in BENCHMARKS.items():
            if not only or name in only:
                console.print(f"{name} ...")
                figures += measure(stage)
    table = Table("name", "unit", "value", "baseline", "ratio", "bar", "holds")
    for one in figures:
        cells = (f"{one.value:,.0f}", f"{one.baseline:,.0f}", f"{one.ratio:.2f}", f"{one.bar:.2f}")
        table.add_row(one.name, one.unit, *cells, "yes" if one.holds else "no")
    console.print(table)
    for one in figures:
        if one.note:
            console.print(f"{one.name}: {one.note}", highlight=False)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps([one.document() for one in figures], indent=2) + "\n", encoding="utf-8")


main()
