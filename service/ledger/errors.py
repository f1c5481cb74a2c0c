"""Faults of the ledger room: what the books refuse, said so that it can be put right."""

from service.core.errors import Conflict, Invalid, NotFound


class BadAccount(Invalid):
    """No account can have this role and owner."""

    slug = "bad-account"
    title = "There is no such account"


class BadEntry(Invalid):
    """The entry or one of its lines cannot be booked as it stands."""

    slug = "bad-entry"
    title = "The entry is not valid"


class EntryNotFound(NotFound):
    """The platform's books hold no such entry."""

    slug = "entry-not-found"
    title = "There is no such entry"


class KeyReused(Conflict):
    """The idempotency key already stands for another entry."""

    slug = "entry-key-reused"
    title = "The key belongs to another entry"


class InsufficientBalance(Conflict):
    """A strict account holds less than the entry takes from it."""

    slug = "insufficient-balance"
    title = "The account does not hold enough"


class BalanceTooLarge(Conflict):
    """An account's turnover would leave the range in which sums are exact."""

    slug = "balance-too-large"
    title = "The account cannot take more"


class AlreadyReversed(Conflict):
    """The entry has been reversed, and an entry is reversed once."""

    slug = "already-reversed"
    title = "The entry is already reversed"


class NotReversible(Conflict):
    """The entry is a reversal itself."""

    slug = "not-reversible"
    title = "A reversal cannot be reversed"
