"""A small world for the tests: a platform whose creators earned, a pretend bank, a clock that tests set."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property

from cryptography.fernet import Fernet
from sqlalchemy.orm import Session

from service.closing import onboarding
from service.ledger import balances, entries, journal
from service.ledger.accounts import AccountRef, Role
from service.parties import creators, staff
from service.parties.actors import OPERATOR, Actor
from service.parties.platforms import Platform
from service.payouts import batches, funding, payees, payouts, settlement
from service.payouts.batches import Batch
from service.payouts.payouts import History, Payout
from service.payouts.providers.base import Provider, TransferState
from service.payouts.providers.sandbox import NAME, Sandbox
from service.payouts.settlement import Pace, Progress
from service.payouts.transitions import State
from service.rules import registry
from service.runtime import db
from service.runtime.db import Database
from service.runtime.vault import Vault

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
DELAY_S = 3_600
"""Seconds from an accepted order to its arrival at the pretend bank."""

MAKER = Actor("staff", "mai")
CHECKER = Actor("staff", "chi")
BOTH = Actor("staff", "bao")
"""Holds both roles, and still is one person."""

AUDITOR = Actor("staff", "tam")


@dataclass
class Clock:
    """The clock of the bank and of the workers; it stands still until a test moves it."""

    now: datetime = NOON

    def __call__(self, session: Session) -> datetime:
        """Read it, as service.runtime.clock.now is read."""
        return self.now

    def move(self, **units: int) -> datetime:
        """Let time pass."""
        self.now += timedelta(**units)
        return self.now


def found(
    session: Session, *, minimum_minor: int = 0, currency: str = "VND", now: datetime = NOON
) -> Platform:
    """Found a platform of a new name with four members of staff."""
    platform = onboarding.found(
        session,
        platform_id=f"muse-{uuid.uuid4().hex[:12]}",
        name="Muse",
        currency=currency,
        document=registry.founding_document() | {"minimum_payout_minor": minimum_minor},
        actor=OPERATOR,
        now=now,
    )
    held = {MAKER: ["finance_maker"], CHECKER: ["finance_checker"], AUDITOR: ["auditor"]}
    held[BOTH] = ["finance_maker", "finance_checker"]
    for person, roles in held.items():
        staff.register(session, platform.id, person.id, person.id, roles, actor=OPERATOR, now=now)
    return platform


def earn(
    session: Session, platform: Platform, amounts_minor: Mapping[str, int], *, now: datetime = NOON
) -> None:
    """Book revenue and its whole division among creators, as a posted period does."""
    creators.ensure(session, platform.id, amounts_minor.keys(), now=now)
    period_id = f"test-{uuid.uuid4().hex[:12]}"
    recognised = entries.revenue_recognised(
        platform.id,
        revenue_id=period_id,
        period_id=period_id,
        currency=platform.currency,
        net_minor=sum(amounts_minor.values()),
        effective_at=now,
    )
    posted = entries.period_posted(
        platform.id,
        period_id=period_id,
        version=1,
        currency=platform.currency,
        shares=[("creator", creator_id, minor) for creator_id, minor in amounts_minor.items()],
        effective_at=now,
    )
    journal.post_all(session, (recognised, posted), now=now)


def books(session: Session, platform: Platform) -> dict[str, int]:
    """Read what the books say of payouts: balances by role, all owners together."""
    roles = (Role.CREATOR_PAYABLE, Role.RESERVED, Role.IN_TRANSIT, Role.PROVIDER_BALANCE)
    return {
        role.value: sum(balances.of_role(session, platform.id, role, platform.currency).values())
        for role in roles
    }


def payable(session: Session, platform: Platform, creator_id: str) -> int:
    """Read what a creator is owed and could be paid."""
    return balances.of(session, platform.id, AccountRef(Role.CREATOR_PAYABLE, creator_id), platform.currency)


@dataclass
class World:
    """A platform in a database to which tests commit, and everything that a payout needs."""

    database: Database
    pace: Pace = field(default_factory=Pace)
    clock: Clock = field(default_factory=Clock)
    vault: Vault = field(default_factory=lambda: Vault([Fernet.generate_key().decode()]))

    @cached_property
    def bank(self) -> Sandbox:
        """The pretend bank, on the same clock."""
        return Sandbox(database=self.database, delay_s=DELAY_S, clock=self.clock)

    @cached_property
    def platform(self) -> Platform:
        """The platform, founded at its first use, with no minimum payout."""
        with db.transaction(self.database) as session:
            return found(session, now=self.clock.now)

    def fund(self, amount_minor: int) -> None:
        """Move money to the bank and book it."""
        reference = uuid.uuid4().hex
        self.bank.fund(self.platform.id, self.platform.currency, amount_minor, reference)
        with db.transaction(self.database) as session:
            funding.record(
                session,
                self.platform,
                provider=NAME,
                amount_minor=amount_minor,
                reference=reference,
                actor=OPERATOR,
                now=self.clock.now,
            )

    def earn(self, amounts_minor: Mapping[str, int]) -> None:
        """Let creators earn."""
        with db.transaction(self.database) as session:
            earn(session, self.platform, amounts_minor, now=self.clock.now)

    def declare(self, creator_id: str, account_number: str) -> None:
        """Let a creator say where to be paid."""
        with db.transaction(self.database) as session:
            payees.declare(
                session,
                self.platform.id,
                creator_id,
                provider=self.bank,
                destination={"account_number": account_number, "holder": creator_id},
                vault=self.vault,
                actor=Actor("creator", creator_id),
                now=self.clock.now,
            )

    def submit(self) -> Batch:
        """Put all that is due into a batch."""
        with db.transaction(self.database) as session:
            return batches.submit(session, self.platform, actor=MAKER, now=self.clock.now)

    def approve(self, batch: Batch) -> Batch:
        """Approve a batch as another person."""
        with db.transaction(self.database) as session:
            return batches.approve(session, self.platform.id, batch.id, actor=CHECKER, now=self.clock.now)

    def cancel(self, batch: Batch) -> Batch:
        """Cancel what can be cancelled of a batch."""
        with db.transaction(self.database) as session:
            return batches.cancel(session, self.platform.id, batch.id, actor=MAKER, now=self.clock.now)

    def pay(self, amounts_minor: Mapping[str, tuple[int, str]]) -> Batch:
        """Let creators earn, declare account numbers, and get an approved batch over enough funds."""
        self.earn({creator_id: minor for creator_id, (minor, _) in amounts_minor.items()})
        for creator_id, (_, number) in amounts_minor.items():
            self.declare(creator_id, number)
        self.fund(sum(minor for minor, _ in amounts_minor.values()))
        return self.approve(self.submit())

    def step(self, provider: Provider | None = None, *, owner: str = "worker", limit: int = 50) -> Progress:
        """Take one step of the settlement for the platform."""
        return settlement.step(
            self.database,
            provider or self.bank,
            self.vault,
            owner=owner,
            now=self.clock.now,
            platform_id=self.platform.id,
            limit=limit,
            pace=self.pace,
        )

    def payouts(self, batch: Batch | None = None) -> list[Payout]:
        """Read the platform's payouts."""
        with db.transaction(self.database) as session:
            return payouts.listing(session, self.platform.id, batch_id=batch.id if batch else None, limit=500)

    def states(self, batch: Batch | None = None) -> dict[str, State]:
        """Read the state of each creator's latest payout."""
        return {one.creator_id: one.state for one in self.payouts(batch)}

    def history(self, creator_id: str) -> History:
        """Read the latest payout of a creator with its steps and attempts."""
        with db.transaction(self.database) as session:
            latest = payouts.listing(session, self.platform.id, creator_id=creator_id)[-1]
            return payouts.get(session, self.platform.id, latest.id)

    def batch(self, batch: Batch) -> Batch:
        """Read a batch anew."""
        with db.transaction(self.database) as session:
            return batches.get(session, self.platform.id, batch.id)

    def books(self) -> dict[str, int]:
        """Read what the books say of payouts."""
        with db.transaction(self.database) as session:
            return books(session, self.platform)

    def funds(self) -> int:
        """Ask the bank what the platform has there."""
        return self.bank.balance(self.platform.id, self.platform.currency)

    def received(self, creator_id: str) -> int:
        """Ask the bank what arrived at a creator's account and did not go back."""
        views = [
            view
            for one in self.payouts()
            if one.creator_id == creator_id
            for view in self.bank.look_up(str(one.id))
        ]
        return sum(view.amount_minor for view in views if view.state is TransferState.PAID)

    def trial_total(self) -> int:
        """Sum the books: debits less credits of all accounts."""
        with db.transaction(self.database) as session:
            rows = balances.trial_balance(session, self.platform.id)
            return sum(row.debit_minor - row.credit_minor for row in rows)

    def batches(self) -> list[Batch]:
        """Read the platform's batches."""
        with db.transaction(self.database) as session:
            return batches.listing(session, self.platform.id, limit=500)
