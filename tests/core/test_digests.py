"""Digests: one text for a value, one root for a list, one proof for a leaf."""

import hashlib
import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.digests import (
    INTEGER_MAX,
    NotCanonical,
    canonical_json,
    digest_of,
    framed,
    inclusion_proof,
    merkle_root,
    sha256,
    sha256_hex,
    verify_inclusion,
)
from service.core.errors import FieldError

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-INTEGER_MAX, INTEGER_MAX) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)

# The vectors of the Certificate Transparency reference implementation for RFC 6962 (merkletree tests; the
# same in github.com/transparency-dev/merkle, testonly/constants.go). RFC 9162 keeps the tree as it was.
CT_LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
CT_PROOFS = [
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]


def root_by_the_standard(leaves):
    """The Merkle tree hash as RFC 9162 section 2.1.1 words it: from the root down."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    cut = 1
    while cut * 2 < len(leaves):
        cut *= 2
    return hashlib.sha256(
        b"\x01" + root_by_the_standard(leaves[:cut]) + root_by_the_standard(leaves[cut:])
    ).digest()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-1, "-1"),
        (INTEGER_MAX, "9007199254740991"),
        (-INTEGER_MAX, "-9007199254740991"),
        ("", '""'),
        ([], "[]"),
        ({}, "{}"),
        ((1, [2, {"b": None, "a": "x"}]), '[1,[2,{"a":"x","b":null}]]'),
        ("tiếng Việt", '"tiếng Việt"'),
    ],
)
def test_a_value_is_written_without_blanks(value, text):
    """Canonical JSON has one way to write each value."""
    assert text.encode() == canonical_json(value)


def test_text_is_escaped_as_the_standard_says():
    """RFC 8785 section 3.2.2.2: only quote, backslash and control characters, in the shortest way."""
    value = '€$\u000f\nA\'B"\\\\"/\b\t\f\r\u007f\u2028'

    text = '"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/\\b\\t\\f\\r\u007f\u2028"'

    assert text.encode() == canonical_json(value)


def test_keys_are_sorted_by_utf_16_code_units():
    """The example of RFC 8785 section 3.2.3: a smiling face sorts before a Hebrew letter."""
    value = {"€": 5, "\r": 1, "\ufb33": 7, "1": 2, "😀": 6, "\u0080": 3, "ö": 4}

    assert [1, 2, 3, 4, 5, 6, 7] == list(json.loads(canonical_json(value)).values())


@pytest.mark.parametrize(
    ("value", "pointer", "reason"),
    [
        (1.0, "", "is a float"),
        ({"a": [1, 0.5]}, "/a/1", "is a float"),
        ({"a/b": {"c~d": b""}}, "/a~1b/c~0d", "is a bytes"),
        ([2**53], "/0", "beyond 2"),
        ([-(2**53)], "/0", "beyond 2"),
        ({"a": {1: 2}}, "/a", "key that is not a string"),
        (["x", "\ud800"], "/1", "lone surrogate"),
        ({"a": {"\udfff": 1}}, "/a", "lone surrogate"),
        ({1, 2}, "", "is a set"),
    ],
)
def test_a_value_that_could_be_read_in_two_ways_is_refused_where_it_stands(value, pointer, reason):
    """The pointer leads to the first value that has no canonical text."""
    with pytest.raises(NotCanonical, match=reason) as caught:
        canonical_json(value)

    assert [pointer] == [error.pointer for error in caught.value.errors]


def test_the_refusal_names_the_place_in_its_sentence():
    """Whoever reads the detail alone finds the value."""
    with pytest.raises(NotCanonical) as caught:
        canonical_json({"share": 0.5})

    assert (
        "The value at /share is a float, which canonical JSON does not know.",
        (FieldError("/share", "The value is a float, which canonical JSON does not know."),),
    ) == (caught.value.detail, caught.value.errors)


@settings(deadline=None)
@given(VALUES)
def test_reading_canonical_json_and_writing_it_again_changes_nothing(value):
    """Law: the text determines the value and the value the text."""
    text = canonical_json(value)

    assert value == json.loads(text)
    assert text == canonical_json(json.loads(text))


@given(st.dictionaries(TEXTS, st.integers(0, 9), max_size=6), st.randoms(use_true_random=False))
def test_the_order_in_which_members_were_put_does_not_matter(members, random):
    """Law: equal objects have equal text."""
    items = list(members.items())
    random.shuffle(items)

    assert canonical_json(members) == canonical_json(dict(items))


def test_digests_are_those_of_fips_180():
    """The one-block example of the standard, as bytes and as text."""
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

    assert expected == sha256(b"abc").hex() == sha256_hex(b"abc")


def test_the_digest_of_a_value_is_that_of_its_canonical_text():
    """Anyone can recompute it with a text editor and a checksum tool."""
    assert hashlib.sha256(b'{"a":1,"b":[]}').hexdigest() == digest_of({"b": (), "a": 1})


def test_each_part_of_a_frame_is_preceded_by_its_length():
    """The layout is part of every published digest; verifiers depend on it."""
    assert b"\0\0\0\0\0\0\0\2ab" + b"\0" * 8 + b"\0\0\0\0\0\0\0\1c" == framed(b"ab", b"", b"c")


@given(st.lists(st.binary(max_size=6), max_size=4), st.lists(st.binary(max_size=6), max_size=4))
def test_frames_of_different_parts_differ(parts, others):
    """Law: no two lists of parts share a frame, however they are cut."""
    assert (parts == others) == (framed(*parts) == framed(*others))
    assert framed(*parts, *others) == framed(*parts) + framed(*others)


@given(st.lists(st.binary(max_size=4), min_size=1, max_size=4), st.data())
def test_moving_a_cut_between_parts_changes_the_frame(parts, data):
    """Law: "ab","c" is not "a","bc"; the nearest case to a plain concatenation."""
    joined = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(joined)), min_size=0, max_size=3)))
    others = [joined[start:end] for start, end in pairwise([0, *cuts, len(joined)])]

    assert (parts == others) == (framed(*parts) == framed(*others))


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_the_published_vectors(size):
    """The empty tree included."""
    assert CT_ROOTS[size] == merkle_root(CT_LEAVES[:size]).hex()


@pytest.mark.parametrize(("index", "size", "proof"), CT_PROOFS)
def test_proofs_are_those_of_the_published_vectors(index, size, proof):
    """Made and verified alike."""
    made = inclusion_proof(CT_LEAVES[:size], index)

    assert proof == [step.hex() for step in made]
    assert verify_inclusion(CT_LEAVES[index], index, size, made, bytes.fromhex(CT_ROOTS[size]))


@pytest.mark.parametrize("size", range(70))
def test_a_root_follows_the_wording_of_the_standard(size):
    """The tree built from the leaves up is the one defined from the root down."""
    leaves = [str(number).encode() for number in range(size)]

    assert root_by_the_standard(leaves) == merkle_root(leaves)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 33])
def test_every_leaf_of_a_tree_has_a_proof_that_fits_it_alone(size):
    """No other leaf, index or size is proved by it; the size fixes the shape, so a proof names its tree."""
    leaves = [str(number).encode() for number in range(size)]
    root = merkle_root(leaves)
    proofs = [inclusion_proof(leaves, index) for index in range(size)]

    proved = {
        (leaf, index, proved_by)
        for leaf in range(size)
        for index in range(size)
        for proved_by in range(size)
        if verify_inclusion(leaves[leaf], index, size, proofs[proved_by], root)
    }

    assert {(index, index, index) for index in range(size)} == proved


@pytest.mark.parametrize(
    ("index", "size"),
    [(-1, 8), (8, 8), (5, 0), (5, -8), (4, 8), (7, 8), (5, 4), (5, 16), (5, 2**70), (2**70, 2**71)],
)
def test_a_proof_for_another_place_is_refused(index, size):
    """Neither a neighbour nor a place outside the tree is proved; the right place is 5 of 8."""
    proof = inclusion_proof(CT_LEAVES, 5)

    assert not verify_inclusion(CT_LEAVES[5], index, size, proof, merkle_root(CT_LEAVES))


@pytest.mark.parametrize("index", [-1, 1])
def test_a_sole_leaf_stands_at_no_other_place(index):
    """Its proof is empty, so only the place can betray it."""
    root = merkle_root([b"leaf"])

    assert verify_inclusion(b"leaf", 0, 1, [], root)
    assert not verify_inclusion(b"leaf", index, 1, [], root)


@pytest.mark.parametrize("size_bytes", [0, 31, 33, 64])
def test_a_step_that_is_no_digest_is_refused(size_bytes):
    """A root made to measure would let one leaf be cut out of another's bytes; no tree has such a node."""
    step = b"x" * size_bytes
    root = sha256(b"\x01" + step + sha256(b"\x00leaf"))

    assert not verify_inclusion(b"leaf", 1, 2, [step], root)


