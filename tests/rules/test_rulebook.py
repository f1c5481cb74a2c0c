"""The rulebook: what is taken, what is refused, with a pointer to each fault."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core import digests
from service.rules import rulebook
from service.rules.rulebook import InvalidRulebook, Surroundings
from tests.rules.documents import MISSING, SURROUNDINGS, changed, founding, small


def faults_of(document: object, surroundings: Surroundings | None = None) -> dict[str, str]:
    """Load a document that has to be refused; give its faults by pointer."""
    with pytest.raises(InvalidRulebook) as refusal:
        rulebook.load(document, surroundings)
    errors = refusal.value.errors
    assert len(errors) == len({one.pointer for one in errors}), "a field has one fault"
    return {one.pointer: one.detail for one in errors}


def test_the_founding_rulebook_is_read_as_it_is_written() -> None:
    """The shipped document: what each part becomes."""
    actual = rulebook.load(founding())

    assert (7_000, 3_000, 0, {}) == (
        actual.creators_bp,
        actual.platform_bp,
        actual.parent_bp,
        dict(actual.partners_bp),
    )
    assert (200, True, 0) == (
        actual.actor_creator_day_points,
        actual.excludes_self_engagement,
        actual.minimum_points,
    )
    assert (72, 72, 50_000) == (actual.grace_h, actual.challenge_window_h, actual.minimum_payout_minor)
    assert ("pro_rata", "unallocated") == (actual.method, actual.unearned_to)
    assert {"vi": "Quy tắc ban đầu", "en": "Founding rules"} == dict(actual.title)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Any valid rulebook."""
    cuts = sorted(draw(st.lists(st.integers(0, 10_000), min_size=3, max_size=3)))
    platform, parent, partner = cuts[0], cuts[1] - cuts[0], cuts[2] - cuts[1]
    weights = draw(
        st.dictionaries(st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True), st.integers(0, 1_000), max_size=5)
    )
    weights["view"] = draw(st.integers(1, 1_000))
    return {
        "format": rulebook.FORMAT,
        "title": {"vi": draw(st.sampled_from(("Luật", "Quy tắc 2"))), "en": "Rules"},
        "shares_bp": {
            "platform": platform,
            "parent": parent,
            "partners": {"fund": partner} if partner else {},
            "creators": 10_000 - cuts[2],
        },
        "weights": weights,
        "method": "pro_rata",
        "caps": {"actor_creator_day_points": draw(st.none() | st.integers(1_000, 10**9))},
        "exclude": {"self_engagement": draw(st.booleans())},
        "minimum_points": draw(st.integers(0, 10**12)),
        "unearned_to": draw(st.sampled_from(rulebook.UNEARNED_TO)),
        "grace_h": draw(st.integers(0, 2_160)),
        "challenge_window_h": draw(st.integers(0, 2_160)),
        "minimum_payout_minor": draw(st.integers(0, 10**15)),
    }


@given(documents())
def test_a_document_is_written_back_as_it_was(document: dict[str, Any]) -> None:
    """Law: to_document(load(document)) == document."""
    assert document == rulebook.to_document(rulebook.load(document))


@given(documents(), st.randoms(use_true_random=False))
def test_the_digest_depends_on_the_content_only(document: dict[str, Any], random: Any) -> None:
    """Another order of the fields, and a trip through JSON text, change nothing."""
    names = list(document)
    random.shuffle(names)
    shuffled = json.loads(json.dumps({name: document[name] for name in names}))

    assert digests.digest_of(document) == rulebook.sha256(shuffled)
    assert rulebook.sha256(document) == rulebook.sha256(rulebook.to_document(rulebook.load(shuffled)))


@given(documents(), documents())
def test_different_rulebooks_have_different_digests(one: dict[str, Any], other: dict[str, Any]) -> None:
    """The digest tells two documents apart."""
    assert (one == other) == (rulebook.sha256(one) == rulebook.sha256(other))


NUMBERS = (
    ("shares_bp/platform", 0, 10_000),
    ("shares_bp/parent", 0, 10_000),
    ("shares_bp/creators", 0, 10_000),
    ("weights/view", 0, 1_000),
    ("caps/actor_creator_day_points", 1, 10**9),
    ("minimum_points", 0, 10**12),
    ("grace_h", 0, 2_160),
    ("challenge_window_h", 0, 2_160),
    ("minimum_payout_minor", 0, 10**15),
)


@pytest.mark.parametrize("value", [True, False, 72.0, 72.5, "72", "", [], {}, float("nan")])
@pytest.mark.parametrize("path", [path for path, _, _ in NUMBERS])
def test_a_number_is_a_whole_number(path: str, value: object) -> None:
    """Truth values, decimals, texts and containers are refused where a number belongs."""
    assert "use a whole number from" in faults_of(changed(path, value))[f"/{path}"]


@pytest.mark.parametrize("path", [path for path, _, _ in NUMBERS if not path.startswith("caps")])
def test_a_number_is_not_null(path: str) -> None:
    """Only the cap may be null."""
    assert f"/{path}" in faults_of(changed(path, None))


