"""Statements to test with: one that is written out, and any at all."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from service.core.spans import Span
from service.statements.numbering import Issued
from service.statements.statement import Balance, Kind, Line, Statement

START_AT = datetime(2026, 9, 30, 17, tzinfo=UTC)
END_AT = datetime(2026, 10, 31, 17, tzinfo=UTC)
POSTED_AT = datetime(2026, 11, 6, 3, tzinfo=UTC)

OCTOBER = Statement(
    platform_id="chim-lac",
    issuer_name="Chim Lạc",
    creator_id="c-1",
    creator_name="Nguyễn Thị Hoa",
    period_id="2026-10",
    span=Span(START_AT, END_AT),
    time_zone="Asia/Ho_Chi_Minh",
    posted_at=POSTED_AT,
    currency="VND",
    opening=Balance(payable_minor=70_000, held_minor=0, reserved_minor=30_000),
    lines=(
        Line(
            kind=Kind.PERIOD_SHARE,
            at=END_AT,
            amount_minor=1_234_567,
            reference="2026-10/1",
            entry_id=42,
            origin_period_id="2026-10",
            points_e4=98_765_000,
        ),
        Line(
            kind=Kind.LATE_SHARE,
            at=END_AT,
            amount_minor=0,
            reference="2026-10/1",
            entry_id=None,
            origin_period_id="2026-09",
            points_e4=1,
        ),
        Line(
            kind=Kind.PAYOUT_SENT,
            at=START_AT + timedelta(days=4, microseconds=1),
            amount_minor=-30_000,
            reference="0199-payout",
            entry_id=40,
        ),
    ),
    closing=Balance(payable_minor=1_304_567, held_minor=0, reserved_minor=0),
    split_version=1,
    shares_sha256="5" * 64,
    rulebook_sha256="7" * 64,
)


def issued(one: Statement, **changes: Any) -> Issued:
    """Give a statement the number that a register would."""
    number = Issued(
        platform_id=one.platform_id,
        number=f"{one.period_id}/000001",
        period_id=one.period_id,
        creator_id=one.creator_id,
        ordinal=1,
        values_sha256=one.values_sha256,
        issued_at=POSTED_AT + timedelta(hours=1),
    )
    return replace(number, **changes)


instants = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)).map(  # noqa: DTZ001
    lambda at: at.replace(tzinfo=UTC)
)
amounts = st.integers(-(10**15), 10**15)
words = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20)


@st.composite
def lines(draw: st.DrawFn) -> Line:
    """Draw any line: an earning with its period and points, or a movement."""
    kind = draw(st.sampled_from(Kind))
    is_earning = kind in {Kind.PERIOD_SHARE, Kind.LATE_SHARE}
    return Line(
        kind=kind,
        at=draw(instants),
        amount_minor=draw(amounts),
        reference=draw(words),
        entry_id=draw(st.none() | st.integers(1, 2**53 - 1)),
        origin_period_id=draw(st.sampled_from(("2026-08", "2026-W33", "2026-08-31"))) if is_earning else None,
        points_e4=draw(st.integers(0, 10**38 - 1)) if is_earning else None,
    )


@st.composite
def statements(draw: st.DrawFn) -> Statement:
    """Draw any statement that ties."""
    drawn = tuple(draw(st.lists(lines(), max_size=6)))
    opening = Balance(payable_minor=draw(amounts), held_minor=draw(amounts), reserved_minor=draw(amounts))
    held_minor, reserved_minor = draw(amounts), draw(amounts)
    total_minor = opening.total_minor + sum(line.amount_minor for line in drawn)
    return replace(
        OCTOBER,
        issuer_name=draw(words),
        creator_name=draw(st.none() | words.filter(bool)),
        currency=draw(st.sampled_from(("VND", "USD", "KWD"))),
        opening=opening,
        lines=drawn,
        closing=Balance(
            payable_minor=total_minor - held_minor - reserved_minor,
            held_minor=held_minor,
            reserved_minor=reserved_minor,
        ),
    )
