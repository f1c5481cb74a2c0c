"""What a period has to share: its revenue, less what earlier periods were short by. Pure.

Law: recovered + divided = balance when the balance is not below zero, and deficit = -balance when it is, so
that posting always brings the period's pool account to zero.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pool:
    """A period's pool, all in minor units and zero or more."""

    divided_minor: int
    recovered_minor: int
    deficit_minor: int


def pool_of(balance_minor: int, carried_minor: int) -> Pool:
    """Tell what is divided, what goes to recover a carried deficit, and what is carried on.

    Args:
        balance_minor: the pool account's balance; below zero when corrections outweigh revenue.
        carried_minor: the deficit carried from earlier periods and not yet recovered; zero or more.
    """
    assert carried_minor >= 0, "a deficit is carried, never a surplus"
    if balance_minor < 0:
        return Pool(divided_minor=0, recovered_minor=0, deficit_minor=-balance_minor)
    recovered_minor = min(balance_minor, carried_minor)
    return Pool(
        divided_minor=balance_minor - recovered_minor, recovered_minor=recovered_minor, deficit_minor=0
    )