@pytest.mark.parametrize(("path", "low", "high"), NUMBERS)
def test_a_number_has_bounds(path: str, low: int, high: int) -> None:
    """One below and one above are refused, and a number beyond all bounds is too."""
    for value in (low - 1, high + 1, 10**40):
        assert faults_of(changed(path, value))[f"/{path}"].startswith(
            f"use a whole number from {low} to {high}"
        )


@pytest.mark.parametrize(("path", "low", "high"), [line for line in NUMBERS if line[0].count("/") == 0])
def test_a_number_may_be_at_its_bounds(path: str, low: int, high: int) -> None:
    """Both bounds themselves are taken."""
    for value in (low, high):
        document = changed(path, value)
        assert document == rulebook.to_document(rulebook.load(document))


def test_no_cap_is_null() -> None:
    """A cap of null is no cap; without the field it is not clear what is meant."""
    path = "caps/actor_creator_day_points"

    assert rulebook.load(changed(path, None)).actor_creator_day_points is None
    assert {f"/{path}"} == set(faults_of(changed(path, MISSING)))


@pytest.mark.parametrize("value", ["true", 1, 0, None, "yes"])
def test_a_truth_value_is_true_or_false(value: object) -> None:
    """Neither texts nor numbers stand for truth values."""
    assert {"/exclude/self_engagement": "use true or false"} == faults_of(
        changed("exclude/self_engagement", value)
    )


PARTS = (
    "format",
    "title",
    "title/vi",
    "title/en",
    "shares_bp",
    "shares_bp/platform",
    "shares_bp/parent",
    "shares_bp/partners",
    "shares_bp/creators",
    "weights",
    "method",
    "caps",
    "exclude",
    "exclude/self_engagement",
    "minimum_points",
    "unearned_to",
    "grace_h",
    "challenge_window_h",
    "minimum_payout_minor",
)


@pytest.mark.parametrize("path", PARTS)
def test_every_part_is_needed(path: str) -> None:
    """There are no defaults: what is not written is not meant. The pointer names the part itself."""
    assert {f"/{path}"} == set(faults_of(changed(path, MISSING)))


@pytest.mark.parametrize("path", PARTS)
def test_no_part_is_null_or_of_another_kind(path: str) -> None:
    """Null and a list stand for nothing that a rulebook holds."""
    for value in (None, [1]):
        assert f"/{path}" in faults_of(changed(path, value))


@pytest.mark.parametrize(
    "path", ["extra", "title/fr", "shares_bp/extra", "caps/extra", "exclude/robots", "a~1b~0c"]
)
def test_unknown_fields_are_refused(path: str) -> None:
    """The schema is closed at every level, also for a name that a pointer has to escape."""
    document = {**founding(), "a/b~c": 1} if path.startswith("a") else changed(path, 1)

    assert {f"/{path}": "remove this field: the format does not know it"} == faults_of(document)


@pytest.mark.parametrize(
    ("path", "value"),
    [("format", "benefit-ledger/rulebook/2"), ("method", "user_centric"), ("unearned_to", "charity")],
)
def test_choices_are_closed(path: str, value: str) -> None:
    """Another format, method or destination is refused, and those that there are are named."""
    assert faults_of(changed(path, value))[f"/{path}"].startswith("use ")


@pytest.mark.parametrize(
    "text", ["", " ", "A ", "A\u0000", "A\u202e", "A\nB", "A" * 201, "e\u0301", "\ud800"]
)
def test_a_title_is_short_visible_text(text: str) -> None:
    """Blanks at the ends, control and invisible characters, forms that NFC would change: none is repaired."""
    assert {"/title/vi"} == set(faults_of(changed("title/vi", text)))


@pytest.mark.parametrize("document", [None, [], "x", 1, True, [founding()]])
def test_a_document_is_an_object(document: object) -> None:
    """Anything else is refused as a whole."""
    assert {"": "give a JSON object"} == faults_of(document)


@pytest.mark.parametrize(("platform", "fits"), [(2_999, False), (3_000, True), (3_001, False)])
def test_shares_make_a_whole(platform: int, fits: bool) -> None:
    """10,000 basis points, not one more and not one less."""
    document = changed("shares_bp/platform", platform)

    if fits:
        assert platform == rulebook.load(document).platform_bp
    else:
        total = platform + 7_000
        expected = {"/shares_bp": f"the shares make {total}; they have to make 10000"}
        assert expected == faults_of(document)


@pytest.mark.parametrize(("value", "fits"), [(0, False), (1, True)])
def test_a_partner_gets_something(value: int, fits: bool) -> None:
    """A partner with nothing is left out of the document, not written with a zero."""
    document = changed("shares_bp/partners", {"fund": value})
    document["shares_bp"]["platform"] = 3_000 - value

    if fits:
        assert {"fund": 1} == dict(rulebook.load(document).partners_bp)
    else:
        assert {"/shares_bp/partners/fund"} == set(faults_of(document))


@pytest.mark.parametrize("name", ["", "a b", "a/b", "\u0000", "x" * 65, "é"])
@pytest.mark.parametrize("path", ["shares_bp/partners", "weights"])
def test_names_are_ids(path: str, name: str) -> None:
    """What cannot name a partner or a type is refused under its own pointer."""
    document = changed(path, {**founding()["weights"], name: 1} if path == "weights" else {name: 1})

    assert f"/{path}/{name.replace('/', '~1')}" in faults_of(document)


