"""Entries: the form of lines and entries, and what each template books."""

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.currencies import UnknownCurrency
from service.ledger import entries, posting
from service.ledger.accounts import AccountRef, Role
from service.ledger.entries import AMOUNT_MINOR_MAX, WORD_LENGTH_MAX, Entry, Line
from service.ledger.errors import BadEntry
from tests.ledger.books import AN, BANK, BINH, CLEARING, JULY, JUNE, entry

PAYOUT = {"payout_id": "p-1", "currency": "VND", "amount_minor": 70, "effective_at": JUNE}
OWED = {**PAYOUT, "creator_id": "an"}
UNDER_WAY = {**OWED, "provider": "sandbox"}
REVENUE = {"revenue_id": "r-1", "period_id": "2026-06", "currency": "VND", "effective_at": JUNE}
PERIOD = {"period_id": "2026-06", "currency": "VND", "amount_minor": 9, "effective_at": JUNE}
TRANSFER = {"reference": "t-1", "currency": "VND", "amount_minor": 5, "effective_at": JUNE}

REFS = st.sampled_from([AN, BINH, BANK, CLEARING, AccountRef(Role.HELD, "an")])
LINES = st.tuples(REFS, REFS, st.integers(1, 10**12)).filter(lambda each: each[0] != each[1])
ENTRIES = st.builds(
    lambda lines, key, effective_at: entry(*lines, key=key, effective_at=effective_at),
    st.lists(LINES, min_size=1, max_size=6),
    st.sampled_from(["k-1", "k-2"]),
    st.sampled_from([JUNE, JULY]),
)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (entries.revenue_recognised("sen", net_minor=8, **REVENUE), ("clearing", "revenue_pool:2026-06", 8)),
        (entries.revenue_recognised("sen", net_minor=-8, **REVENUE), ("revenue_pool:2026-06", "clearing", 8)),
        (entries.fund("sen", **TRANSFER), ("bank", "clearing", 5)),
        (
            entries.fund_provider("sen", provider="sandbox", **TRANSFER),
            ("provider_balance:sandbox", "bank", 5),
        ),
        (entries.deficit_carried("sen", **PERIOD), ("deficit_carried", "revenue_pool:2026-06", 9)),
        (entries.deficit_recovered("sen", **PERIOD), ("revenue_pool:2026-06", "deficit_carried", 9)),
        (entries.payout_reserved("sen", **OWED), ("creator_payable:an", "reserved:an", 70)),
        (entries.payout_released("sen", **OWED), ("reserved:an", "creator_payable:an", 70)),
        (entries.payout_sent("sen", **UNDER_WAY), ("reserved:an", "in_transit:sandbox", 70)),
        (
            entries.payout_paid("sen", provider="sandbox", **PAYOUT),
            ("in_transit:sandbox", "provider_balance:sandbox", 70),
        ),
        (entries.payout_failed("sen", **UNDER_WAY), ("in_transit:sandbox", "creator_payable:an", 70)),
        (entries.payout_returned("sen", **UNDER_WAY), ("provider_balance:sandbox", "creator_payable:an", 70)),
    ],
    ids=lambda value: value.kind if isinstance(value, Entry) else "",
)
def test_a_template_moves_money_between_its_two_accounts(made: Entry, expected: tuple[str, str, int]) -> None:
    """Debit, credit and amount of each template with one line."""
    assert [expected] == [(str(line.debit), str(line.credit), line.amount_minor) for line in made.lines]


@pytest.mark.parametrize(
    ("unearned_to", "account"), [("unallocated", "unallocated"), ("platform", "platform_revenue")]
)
def test_a_clawback_takes_what_is_free_and_lends_the_rest(unearned_to: str, account: str) -> None:
    """Two lines where both are there, one where one of them is nothing; the rule says where it goes."""
    made = entries.claw_back(
        "sen",
        period_id="2026-06",
        seq_last=7,
        currency="VND",
        unearned_to=unearned_to,
        parts=[("an", 5, 0), ("binh", 0, 6), ("chi", 7, 8)],
        effective_at=JULY,
    )

    assert [
        ("creator_payable:an", account, 5),
        ("clawback_receivable:binh", account, 6),
        ("creator_payable:chi", account, 7),
        ("clawback_receivable:chi", account, 8),
    ] == [(str(line.debit), str(line.credit), line.amount_minor) for line in made.lines]
    assert ("claw_back:2026-06/7", "2026-06/7", None) == (made.key, made.cause_id, made.period_id)


def test_what_creators_owe_is_recovered_once_a_period() -> None:
    """Out of each one's payable."""
    made = entries.claw_back_recovered(
        "sen", period_id="2026-07", currency="VND", parts=[("an", 5), ("binh", 6)], effective_at=JULY
    )

    assert [
        ("creator_payable:an", "clawback_receivable:an", 5),
        ("creator_payable:binh", "clawback_receivable:binh", 6),
    ] == [(str(line.debit), str(line.credit), line.amount_minor) for line in made.lines]
    assert "claw_back_recovered:2026-07" == made.key


def test_the_same_facts_have_the_same_key() -> None:
    """An act that runs again asks for the entry that it posted before."""
    made = [entries.payout_sent("sen", **UNDER_WAY) for _ in range(2)]

    assert "payout_sent:p-1" == made[0].key
    assert made[0] == made[1]


