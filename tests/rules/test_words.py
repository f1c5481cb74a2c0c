"""The rulebook in words: golden sentences in both languages, which leave nothing of the document unsaid."""

from typing import Any

import pytest
from hypothesis import given, settings

from service.rules import difference, rulebook, words
from service.splits import scoring
from tests.rules.documents import changed, founding
from tests.rules.test_rulebook import documents

LOCALES = ("vi", "en")


def said(document: dict[str, Any], locale: str, currency: str = "VND") -> dict[str, str]:
    return {one.key: one.text for one in words.render(rulebook.load(document), locale, currency=currency)}


def told(old: dict[str, Any], new: dict[str, Any], locale: str) -> list[str]:
    return difference.describe(rulebook.load(old), rulebook.load(new), locale, currency="VND")


def test_the_founding_rulebook_in_vietnamese() -> None:
    """The clauses with numbers, as people read them."""
    actual = said(founding(), "vi")

    assert "Quỹ của mỗi kỳ được chia: 70% cho các nhà sáng tạo và 30% cho nền tảng." == actual["shares"]
    assert (
        "Nhà sáng tạo được 10 điểm cho mỗi lượt theo dõi, 10 điểm cho mỗi lượt chia sẻ, 8 điểm cho mỗi bình "
        "luận, 3 điểm cho mỗi lượt thích, 1 điểm cho mỗi lượt xem và 0 điểm cho mỗi giây xem. Các loại sự "
        "kiện khác không được tính điểm."
    ) == actual["weights"]
    assert (
        "Trong một ngày, một người tương tác có thể mang lại cho một nhà sáng tạo nhiều nhất 200 điểm; phần "
        "vượt quá không được tính."
    ) == actual["caps"]
    assert (
        "Tiền được chi trả khi số dư đạt ít nhất 50.000\u00a0₫; số dư nhỏ hơn được giữ nguyên và cộng dồn."
    ) == actual["payout"]
    assert "chờ 72 giờ" in actual["grace"]


def test_the_founding_rulebook_in_english() -> None:
    """The same clauses, in the other language."""
    actual = said(founding(), "en")

    assert "Each period's pool is divided: 70% to the creators and 30% to the platform." == actual["shares"]
    assert (
        "Creators earn 10 points for each follow, 10 points for each share, 8 points for each comment, "
        "3 points for each like, 1 point for each view, and 0 points for each second watched. Events of "
        "other types earn no points."
    ) == actual["weights"]
    assert (
        "In one day, one person can give one creator at most 200 points; the rest is not counted."
        == actual["caps"]
    )
    assert (
        "Money is paid out once the balance reaches VND\u00a050,000; a smaller balance is kept and adds up."
    ) == actual["payout"]


def test_both_languages_have_the_same_clauses() -> None:
    """Every clause has a title and a text in each, under keys in one order."""
    rendered = [words.render(rulebook.load(founding()), locale, currency="VND") for locale in LOCALES]

    assert [one.key for one in rendered[0]] == [one.key for one in rendered[1]]
    assert all(one.title and one.text.endswith(".") for clauses in rendered for one in clauses)
    assert not {one.text for one in rendered[0]} & {one.text for one in rendered[1]}


def test_every_clause_that_scoring_cites_is_there() -> None:
    """A walk names clauses by the keys of the words."""
    keys = {*said(founding(), "en")}

    assert {*scoring.CHANGES} <= keys
    for clause in ("weights", "event_limit", "self_engagement", "actor_limit"):
        assert f"'{clause}'" in scoring.statement("pro_rata")
        assert clause in keys


@pytest.mark.parametrize(
    ("path", "value", "key", "text"),
    [
        ("caps/actor_creator_day_points", None, "caps", "There is no limit to the points"),
        ("caps/actor_creator_day_points", 1_000, "caps", "at most 1,000 points"),
        ("exclude/self_engagement", False, "self_engagement", "earns points like anybody else's"),
        ("minimum_points", 1, "minimum_points", "fewer than 1 point in"),
        ("minimum_points", 1_000_000, "minimum_points", "fewer than 1,000,000 points in"),
        ("unearned_to", "platform", "unearned", "goes to the platform"),
        ("grace_h", 1, "grace", "waits 1 hour for"),
        ("challenge_window_h", 0, "challenge", "at least 0 hours before"),
        ("minimum_payout_minor", 0, "payout", "every balance is paid out"),
    ],
)
def test_each_choice_has_its_sentence(path: str, value: object, key: str, text: str) -> None:
    """Each value that is not the shipped one, in English."""
    assert text in said(changed(path, value), "en")[key]


