"""What a command prints and how it ends: tables for people, JSON for programs, one exit code a kind of end.

Exit codes: 0 done, 1 a check failed, 2 usage or bad input, 3 unavailable. Results go to stdout, everything
else to stderr; a progress bar is drawn on a terminal only.
"""

import functools
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any, NoReturn, ParamSpec

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from service.core.errors import Fault, Unavailable
from service.core.spans import to_text

DONE, CHECK_FAILED, BAD_INPUT, UNAVAILABLE = 0, 1, 2, 3

P = ParamSpec("P")

errors = Console(stderr=True, highlight=False, soft_wrap=True)


def command(group: click.Group | None, name: str) -> Callable[[Callable[..., None]], click.Command]:
    """Make a function a command with `--json` and the right exit code; add it to `group` if there is one."""

    def register(act: Callable[..., None]) -> click.Command:
        @functools.wraps(act)
        def run(*args: Any, **kwargs: Any) -> None:
            with exits():
                act(*args, **kwargs)

        shown = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(run)
        made = click.command(name)(shown)
        if group is not None:
            group.add_command(made)
        return made

    return register


@contextmanager
def exits() -> Iterator[None]:
    """Turn an expected fault into a clear message on stderr and its exit code."""
    try:
        yield
    except Unavailable as fault:
        _refuse(fault, UNAVAILABLE)
    except Fault as fault:
        _refuse(fault, BAD_INPUT)
    except BrokenPipeError:
        # The reader of our output has gone, as `head` does: that is no error of the command.
        sys.stderr.close()
        sys.exit(DONE)


def show(value: object, as_json: bool, *, columns: Sequence[str] | None = None) -> None:
    """Print one result.

    Args:
        value: a dataclass, a mapping, or a sequence of them.
        columns: for people: which members to show, in this order.
    """
    plain = to_plain(value)
    if as_json:
        click.echo(json.dumps(plain, ensure_ascii=False, indent=2))
    elif isinstance(plain, list):
        _show_rows(plain, columns)
    else:
        _show_one(plain)


def to_plain(value: object) -> Any:
    """Turn values of the service into JSON values: dataclasses to objects, instants to text, ids to text."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: to_plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_plain(one) for one in value]
    return _to_scalar(value)


def _to_scalar(value: object) -> str | int | None:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, datetime):
        return to_text(value)
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, (str, int)) or value is None else str(value)


def say(text: str) -> None:
    """Tell people what goes on, on stderr."""
    errors.print(text, markup=False)


def fail(text: str, code: int = CHECK_FAILED) -> NoReturn:
    """Say why, and end with `code`."""
    errors.print(text, style="red", markup=False)
    sys.exit(code)


@contextmanager
def progress(title: str) -> Iterator[Callable[[int, int | None], None]]:
    """Draw a bar on a terminal while long work goes on; elsewhere draw nothing.

    Yields:
        A function to call with what is done and, when it is known, what there is in all.
    """
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=errors, disable=not errors.is_terminal, transient=True) as bar:
        task = bar.add_task(title, total=None)

        def report(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)

        yield report


def _refuse(fault: Fault, code: int) -> NoReturn:
    errors.print(f"{fault.title}: {fault.detail}", style="red", markup=False)
    for one in fault.errors:
        errors.print(f"  {one.pointer or '/'}: {one.detail}", markup=False)
    sys.exit(code)


def _show_rows(rows: list[Any], columns: Sequence[str] | None) -> None:
    if not rows:
        say("There are none.")
        return
    names = list(columns or rows[0])
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        is_number = isinstance(rows[0].get(name), int) and not isinstance(rows[0].get(name), bool)
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(name)) for name in names))
    Console(highlight=False, soft_wrap=not sys.stdout.isatty()).print(table, markup=False)


def _show_one(plain: Any) -> None:
    if not isinstance(plain, dict):
        click.echo(plain)
        return
    width = max((len(name) for name in plain), default=0)
    for name, value in plain.items():
        click.echo(f"{name:<{width}}  {_cell(value)}")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