def test_a_posted_period_has_a_line_for_every_share_that_is_not_zero() -> None:
    """Shares keep their order and stay apart; each party kind has its account."""
    made = entries.period_posted(
        "sen.hoa",
        period_id="2026-06",
        version=2,
        currency="VND",
        shares=[
            ("platform", "sen.hoa", 30),
            ("parent", "sen", 10),
            ("partner", "fund", 5),
            ("creator", "an", 40),
            ("creator", "an", 3),
            ("creator", "binh", 0),
            ("unearned", "unallocated", 12),
            ("unearned", "platform", 7),
        ],
        effective_at=JUNE,
    )

    assert [
        ("revenue_pool:2026-06", "platform_revenue", 30),
        ("revenue_pool:2026-06", "parent_share:sen", 10),
        ("revenue_pool:2026-06", "partner_payable:fund", 5),
        ("revenue_pool:2026-06", "creator_payable:an", 40),
        ("revenue_pool:2026-06", "creator_payable:an", 3),
        ("revenue_pool:2026-06", "unallocated", 12),
        ("revenue_pool:2026-06", "platform_revenue", 7),
    ] == [(str(line.debit), str(line.credit), line.amount_minor) for line in made.lines]
    assert ("split", "2026-06/2", "2026-06", 107) == (
        made.cause_kind,
        made.cause_id,
        made.period_id,
        made.amount_minor,
    )


@pytest.mark.parametrize("amount", [0, -1, AMOUNT_MINOR_MAX + 1, 2**63, 1.0, True, "1"])
def test_a_line_refuses_what_is_no_amount(amount: object) -> None:
    """Zero, below zero, too large, or not an integer."""
    with pytest.raises(BadEntry, match="amount"):
        Line(AN, BINH, amount)  # type: ignore[arg-type]


def test_a_line_takes_the_least_and_the_greatest_amount() -> None:
    """The bounds themselves are amounts."""
    assert [1, AMOUNT_MINOR_MAX] == [Line(AN, BINH, each).amount_minor for each in (1, AMOUNT_MINOR_MAX)]


def test_a_line_to_the_same_account_is_refused() -> None:
    """It would move nothing."""
    with pytest.raises(BadEntry, match="itself"):
        Line(AN, AccountRef(Role.CREATOR_PAYABLE, "an"), 1)


def test_an_entry_without_lines_is_refused() -> None:
    """An entry moves something."""
    with pytest.raises(BadEntry, match="at least one line"):
        entry()


def test_an_entry_whose_lines_sum_to_too_much_is_refused() -> None:
    """Each line is within the bound, their sum is not."""
    with pytest.raises(BadEntry, match="in parts"):
        entry((AN, BINH, AMOUNT_MINOR_MAX), (AN, BINH, 1))


@pytest.mark.parametrize("key", ["", "a\x00b", "k" * (WORD_LENGTH_MAX + 1)])
def test_an_entry_with_a_key_that_is_no_word_is_refused(key: str) -> None:
    """Empty, with a NUL, or too long."""
    with pytest.raises(BadEntry, match="key"):
        entry((AN, BINH, 1), key=key)


def test_an_entry_at_a_time_without_zone_is_refused() -> None:
    """An effective instant is aware."""
    with pytest.raises(BadEntry, match="zone"):
        entry((AN, BINH, 1), effective_at=datetime(2026, 6, 1))  # noqa: DTZ001


def test_an_entry_in_an_unknown_currency_is_refused() -> None:
    """Only ISO 4217 codes."""
    with pytest.raises(UnknownCurrency):
        entry((AN, BINH, 1), currency="DOG")


@given(ENTRIES)
def test_a_reversal_of_a_reversal_moves_what_the_original_moved(original: Entry) -> None:
    """Law: turning every line over twice changes nothing."""
    once = entries.reversal(original, key="r-1", cause_kind="test", cause_id="1")
    twice = entries.reversal(once, key="r-2", cause_kind="test", cause_id="1")

    assert original.lines == twice.lines
    assert original.effective_at == once.effective_at


@given(ENTRIES, ENTRIES)
def test_entries_have_one_digest_exactly_when_they_ask_for_the_same(one: Entry, other: Entry) -> None:
    """Law: the digest covers everything but the key."""
    is_same = replace(one, key="k") == replace(other, key="k")

    assert is_same == (posting.request_sha256(one) == posting.request_sha256(other))


@pytest.mark.parametrize(
    "change",
    [
        {"platform_id": "hoa"},
        {"kind": "other"},
        {"cause_kind": "other"},
        {"cause_id": "2"},
        {"period_id": ""},
        {"period_id": "2026-06"},
        {"currency": "USD"},
        {"effective_at": JULY},
        {"lines": (Line(AN, BINH, 2),)},
        {"lines": (Line(BINH, AN, 1),)},
        {"lines": (Line(AN, BINH, 1), Line(AN, BINH, 1))},
    ],
    ids=str,
)
def test_every_field_is_in_the_digest(change: dict[str, object]) -> None:
    """A key that comes with any other content is found out."""
    asked = entry((AN, BINH, 1))

    assert posting.request_sha256(asked) != posting.request_sha256(replace(asked, **change))


def test_the_original_of_a_reversal_is_in_the_digest() -> None:
    """The same lines against another original are another entry."""
    asked = entry((AN, BINH, 1))

    assert posting.request_sha256(asked, reverses_id=1) != posting.request_sha256(asked, reverses_id=2)
