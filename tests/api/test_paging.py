"""Cursors: sealed to their list, and pages that show everything once."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api import paging
from service.api.paging import CursorUnusable, Page

PEPPER = b"p" * 32


def page(cursor: str | None = None, limit: int = 2, purpose: str = "list") -> Page:
    """Read a page of the list `list`."""
    return paging.page_of(cursor, limit, purpose=purpose, pepper=PEPPER)


def answered(wanted: Page, whole: list[Any]) -> dict[str, Any]:
    """Answer with the page of a whole list that is sorted by itself."""
    found = paging.cut(wanted, whole, lambda one: one)
    value: dict[str, Any] = paging.answer(wanted, found, lambda one: one, lambda one: one).value
    return value


@given(st.lists(st.integers(), unique=True).map(sorted), st.integers(1, 5))
def test_following_next_shows_everything_once(whole: list[int], limit: int) -> None:
    """Law: the pages of a list are the list."""
    shown, cursor = [], None
    for _ in range(len(whole) + 1):
        value = answered(page(cursor, limit), whole)
        shown += value["items"]
        cursor = value["next"]
        if cursor is None:
            break

    assert whole == shown


def test_a_page_that_ends_the_list_has_no_next() -> None:
    """A client stops at null, without another request."""
    assert answered(page(limit=2), [1, 2]) == {"items": [1, 2], "next": None}


def test_an_item_that_is_inserted_behind_the_cursor_is_not_shown_again() -> None:
    """A cursor is a place in the order, not a count."""
    cursor = answered(page(limit=2), [10, 20, 30])["next"]

    assert answered(page(cursor), [5, 10, 15, 20, 30]) == {"items": [30], "next": None}


@pytest.mark.parametrize("place", [7, "text", ["2026-10-01T00:00:00Z", "ab"]])
def test_a_place_survives_the_cursor(place: Any) -> None:
    """Places are JSON values of any shape that a list needs."""
    answer = paging.answer(page(limit=1), [0, 1], lambda one: one, lambda _one: place)

    assert place == page(answer.value["next"]).after


def cursor() -> str:
    """Make a cursor of the list `list`."""
    made: str = answered(page(limit=1), [1, 2])["next"]
    return made


def tampered() -> str:
    """Make a cursor whose place was changed."""
    raw = bytearray(base64.urlsafe_b64decode(cursor() + "=="))
    raw[-1] ^= 1
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "text", [tampered(), cursor()[:-1], cursor() + "A", "AAAA", "a", "%", "é", "null", cursor()[:10]]
)
def test_a_cursor_that_was_touched_is_refused(text: str) -> None:
    """Nobody makes up a place."""
    with pytest.raises(CursorUnusable):
        page(text)


def test_the_cursor_of_another_list_is_refused() -> None:
    """A cursor opens the list that made it, with the filters that it had."""
    with pytest.raises(CursorUnusable):
        page(cursor(), purpose="list\nstate=paid")


def test_a_cursor_that_another_service_signed_is_refused() -> None:
    """The key is the service's own."""
    with pytest.raises(CursorUnusable):
        paging.page_of(cursor(), 2, purpose="list", pepper=b"q" * 32)
