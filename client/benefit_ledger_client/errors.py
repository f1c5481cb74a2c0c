"""What can go wrong, in the words of whoever sends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class LedgerError(Exception):
    """Whatever this package raises by itself."""


class BadEvent(LedgerError, ValueError):
    """The event cannot be sent as it is; it was not taken."""


class Closed(LedgerError):
    """The sender was closed; the event was not taken."""


class SpoolFull(LedgerError):
    """The spool holds as much as it may; the event was not taken. It empties once the service is back."""


class Unavailable(LedgerError):
    """The service could not be reached, or said that it cannot at present, for all the time that was given.

    Whether it acted is not known. The same call can be made again.
    """


class Undelivered(LedgerError, TimeoutError):
    """Time was up before all was received. What is left stays in the spool and is sent later."""

    def __init__(self, batch_count: int) -> None:
        """Say how many batches are left."""
        super().__init__(f"{batch_count} batches are in the spool yet, and will be sent later")
        self.batch_count = batch_count


class Problem(LedgerError):
    """The service refused a call, and would again.

    `document` is its problem document (RFC 9457), with `type`, `detail` and `errors`; empty where the answer
    was none, such as a page of a proxy.
    """

    def __init__(self, status: int, document: Mapping[str, Any]) -> None:
        """Keep the answer."""
        words = document.get("detail") or document.get("title") or "the service refused"
        super().__init__(f"{status} {document.get('type', '')}: {words}")
        self.status = status
        self.document = document


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event that the service did not take, and why.

    Args:
        event: as it was sent; a text where what was sent is no JSON object.
        index: its place in its batch, from 0.
        id: its id, where the service could read one.
        code: the reason as a word, such as `unknown_creator`; `refused` if the whole batch was.
        errors: `pointer` and `detail` of each fault.
        batch_id: of the receipt; empty if the whole batch was refused.
    """

    event: Mapping[str, Any] | str
    index: int
    id: str | None
    code: str
    errors: tuple[Mapping[str, str], ...]
    batch_id: str


class EventsRejected(LedgerError):
    """The service did not take some events; all others are received.

    `rejected` lists them. An id that was rejected is not used up: repair the event and send it again. `files`
    are those of the spool that hold the same list, which are yours to remove; none for `Client.post`.
    """

    def __init__(self, rejected: Sequence[Rejected], files: Sequence[str] = ()) -> None:
        """Keep the list."""
        first = rejected[0]
        reason = "; ".join(f"{one.get('pointer', '')} {one.get('detail', '')}" for one in first.errors)
        more = f", and {len(rejected) - 1} more" if len(rejected) > 1 else ""
        super().__init__(f"rejected: {first.id} at {first.index} ({first.code}: {reason.strip()}){more}")
        self.rejected = tuple(rejected)
        self.files = tuple(files)
