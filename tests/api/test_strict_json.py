"""The strict loader: what is JSON for everybody is read, everything on which readers differ is refused."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api import strict_json
from service.core.errors import Invalid, TooLarge, Unreadable

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-strict_json.INTEGER_MAX, strict_json.INTEGER_MAX)
    | st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")), inner, max_size=4
        )
    ),
    max_leaves=20,
)

UNREADABLE = {
    "an open brace": b"{",
    "nothing": b"",
    "blanks": b"  ",
    "two documents": b"{} {}",
    "100,000 open brackets": b"[" * 100_000,
    "one level too many": b"[" * 33 + b"]" * 33,
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "UTF-16 without a mark": '{"a": 1}'.encode("utf-16-le"),
    "Latin-1": '{"a": "é"}'.encode("latin-1"),
    "a member named twice": b'{"weight": 1, "weight": 1000000}',
    "a member named twice, once escaped": b'{"a": 1, "\\u0061": 2}',
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": Infinity}',
    "-Infinity": b'{"a": -Infinity}',
    "a comment": b'{"a": 1} // why',
    "a trailing comma": b'{"a": 1,}',
    "single quotes": b"{'a': 1}",
    "a raw line feed in a text": b'{"a": "x\ny"}',
    "a leading zero": b'{"a": 01}',
    "a plus sign": b'{"a": +1}',
    "full-width digits": '{"a": １２}'.encode(),
}

INVALID = {
    "a fraction": (b'{"a": 1.5}', "/a"),
    "a fraction of zero": (b'{"a": 1.0}', "/a"),
    "an exponent": (b'{"a": 1E2}', "/a"),
    "a huge exponent": (b'{"a": 1e400}', "/a"),
    "one more than 64 bits hold": (b'{"a": 9223372036854775808}', "/a"),
    "one less than 64 bits hold": (b'{"a": -9223372036854775808}', "/a"),
    "5,000 digits": (b'{"a": ' + b"9" * 5_000 + b"}", "/a"),
    "a lone high surrogate": (b'{"a": ["x", "\\ud800"]}', "/a/1"),
    "a lone low surrogate": (b'{"a": "\\udc00"}', "/a"),
    "a lone surrogate as a name": (b'{"\\ud800": 1}', ""),
    "NUL": (b'{"a": {"b": "\\u0000"}}', "/a/b"),
    "NUL in a name": (b'{"a\\u0000": 1}', ""),
    "a slash and a tilde in the name": (b'{"a/b~c": 1.5}', "/a~1b~0c"),
    "a fraction at the root": (b"1.5", ""),
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_readers_understand_differently_is_unreadable(body: bytes) -> None:
    """Two parsers that disagree about a document are a hole; so such a document is none."""
    with pytest.raises(Unreadable):
        strict_json.load(body)


@pytest.mark.parametrize(("body", "pointer"), INVALID.values(), ids=INVALID.keys())
def test_a_value_that_is_never_taken_is_named_by_its_pointer(body: bytes, pointer: str) -> None:
    """It is JSON, so the answer can point at the place."""
    with pytest.raises(Invalid) as refusal:
        strict_json.load(body)

    assert [pointer] == [one.pointer for one in refusal.value.errors]


def test_a_member_named_twice_is_named_by_its_pointer() -> None:
    """Whoever sent it finds it."""
    with pytest.raises(Unreadable) as refusal:
        strict_json.load(b'{"a": [{"b": 1, "b": 2}]}')

    assert ["/a/0/b"] == [one.pointer for one in refusal.value.errors]


def test_every_refused_value_is_named_at_once() -> None:
    """One round trip is enough to learn everything that is wrong."""
    with pytest.raises(Invalid) as refusal:
        strict_json.load(b'{"a": 1.5, "b": [2, 2.5], "c": "\\u0000"}')

    assert ["/a", "/b/1", "/c"] == [one.pointer for one in refusal.value.errors]


def test_a_document_of_exactly_the_limit_is_read() -> None:
    """A limit is inclusive."""
    body = json.dumps("x" * 98).encode()

    assert "x" * 98 == strict_json.load(body, size_bytes_max=100)


def test_a_document_beyond_the_limit_is_too_large() -> None:
    """One byte more is too many."""
    with pytest.raises(TooLarge):
        strict_json.load(json.dumps("x" * 99).encode(), size_bytes_max=100)


def test_the_deepest_document_is_read() -> None:
    """The nearest neighbour of the one that is refused."""
    body = b"[" * strict_json.DEPTH_MAX + b"]" * strict_json.DEPTH_MAX

    assert strict_json.load(body) is not None


@pytest.mark.parametrize("number", [0, -1, strict_json.INTEGER_MAX, -strict_json.INTEGER_MAX])
def test_whole_numbers_of_64_bits_are_read(number: int) -> None:
    """Amounts up to the bound keep every digit."""
    assert number == strict_json.load(str(number).encode())


def test_minus_zero_is_zero() -> None:
    """RFC 8259 allows it, and a whole number has one zero."""
    assert strict_json.load(b"-0") == 0


def test_a_pair_of_surrogates_is_one_character() -> None:
    """Escaped characters beyond the first plane are text like any other."""
    assert strict_json.load(b'"\\ud83d\\ude00"') == "😀"


@given(JSON)
def test_it_reads_what_the_standard_library_reads(value: Any) -> None:
    """Law: on what is taken, it agrees with everybody."""
    assert value == strict_json.load(json.dumps(value).encode())
    assert value == strict_json.load(json.dumps(value, ensure_ascii=False).encode())


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_do_anything_but_load_or_be_refused(body: bytes) -> None:
    """Law: whatever is sent, there is an answer."""
    with contextlib.suppress(Unreadable, Invalid):
        strict_json.load(body)
