"""Balances: now, at an instant, by role and by account, and the folding of tallies."""

from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.ledger import balances, journal
from service.ledger.accounts import AccountRef, Role
from service.ledger.tables import tally
from service.parties.platforms import Platform
from tests.ledger.books import AN, AN_RESERVED, BANK, BINH, CLEARING, JULY, JUNE, NOW, POOL, entry, stored
from tests.world import bare_platform

LATER = NOW + timedelta(days=1)
MOMENT = timedelta(microseconds=1)


def _june_and_july(session: Session) -> None:
    """Book what the tests below read: strict and tally accounts, two months, two currencies."""
    journal.post(session, entry((CLEARING, POOL, 10), (POOL, AN, 6), (POOL, BINH, 4)), now=NOW)
    journal.post(session, entry((AN, AN_RESERVED, 5), key="k-2", effective_at=JULY), now=NOW)
    journal.post(session, entry((BANK, CLEARING, 3), key="k-3", effective_at=JULY), now=NOW)
    journal.post(session, entry((CLEARING, AN, 2), key="k-4", currency="USD"), now=NOW)


def test_a_balance_is_read_on_the_normal_side(session: Session, platform: Platform) -> None:
    """What is owned and what is owed are both above zero."""
    _june_and_july(session)
    refs = (CLEARING, BANK, AN, BINH, AN_RESERVED, POOL)

    assert [7, 3, 1, 4, 5, 0] == [balances.of(session, platform.id, ref, "VND") for ref in refs]
    assert [2, 2] == [balances.of(session, platform.id, ref, "USD") for ref in (CLEARING, AN)]


def test_an_account_that_was_never_used_holds_zero(session: Session, platform: Platform) -> None:
    """Now and at any instant."""
    ref = AccountRef(Role.HELD, "nobody")

    assert 0 == balances.of(session, platform.id, ref, "VND")
    assert 0 == balances.of(session, platform.id, ref, "VND", at=NOW)


def test_a_balance_at_an_instant_counts_what_is_effective_before_it(
    session: Session, platform: Platform
) -> None:
    """An entry counts from its instant on, and not at it: the end of June is the beginning of July."""
    _june_and_july(session)
    instants = (JUNE, JUNE + MOMENT, JULY, JULY + MOMENT)

    assert [0, 6, 6, 1] == [balances.of(session, platform.id, AN, "VND", at=at) for at in instants]
    assert [0, 10, 10, 7] == [balances.of(session, platform.id, CLEARING, "VND", at=at) for at in instants]


def test_history_to_the_end_agrees_with_the_present(session: Session, platform: Platform) -> None:
    """Sums of lines equal balance rows plus tallies, for every account and role, folded or not."""
    _june_and_july(session)
    for limit in (2, 100):
        now = list(balances.by_account(session, platform.id))

        assert now == list(balances.by_account(session, platform.id, at=LATER))
        assert balances.trial_balance(session, platform.id) == balances.trial_balance(
            session, platform.id, at=LATER
        )
        assert [row.balance_minor for row in now] == [
            balances.of(session, platform.id, row.account, row.currency, at=LATER) for row in now
        ]
        balances.fold(session, platform.id, limit=limit)


def test_the_trial_balance_has_a_row_for_each_role_and_currency(session: Session, platform: Platform) -> None:
    """Turnover of both sides, balance on the normal side, and the number of accounts."""
    _june_and_july(session)

    assert [
        ("bank", "VND", 1, 3, 0, 3),
        ("clearing", "USD", 1, 2, 0, 2),
        ("clearing", "VND", 1, 10, 3, 7),
        ("creator_payable", "USD", 1, 0, 2, 2),
        ("creator_payable", "VND", 2, 5, 10, 5),
        ("reserved", "VND", 1, 0, 5, 5),
        ("revenue_pool", "VND", 1, 10, 10, 0),
    ] == [
        (row.role, row.currency, row.account_count, row.debit_minor, row.credit_minor, row.balance_minor)
        for row in balances.trial_balance(session, platform.id)
    ]


