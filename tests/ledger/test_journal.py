"""The journal: posting, replays, refusals, reversals and reading."""

from datetime import timedelta

import pytest
from sqlalchemy import event, update
from sqlalchemy.orm import Session

from service.ledger import balances, journal
from service.ledger.accounts import AccountRef, Role
from service.ledger.entries import AMOUNT_MINOR_MAX
from service.ledger.errors import (
    AlreadyReversed,
    BalanceTooLarge,
    EntryNotFound,
    InsufficientBalance,
    KeyReused,
    NotReversible,
)
from service.ledger.journal import Filters
from service.ledger.posting import LISTED_MAX, TURNOVER_MINOR_MAX
from service.ledger.tables import balance
from service.parties.platforms import Platform
from tests.ledger.books import (
    AN,
    AN_RESERVED,
    BANK,
    BINH,
    CLEARING,
    JULY,
    JUNE,
    NOW,
    POOL,
    entry,
    holdings,
    lines_of,
    stored,
)
from tests.world import bare_platform


def test_an_entry_is_posted_with_its_header_and_lines(session: Session, platform: Platform) -> None:
    """What was asked for is what is read back."""
    asked = entry((POOL, AN, 7), (POOL, BINH, 5), (CLEARING, POOL, 12))
    posted = journal.post(session, asked, now=NOW)
    header = journal.get(session, platform.id, posted.entry_id)

    assert not posted.is_replay
    assert ("test", "test", "1", None, "VND", JUNE, NOW, "k-1", None, None, 3, 24) == (
        header.kind,
        header.cause_kind,
        header.cause_id,
        header.period_id,
        header.currency,
        header.effective_at,
        header.recorded_at,
        header.key,
        header.reverses_id,
        header.reversed_by_id,
        header.line_count,
        header.amount_minor,
    )
    assert [(1, POOL, AN, 7), (2, POOL, BINH, 5), (3, CLEARING, POOL, 12)] == [
        (line.position, line.debit, line.credit, line.amount_minor)
        for line in journal.lines(session, platform.id, posted.entry_id)
    ]


def test_the_same_entry_again_is_a_replay(session: Session, platform: Platform) -> None:
    """Same key, same content, later: the first posting is returned and nothing changes."""
    first = journal.post(session, entry((CLEARING, AN, 7)), now=NOW)
    before = stored(session)
    again = journal.post(session, entry((CLEARING, AN, 7)), now=NOW + timedelta(days=1))

    assert (first.entry_id, True) == (again.entry_id, again.is_replay)
    assert before == stored(session)


def test_the_same_key_with_other_content_is_refused(session: Session, platform: Platform) -> None:
    """A key stands for one entry; the refusal names it."""
    first = journal.post(session, entry((CLEARING, AN, 7)), now=NOW)
    before = stored(session)

    with pytest.raises(KeyReused, match=f"entry {first.entry_id}"):
        journal.post(session, entry((CLEARING, AN, 8)), now=NOW)
    assert before == stored(session)


def test_a_key_belongs_to_its_platform(session: Session, platform: Platform) -> None:
    """Another platform's entry may have the same key."""
    bare_platform(session, "hoa")
    posted = [
        journal.post(session, entry((CLEARING, AN, 7), platform_id=name), now=NOW) for name in ("sen", "hoa")
    ]

    assert [False, False] == [each.is_replay for each in posted]
    assert posted[0].entry_id != posted[1].entry_id


def test_an_overdraft_is_refused_with_account_and_amounts(session: Session, platform: Platform) -> None:
    """The refusal says what is there, what was asked and where the floor is; nothing is stored."""
    journal.post(session, entry((CLEARING, AN, 7)), now=NOW)
    before = stored(session)

    with pytest.raises(
        InsufficientBalance, match=r"creator_payable:an holds 7 .* 8 would be taken"
    ) as caught:
        journal.post(session, entry((AN, AN_RESERVED, 8), (CLEARING, BINH, 1), key="k-2"), now=NOW)
    assert before == stored(session)
    assert {
        "account_count": 1,
        "accounts": [
            {
                "role": "creator_payable",
                "owner": "an",
                "currency": "VND",
                "held_minor": 7,
                "taken_minor": 8,
                "floor_minor": 0,
            }
        ],
    } == caught.value.extra


