"""Accounts: which roles there are, what each means for the books, and the rows that stand for them.

Owns the roles as data, the name of an account (role and owner, per platform and currency) and the opening of
accounts on first use. Refuses an owner where a role has none and a missing one where it needs one. Laws: an
account's currency, role, owner, side and mode never change; one role, owner and currency is one account; each
has exactly one balance row.

Strict or tally. A strict account carries limits or is drained to an exact figure, so every posting locks its
balance row, in ascending order of account id, and writes one netted update. A tally account is one that most
postings of a platform touch: locking it would line all callers up behind one row, so postings append their
netted delta and `balances.fold` sums up later. That is why no tally account has a floor.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final, cast

from sqlalchemy import text
from sqlalchemy.orm import Session

from service.ledger.errors import BadAccount

OWNER_LENGTH_MAX: Final = 256
"""Characters in an owner's id; the longest is that of a sub-platform four levels deep."""


class Role(StrEnum):
    """What an account is for."""

    CLEARING = "clearing"
    BANK = "bank"
    SUSPENSE = "suspense"
    REVENUE_POOL = "revenue_pool"
    PLATFORM_REVENUE = "platform_revenue"
    PARENT_SHARE = "parent_share"
    PARTNER_PAYABLE = "partner_payable"
    CREATOR_PAYABLE = "creator_payable"
    HELD = "held"
    RESERVED = "reserved"
    TAX_WITHHELD = "tax_withheld"
    IN_TRANSIT = "in_transit"
    PROVIDER_BALANCE = "provider_balance"
    PROVIDER_FEES = "provider_fees"
    CLAWBACK_RECEIVABLE = "clawback_receivable"
    UNALLOCATED = "unallocated"
    DEFICIT_CARRIED = "deficit_carried"
    ROUNDING = "rounding"
    WRITE_OFF = "write_off"

    @property
    def is_strict(self) -> bool:
        """Tell whether postings lock its balance; a tally account's deltas are folded later."""
        return TRAITS[self].is_strict

    @property
    def is_debit_normal(self) -> bool:
        """Tell whether debits raise its balance (what we own or are owed, and costs)."""
        return TRAITS[self].is_debit_normal

    @property
    def floor(self) -> int | None:
        """The least that its balance on the normal side may be, in minor units; None: no limit."""
        return TRAITS[self].floor

    @property
    def owner_kind(self) -> str | None:
        """Whose id its owner is; None: the platform's own account, without an owner."""
        return TRAITS[self].owner_kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What a role means for every account that has it; `meaning` says what its balance is and why so."""

    is_debit_normal: bool
    is_strict: bool
    floor: int | None
    owner_kind: str | None
    meaning: str


def _owned(
    *, is_strict: bool, meaning: str, floor: int | None = None, owner_kind: str | None = None
) -> Traits:
    """Describe a role that debits raise: what the platform owns or is owed, and costs."""
    return Traits(
        is_debit_normal=True, is_strict=is_strict, floor=floor, owner_kind=owner_kind, meaning=meaning
    )


def _owed(
    *, is_strict: bool, meaning: str, floor: int | None = None, owner_kind: str | None = None
) -> Traits:
    """Describe a role that credits raise: what the platform owes, and income."""
    return Traits(
        is_debit_normal=False, is_strict=is_strict, floor=floor, owner_kind=owner_kind, meaning=meaning
    )


TRAITS: Final[Mapping[Role, Traits]] = MappingProxyType(
    {
        Role.CLEARING: _owned(
            is_strict=False,
            meaning="Recognised revenue that the platform has not paid in. Every revenue and funding: tally.",
        ),
        Role.BANK: _owned(
            is_strict=False,
            meaning="Money in the bank for sharing. The bank refuses an overdraft, not the books: tally.",
        ),
        Role.SUSPENSE: _owed(
            is_strict=False,
            meaning="Money that came in and that nobody explained yet; owed until explained.",
        ),
        Role.REVENUE_POOL: _owed(
            owner_kind="period",
            is_strict=True,
            meaning="A period's net revenue, to be divided. Strict: a close divides an exact figure. No"
            " floor: corrections may take a pool below zero, and it is then carried as a deficit.",
        ),
        Role.PLATFORM_REVENUE: _owed(
            is_strict=False,
            meaning="The platform's own share, and what falls back to it.",
        ),
        Role.PARENT_SHARE: _owed(
            owner_kind="platform",
            is_strict=True,
            floor=0,
            meaning="Owed to the parent platform. Strict: never settled beyond what is owed.",
        ),
        Role.PARTNER_PAYABLE: _owed(
            owner_kind="partner",
            is_strict=True,
            floor=0,
            meaning="Owed to a partner. Strict: never paid beyond what is owed.",
        ),
        Role.CREATOR_PAYABLE: _owed(
            owner_kind="creator",
            is_strict=True,
            floor=0,
            meaning="Owed to a creator and free to pay. Strict: two runs cannot take the same money.",
        ),
        Role.HELD: _owed(
            owner_kind="creator",
            is_strict=True,
            floor=0,
            meaning="Owed to a creator, withheld for a reason. Strict: no more is let go than is held.",
        ),
        Role.RESERVED: _owed(
            owner_kind="creator",
            is_strict=True,
            floor=0,
            meaning="Owed to a creator, set aside for payouts of a batch. Strict: none spends another's.",
        ),
        Role.TAX_WITHHELD: _owed(
            owner_kind="jurisdiction",
            is_strict=False,
            meaning="Withheld from creators, owed to a tax authority. Every crediting or payout: tally.",
        ),
        Role.IN_TRANSIT: _owed(
            owner_kind="provider",
            is_strict=False,
            meaning="Payouts that a provider accepted and did not settle yet. Every payout: tally.",
        ),
        Role.PROVIDER_BALANCE: _owned(
            owner_kind="provider",
            is_strict=False,
            meaning="Money at a payment provider. The provider refuses an overdraft, not the books: tally.",
        ),
        Role.PROVIDER_FEES: _owned(
            owner_kind="provider",
            is_strict=False,
            meaning="What a payment provider charged.",
        ),
        Role.CLAWBACK_RECEIVABLE: _owned(
            owner_kind="creator",
            is_strict=True,
            floor=0,
            meaning="A creator's debt for earnings voided after posting. Strict: never recovered twice.",
        ),
        Role.UNALLOCATED: _owed(
            is_strict=False,
            meaning="What nobody earned, or was recovered, until the rule sends it on.",
        ),
        Role.DEFICIT_CARRIED: _owned(
            is_strict=True,
            floor=0,
            meaning="What pools below zero were short by, to be recovered from later pools. Strict: no"
            " pool gives back more than was carried.",
        ),
        Role.ROUNDING: _owned(
            is_strict=False,
            meaning="Differences of currency exchange below one minor unit.",
        ),
        Role.WRITE_OFF: _owned(
            is_strict=False,
            meaning="Receivables given up.",
        ),
    }
)


@dataclass(frozen=True, slots=True)
class AccountRef:
    """An account of a platform by name; with a currency it is one account.

    Args: role; owner: the id of whom or what the role's `owner_kind` says, "" where it says nothing.
    Raises: BadAccount.
    """

    role: Role
    owner: str = ""

    def __post_init__(self) -> None:
        kind = TRAITS[self.role].owner_kind
        if (kind is None) != (self.owner == ""):
            remedy = f"name its {kind}" if kind else "leave its owner empty"
            raise BadAccount(f"The account {self.role.value} has the owner {self.owner[:40]!r}; {remedy}.")
        if len(self.owner) > OWNER_LENGTH_MAX or not self.owner.isprintable():
            raise BadAccount(
                f"The owner of the account {self.role.value} is no id; give a shorter plain text."
            )

    def __str__(self) -> str:
        return f"{self.role.value}:{self.owner}" if self.owner else self.role.value


@dataclass(frozen=True, slots=True)
class Account:
    """An opened account: its row's id, and whether postings lock its balance."""

    id: int
    is_strict: bool