def test_some_type_has_a_weight() -> None:
    """With zeros only nobody could ever earn."""
    assert {"/weights"} == set(faults_of(changed("weights", {"view": 0})))
    assert {"/weights"} == set(faults_of(changed("weights", {})))


@pytest.mark.parametrize(("cap", "fits"), [(9, False), (10, True)])
def test_a_cap_is_not_below_the_weight_of_one_event(cap: int, fits: bool) -> None:
    """One share is worth ten points: with a cap of nine it could never count in full."""
    document = changed("caps/actor_creator_day_points", cap)

    if fits:
        assert cap == rulebook.load(document).actor_creator_day_points
    else:
        assert "one share is worth 10 points" in faults_of(document)["/caps/actor_creator_day_points"]


def test_there_is_a_greatest_number_of_weights_and_partners() -> None:
    """64 types and 50 partners are taken, one more is not."""
    weights = {f"t{index}": 1 for index in range(65)}
    partners = {f"p{index}": 1 for index in range(51)}

    assert {"/weights"} == set(faults_of(changed("weights", weights)))
    del weights["t64"]
    assert 64 == len(rulebook.load(changed("weights", weights)).weights)
    assert "/shares_bp/partners" in faults_of(changed("shares_bp/partners", partners))
    del partners["p50"]
    document = changed("shares_bp/platform", 2_950, changed("shares_bp/partners", partners))
    assert 50 == len(rulebook.load(document).partners_bp)


def test_a_rulebook_fits_its_surroundings() -> None:
    """Known types within bounds, known partners, no parent: taken."""
    document = changed("shares_bp/partners", {"fund": 500}, small())
    document["shares_bp"]["platform"] = 2_500

    assert document == rulebook.to_document(rulebook.load(document, SURROUNDINGS))


@pytest.mark.parametrize(
    ("path", "value", "pointer", "detail"),
    [
        ("shares_bp/parent", 1, "/shares_bp/parent", "use 0: this platform has no parent"),
        (
            "shares_bp/partners",
            {"stranger": 1},
            "/shares_bp/partners/stranger",
            "register this partner first",
        ),
        ("weights/poke", 1, "/weights/poke", "choose a known event type: like, view, watch_second"),
        ("weights/view", 11, "/weights/view", "use at most 10: one event of 100000000 could otherwise be"),
    ],
)
def test_what_does_not_fit_is_named(path: str, value: object, pointer: str, detail: str) -> None:
    """A parent, a partner or a type that is not there, and a weight that is too much for the quantities."""
    document = changed(path, value, small())
    shares = document["shares_bp"]
    shares["platform"] = 3_000 - sum(shares["partners"].values()) - shares["parent"]

    faults = faults_of(document, SURROUNDINGS)

    assert {pointer} == set(faults)
    assert faults[pointer].startswith(detail)


def test_a_parents_share_fits_where_there_is_a_parent() -> None:
    """The nearest valid case: the same document on a sub-platform."""
    document = changed("shares_bp/parent", 1_000, small())
    document["shares_bp"]["platform"] = 2_000
    around = Surroundings(quantity_max=SURROUNDINGS.quantity_max, partner_ids=(), has_parent=True)

    assert 1_000 == rulebook.load(document, around).parent_bp


@pytest.mark.parametrize(("weight", "fits"), [(10, True), (11, False)])
def test_a_weight_at_the_bound_fits(weight: int, fits: bool) -> None:
    """Ten points for each of a hundred million views are a thousand million."""
    document = changed("weights/view", weight, small())

    if fits:
        assert weight == rulebook.load(document, SURROUNDINGS).weights["view"]
    else:
        assert {"/weights/view"} == set(faults_of(document, SURROUNDINGS))


def test_all_faults_are_named_at_once() -> None:
    """What cannot be read, what contradicts itself and what does not fit: one answer."""
    document = changed("shares_bp/platform", 2_000, small())
    document["grace_h"] = "72"
    document["weights"] = {"view": True, "poke": 300}
    document["shares_bp"]["partners"] = {"stranger": 500}

    with pytest.raises(InvalidRulebook) as refusal:
        rulebook.load(document, SURROUNDINGS)

    assert 422 == refusal.value.status
    assert {
        "/grace_h",
        "/weights/view",
        "/shares_bp",
        "/shares_bp/partners/stranger",
        "/weights/poke",
        "/caps/actor_creator_day_points",
    } == {one.pointer for one in refusal.value.errors}
    assert "5 more are listed in errors" in refusal.value.detail


def test_loading_changes_nothing_of_the_document() -> None:
    """The caller's document stays as it was, and later changes to it do not reach the rulebook."""
    document = founding()
    before = copy.deepcopy(document)
    loaded = rulebook.load(document)
    document["weights"]["view"] = 900

    assert before == rulebook.to_document(loaded)
    with pytest.raises(TypeError):
        loaded.weights["view"] = 2  # type: ignore[index]