def test_a_strict_account_may_be_emptied(session: Session, platform: Platform) -> None:
    """Taking exactly what is there is no overdraft."""
    journal.post(session, entry((CLEARING, AN, 7)), now=NOW)
    journal.post(session, entry((AN, AN_RESERVED, 7), key="k-2"), now=NOW)

    assert {"clearing": 7, "reserved:an": 7} == holdings(session)


def test_an_account_that_was_never_used_holds_nothing_to_take(session: Session, platform: Platform) -> None:
    """The first entry of an account may not overdraw it, and the refusal does not open it."""
    with pytest.raises(InsufficientBalance, match="holds 0"):
        journal.post(session, entry((AN, AN_RESERVED, 1)), now=NOW)

    assert [] == balances.listing(session, platform.id)


def test_many_short_accounts_are_counted_and_some_are_listed(session: Session, platform: Platform) -> None:
    """A refusal stays short, whatever the number of accounts."""
    refs = [AccountRef(Role.CREATOR_PAYABLE, f"c-{number:02}") for number in range(LISTED_MAX + 5)]

    with pytest.raises(InsufficientBalance, match="24 more accounts") as caught:
        journal.post(session, entry(*((ref, POOL, 1) for ref in refs)), now=NOW)
    assert LISTED_MAX + 5 == caught.value.extra["account_count"]
    assert LISTED_MAX == len(caught.value.extra["accounts"])


def test_lines_of_one_entry_are_netted_before_the_floor_is_checked(
    session: Session, platform: Platform
) -> None:
    """Money may pass through a strict account within an entry."""
    journal.post(session, entry((AN, AN_RESERVED, 7), (CLEARING, AN, 7)), now=NOW)

    assert {"clearing": 7, "reserved:an": 7} == holdings(session)


def test_a_pool_may_be_overdrawn(session: Session, platform: Platform) -> None:
    """A strict account without a floor goes below zero."""
    journal.post(session, entry((POOL, CLEARING, 7)), now=NOW)

    assert {"clearing": -7, "revenue_pool:2026-06": -7} == holdings(session)


def test_a_refused_entry_leaves_the_transaction_usable(session: Session, platform: Platform) -> None:
    """A caller may catch the refusal and go on; nothing of the refused entry is there."""
    with pytest.raises(InsufficientBalance):
        journal.post(session, entry((AN, BINH, 1)), now=NOW)
    journal.post(session, entry((CLEARING, AN, 1)), now=NOW)

    assert [("test", "clearing", "creator_payable:an", 1)] == lines_of(session)


@pytest.mark.parametrize("debit", [CLEARING, POOL], ids=["tally", "strict"])
def test_a_turnover_beyond_what_sums_hold_is_refused(
    session: Session, platform: Platform, debit: AccountRef
) -> None:
    """Neither a strict nor a tally account can be driven into an overflow."""
    journal.post(session, entry((debit, AN, 1)), now=NOW)
    balances.fold(session, platform.id)
    session.execute(update(balance).values(debit_minor=TURNOVER_MINOR_MAX - 5, floor_minor=None))
    before = stored(session)

    with pytest.raises(BalanceTooLarge):
        journal.post(session, entry((debit, BINH, 6), key="k-2"), now=NOW)
    assert before == stored(session)
    assert not journal.post(session, entry((debit, BINH, 5), key="k-2"), now=NOW).is_replay


def test_the_largest_entry_is_posted(session: Session, platform: Platform) -> None:
    """The bound of an amount is an amount."""
    journal.post(session, entry((CLEARING, AN, AMOUNT_MINOR_MAX)), now=NOW)

    assert {"clearing": AMOUNT_MINOR_MAX, "creator_payable:an": AMOUNT_MINOR_MAX} == holdings(session)


def test_several_entries_are_posted_at_once(session: Session, platform: Platform) -> None:
    """Their effects are netted: the second is paid out of what the first brings."""
    asked = [entry((AN, BINH, 3), key="k-2"), entry((CLEARING, AN, 5), key="k-1")]
    posted = journal.post_all(session, asked, now=NOW)

    assert {"clearing": 5, "creator_payable:an": 2, "creator_payable:binh": 3} == holdings(session)
    assert ["k-2", "k-1"] == [journal.get(session, platform.id, each.entry_id).key for each in posted]


def test_several_entries_are_posted_all_or_none(session: Session, platform: Platform) -> None:
    """One that is refused takes the others with it."""
    asked = [entry((CLEARING, AN, 5), key="k-1"), entry((AN, BINH, 6), key="k-2")]

    with pytest.raises(InsufficientBalance):
        journal.post_all(session, asked, now=NOW)
    assert [] == journal.listing(session, platform.id)