def ensure(
    session: Session, platform_id: str, currency: str, refs: Sequence[AccountRef], *, now: datetime
) -> list[Account]:
    """Find accounts, opening those that do not exist; at most three statements, whatever the number.

    Args: refs: distinct. Returns: in their order.
    """
    found = _find(session, platform_id, currency, refs)
    missing = [ref for ref, account in zip(refs, found, strict=True) if account is None]
    if missing:
        session.execute(
            _OPEN,
            {
                "platform_id": platform_id,
                "currency": currency,
                "now": now,
                "names": _names(missing),
                "kinds": [role.value for role in TRAITS],
                "stricts": [traits.is_strict for traits in TRAITS.values()],
                "debit_normals": [traits.is_debit_normal for traits in TRAITS.values()],
                "floors": [traits.floor for traits in TRAITS.values()],
            },
        )
    # Another poster may have opened some of them meanwhile: ours waited for its commit and then did nothing.
    # A statement of its own sees what was committed since.
    late = iter(_find(session, platform_id, currency, missing) if missing else ())
    opened = [account or next(late) for account in found]
    assert None not in opened, "every account was found or opened"
    return cast("list[Account]", opened)


def _find(
    session: Session, platform_id: str, currency: str, refs: Sequence[AccountRef]
) -> list[Account | None]:
    """Find those accounts that exist, in the order of the refs."""
    row = session.execute(
        _FIND, {"platform_id": platform_id, "currency": currency, "names": _names(refs)}
    ).one()
    return [
        None if account_id is None else Account(account_id, is_strict)
        for account_id, is_strict in zip(row.ids, row.stricts, strict=True)
    ]


