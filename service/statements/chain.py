"""The chain of statements: which one shows an entry, and which one follows which. Pure.

Owns the rule. An entry belongs to the period that it names, else to the regular period in which it counts.
If that period was posted before the entry was recorded, its statement may be with people already, and the
entry belongs to the first regular period after it that was not posted by then, under its own date. Statements
follow each other in the order in which their periods were posted, so that history which is brought in later
comes after what was known before.

Laws: an entry belongs to one period at most, and to the same one for ever; once a period is posted, nothing
joins its statement or those before it; the opening balance of a statement is the closing balance of the one
before.
"""

from collections.abc import Sequence

from service.calendar.periods import Period
from service.ledger.journal import Recorded


def period_of(entry: Recorded, known: Sequence[Period]) -> Period | None:
    """Find the period whose statement shows an entry.

    Args: known: all periods of the platform, earliest first.
    Returns: None while the period in which it counts is not open yet.
    """
    named = next((one for one in known if one.id == entry.period_id), None)
    if named is not None and not _was_posted(named, entry):
        return named
    from_at = entry.effective_at if named is None else named.span.start_at
    return next(
        (
            one
            for one in known
            if not one.is_historic and one.span.end_at > from_at and not _was_posted(one, entry)
        ),
        None,
    )


def earlier(one: Period, known: Sequence[Period]) -> set[str]:
    """Name the periods whose statements come before that of a posted period."""
    return {other.id for other in known if other.posted_at is not None and _place(other) < _place(one)}


def _was_posted(one: Period, entry: Recorded) -> bool:
    """Tell whether a period had been posted when an entry was recorded; its own posting comes in time."""
    return one.posted_at is not None and one.posted_at < entry.recorded_at


def _place(one: Period) -> tuple[object, object]:
    return one.posted_at, one.span.start_at