@pytest.mark.parametrize(
    ("currency", "amount"),
    [("VND", "VND\u00a0123,456"), ("USD", "USD\u00a01,234.56"), ("KWD", "KWD\u00a0123.456")],
)
def test_the_minimum_payout_has_its_currencys_decimals(currency: str, amount: str) -> None:
    """123456 minor units are different amounts in different currencies."""
    assert amount in said(changed("minimum_payout_minor", 123_456), "en", currency)["payout"]


def test_all_parties_with_a_share_are_named() -> None:
    """Parent and partner included, basis points exactly; a party with nothing is not mentioned."""
    document = changed(
        "shares_bp", {"platform": 0, "parent": 1_250, "partners": {"fund": 1}, "creators": 8_749}
    )

    expected = "12,5% cho nền tảng mẹ và 0,01% cho đối tác fund"
    assert expected in said(document, "vi")["shares"]
    assert "87.49% to the creators" in said(document, "en")["shares"]
    assert "to the platform" not in said(document, "en")["shares"]


def test_a_type_without_a_word_is_quoted() -> None:
    """A platform's own type keeps its name in both languages."""
    document = changed("weights", {"gift": 2})

    assert "2 điểm cho mỗi “gift”" in said(document, "vi")["weights"]
    assert "2 points for each “gift”" in said(document, "en")["weights"]


@pytest.mark.parametrize("locale", LOCALES)
def test_words_are_not_taken_from_the_document_as_a_format(locale: str) -> None:
    """A title in braces is a title."""
    document = changed("title/en", "{new} {0} %s")

    assert any("{new} {0} %s" in sentence for sentence in told(founding(), document, locale))


@settings(max_examples=200)
@given(documents(), documents())
def test_what_differs_is_said_and_nothing_else(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Law: the difference is empty exactly if the documents are equal, in either language."""
    for locale in LOCALES:
        assert (old == new) == (told(old, new, locale) == [])


@given(documents(), documents())
def test_the_words_tell_two_rulebooks_apart(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Law: two rulebooks with the same texts differ in their titles at most."""
    for locale in LOCALES:
        without_titles = {**old, "title": None} == {**new, "title": None}
        assert without_titles == (said(old, locale) == said(new, locale))


def test_a_difference_in_vietnamese() -> None:
    """Shares and weights one by one, other clauses whole, titles first."""
    new = changed("shares_bp", {"platform": 2_750, "parent": 0, "partners": {"quy": 250}, "creators": 7_000})
    new["weights"] = {**new["weights"], "like": 2, "gift": 1}
    del new["weights"]["watch_second"]
    new["grace_h"] = 48
    new["title"] = {"vi": "Quy tắc mùa đông", "en": "Founding rules"}
    wait = "Sau khi kỳ kết thúc, hệ thống chờ {} giờ rồi mới chốt để nhận nốt các sự kiện."

    assert [
        "Tên là “Quy tắc mùa đông”, trước đây là “Quy tắc ban đầu”.",
        "Phần của nền tảng: 27,5%, trước đây là 30%.",
        "Phần của đối tác quy: 2,5%, trước đây là 0%.",
        "Mỗi “gift”: 1 điểm, trước đây là không được nêu.",
        "Mỗi lượt thích: 2 điểm, trước đây là 3 điểm.",
        "Mỗi giây xem: không được nêu, trước đây là 0 điểm.",
        f"Thời gian chờ trước khi chốt kỳ: {wait.format(48)} Trước đây: {wait.format(72)}",
    ] == told(founding(), new, "vi")


def test_a_difference_in_english() -> None:
    """What one share or weight was, and what it becomes."""
    new = changed("shares_bp/creators", 6_500)
    new["shares_bp"]["platform"] = 3_500
    new["weights"]["view"] = 2

    assert [
        "The part of the creators: 65%; it was 70%.",
        "The part of the platform: 35%; it was 30%.",
        "Each view: 2 points; it was 1 point.",
    ] == told(founding(), new, "en")
