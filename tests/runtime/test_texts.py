"""The texts that people read: catalogues that are whole, and forms that lose nothing."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st

import service
from service.core.currencies import EXPONENTS, exponent_of
from service.core.money import Money, parse
from service.core.spans import BadPeriodName
from service.parties.platforms import LOCALES as PLATFORM_LOCALES
from service.runtime import texts

SOURCE = Path(service.__file__).parent
CATALOGUES = [locale for locale in texts.LOCALES if locale != texts.SOURCE_LOCALE]
KEYWORDS = {"gettext": None, "_": None, "msgid": None, "ngettext": (1, 2)}
METHODS = [
    ("**.py", "python"),
    ("**/templates/**.html", "jinja2.ext:babel_extract"),
    ("**/templates/**.txt", "jinja2.ext:babel_extract"),
]
SAIGON = ZoneInfo("Asia/Ho_Chi_Minh")

Id = str | tuple[str, ...]


def used_messages() -> dict[Id, list[str]]:
    """Extract every message of the service's code and templates, with the places that use it."""
    used: dict[Id, list[str]] = {}
    options = {"**/templates/**": {"silent": "false"}}
    for name, line, message, _comments, _context in extract_from_dir(
        SOURCE, method_map=METHODS, options_map=options, keywords=KEYWORDS
    ):
        used.setdefault(message, []).append(f"service/{name}:{line}")
    return used


def catalogue_path(locale: str) -> Path:
    return SOURCE / "runtime" / "locale" / locale / "LC_MESSAGES" / "messages.po"


def catalogue(locale: str) -> Catalog:
    with catalogue_path(locale).open("rb") as text:
        return read_po(text, locale=locale, abort_invalid=True)


def entries(locale: str) -> list[Message]:
    return [message for message in catalogue(locale) if message.id]


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def to_add(message: Id, places: list[str]) -> str:
    """Write the entry that the catalogue misses, ready to be pasted and translated."""
    where = "#: " + " ".join(places)
    if isinstance(message, str):
        return f'{where}\nmsgid {quoted(message)}\nmsgstr ""\n'
    singular, plural = message
    return f'{where}\nmsgid {quoted(singular)}\nmsgid_plural {quoted(plural)}\nmsgstr[0] ""\n'


def is_translated(message: Message) -> bool:
    return bool(strings_of(message)) and all(strings_of(message))


def forms_of(message: Message) -> list[str]:
    return [message.id] if isinstance(message.id, str) else list(message.id)


def strings_of(message: Message) -> list[str]:
    return [message.string or ""] if isinstance(message.string, str | None) else list(message.string)


def places_of(text: str) -> set[str]:
    return set(re.findall(r"%\((\w+)\)", text))


