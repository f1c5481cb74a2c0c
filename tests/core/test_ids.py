"""Identifiers: new ones sort by time, derived ones come back the same."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.core import ids
from service.core.digests import framed, sha256

NOW = datetime(2026, 11, 21, 13, 0, tzinfo=UTC)
INSTANTS = st.datetimes(datetime(1970, 1, 1), datetime(2199, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
BYTES = st.binary(min_size=8, max_size=8)


def test_a_new_id_is_laid_out_as_the_standard_says():
    """The example of RFC 9562 appendix A.6: its instant and its random tail, with no sub-millisecond part."""
    now = datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)

    made = ids.new(now, {8: bytes.fromhex("18c4dc0c0c07398f")}.__getitem__)

    assert uuid.UUID("017f22e2-79b0-7000-98c4-dc0c0c07398f") == made


def test_a_new_id_carries_the_microsecond_after_the_version():
    """999 of 1000 microseconds are 4091 of 4096 parts of the millisecond."""
    made = ids.new(NOW + timedelta(microseconds=999), lambda size: b"\0" * size)

    assert f"7{4091:03x}" == str(made).split("-")[2]


def test_two_new_ids_of_one_instant_differ():
    """The default entropy is the system's."""
    assert ids.new(NOW) != ids.new(NOW)


def test_an_instant_before_1970_has_no_id():
    """The layout counts from 1970; the clock of the service is wrong."""
    with pytest.raises(AssertionError):
        ids.new(datetime(1970, 1, 1, tzinfo=UTC) - timedelta(microseconds=1))


@given(INSTANTS, INSTANTS, BYTES, BYTES)
def test_new_ids_sort_by_time(earlier, later, some, others):
    """Law: whatever the random bits, the later microsecond has the greater id."""
    one, other = ids.new(earlier, lambda _: some), ids.new(later, lambda _: others)

    assert (7, uuid.RFC_4122) == (one.version, one.variant)
    if earlier != later:
        assert (earlier < later) == (one < other) == (str(one) < str(other))


@given(INSTANTS, BYTES, BYTES)
@example(NOW + timedelta(microseconds=999), b"\xff" * 8, b"\0" * 8)
def test_neighbouring_microseconds_sort_too(now, some, others):
    """Law: the nearest two instants are told apart."""
    assert ids.new(now, lambda _: some) < ids.new(now + timedelta(microseconds=1), lambda _: others)


def test_a_derived_id_is_the_digest_of_its_parts():
    """The layout never changes: a retried act must find what the first try stored."""
    digest = sha256(framed(b"payout", "một".encode())).hex()

    made = ids.derived("payout", "một")

    assert (digest[:12], "8" + digest[13:16], digest[17:32]) == (
        made.hex[:12],
        made.hex[12:16],
        made.hex[17:],
    )
    assert (8, uuid.RFC_4122) == (made.version, made.variant)
    assert uuid.UUID("bb101189-50b8-8a29-baec-536168a2b388") == made


@given(
    st.lists(st.text(max_size=3), min_size=1, max_size=3),
    st.lists(st.text(max_size=3), min_size=1, max_size=3),
)
def test_derived_ids_are_equal_only_for_equal_parts(parts, others):
    """Law: the same parts come back to the same id, and a moved cut does not."""
    one, other = ids.derived(*parts), ids.derived(*others)

    assert (parts == others) == (one == other)
    assert (8, uuid.RFC_4122) == (one.version, one.variant)


def test_an_id_is_not_derived_from_nothing():
    """It would be the same for everything."""
    with pytest.raises(AssertionError):
        ids.derived()
