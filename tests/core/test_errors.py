"""Faults: every refusal says what, why and where, and is listed once."""

import gc

import pytest

from service.core import apportion, currencies, digests, money, spans
from service.core.errors import (
    Conflict,
    Fault,
    FieldError,
    Forbidden,
    Invalid,
    NotFound,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Unreadable,
    catalogue,
)


def test_a_fault_carries_its_sentence_its_fields_and_its_extras():
    """What is raised is what the problem document will say."""
    wrong = FieldError("/amount_minor", "It is negative; give zero or more.")

    fault = Invalid("The amount is negative.", errors=[wrong], amount_minor=-1)

    assert "The amount is negative." == fault.detail == str(fault)
    assert (wrong,) == fault.errors
    assert {"amount_minor": -1} == fault.extra


def test_a_fault_needs_neither_fields_nor_extras():
    """A refusal of the whole has no field to point at."""
    fault = NotFound("There is no such period.")

    assert () == fault.errors
    assert {} == fault.extra


@pytest.mark.parametrize(
    ("kind", "status", "slug"),
    [
        (Unreadable, 400, "unreadable"),
        (Unauthenticated, 401, "unauthenticated"),
        (Forbidden, 403, "forbidden"),
        (NotFound, 404, "not-found"),
        (Conflict, 409, "state-conflict"),
        (TooLarge, 413, "too-large"),
        (Invalid, 422, "invalid-input"),
        (Unavailable, 503, "unavailable"),
    ],
)
def test_a_common_fault_has_its_status_and_slug(kind, status, slug):
    """Clients switch on these; they never change."""
    assert (status, slug) == (kind.status, kind.slug)


def test_the_catalogue_lists_narrower_kinds_sorted_by_slug():
    """A room's own fault is listed beside the common ones, and the base is not."""
    kinds = catalogue()

    assert {
        apportion.NothingToShareBy,
        currencies.UnknownCurrency,
        digests.NotCanonical,
        money.BadAmount,
        spans.BadPeriodName,
        Invalid,
    } < set(kinds)
    assert Fault not in kinds
    assert sorted(kind.slug for kind in kinds) == [kind.slug for kind in kinds]


def test_every_fault_in_the_catalogue_can_be_rendered():
    """A kind without an HTTP status of an error, a kebab-case slug or a title could not be answered with."""
    for kind in catalogue():
        assert 400 <= kind.status <= 599
        assert kind.slug.replace("-", "").isalpha()
        assert kind.slug == kind.slug.lower()
        assert kind.title


def test_a_fault_of_two_kinds_is_listed_once():
    """A kind that derives from two others is one kind."""

    def count() -> int:
        class GoneAndShut(NotFound, Conflict):
            slug = "gone-and-shut"

        return catalogue().count(GoneAndShut)

    times = count()
    gc.collect()  # The class above is forgotten, so that no other test meets it.

    assert 1 == times


def test_a_slug_that_names_two_kinds_is_caught():
    """A kind that forgets to take a slug of its own would answer under its parent's name."""

    def outcome() -> str:
        class Nameless(NotFound):
            pass

        try:
            catalogue()
        except AssertionError as caught:
            return f"{Nameless.__name__}: {caught}"
        return "not caught"

    said = outcome()
    gc.collect()  # The class above is forgotten, so that no other test meets it.

    assert said.startswith("Nameless: two kinds of fault share a slug")
