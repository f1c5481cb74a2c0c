"""Exports: tables that other programs read, whose sums are those of the books."""

import csv as reader
from datetime import UTC, datetime
from io import StringIO
from uuid import uuid4

import pytest
from sqlalchemy.orm import Session

from service.calendar import periods
from service.core import money
from service.core.errors import NotFound
from service.ledger import balances, journal
from service.ledger.accounts import Role
from service.ledger.journal import Filters
from service.parties.actors import OPERATOR, Actor
from service.payouts import batches, payees
from service.payouts.providers.sandbox import Sandbox
from service.runtime.db import Database
from service.splits import shares
from service.statements import exports
from service.statements.exports import Table
from service.statements.formats import csv
from tests.statements.world import VAULT, World

E4 = 10_000
SEPTEMBER = datetime(2026, 9, 6, tzinfo=UTC)
OCTOBER = datetime(2026, 10, 6, tzinfo=UTC)

Row = dict[str, str]


@pytest.fixture
def world(session: Session) -> World:
    """Two posted months, a payout that arrived and one that is reserved, in dollars."""
    made = World(session, currency="USD", document={"minimum_payout_minor": 0})
    made.close("2026-08", 100_000, {("hoa", "2026-08"): 3 * E4, ("lan", "2026-08"): 1 * E4}, now=SEPTEMBER)
    made.pay("hoa", 1_050, "sent", "paid")
    made.pay("lan", 99)
    points = {("hoa", "2026-09"): 1 * E4, ("hoa", "2026-08"): 5_000}
    made.close("2026-09", 200_001, points, now=OCTOBER)
    return made


def rows_of(table: Table) -> list[Row]:
    """Read a table as a stranger would."""
    return list(reader.DictReader(StringIO("".join(csv.stream(table.header, table.rows)), newline="")))


def total(rows: list[Row], column: str) -> int:
    return sum(money.parse(row[column], row["currency"]).minor for row in rows)


class TestJournal:
    """Every line of every entry."""

    def test_each_line_is_a_row_with_both_its_accounts(self, world: World) -> None:
        """The debit and its counterpart, by role and owner."""
        [row, *_] = rows_of(exports.journal(world.session, world.platform.id, Filters(kind="payout_sent")))

        [sent] = journal.listing(world.session, world.platform.id, Filters(kind="payout_sent"))
        assert {
            "entry_id": str(sent.id),
            "line": "1",
            "kind": "payout_sent",
            "effective_at": "2026-09-06T00:00:00Z",
            "recorded_at": "2026-09-06T00:00:00Z",
            "period_id": "",
            "cause_kind": "payout",
            "cause_id": sent.cause_id,
            "debit_role": "reserved",
            "debit_owner": "hoa",
            "credit_role": "in_transit",
            "credit_owner": "sandbox",
            "amount": "10.50",
            "currency": "USD",
            "reverses_id": "",
            "key": f"payout_sent:{sent.cause_id}",
        } == row

    def test_its_sum_is_the_debits_and_the_credits_of_all_accounts(self, world: World) -> None:
        """What two rooms count in two ways is the same."""
        rows = rows_of(exports.journal(world.session, world.platform.id))

        accounts = balances.trial_balance(world.session, world.platform.id)
        moved_minor = total(rows, "amount")
        assert moved_minor == sum(one.debit_minor for one in accounts)
        assert moved_minor == sum(one.credit_minor for one in accounts)

    def test_it_is_in_the_order_of_entries_and_lines(self, world: World) -> None:
        """The same file every time."""
        rows = rows_of(exports.journal(world.session, world.platform.id))

        places = [(int(row["entry_id"]), int(row["line"])) for row in rows]
        assert places == sorted(places)
        assert rows == rows_of(exports.journal(world.session, world.platform.id))

    def test_another_platforms_books_are_not_in_it(self, world: World) -> None:
        """Each platform exports its own."""
        other = World(world.session)

        assert [] == rows_of(exports.journal(world.session, other.platform.id))


class TestTrialBalance:
    """The balance of every account."""

    def test_debits_equal_credits(self, world: World) -> None:
        """The law of the books, in the file."""
        rows = rows_of(exports.trial_balance(world.session, world.platform.id))

        assert total(rows, "debit") == total(rows, "credit") > 0

    def test_each_account_says_what_it_holds_on_its_normal_side(self, world: World) -> None:
        """What is owed to a creator is a credit balance."""
        rows = rows_of(exports.trial_balance(world.session, world.platform.id))

        owed = world.balance(Role.CREATOR_PAYABLE, "lan")
        [row] = [row for row in rows if (row["role"], row["owner"]) == ("creator_payable", "lan")]
        assert ("credit", owed) == (row["normal_side"], money.parse(row["balance"], "USD").minor)

    def test_at_an_instant_it_is_what_was_effective_before(self, world: World) -> None:
        """The end of August knows nothing of September."""
        end_at = periods.get(world.session, world.platform.id, "2026-08").span.end_at

        rows = rows_of(exports.trial_balance(world.session, world.platform.id, at=end_at))

        assert {"in_transit", "reserved"} & {row["role"] for row in rows} == set()
        assert total([row for row in rows if row["role"] == "creator_payable"], "balance") == 70_000