def test_those_of_several_entries_that_were_posted_before_are_replays(
    session: Session, platform: Platform
) -> None:
    """Only the new one changes anything."""
    first = journal.post(session, entry((CLEARING, AN, 5)), now=NOW)
    asked = [entry((CLEARING, BINH, 1), key="k-2"), entry((CLEARING, AN, 5))]
    posted = journal.post_all(session, asked, now=NOW)

    assert [False, True] == [each.is_replay for each in posted]
    assert first.entry_id == posted[1].entry_id
    assert {"clearing": 6, "creator_payable:an": 5, "creator_payable:binh": 1} == holdings(session)


def test_no_entries_are_posted_as_nothing(session: Session, platform: Platform) -> None:
    """An empty list is no fault."""
    assert [] == journal.post_all(session, [], now=NOW)


def test_a_posting_takes_the_same_number_of_statements_whatever_its_lines(
    session: Session, platform: Platform
) -> None:
    """One line or a thousand, of as many new accounts."""
    statements: list[str] = []

    def note(_c: object, _u: object, statement: str, *_: object) -> None:
        statements.append(statement)

    counts = []
    event.listen(session.connection(), "before_cursor_execute", note)
    for size in (1, 1_000):
        statements.clear()
        refs = [AccountRef(Role.CREATOR_PAYABLE, f"c-{size}-{number}") for number in range(size)]
        journal.post(session, entry(*((CLEARING, ref, 1) for ref in refs), key=f"k-{size}"), now=NOW)
        counts.append(len(statements))

    assert counts[0] == counts[1]


def test_a_reversal_restores_every_balance(session: Session, platform: Platform) -> None:
    """The same lines turned over; original and reversal name each other."""
    journal.post(session, entry((CLEARING, AN, 9)), now=NOW)
    before = holdings(session)
    original = journal.post(session, entry((AN, BINH, 4), (CLEARING, BINH, 1), key="k-2"), now=NOW)
    undone = _reverse(session, original.entry_id)
    headers = [journal.get(session, platform.id, each.entry_id) for each in (original, undone)]

    assert before == holdings(session)
    assert [("reversal", "creator_payable:binh", "creator_payable:an", 4)] == lines_of(session)[3:4]
    assert [(None, undone.entry_id), (original.entry_id, None)] == [
        (each.reverses_id, each.reversed_by_id) for each in headers
    ]
    assert JUNE == headers[1].effective_at


def test_a_reversal_may_take_effect_later(session: Session, platform: Platform) -> None:
    """The original then stands in between."""
    original = journal.post(session, entry((CLEARING, AN, 9)), now=NOW)
    _reverse(session, original.entry_id, effective_at=JULY)

    assert [0, 9, 0] == [
        balances.of(session, platform.id, AN, "VND", at=at)
        for at in (JUNE, JULY, JULY + timedelta(microseconds=1))
    ]


def test_an_entry_is_reversed_once(session: Session, platform: Platform) -> None:
    """Under another key it is refused, naming the reversal; under the same it is a replay."""
    original = journal.post(session, entry((CLEARING, AN, 9)), now=NOW)
    undone = _reverse(session, original.entry_id)
    before = stored(session)

    assert (undone.entry_id, True) == _replayed(_reverse(session, original.entry_id))
    with pytest.raises(AlreadyReversed, match=f"by entry {undone.entry_id}"):
        _reverse(session, original.entry_id, key="undo-2")
    assert before == stored(session)


def test_a_reversal_is_not_reversed(session: Session, platform: Platform) -> None:
    """What should stand again is posted again."""
    original = journal.post(session, entry((CLEARING, AN, 9)), now=NOW)
    undone = _reverse(session, original.entry_id)

    with pytest.raises(NotReversible):
        _reverse(session, undone.entry_id, key="undo-2")


def test_money_that_moved_on_is_not_taken_back(session: Session, platform: Platform) -> None:
    """A reversal obeys the floors too."""
    original = journal.post(session, entry((CLEARING, AN, 9)), now=NOW)
    journal.post(session, entry((AN, AN_RESERVED, 1), key="k-2"), now=NOW)
    before = stored(session)

    with pytest.raises(InsufficientBalance, match=r"holds 8 .* 9 would be taken"):
        _reverse(session, original.entry_id)
    assert before == stored(session)


