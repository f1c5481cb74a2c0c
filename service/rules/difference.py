"""What changes between two rulebooks, in words.

Owns the comparison, clause by clause, in the sentences of service.rules.words. Law: nothing is said exactly
if the two rulebooks are equal.
"""

from collections.abc import Iterator

from service.rules import words
from service.rules.rulebook import Rulebook
from service.runtime import texts

_ITEMISED = ("shares", "weights")


def describe(old: Rulebook, new: Rulebook, locale: str, *, currency: str) -> list[str]:
    """Say what changes from `old` to `new`: titles, then shares and weights one by one, then whole clauses.

    Args:
        locale: "vi" or "en".
        currency: of the platform, for amounts.

    Raises:
        UnknownCurrency: no such currency.
    """
    return [
        *_titles(old, new, locale),
        *_shares(old, new, locale),
        *_weights(old, new, locale),
        *_clauses(old, new, locale, currency),
    ]


def _titles(old: Rulebook, new: Rulebook, locale: str) -> Iterator[str]:
    for language, before in old.title.items():
        if new.title[language] != before:
            yield words.say(locale, "changed_title", new=new.title[language], old=before)


def _shares(old: Rulebook, new: Rulebook, locale: str) -> Iterator[str]:
    before, after = words.parties(old, locale), words.parties(new, locale)
    for name in dict.fromkeys([*after, *before]):
        old_bp, new_bp = before.get(name, 0), after.get(name, 0)
        if old_bp != new_bp:
            yield words.say(
                locale,
                "changed_share",
                party=name,
                new=texts.rate_bp(new_bp, locale),
                old=texts.rate_bp(old_bp, locale),
            )


def _weights(old: Rulebook, new: Rulebook, locale: str) -> Iterator[str]:
    for name in sorted({*old.weights, *new.weights}):
        before, after = old.weights.get(name), new.weights.get(name)
        if before != after:
            yield words.say(
                locale,
                "changed_weight",
                type=words.event_type(name, locale),
                new=_weight(after, locale),
                old=_weight(before, locale),
            )


def _weight(count: int | None, locale: str) -> str:
    """Say a weight; to name a type with no points and not to name it are different documents."""
    return words.say(locale, "not_named") if count is None else words.points(count, locale)


def _clauses(old: Rulebook, new: Rulebook, locale: str, currency: str) -> Iterator[str]:
    before = words.render(old, locale, currency=currency)
    after = words.render(new, locale, currency=currency)
    for was, is_now in zip(before, after, strict=True):
        if was.key not in _ITEMISED and was.text != is_now.text:
            yield words.say(locale, "changed_clause", title=is_now.title, new=is_now.text, old=was.text)
