"""Gather a creator's statement out of the books and the split.

Owns the reading. Refuses a period that is not posted: until then its amounts can change. Laws: the lines are
those that `chain` says; the earnings are the split's shares and, together, exactly what was booked; gathered
again at any later time, a statement has the same values.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from sqlalchemy.orm import Session

from service.calendar import periods
from service.calendar.periods import Period
from service.core.errors import Conflict
from service.ledger import journal
from service.ledger.accounts import AccountRef, Role
from service.ledger.journal import Filters, Recorded
from service.parties import creators
from service.parties.platforms import Platform
from service.runtime.vault import Vault
from service.splits import shares
from service.splits.methods import Share
from service.splits.shares import Split
from service.statements import chain
from service.statements.statement import Balance, Kind, Line, Statement

POSTING: Final = "period_posted"
"""The kind of the entry that books a split."""

_INSTANT: Final = timedelta(microseconds=1)
"""From the last instant of a period, when its earnings count, to its end."""

_KINDS: Final = MappingProxyType(
    {
        "payout_sent": Kind.PAYOUT_SENT,
        "payout_failed": Kind.PAYOUT_FAILED,
        "payout_returned": Kind.PAYOUT_RETURNED,
        "claw_back": Kind.CLAW_BACK,
        "claw_back_recovered": Kind.CLAW_BACK_RECOVERED,
    }
)
"""The entries that a statement has words for; any other one is an adjustment."""

_OWED: Final = (Role.CREATOR_PAYABLE, Role.HELD, Role.RESERVED)
"""Where what is owed to a creator lies, in the order of `Balance`."""


class PeriodNotPosted(Conflict):
    """The period's amounts are not final yet."""

    slug = "period-not-posted"
    title = "The period is not posted yet"


@dataclass(frozen=True, slots=True)
class _Move:
    """What one entry does to what is owed to the creator, for each of _OWED."""

    entry: Recorded
    deltas_minor: list[int] = field(default_factory=lambda: [0] * len(_OWED))

    @property
    def total_minor(self) -> int:
        return sum(self.deltas_minor)


def creator_statement(
    session: Session, platform: Platform, creator_id: str, period_id: str, vault: Vault
) -> Statement:
    """Gather one creator's statement of one posted period; it may have no lines.

    Raises:
        NotFound: no such creator or period.
        PeriodNotPosted: the period is not posted yet.
    """
    creators.get(session, platform.id, creator_id)
    period = periods.get(session, platform.id, period_id)
    if period.posted_at is None:
        raise PeriodNotPosted(
            f"Period {period_id} is {period.state}; there is a statement as soon as it is posted."
        )
    split = shares.latest(session, platform.id, period_id)
    assert split is not None, "a posted period has a split"
    known = periods.listing(session, platform.id)
    moves = _moves(session, platform, creator_id)
    homes = [chain.period_of(move.entry, known) for move in moves]
    before = chain.earlier(period, known)
    opening = _balance(
        move for move, home in zip(moves, homes, strict=True) if home is not None and home.id in before
    )
    own = [move for move, home in zip(moves, homes, strict=True) if home is not None and home.id == period_id]
    earned = _earned(session, split, creator_id)
    return Statement(
        platform_id=platform.id,
        issuer_name=platform.name,
        creator_id=creator_id,
        creator_name=creators.names(session, platform.id, [creator_id], vault).get(creator_id),
        period_id=period_id,
        span=period.span,
        time_zone=period.time_zone,
        posted_at=period.posted_at,
        currency=platform.currency,
        opening=opening,
        lines=(*_earnings(period, split, earned, own), *_movements(own)),
        closing=_balance(own, opening),
        split_version=split.version,
        shares_sha256=split.shares_sha256,
        rulebook_sha256=split.rulebook_sha256,
    )


def _moves(session: Session, platform: Platform, creator_id: str) -> list[_Move]:
    """Read every entry that touches what is owed to a creator, in the order of the journal."""
    moves: dict[int, _Move] = {}
    for place, role in enumerate(_OWED):
        ref = AccountRef(role, creator_id)
        for entry, line in journal.walk(session, platform.id, Filters(account=ref)):
            assert line.currency == platform.currency, "a platform's books are in its currency"
            move = moves.setdefault(entry.id, _Move(entry))
            move.deltas_minor[place] += line.amount_minor if line.credit == ref else -line.amount_minor
    return [moves[entry_id] for entry_id in sorted(moves)]


def _balance(moves: Iterable[_Move], since: Balance | None = None) -> Balance:
    """Add moves up, from zero or from a balance on."""
    start = (0, 0, 0) if since is None else (since.payable_minor, since.held_minor, since.reserved_minor)
    payable, held, reserved = (
        sum(column) for column in zip(start, *(move.deltas_minor for move in moves), strict=True)
    )
    return Balance(payable_minor=payable, held_minor=held, reserved_minor=reserved)


def _earned(session: Session, split: Split, creator_id: str) -> list[Share]:
    """Read the creator's shares of the split that was posted."""
    found = shares.of_creator(session, split.platform_id, creator_id, split.period_id)
    assert all(one.version == split.version for one in found), "what is posted has no newer version"
    return [one.share for one in found]


def _earnings(period: Period, split: Split, earned: Sequence[Share], own: Sequence[_Move]) -> Iterator[Line]:
    """Write a line for each share: the period's own first, then those of late events by origin."""
    posting = next((move for move in own if move.entry.kind == POSTING), None)
    booked_minor = 0 if posting is None else posting.total_minor
    assert booked_minor == sum(share.amount_minor for share in earned), "what was split is what was booked"
    for share in sorted(
        earned, key=lambda share: (share.origin_period_id != period.id, share.origin_period_id)
    ):
        yield Line(
            kind=Kind.PERIOD_SHARE if share.origin_period_id == period.id else Kind.LATE_SHARE,
            at=period.span.end_at - _INSTANT if posting is None else posting.entry.effective_at,
            amount_minor=share.amount_minor,
            reference=f"{period.id}/{split.version}",
            entry_id=posting.entry.id if posting is not None and share.amount_minor else None,
            origin_period_id=share.origin_period_id,
            points_e4=share.points_e4,
        )


def _movements(own: Sequence[_Move]) -> Iterator[Line]:
    """Write a line for everything else that changed what is owed, by when it counts."""
    others = [move for move in own if move.entry.kind != POSTING and move.total_minor]
    for move in sorted(others, key=lambda move: (move.entry.effective_at, move.entry.id)):
        yield Line(
            kind=_KINDS.get(move.entry.kind, Kind.ADJUSTMENT),
            at=move.entry.effective_at,
            amount_minor=move.total_minor,
            reference=move.entry.cause_id,
            entry_id=move.entry.id,
        )