def _names(refs: Iterable[AccountRef]) -> str:
    """Write accounts as one text, role:owner a line; a million of them cost less than an array would."""
    return "\n".join(f"{ref.role.value}:{ref.owner}" for ref in refs)


_ASKED: Final = """
    SELECT split_part(name, ':', 1) AS role, substr(name, strpos(name, ':') + 1) AS owner, ordinal
      FROM unnest(string_to_array(CAST(:names AS text), chr(10))) WITH ORDINALITY AS named (name, ordinal)
"""

# The platform is joined out of a materialized row and not compared with a constant. A new platform is in no
# statistics yet; seeing its name, the planner expects a single row, may loop over all pairs, and a posting of
# 100,000 lines then takes hours instead of seconds. Every statement that joins by platform does likewise.
_FIND: Final = text(
    f"""
    WITH wanted AS MATERIALIZED (
        SELECT CAST(:platform_id AS text) AS platform_id, CAST(:currency AS char(3)) AS currency, asked.*
          FROM ({_ASKED}) AS asked
    )
    SELECT array_agg(account.id ORDER BY wanted.ordinal) AS ids,
           array_agg(account.is_strict ORDER BY wanted.ordinal) AS stricts
      FROM wanted
      LEFT JOIN account USING (platform_id, role, owner, currency)
    """
)

# Sorted, because a poster waits here for another that is opening the same account: in one order for all,
# nobody waits in a circle.
_OPEN: Final = text(
    f"""
    WITH opened AS (
        INSERT INTO account (platform_id, role, owner, currency, is_strict, is_debit_normal, created_at)
        SELECT CAST(:platform_id AS text), asked.role, asked.owner, CAST(:currency AS char(3)),
               kind.is_strict, kind.is_debit_normal, CAST(:now AS timestamptz)
          FROM ({_ASKED}) AS asked
          JOIN unnest(CAST(:kinds AS text[]), CAST(:stricts AS boolean[]), CAST(:debit_normals AS boolean[]))
            AS kind (role, is_strict, is_debit_normal) USING (role)
         ORDER BY asked.role, asked.owner
        ON CONFLICT DO NOTHING
        RETURNING id, role, is_debit_normal
    )
    INSERT INTO balance (platform_id, account_id, floor_minor, is_debit_normal)
    SELECT CAST(:platform_id AS text), opened.id, kind.floor_minor, opened.is_debit_normal
      FROM opened
      JOIN unnest(CAST(:kinds AS text[]), CAST(:floors AS bigint[])) AS kind (role, floor_minor) USING (role)
    """
)
