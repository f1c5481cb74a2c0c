"""Identities and fingerprints: names that never meet by accident, and what counts as the same."""

from hashlib import blake2b

from hypothesis import given
from hypothesis import strategies as st

from service.core.digests import INTEGER_MAX, canonical_json, framed
from service.events.identities import attributes_text, fingerprint_of, identity_of

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
FIELDS = st.tuples(
    TEXT,
    TEXT,
    TEXT,
    st.integers(0, 2**52),
    TEXT,
    st.none() | TEXT,
    st.none() | TEXT,
    st.integers(-(10**9), 10**9),
)


def test_parts_of_an_identity_cannot_slide_into_each_other() -> None:
    """A joined text would give these two one name."""
    assert identity_of("app-1", "2") != identity_of("app", "1-2")


@given(TEXT, TEXT)
def test_an_identity_is_the_digest_of_its_frames(source: str, event_id: str) -> None:
    """Anyone can compute it again."""
    expected = blake2b(framed(source.encode(), event_id.encode()), digest_size=16).digest()

    assert expected == identity_of(source, event_id)


@given(FIELDS)
def test_a_fingerprint_is_the_digest_of_canonical_json(
    fields: tuple[str, str, str, int, str, str | None, str | None, int],
) -> None:
    """Anyone can compute it again, with any writer of canonical JSON."""
    expected = blake2b(canonical_json(fields), digest_size=16).digest()

    assert expected == fingerprint_of(*fields)


@given(FIELDS, FIELDS)
def test_only_equal_events_share_a_fingerprint(
    one: tuple[str, str, str, int, str, str | None, str | None, int],
    other: tuple[str, str, str, int, str, str | None, str | None, int],
) -> None:
    """Every field that counts is in it; absent is not empty."""
    assert (one == other) == (fingerprint_of(*one) == fingerprint_of(*other))


@given(
    FIELDS,
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_]{0,31}", fullmatch=True),
        TEXT | st.booleans() | st.integers(-INTEGER_MAX, INTEGER_MAX),
        min_size=1,
        max_size=5,
    ),
)
def test_attributes_are_in_the_fingerprint_as_canonical_json(
    fields: tuple[str, str, str, int, str, str | None, str | None, int],
    attributes: dict[str, str | int | bool],
) -> None:
    """A ninth member, whatever the order in which they were written."""
    expected = blake2b(canonical_json((*fields, attributes)), digest_size=16).digest()

    assert expected == fingerprint_of(*fields, attributes)
    assert expected == fingerprint_of(*fields, dict(reversed(attributes.items())))
    assert canonical_json(attributes).decode() == attributes_text(attributes)


def test_a_fingerprint_without_attributes_is_what_it_was_before_there_were_any() -> None:
    """Written down from an earlier version: verdicts of sealed periods hold such digests."""
    known = "ac22c01a4882453275 39c7b76024d025".replace(" ", "")
    at_us = 1_795_195_800_500_000

    assert known == fingerprint_of("app", "e-1", "view", at_us, "c-1", None, "u-1", -3).hex()
    assert known == fingerprint_of("app", "e-1", "view", at_us, "c-1", None, "u-1", -3, {}).hex()
    assert None is attributes_text({})


def test_absent_is_not_empty() -> None:
    """No content and an empty one differ, as do their neighbours."""
    absent = fingerprint_of("s", "i", "t", 0, "c", None, "", 1)

    assert absent != fingerprint_of("s", "i", "t", 0, "c", "", None, 1)
