"""Many at once: postings to one account, in opposite orders, with one key, and folds in between."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

from sqlalchemy import text
from sqlalchemy.orm import Session

from service.ledger import balances, journal
from service.ledger.accounts import AccountRef, Role
from service.ledger.errors import InsufficientBalance
from service.ledger.posting import Posted
from service.runtime import db
from service.runtime.db import Database
from tests.ledger.books import AN, AN_RESERVED, BANK, BINH, CLEARING, NOW, entry, holdings

CALLERS = 8
EACH = 12
DEADLINE_S = 30

T = TypeVar("T")


def test_callers_on_one_tally_account_lose_nothing(books: Database) -> None:
    """Eight callers post to bank and clearing while another folds; the sums are exact and nobody waits."""

    def act(caller: int) -> None:
        for number in range(EACH):
            if caller == CALLERS:
                _within(books, lambda session: balances.fold(session, "sen", limit=5))
            else:
                asked = entry((BANK, CLEARING, 3), key=f"k-{caller}-{number}")
                _within(books, lambda session, asked=asked: journal.post(session, asked, now=NOW))

    _together(act, range(CALLERS + 1))

    total = CALLERS * EACH * 3
    assert {"bank": total, "clearing": -total} == _within(books, holdings)
    _within(books, lambda session: balances.fold(session, "sen"))
    assert {"bank": total, "clearing": -total} == _within(books, holdings)


def test_callers_on_one_strict_account_overdraw_it_never(books: Database) -> None:
    """Of all reserves exactly as many succeed as there is money for."""
    affordable = CALLERS * EACH // 2
    _within(books, lambda session: journal.post(session, entry((CLEARING, AN, affordable)), now=NOW))

    def act(caller: int) -> list[str]:
        outcomes = []
        for number in range(EACH):
            asked = entry((AN, AN_RESERVED, 1), key=f"k-{caller}-{number}")
            try:
                _within(books, lambda session, asked=asked: journal.post(session, asked, now=NOW))
                outcomes.append("posted")
            except InsufficientBalance:
                outcomes.append("refused")
        return outcomes

    outcomes = Counter(each for made in _together(act, range(CALLERS)) for each in made)

    assert {"posted": affordable, "refused": affordable} == outcomes
    assert {"clearing": affordable, "reserved:an": affordable} == _within(books, holdings)


def test_callers_that_move_money_both_ways_do_not_deadlock(books: Database) -> None:
    """Lines name their accounts in opposite orders; locks are taken in one."""
    _within(
        books, lambda session: journal.post(session, entry((CLEARING, AN, 50), (CLEARING, BINH, 50)), now=NOW)
    )

    def act(caller: int) -> None:
        for number in range(EACH):
            pair = (AN, BINH) if (caller + number) % 2 else (BINH, AN)
            asked = entry((*pair, 1), key=f"k-{caller}-{number}")
            _within(books, lambda session, asked=asked: journal.post(session, asked, now=NOW))

    _together(act, range(CALLERS))

    assert 100 == sum(_within(books, _payables).values())


def test_callers_that_open_the_same_accounts_do_not_deadlock(books: Database) -> None:
    """Each new account is opened once, whatever the order in which entries name it."""
    refs = [AccountRef(Role.CREATOR_PAYABLE, f"c-{number:03}") for number in range(100)]

    def act(caller: int) -> None:
        ordered = refs if caller % 2 else refs[::-1]
        asked = entry(*((CLEARING, ref, 1) for ref in ordered), key=f"k-{caller}")
        _within(books, lambda session: journal.post(session, asked, now=NOW))

    _together(act, range(CALLERS))

    assert {ref.owner: CALLERS for ref in refs} == _within(books, _payables)


def test_one_key_from_many_callers_posts_once(books: Database) -> None:
    """All get the same entry; one posted it, the others replayed."""

    def act(_: int) -> Posted:
        return _within(books, lambda session: journal.post(session, entry((CLEARING, AN, 7)), now=NOW))

    posted = _together(act, range(CALLERS))

    assert 1 == len({each.entry_id for each in posted})
    assert CALLERS - 1 == sum(each.is_replay for each in posted)
    assert {"clearing": 7, "creator_payable:an": 7} == _within(books, holdings)


def test_a_second_caller_of_a_key_waits_and_replays(books: Database) -> None:
    """It cannot know before the first one commits; the money that the first took is no overdraft."""
    _within(books, lambda session: journal.post(session, entry((CLEARING, AN, 7)), now=NOW))
    asked = entry((AN, AN_RESERVED, 7), key="k-2")
    with ThreadPoolExecutor(1) as pool:
        with db.transaction(books) as session:
            first = journal.post(session, asked, now=NOW)
            second = pool.submit(_within, books, lambda other: journal.post(other, asked, now=NOW))
            _await_blocked(books, second)
        posted = second.result(DEADLINE_S)

    assert (first.entry_id, True) == (posted.entry_id, posted.is_replay)


def test_a_second_caller_of_a_key_posts_where_the_first_gave_up(books: Database) -> None:
    """What is rolled back was never there."""
    asked = entry((CLEARING, AN, 7))
    with ThreadPoolExecutor(1) as pool:
        with db.transaction(books) as session:
            journal.post(session, asked, now=NOW)
            second = pool.submit(_within, books, lambda other: journal.post(other, asked, now=NOW))
            _await_blocked(books, second)
            session.rollback()
        posted = second.result(DEADLINE_S)

    assert not posted.is_replay
    assert {"clearing": 7, "creator_payable:an": 7} == _within(books, holdings)


def test_a_fold_waits_for_no_posting(books: Database) -> None:
    """What is posted and not committed stays for the next fold."""
    _within(books, lambda session: journal.post(session, entry((BANK, CLEARING, 1)), now=NOW))
    with db.transaction(books) as session:
        journal.post(session, entry((BANK, CLEARING, 2), key="k-2"), now=NOW)
        folded = _within(books, lambda other: balances.fold(other, "sen"))

    assert 2 == folded
    assert {"bank": 3, "clearing": -3} == _within(books, holdings)


def _payables(session: Session) -> dict[str, int]:
    return balances.of_role(session, "sen", Role.CREATOR_PAYABLE, "VND")


def _within(books: Database, act: Callable[[Session], T]) -> T:
    with db.transaction(books) as session:
        return act(session)


def _together(act: Callable[[int], T], callers: Sequence[int]) -> list[T]:
    """Run an act once for each caller, all from the same moment."""
    start = Barrier(len(callers))

    def begin(caller: int) -> T:
        start.wait(DEADLINE_S)
        return act(caller)

    with ThreadPoolExecutor(len(callers)) as pool:
        return list(pool.map(begin, callers, timeout=DEADLINE_S))


def _await_blocked(books: Database, future: Future[Posted]) -> None:
    """Return when a session of this database waits for a lock."""
    query = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    deadline = time.monotonic() + DEADLINE_S
    while not _within(books, lambda session: session.scalar(query)):
        assert not future.done(), "the second caller did not wait"
        assert time.monotonic() < deadline
        time.sleep(0.01)
