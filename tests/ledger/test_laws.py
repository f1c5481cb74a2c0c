"""Laws of the books: whatever is asked for, they agree with a dictionary and balance."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from service.core.errors import Fault
from service.ledger import balances, journal
from service.ledger.accounts import AccountRef, Role
from service.ledger.entries import Entry
from service.ledger.posting import Posted
from service.parties.platforms import Platform
from tests.ledger.books import AN, AN_RESERVED, BANK, BINH, CLEARING, JULY, JUNE, NOW, POOL, entry
from tests.ledger.model import Model, Outcome

REFS = (AN, BINH, AN_RESERVED, POOL, BANK, CLEARING, AccountRef(Role.CLAWBACK_RECEIVABLE, "an"))
KEYS = ("k-1", "k-2", "k-3", "k-4")
LATER = NOW + timedelta(days=1)


@dataclass(frozen=True)
class Reverse:
    """A wish to reverse what has one key, under another."""

    original_key: str
    key: str


@dataclass(frozen=True)
class Fold:
    """A fold of at most so many tallies."""

    limit: int


POSTS = st.builds(
    lambda lines, key, effective_at: entry(*lines, key=key, effective_at=effective_at),
    st.lists(
        st.tuples(st.sampled_from(REFS), st.sampled_from(REFS), st.integers(1, 5)).filter(
            lambda line: line[0] != line[1]
        ),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(KEYS),
    st.sampled_from([JUNE, JULY]),
)
START = entry((CLEARING, AN, 6), (CLEARING, BINH, 6), (CLEARING, POOL, 6), key="start")
ACTS = st.lists(
    st.one_of(
        POSTS,
        POSTS,
        POSTS,
        st.builds(Reverse, st.sampled_from((*KEYS, "start", "u-1")), st.sampled_from((*KEYS, "u-1", "u-2"))),
        st.builds(Fold, st.integers(1, 5)),
    ),
    min_size=3,
    max_size=12,
).map(lambda acts: [START, *acts, *acts[:2]])
"""Acts on books that hold something; the first two come again in the end."""


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ACTS)
def test_the_books_agree_with_a_dictionary(
    session: Session, platform: Platform, acts: list[Entry | Reverse | Fold]
) -> None:
    """Law: outcomes, balances now and in the end, and the journal are the model's; debits equal credits."""
    books = session.begin_nested()
    model = Model()
    ids: dict[str, int] = {}
    outcomes = [(_model_act(model, act), _ledger_act(session, act, ids)) for act in acts]
    rows = balances.trial_balance(session, platform.id)

    assert [expected for expected, _ in outcomes] == [actual for _, actual in outcomes]
    assert sum(row.debit_minor for row in rows) == sum(row.credit_minor for row in rows)
    for at in (None, LATER):
        assert {ref: model.balance(ref) for ref in REFS} == {
            ref: balances.of(session, platform.id, ref, "VND", at=at) for ref in REFS
        }
    assert {key: asked.lines for key, asked in model.posted.items()} == _journal(session, platform.id)
    books.rollback()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(POSTS, min_size=1, max_size=6, unique_by=lambda asked: asked.key))
def test_entries_posted_together_are_booked_as_one_by_one_or_not_at_all(
    session: Session, platform: Platform, asked: list[Entry]
) -> None:
    """Law: where all of them succeed one by one, together they leave the same balances."""
    books = session.begin_nested()
    model = Model()
    is_fine = all(model.post(each) == "posted" for each in asked)
    together = _outcome(lambda: journal.post_all(session, asked, now=NOW)[0])
    held = {ref: balances.of(session, platform.id, ref, "VND") for ref in REFS}

    if is_fine:
        assert "posted" == together
        assert {ref: model.balance(ref) for ref in REFS} == held
    else:
        assert together in {"posted", "insufficient-balance"}
        assert len(asked) * (together == "posted") == len(journal.listing(session, platform.id))
    books.rollback()


def _model_act(model: Model, act: Entry | Reverse | Fold) -> Outcome:
    if isinstance(act, Entry):
        return model.post(act)
    return model.reverse(act.original_key, act.key) if isinstance(act, Reverse) else "folded"


def _ledger_act(session: Session, act: Entry | Reverse | Fold, ids: dict[str, int]) -> Outcome:
    """Do the same to the ledger, remembering the id behind each key."""
    if isinstance(act, Fold):
        balances.fold(session, "sen", limit=act.limit)
        return "folded"

    def post() -> Posted:
        if isinstance(act, Entry):
            posted = journal.post(session, act, now=NOW)
        else:
            posted = journal.reverse(
                session,
                "sen",
                ids.get(act.original_key, 0),
                key=act.key,
                cause_kind="test",
                cause_id="1",
                now=NOW,
            )
        assert ids.setdefault(act.key, posted.entry_id) == posted.entry_id
        return posted

    return _outcome(post)


def _outcome(post: Callable[[], Posted]) -> Outcome:
    try:
        return "replay" if post().is_replay else "posted"
    except Fault as fault:
        return fault.slug


def _journal(session: Session, platform_id: str) -> dict[str, tuple[object, ...]]:
    """Read every entry's lines by key, as they were asked for."""
    lines: dict[str, tuple[object, ...]] = {}
    for header, line in journal.walk(session, platform_id):
        asked = entry((line.debit, line.credit, line.amount_minor)).lines
        lines[header.key] = (*lines.get(header.key, ()), *asked)
    return lines
