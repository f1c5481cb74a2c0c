"""One period's money from revenue to payout, with the whole ledger written out."""

from datetime import timedelta

from sqlalchemy.orm import Session

from service.ledger import balances, entries, journal
from service.ledger.entries import Entry
from service.parties.platforms import Platform
from tests.ledger.books import JULY, JUNE, NOW, holdings, lines_of

END = JULY - timedelta(microseconds=1)
PAYOUTS = {"an": 350_000_000, "binh": 200_000_000, "chi": 100_000_000}


def test_a_billion_dong_goes_from_revenue_to_creators(session: Session, platform: Platform) -> None:
    """An is paid, Binh's payout fails at the provider, Chi's is paid and comes back."""
    for entry in _story():
        assert not journal.post(session, entry, now=NOW).is_replay

    assert [
        ("revenue_recognised", "clearing", "revenue_pool:2026-06", 1_000_000_000),
        ("period_posted", "revenue_pool:2026-06", "platform_revenue", 300_000_000),
        ("period_posted", "revenue_pool:2026-06", "partner_payable:fund", 50_000_000),
        ("period_posted", "revenue_pool:2026-06", "creator_payable:an", 350_000_000),
        ("period_posted", "revenue_pool:2026-06", "creator_payable:binh", 200_000_000),
        ("period_posted", "revenue_pool:2026-06", "creator_payable:chi", 100_000_000),
        ("fund", "bank", "clearing", 700_000_000),
        ("fund_provider", "provider_balance:sandbox", "bank", 650_000_000),
        ("payout_reserved", "creator_payable:an", "reserved:an", 350_000_000),
        ("payout_reserved", "creator_payable:binh", "reserved:binh", 200_000_000),
        ("payout_reserved", "creator_payable:chi", "reserved:chi", 100_000_000),
        ("payout_sent", "reserved:an", "in_transit:sandbox", 350_000_000),
        ("payout_sent", "reserved:binh", "in_transit:sandbox", 200_000_000),
        ("payout_sent", "reserved:chi", "in_transit:sandbox", 100_000_000),
        ("payout_paid", "in_transit:sandbox", "provider_balance:sandbox", 350_000_000),
        ("payout_failed", "in_transit:sandbox", "creator_payable:binh", 200_000_000),
        ("payout_paid", "in_transit:sandbox", "provider_balance:sandbox", 100_000_000),
        ("payout_returned", "provider_balance:sandbox", "creator_payable:chi", 100_000_000),
    ] == lines_of(session)
    assert {
        "bank": 50_000_000,
        "clearing": 300_000_000,
        "creator_payable:binh": 200_000_000,
        "creator_payable:chi": 100_000_000,
        "partner_payable:fund": 50_000_000,
        "platform_revenue": 300_000_000,
        "provider_balance:sandbox": 300_000_000,
    } == holdings(session)
    assert [
        ("bank", 700_000_000, 650_000_000),
        ("clearing", 1_000_000_000, 700_000_000),
        ("creator_payable", 650_000_000, 950_000_000),
        ("in_transit", 650_000_000, 650_000_000),
        ("partner_payable", 0, 50_000_000),
        ("platform_revenue", 0, 300_000_000),
        ("provider_balance", 750_000_000, 450_000_000),
        ("reserved", 650_000_000, 650_000_000),
        ("revenue_pool", 1_000_000_000, 1_000_000_000),
    ] == [
        (row.role, row.debit_minor, row.credit_minor) for row in balances.trial_balance(session, platform.id)
    ]
    assert {"clearing": 1_000_000_000, "revenue_pool:2026-06": 1_000_000_000} == _held_before(session, END)


def test_a_story_told_twice_is_told_once(session: Session, platform: Platform) -> None:
    """Every template's entry replays: the second telling changes nothing."""
    told = [[journal.post(session, entry, now=NOW) for entry in _story()] for _ in range(2)]

    assert [each.entry_id for each in told[0]] == [each.entry_id for each in told[1]]
    assert all(each.is_replay for each in told[1])
    assert len(told[0]) == len(journal.listing(session, platform.id))


def _story() -> list[Entry]:
    def payout(creator_id: str) -> dict[str, object]:
        return {
            "payout_id": f"payout-{creator_id}",
            "currency": "VND",
            "amount_minor": PAYOUTS[creator_id],
            "effective_at": NOW,
        }

    def made(template: object, creator_id: str, *, provider: bool, creator: bool = True) -> Entry:
        named = {"creator_id": creator_id} if creator else {}
        by = {"provider": "sandbox"} if provider else {}
        return template("sen", **payout(creator_id), **named, **by)  # type: ignore[operator]

    return [
        entries.revenue_recognised(
            "sen",
            revenue_id="r-1",
            period_id="2026-06",
            currency="VND",
            net_minor=1_000_000_000,
            effective_at=JUNE,
        ),
        entries.period_posted(
            "sen",
            period_id="2026-06",
            version=1,
            currency="VND",
            shares=[
                ("platform", "sen", 300_000_000),
                ("partner", "fund", 50_000_000),
                *(("creator", creator_id, amount) for creator_id, amount in PAYOUTS.items()),
            ],
            effective_at=END,
        ),
        entries.fund("sen", reference="bank-1", currency="VND", amount_minor=700_000_000, effective_at=JULY),
        entries.fund_provider(
            "sen",
            reference="bank-2",
            provider="sandbox",
            currency="VND",
            amount_minor=650_000_000,
            effective_at=JULY,
        ),
        *(made(entries.payout_reserved, creator_id, provider=False) for creator_id in PAYOUTS),
        *(made(entries.payout_sent, creator_id, provider=True) for creator_id in PAYOUTS),
        made(entries.payout_paid, "an", provider=True, creator=False),
        made(entries.payout_failed, "binh", provider=True),
        made(entries.payout_paid, "chi", provider=True, creator=False),
        made(entries.payout_returned, "chi", provider=True),
    ]


def _held_before(session: Session, at: object) -> dict[str, int]:
    rows = balances.by_account(session, "sen", at=at)  # type: ignore[arg-type]
    return {str(row.account): row.balance_minor for row in rows if row.balance_minor}