def test_the_trial_balance_at_an_instant_leaves_out_what_came_later(
    session: Session, platform: Platform
) -> None:
    """In June nothing was reserved or paid in."""
    _june_and_july(session)
    rows = balances.trial_balance(session, platform.id, at=JULY)

    assert [("clearing", 10), ("creator_payable", 10), ("revenue_pool", 0)] == [
        (row.role, row.balance_minor) for row in rows if row.currency == "VND"
    ]


def test_a_stream_may_be_left_early(session: Session, platform: Platform) -> None:
    """Its cursor is closed with it: the transaction goes on, and nothing is left open."""
    _june_and_july(session)
    first = next(balances.by_account(session, platform.id))
    header, line = next(journal.walk(session, platform.id))

    assert ("bank", "k-1", 1) == (first.account.role, header.key, line.position)
    assert 3 == balances.of(session, platform.id, BANK, "VND")


def test_balances_of_a_role_are_given_by_owner(session: Session, platform: Platform) -> None:
    """Of one currency; whoever holds zero is there too."""
    _june_and_july(session)
    journal.post(session, entry((BINH, AN, 4), key="k-5"), now=NOW)

    assert {"an": 5, "binh": 0} == balances.of_role(session, platform.id, Role.CREATOR_PAYABLE, "VND")
    assert {"": 7} == balances.of_role(session, platform.id, Role.CLEARING, "VND")
    assert {} == balances.of_role(session, platform.id, Role.HELD, "VND")


def test_pages_of_accounts_show_each_once(session: Session, platform: Platform) -> None:
    """In the order in which they were opened."""
    _june_and_july(session)
    pages = []
    after = None
    while page := balances.listing(session, platform.id, after=after, limit=3):
        pages.append(page)
        after = page[-1].id
    ids = [row.id for page in pages for row in page]

    assert [3, 3, 2] == [len(page) for page in pages]
    assert sorted(ids) == ids
    assert sorted(map(str, balances.by_account(session, platform.id))) == sorted(
        str(row) for page in pages for row in page
    )


def test_a_fold_changes_no_balance(session: Session, platform: Platform) -> None:
    """Tallies move into balance rows; a second fold finds nothing."""
    _june_and_july(session)
    before = stored(session)
    tallies = _tally_count(session)

    assert balances.has_tallies(session, platform.id)
    assert [tallies, 0] == [balances.fold(session, platform.id) for _ in range(2)]
    assert not balances.has_tallies(session, platform.id)
    assert before == stored(session)


def test_a_fold_takes_at_most_its_limit(session: Session, platform: Platform) -> None:
    """What is left stays counted, and later folds take it."""
    for number in range(5):
        journal.post(session, entry((BANK, CLEARING, 1), key=f"k-{number}"), now=NOW)
    folded = []
    while count := balances.fold(session, platform.id, limit=4):
        folded.append(count)

        assert 5 == balances.of(session, platform.id, BANK, "VND")

    assert [4, 4, 2] == folded


def test_a_fold_leaves_other_platforms_alone(session: Session, platform: Platform) -> None:
    """Each platform's books are folded for themselves."""
    bare_platform(session, "hoa")
    journal.post(session, entry((BANK, CLEARING, 1), platform_id="hoa"), now=NOW)

    assert 0 == balances.fold(session, platform.id)
    assert balances.has_tallies(session, "hoa")


def test_an_entry_leaves_one_tally_for_each_tally_account(session: Session, platform: Platform) -> None:
    """Deltas are netted before they are appended."""
    journal.post(session, entry((BANK, CLEARING, 1), (BANK, CLEARING, 2), (CLEARING, AN, 4)), now=NOW)
    rows = session.execute(
        select(tally.c.debit_minor, tally.c.credit_minor).order_by(tally.c.debit_minor)
    ).all()

    assert [(3, 0), (4, 3)] == [tuple(row) for row in rows]


def _tally_count(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(tally)) or 0