class TestCatalogues:
    """Each catalogue holds what the service says, whole and nothing else."""

    @pytest.mark.parametrize("locale", CATALOGUES)
    def test_every_message_in_use_is_translated(self, locale: str) -> None:
        """A message without a translation would be read in English."""
        translated = {message.id for message in entries(locale) if is_translated(message)}
        used = used_messages()

        missing = {message: places for message, places in used.items() if message not in translated}

        assert used, "the extraction found nothing, so it proves nothing"
        assert not missing, (
            f"{catalogue_path(locale).relative_to(SOURCE.parent)} misses {len(missing)} translations. "
            "Paste these entries at its end and fill in each msgstr (keep %(name)s places and the terms of "
            "the glossary at its top):\n\n" + "\n".join(to_add(*item) for item in missing.items())
        )

    @pytest.mark.parametrize("locale", CATALOGUES)
    def test_no_translation_is_left_of_a_message_that_is_gone(self, locale: str) -> None:
        """What nothing uses is dead, also when it is only commented out."""
        used = used_messages()

        unused = [message.id for message in entries(locale) if message.id not in used]
        unused += [f"#~ {message}" for message in catalogue(locale).obsolete]

        assert not unused, f"delete these from {catalogue_path(locale)}: {unused}"

    @pytest.mark.parametrize("locale", CATALOGUES)
    def test_no_translation_is_a_guess(self, locale: str) -> None:
        """A fuzzy entry is one that nobody confirmed."""
        fuzzy = [message.id for message in entries(locale) if message.fuzzy]

        assert [] == fuzzy

    @pytest.mark.parametrize("locale", CATALOGUES)
    def test_translations_fill_the_same_places(self, locale: str) -> None:
        """A place that is missing or misspelt in a translation would fail where it is shown."""
        wrong = [message.id for message, faults in catalogue(locale).check() if faults]
        wrong += [
            message.id
            for message in entries(locale)
            for text in strings_of(message)
            if places_of(text) != places_of(forms_of(message)[-1])
        ]

        assert [] == wrong

    def test_a_missing_message_is_written_as_an_entry_to_paste(self) -> None:
        """What the failure prints can be read as a catalogue."""
        text = to_add('say "%(n)s"\n', ["a.py:1"]) + "\n" + to_add(("one", "many"), ["b.py:2"])

        found = read_po(text.splitlines(keepends=True), locale="vi", abort_invalid=True)

        assert ['say "%(n)s"\n', ("one", "many")] == [message.id for message in found if message.id]

    def test_platforms_offer_the_languages_that_there_are(self) -> None:
        """A platform cannot choose a language without texts, and can choose each one that has them."""
        assert sorted(texts.LOCALES) == sorted(PLATFORM_LOCALES)


class TestTranslator:
    """Looking a message up."""

    def test_a_message_is_read_in_the_language_asked_for(self) -> None:
        """The Vietnamese catalogue answers in Vietnamese, the ids themselves in English."""
        message, values = "week %(week)s of %(year)s", {"week": "7", "year": "2026"}

        found = [texts.translator(locale).gettext(message, **values) for locale in ("vi", "en")]

        assert ["tuần 7 năm 2026", "week 7 of 2026"] == found

    def test_a_message_without_values_is_not_filled_in(self) -> None:
        """A percent sign in plain text is a percent sign."""
        assert texts.translator("vi").gettext("100% sure") == "100% sure"

    def test_english_has_two_forms_of_number(self) -> None:
        """One thing and many things read differently."""
        english = texts.translator("en")

        found = [english.ngettext("%(n)s day", "%(n)s days", n, n=n) for n in (0, 1, 2)]

        assert ["0 days", "1 day", "2 days"] == found

    def test_a_language_without_texts_is_a_mistake_of_the_caller(self) -> None:
        """The edges check what people choose; here it is our own error."""
        with pytest.raises(AssertionError, match="none of vi, en"):
            texts.translator("fr")


class TestMoney:
    """Amounts as people read them."""

    @pytest.mark.parametrize(
        ("locale", "amount_minor", "currency", "text"),
        [
            ("vi", 1_234_567, "VND", "1.234.567\u00a0₫"),
            ("vi", -1_234_567, "VND", "-1.234.567\u00a0₫"),
            ("vi", 123_450, "USD", "1.234,50\u00a0US$"),
            ("vi", 5, "KWD", "0,005\u00a0KWD"),
            ("en", 1_234_567, "VND", "VND\u00a01,234,567"),
            ("en", -5, "USD", "-USD\u00a00.05"),
            ("en", 1_234, "KWD", "KWD\u00a01.234"),
            ("en", 0, "VND", "VND\u00a00"),
        ],
    )
    def test_an_amount_has_the_decimals_of_its_currency(
        self, locale: str, amount_minor: int, currency: str, text: str
    ) -> None:
        """VND has none, USD two and KWD three, in either language."""
        assert text == texts.money(amount_minor, currency, locale)

    @given(
        amount_minor=st.integers(-(2**63) + 1, 2**63 - 1),
        currency=st.sampled_from(sorted(EXPONENTS)),
    )
    def test_no_minor_unit_is_lost_in_any_currency(self, amount_minor: int, currency: str) -> None:
        """Read back without its separators, the text is the amount."""
        text = texts.money(amount_minor, currency, "en").replace(currency, "").replace("\u00a0", "")

        assert Money(amount_minor, currency) == parse(text.replace(",", ""), currency)
        assert len(text.partition(".")[2]) == exponent_of(currency)

    def test_a_float_is_no_amount(self) -> None:
        """What is not exact does not become text that looks exact."""
        with pytest.raises(AssertionError, match="whole number"):
            texts.money(1.0, "VND", "vi")  # type: ignore[arg-type]