class TestShares:
    """Every share of every split."""

    def test_the_shares_of_a_period_sum_to_its_pool(self, world: World) -> None:
        """To the cent, over all parties."""
        rows = rows_of(exports.shares(world.session, world.platform.id, period_id="2026-09"))

        assert total(rows, "amount") == 200_001
        assert {"2026-09"} == {row["period_id"] for row in rows}

    def test_each_share_names_its_party_and_its_origin(self, world: World) -> None:
        """Late events have a row of their own, and points their decimals."""
        rows = rows_of(exports.shares(world.session, world.platform.id, period_id="2026-09"))

        split = shares.latest(world.session, world.platform.id, "2026-09")
        assert split is not None
        assert [
            ("platform", world.platform.id, "2026-09", "0"),
            ("creator", "hoa", "2026-08", "0.5"),
            ("creator", "hoa", "2026-09", "1"),
        ] == [(row["party_kind"], row["party_id"], row["origin_period_id"], row["points"]) for row in rows]
        assert {split.shares_sha256} == {row["shares_sha256"] for row in rows}

    def test_without_a_period_it_is_every_split(self, world: World) -> None:
        """Periods that are not split yet have no rows."""
        rows = rows_of(exports.shares(world.session, world.platform.id))

        assert ["2026-08", "2026-09"] == sorted({row["period_id"] for row in rows})

    def test_a_period_that_is_not_split_is_an_empty_table(self, world: World) -> None:
        """October is open: a header and nothing below."""
        table = exports.shares(world.session, world.platform.id, period_id="2026-10")

        assert ",".join(exports.SHARES_HEADER) + "\r\n" == "".join(csv.stream(table.header, table.rows))

    def test_a_period_that_is_not_there_is_refused(self, world: World) -> None:
        """Before the first row is asked for."""
        with pytest.raises(NotFound):
            exports.shares(world.session, world.platform.id, period_id="2025-01")


class TestPayouts:
    """Every payout with its state."""

    def test_each_payout_is_a_row(self, world: World, shared_database: Database) -> None:
        """All of them, or those of one batch; destinations as hints only."""
        bank = Sandbox(database=shared_database, delay_s=60, clock=lambda _: world.now)
        payees.declare(
            world.session,
            world.platform.id,
            "hoa",
            provider=bank,
            destination={"account_number": "1000200030", "holder": "HOA"},
            vault=VAULT,
            actor=Actor("creator", "hoa"),
            now=world.now,
        )
        batch = batches.submit(world.session, world.platform, actor=OPERATOR, now=world.now)

        rows = rows_of(exports.payouts(world.session, world.platform.id))

        assert [("hoa", "ready", batch.amount_minor)] == [
            (row["creator_id"], row["state"], money.parse(row["amount"], "USD").minor) for row in rows
        ]
        assert "1000200030" not in str(rows)
        assert rows == rows_of(exports.payouts(world.session, world.platform.id, batch_id=batch.id))
        assert [] == rows_of(exports.payouts(world.session, world.platform.id, batch_id=uuid4()))


class TestTotals:
    """Control totals beside the file."""

    def test_they_are_the_sums_of_the_same_rows(self, world: World) -> None:
        """By column and currency, with the number of rows."""
        totals = exports.totals(exports.trial_balance(world.session, world.platform.id))

        rows = rows_of(exports.trial_balance(world.session, world.platform.id))
        assert len(rows) == totals.row_count
        assert {
            (column, "USD"): total(rows, column) for column in ("debit", "credit", "balance")
        } == totals.sums_minor

    def test_currencies_are_not_mixed(self) -> None:
        """Dong and dollars have sums of their own; numbers that are no money have none."""
        rows = [(1, money.Money(5, "VND")), (2, money.Money(7, "USD")), (3, money.Money(-1, "VND"))]

        totals = exports.totals(Table(("n", "amount"), iter(rows)))

        assert exports.Totals(3, {("amount", "VND"): 4, ("amount", "USD"): 7}) == totals

    def test_an_empty_table_has_none(self) -> None:
        """Nothing is nothing."""
        assert exports.Totals(0, {}) == exports.totals(Table(("amount",), iter(())))


def test_rows_are_read_as_they_are_asked_for(world: World) -> None:
    """The journal is not gathered before its first piece is written."""
    table = exports.journal(world.session, world.platform.id)

    pieces = csv.stream(table.header, table.rows, has_bom=True)

    assert next(pieces).startswith(csv.BOM + "entry_id,line,")
    assert len(list(pieces)) == 1
