"""Identities and fingerprints: names that never meet by accident, and what counts as the same."""

from hashlib import blake2b

from hypothesis import given
from hypothesis import strategies as st

from service.core.digests import canonical_json, framed
from service.events.identities import fingerprint_of, identity_of

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


def test_absent_is_not_empty() -> None:
    """No content and an empty one differ, as do their neighbours."""
    absent = fingerprint_of("s", "i", "t", 0, "c", None, "", 1)

    assert absent != fingerprint_of("s", "i", "t", 0, "c", "", None, 1)
