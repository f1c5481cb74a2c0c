"""A long history of periods, some at a time: the latest first, each page led to by the one before. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.calendar.periods import Period

SHOWN = 12


@dataclass(frozen=True, slots=True)
class Chapter:
    """Some periods, the latest first; the next chapter is before `before_id`, unless that is None."""

    periods: Sequence[Period]
    before_id: str | None


def chapter(known: Sequence[Period], before: Period | None, *, size: int = SHOWN) -> Chapter:
    """Choose the latest periods, or the latest of those that are earlier than one.

    Args:
        known: earliest first.
    """
    latest_first = [
        one for one in reversed(known) if before is None or one.span.start_at < before.span.start_at
    ]
    shown = latest_first[:size]
    return Chapter(shown, shown[-1].id if len(latest_first) > len(shown) else None)
