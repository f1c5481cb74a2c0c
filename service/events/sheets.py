"""Sheets: what a file of any form is read as, rows of text under named columns, and what a bad one gives."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from service.core.errors import FieldError, Invalid
from service.events.mapping import Row


class BadFile(Invalid):
    """The file cannot be imported as it is."""

    slug = "bad-file"
    title = "The file cannot be imported"


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read."""

    number: int
    line: int
    error: FieldError


@dataclass(frozen=True, slots=True)
class Sheet:
    """An open file: the names of its columns, its rows, and how far into the file they have been read."""

    columns: tuple[str, ...]
    rows: Iterator[Row | BadRow]
    offset_bytes: Callable[[], int]
