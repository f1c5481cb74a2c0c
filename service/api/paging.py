"""Pages: keyset cursors that say nothing to their holder and survive inserts.

A cursor is signed and bound to its operation and platform, so that it opens nothing else and cannot be made
up. Law: following `next` from the first page shows every item that was there from the start exactly once.
"""

import base64
import binascii
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from service.api.answers import Answer
from service.core.errors import Unreadable

LIMIT_MAX: Final = 200
LIMIT_DEFAULT: Final = 50

_TAG_BYTES: Final = 16

T = TypeVar("T")


class CursorUnusable(Unreadable):
    """The cursor was not made by this service for this list."""

    slug = "cursor-unusable"
    title = "The cursor cannot be used"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What part of a list is asked for: at most `limit` items after `after` (None: from the beginning)."""

    after: Any
    limit: int
    purpose: bytes
    pepper: bytes = field(repr=False)

    @property
    def after_uuid(self) -> uuid.UUID | None:
        """The place of a list that is ordered by UUID."""
        return None if self.after is None else uuid.UUID(self.after)


def page_of(cursor: str | None, limit: int, *, purpose: str, pepper: bytes) -> Page:
    """Read a cursor that `answer` made for the same purpose.

    Args:
        purpose: names the list: operation, platform and filters.
        pepper: the service's own key.

    Raises:
        CursorUnusable: any other cursor.
    """
    bound = purpose.encode()
    after = None if cursor is None else _open(cursor, bound, pepper)
    return Page(after=after, limit=limit, purpose=bound, pepper=pepper)


def answer(
    page: Page, found: Sequence[T], show: Callable[[T], Any], place: Callable[[T], Any], **members: Any
) -> Answer:
    """Answer with a page of a list.

    Args:
        found: up to one item more than the page's limit, read after the page's place, in the list's order.
        show: writes an item as JSON.
        place: gives an item's place in the order, as a JSON value.
        members: further members of the document.
    """
    shown = found[: page.limit]
    following = _seal(place(shown[-1]), page) if len(found) > page.limit else None
    return Answer(value={"items": [show(one) for one in shown], "next": following, **members})


def cut(page: Page, whole: Sequence[T], place: Callable[[T], Any]) -> list[T]:
    """Take the items of a page, and one more, from a short list that was read whole, by place."""
    after = page.after
    rest = [one for one in whole if after is None or place(one) > after]
    # Sorted here, since the database's own order of texts may be another than Python's.
    return sorted(rest, key=place)[: page.limit + 1]


def _seal(place: Any, page: Page) -> str:
    body = json.dumps(place, ensure_ascii=False, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_tag(body, page.purpose, page.pepper) + body).rstrip(b"=").decode()


def _open(cursor: str, purpose: bytes, pepper: bytes) -> Any:
    refusal = CursorUnusable("The cursor is not one of this list; take `next` of its last page, unchanged.")
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise refusal from None
    tag, body = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
    if not hmac.compare_digest(tag, _tag(body, purpose, pepper)):
        raise refusal
    return json.loads(body)


def _tag(body: bytes, purpose: bytes, pepper: bytes) -> bytes:
    message = len(purpose).to_bytes(4, "big") + purpose + body
    return hmac.new(pepper, b"cursor" + message, hashlib.sha256).digest()[:_TAG_BYTES]