class TestNumbers:
    """Counts, points and rates."""

    @pytest.mark.parametrize(("locale", "text"), [("vi", "-1.234.567"), ("en", "-1,234,567")])
    def test_a_count_is_grouped(self, locale: str, text: str) -> None:
        """Thousands are told apart as the locale does it."""
        assert text == texts.number(-1_234_567, locale)

    @pytest.mark.parametrize(
        ("points_e4", "text"), [(12_345, "1,2345"), (50_000, "5"), (5_000, "0,5"), (-1, "-0,0001")]
    )
    def test_points_show_the_decimals_that_matter(self, points_e4: int, text: str) -> None:
        """Points are whole unless contributors share them."""
        assert text == texts.points(points_e4, "vi")

    @given(st.integers(-(10**38) + 1, 10**38 - 1))
    def test_no_point_is_lost(self, points_e4: int) -> None:
        """Sums of points have up to 38 digits, more than decimals keep by default."""
        text = texts.points(points_e4, "en").replace(",", "")

        sign, digits, exponent = Decimal(text).as_tuple()
        assert isinstance(exponent, int)
        assert points_e4 == (-1) ** sign * int("".join(map(str, digits))) * 10 ** (exponent + 4)

    @pytest.mark.parametrize(("rate", "text"), [(7_000, "70%"), (750, "7,5%"), (1, "0,01%"), (0, "0%")])
    def test_a_rate_is_a_percentage(self, rate: int, text: str) -> None:
        """Ten thousand basis points are the whole."""
        assert text == texts.rate_bp(rate, "vi")


class TestTime:
    """Instants, days and the names of periods."""

    @pytest.mark.parametrize(
        ("locale", "text"),
        [("vi", "01/12/2026 00:30 GMT+07:00"), ("en", "1 Dec 2026, 00:30 GMT+07:00")],
    )
    def test_an_instant_is_read_on_the_clocks_of_its_place(self, locale: str, text: str) -> None:
        """The zone decides the date, and the offset says which zone it was."""
        at = datetime(2026, 11, 30, 17, 30, tzinfo=UTC)

        assert text == texts.instant(at, SAIGON, locale)
        assert text == texts.instant(at.astimezone(ZoneInfo("America/Lima")), SAIGON, locale)

    def test_an_instant_without_a_zone_is_a_mistake_of_the_caller(self) -> None:
        """A naive datetime could mean any instant."""
        with pytest.raises(AssertionError, match="aware"):
            texts.instant(datetime(2026, 11, 30), SAIGON, "vi")  # noqa: DTZ001 — it is the point.

    @pytest.mark.parametrize(("locale", "text"), [("vi", "01/11/2026"), ("en", "1 Nov 2026")])
    def test_a_day_is_unmistakable(self, locale: str, text: str) -> None:
        """Day before month in Vietnam, the month's name in English."""
        assert text == texts.day(date(2026, 11, 1), locale)

    @pytest.mark.parametrize(
        ("period_id", "vi", "en"),
        [
            ("2026-10", "tháng 10 năm 2026", "October 2026"),
            ("2026-W53", "tuần 53 năm 2026", "week 53 of 2026"),
            ("2027-01-01", "ngày 1 tháng 1 năm 2027", "1 January 2027"),
        ],
    )
    def test_a_period_has_a_name_in_words(self, period_id: str, vi: str, en: str) -> None:
        """Months, ISO weeks and days are named as people say them."""
        assert [vi, en] == [texts.period_name(period_id, locale) for locale in ("vi", "en")]

    def test_what_is_no_period_has_no_name(self) -> None:
        """The nearest wrong name is refused."""
        with pytest.raises(BadPeriodName):
            texts.period_name("2026-13", "vi")