def test_a_reversal_does_not_take_the_key_of_another_entry(session: Session, platform: Platform) -> None:
    """The keys of reversals are keys like all others."""
    original = journal.post(session, entry((CLEARING, AN, 9)), now=NOW)

    with pytest.raises(KeyReused):
        _reverse(session, original.entry_id, key="k-1")


def test_another_platforms_entry_is_not_there(session: Session, platform: Platform) -> None:
    """Neither to read nor to reverse."""
    bare_platform(session, "hoa")
    posted = journal.post(session, entry((CLEARING, AN, 9)), now=NOW)

    with pytest.raises(EntryNotFound):
        journal.get(session, "hoa", posted.entry_id)
    with pytest.raises(EntryNotFound):
        journal.reverse(session, "hoa", posted.entry_id, key="undo", cause_kind="test", cause_id="1", now=NOW)
    assert [] == journal.lines(session, "hoa", posted.entry_id)
    assert [] == journal.listing(session, "hoa")
    assert [] == list(journal.walk(session, "hoa"))


def test_pages_of_entries_show_each_once(session: Session, platform: Platform) -> None:
    """Following the last id of each page reads the whole journal in order."""
    posted = [journal.post(session, entry((BANK, CLEARING, 1), key=f"k-{n}"), now=NOW) for n in range(5)]
    pages = []
    after = None
    while page := journal.listing(session, platform.id, after=after, limit=2):
        pages.append([each.id for each in page])
        after = page[-1].id

    assert [2, 2, 1] == [len(page) for page in pages]
    assert [each.entry_id for each in posted] == [entry_id for page in pages for entry_id in page]


def test_pages_of_lines_show_each_once(session: Session, platform: Platform) -> None:
    """Following the last position of each page reads the whole entry in order."""
    posted = journal.post(session, entry(*((BANK, CLEARING, n) for n in range(1, 6))), now=NOW)
    pages = []
    after = None
    while page := journal.lines(session, platform.id, posted.entry_id, after=after, limit=2):
        pages.append([line.amount_minor for line in page])
        after = page[-1].position

    assert [[1, 2], [3, 4], [5]] == pages


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(), ["k-1", "k-2", "k-3"]),
        (Filters(kind="other"), ["k-2"]),
        (Filters(kind="none"), []),
        (Filters(cause_kind="test", cause_id="1"), ["k-1", "k-2", "k-3"]),
        (Filters(cause_kind="test", cause_id="2"), []),
        (Filters(period_id="2026-06"), []),
        (Filters(account=BINH), ["k-2", "k-3"]),
        (Filters(account=AccountRef(Role.HELD, "an")), []),
        (Filters(effective_from_at=JULY), ["k-3"]),
        (Filters(effective_until_at=JULY), ["k-1", "k-2"]),
        (Filters(effective_from_at=JUNE, effective_until_at=JULY, account=BINH), ["k-2"]),
    ],
    ids=str,
)
def test_entries_are_filtered(
    session: Session, platform: Platform, filters: Filters, expected: list[str]
) -> None:
    """By kind, cause, period, account, and a half-open span of effective time."""
    journal.post(session, entry((CLEARING, AN, 9), key="k-1"), now=NOW)
    journal.post(session, entry((AN, BINH, 9), key="k-2", kind="other"), now=NOW)
    journal.post(session, entry((CLEARING, BINH, 9), key="k-3", effective_at=JULY), now=NOW)

    assert expected == [each.key for each in journal.listing(session, platform.id, filters)]


def test_an_accounts_own_ledger_shows_only_the_lines_that_touch_it(
    session: Session, platform: Platform
) -> None:
    """Walking with an account leaves out the other lines of the same entries."""
    journal.post(session, entry((CLEARING, AN, 9), (CLEARING, BINH, 8)), now=NOW)
    journal.post(session, entry((AN, AN_RESERVED, 2), key="k-2"), now=NOW)
    walked = journal.walk(session, platform.id, Filters(account=AN))

    assert [("k-1", 1, 9), ("k-2", 1, 2)] == [
        (header.key, line.position, line.amount_minor) for header, line in walked
    ]


def _reverse(session: Session, entry_id: int, key: str = "undo", **options: object) -> journal.Posted:
    return journal.reverse(
        session, "sen", entry_id, key=key, cause_kind="test", cause_id="1", now=NOW, **options
    )


def _replayed(posted: journal.Posted) -> tuple[int, bool]:
    return posted.entry_id, posted.is_replay
