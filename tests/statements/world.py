"""A platform whose periods are posted and whose creators are paid, on one session.

What other rooms do in many steps, with files and engines between them, is done here in one: points are given,
not scored. The division, the books and the calendar are the real ones.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.fernet import Fernet
from sqlalchemy.orm import Session

from service.calendar import periods
from service.calendar.periods import Period
from service.calendar.tables import STATES
from service.closing import onboarding, pool, revenues
from service.ledger import balances, entries, journal
from service.ledger.accounts import AccountRef, Role
from service.ledger.entries import Entry, Line
from service.parties import creators
from service.parties.actors import OPERATOR
from service.parties.platforms import Platform
from service.rules import registry
from service.runtime.vault import Vault
from service.splits import methods, shares
from service.splits.scoring import Score
from service.splits.shares import Split

FOUNDED_AT = datetime(2026, 8, 20, 5, tzinfo=UTC)
VAULT = Vault([Fernet.generate_key().decode()])

Points = Mapping[tuple[str, str], int]
"""Points, in ten-thousandths, by creator and period of origin."""


def walk_of(points_e4: int) -> dict[str, Any]:
    """Explain points by one type of event, as scoring does."""
    points = str(points_e4)
    line = {"events": 3, "quantity": str(points_e4 // 10_000), "points_e4": points}
    return {"counted": {"view": line}, "excluded": {}, "changed": {}}


@dataclass
class World:
    """A platform and the clock of its staff; the clock never goes back."""

    session: Session
    currency: str = "VND"
    now: datetime = FOUNDED_AT
    document: Mapping[str, Any] = field(default_factory=dict)
    platform: Platform = field(init=False)

    def __post_init__(self) -> None:
        self.platform = onboarding.found(
            self.session,
            platform_id=f"hoa-{uuid.uuid4().hex[:12]}",
            name="Hoa Sen",
            currency=self.currency,
            document={**registry.founding_document(), **self.document},
            actor=OPERATOR,
            now=self.now,
        )

    def until(self, now: datetime) -> None:
        """Let time pass, and open the periods that begin."""
        assert now >= self.now
        self.now = now
        periods.ensure_current(self.session, self.platform, now)

    def register(self, *ids: str) -> None:
        """Register creators, each under a name of its own."""
        for creator_id in ids:
            creators.register(
                self.session,
                self.platform.id,
                creator_id,
                display_name=f"Tên {creator_id}",
                vault=VAULT,
                actor=OPERATOR,
                now=self.now,
            )

    def recognise(self, period_id: str, net_minor: int) -> None:
        """Record revenue of a period."""
        revenues.record(
            self.session,
            self.platform,
            stream="ads",
            reference=uuid.uuid4().hex,
            currency=self.currency,
            gross_minor=net_minor,
            period_id=period_id,
            actor=OPERATOR,
            now=self.now,
        )

    def publish(self, period_id: str, points: Points, *, version: int = 1) -> Split:
        """Divide the pool of a period by points and publish the split."""
        period = periods.get(self.session, self.platform.id, period_id)
        rule = registry.in_force(self.session, self.platform.id, period.span.start_at)
        has = pool.pool_of(self.pool_minor(period_id), self.balance(Role.DEFICIT_CARRIED))
        made = methods.divide(
            platform_id=self.platform.id,
            period_id=period_id,
            pool_minor=has.divided_minor,
            points=[
                Score(creator_id, origin_id, points_e4, walk_of(points_e4))
                for (creator_id, origin_id), points_e4 in points.items()
            ],
            rulebook=rule.rulebook,
            seed=methods.seed_of(self.platform.id, period_id),
            has_parent=None,
        )
        split = shares.compose(
            platform_id=self.platform.id,
            period_id=period_id,
            version=version,
            rulebook_sha256=rule.sha256,
            currency=self.currency,
            pool_minor=has.divided_minor,
            deficit_minor=has.deficit_minor,
            shares=made,
            inputs={},
            computed_at=self.now,
        )
        shares.save(self.session, split, made)
        self.advance(period, "published")
        return split

    def advance(self, period: Period, to: str) -> None:
        """Take a period from its state to a later one."""
        for state in STATES[STATES.index(period.state) + 1 : STATES.index(to) + 1]:
            cut_seq = 0 if state == "sealed" else None
            period = periods.advance(
                self.session, period, state, actor=OPERATOR, now=self.now, cut_seq=cut_seq
            )

    def post(self, period_id: str) -> None:
        """Book the published split of a period."""
        period = periods.get(self.session, self.platform.id, period_id)
        split = shares.latest(self.session, self.platform.id, period_id)
        assert split is not None
        booked: dict[str, Any] = {
            "period_id": period_id,
            "currency": self.currency,
            "effective_at": period.span.end_at - timedelta(microseconds=1),
        }
        rest_minor = self.pool_minor(period_id) - split.pool_minor
        found = []
        if rest_minor:
            carry = entries.deficit_carried if rest_minor < 0 else entries.deficit_recovered
            found.append(carry(self.platform.id, amount_minor=abs(rest_minor), **booked))
        if split.pool_minor:
            made = shares.of_period(self.session, self.platform.id, period_id)
            parts = [(one.party_kind, one.party_id, one.amount_minor) for one in made]
            found.append(
                entries.period_posted(self.platform.id, version=split.version, shares=parts, **booked)
            )
        for entry in found:
            journal.post(self.session, entry, now=self.now)
        self.advance(period, "posted")

    def close(self, period_id: str, pool_minor: int, points: Points, *, now: datetime) -> None:
        """Take a period with one revenue from open to posted at an instant."""
        self.until(now)
        self.register(*{creator_id for creator_id, _ in points})
        if pool_minor:
            self.recognise(period_id, pool_minor)
        self.publish(period_id, points)
        self.post(period_id)

    def pay(self, creator_id: str, amount_minor: int, *steps: str, at: datetime | None = None) -> str:
        """Book steps of one payout: reserved, then released, or sent, paid, failed, returned."""
        payout_id = str(uuid.uuid4())
        for step in ("reserved", *steps):
            extra: dict[str, str] = {} if step == "paid" else {"creator_id": creator_id}
            if step not in {"reserved", "released"}:
                extra["provider"] = "sandbox"
            entry = getattr(entries, f"payout_{step}")(
                self.platform.id,
                payout_id=payout_id,
                currency=self.currency,
                amount_minor=amount_minor,
                effective_at=at or self.now,
                **extra,
            )
            journal.post(self.session, entry, now=self.now)
        return payout_id

    def hold(self, creator_id: str, amount_minor: int) -> None:
        """Hold a creator's money back."""
        line = Line(
            AccountRef(Role.CREATOR_PAYABLE, creator_id), AccountRef(Role.HELD, creator_id), amount_minor
        )
        hold = Entry(
            platform_id=self.platform.id,
            kind="hold",
            cause_kind="case",
            cause_id="case-1",
            currency=self.currency,
            effective_at=self.now,
            key=f"hold:{creator_id}",
            lines=(line,),
        )
        journal.post(self.session, hold, now=self.now)

    def balance(self, role: Role, owner: str = "") -> int:
        """Read the present balance of an account."""
        return balances.of(self.session, self.platform.id, AccountRef(role, owner), self.currency)

    def pool_minor(self, period_id: str) -> int:
        """Read what is in a period's pool."""
        return balances.of(self.session, self.platform.id, entries.pool_account(period_id), self.currency)

    def owed(self, creator_ids: Iterable[str]) -> int:
        """Add up what the platform owes creators now."""
        roles = (Role.CREATOR_PAYABLE, Role.HELD, Role.RESERVED)
        return sum(self.balance(role, creator_id) for creator_id in creator_ids for role in roles)