def test_a_proof_that_was_changed_is_refused():
    """Each step, and their number and order, is needed."""
    proof = inclusion_proof(CT_LEAVES, 5)
    root = merkle_root(CT_LEAVES)
    flipped = [bytes([step[0] ^ 1]) + step[1:] for step in proof]

    forged = [
        *([*proof[:at], flipped[at], *proof[at + 1 :]] for at in range(3)),
        *(proof[:at] + proof[at + 1 :] for at in range(3)),
        *([*proof[:at], root, *proof[at:]] for at in range(4)),
        proof[::-1],
        [],
        [b"", *proof],
        [proof[0] + b"\0", *proof[1:]],
        [proof[0][:31], *proof[1:]],
    ]

    assert [] == [steps for steps in forged if verify_inclusion(CT_LEAVES[5], 5, 8, steps, root)]


def test_a_proof_to_another_root_is_refused():
    """The root is what was published."""
    proof = inclusion_proof(CT_LEAVES, 5)

    assert not verify_inclusion(CT_LEAVES[5], 5, 8, proof, merkle_root(CT_LEAVES[:7]))


def test_an_inner_node_does_not_pass_for_a_leaf():
    """Leaves and nodes are hashed apart, so the two leaves below a node cannot be sold as one."""
    left, right = (sha256(b"\x00" + leaf) for leaf in CT_LEAVES[:2])

    assert not verify_inclusion(left + right, 0, 1, [], merkle_root(CT_LEAVES[:2]))


@pytest.mark.parametrize("index", [-1, 8])
def test_only_a_leaf_of_the_tree_has_a_proof(index):
    """Asking for another is a mistake of ours."""
    with pytest.raises(AssertionError):
        inclusion_proof(CT_LEAVES, index)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=5), min_size=1, max_size=40), st.data())
def test_every_proof_that_is_made_is_accepted(leaves, data):
    """Law: what we prove, a stranger verifies."""
    index = data.draw(st.integers(0, len(leaves) - 1))

    assert verify_inclusion(
        leaves[index], index, len(leaves), inclusion_proof(leaves, index), merkle_root(leaves)
    )
