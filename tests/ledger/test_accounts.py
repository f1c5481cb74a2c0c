"""Accounts: the roles as data, names of accounts, and their opening."""

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.ledger import accounts
from service.ledger.accounts import OWNER_LENGTH_MAX, TRAITS, AccountRef, Role
from service.ledger.errors import BadAccount
from service.ledger.tables import account, balance
from service.parties.platforms import Platform
from tests.ledger.books import AN, BANK, BINH, NOW


def test_every_role_has_its_traits() -> None:
    """The table of traits and the list of roles name the same roles."""
    assert set(Role) == set(TRAITS)


def test_only_strict_accounts_have_a_floor() -> None:
    """A floor is checked under the row's lock, which tally accounts do not take."""
    limited = {role for role in Role if role.floor is not None}

    assert limited == {role for role in limited if role.is_strict}


def test_what_is_owed_to_creators_never_falls_below_zero() -> None:
    """The floors that keep two payouts from spending the same money."""
    floors = {role: role.floor for role in (Role.CREATOR_PAYABLE, Role.RESERVED, Role.HELD)}

    assert floors == {Role.CREATOR_PAYABLE: 0, Role.RESERVED: 0, Role.HELD: 0}


def test_a_pool_may_fall_below_zero() -> None:
    """Negative corrections may exceed a period's revenue."""
    assert Role.REVENUE_POOL.is_strict
    assert Role.REVENUE_POOL.floor is None


@pytest.mark.parametrize("role", [Role.CLEARING, Role.BANK, Role.PLATFORM_REVENUE, Role.IN_TRANSIT])
def test_accounts_that_every_posting_touches_are_tally(role: Role) -> None:
    """Postings do not wait for each other on a platform-wide account."""
    assert not role.is_strict


@pytest.mark.parametrize("role", Role)
def test_an_account_has_an_owner_exactly_where_its_role_has_one(role: Role) -> None:
    """Each role takes one of the two forms of name and refuses the other."""
    good, bad = ("x", "") if role.owner_kind else ("", "x")

    assert AccountRef(role, good).owner == good
    with pytest.raises(BadAccount, match=role.value):
        AccountRef(role, bad)


@pytest.mark.parametrize("owner", ["a\x00b", "a\nb", "x" * (OWNER_LENGTH_MAX + 1)])
def test_an_owner_that_is_no_id_is_refused(owner: str) -> None:
    """Control characters and texts beyond the limit name nobody."""
    with pytest.raises(BadAccount):
        AccountRef(Role.HELD, owner)


def test_an_owner_may_hold_the_signs_of_ids() -> None:
    """Colons, quotes, braces and commas survive the way into the database and back."""
    owner = 'a:b,"{c}"\\d\'é' + "x" * (OWNER_LENGTH_MAX - 13)

    assert AccountRef(Role.HELD, owner).owner == owner


def test_an_account_is_opened_once(session: Session, platform: Platform) -> None:
    """Asked for again, with others, it is found; each has one balance row."""
    first = accounts.ensure(session, platform.id, "VND", [AN, BANK], now=NOW)
    second = accounts.ensure(session, platform.id, "VND", [BANK, BINH, AN], now=NOW)

    assert [first[1], first[0]] == [second[0], second[2]]
    assert [False, True, True] == [each.is_strict for each in second]
    assert {each.id for each in second} == set(session.scalars(select(balance.c.account_id)))


def test_accounts_are_opened_with_their_roles_traits(session: Session, platform: Platform) -> None:
    """Mode, side and floor are written with the account and its balance row."""
    signs = AccountRef(Role.HELD, 'a:b,"{c}"')
    accounts.ensure(session, platform.id, "USD", [signs, BANK], now=NOW)
    rows = session.execute(
        select(
            account.c.role,
            account.c.owner,
            account.c.currency,
            account.c.is_strict,
            account.c.is_debit_normal,
            balance.c.is_debit_normal,
            balance.c.floor_minor,
            account.c.created_at,
        )
        .join(balance, balance.c.account_id == account.c.id)
        .order_by(account.c.role)
    ).all()

    assert [
        ("bank", "", "USD", False, True, True, None, NOW),
        ("held", 'a:b,"{c}"', "USD", True, False, False, 0, NOW),
    ] == [tuple(row) for row in rows]


def test_each_currency_has_an_account_of_its_own(session: Session, platform: Platform) -> None:
    """One owner's dong and dollars never meet in one row."""
    dong = accounts.ensure(session, platform.id, "VND", [AN], now=NOW)
    dollars = accounts.ensure(session, platform.id, "USD", [AN], now=NOW)

    assert dong != dollars
