"""The formats of a statement: CSV and JSON say the same, in every currency, language and spreadsheet."""

import csv as reader
import json as json_reader
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given

from service.core import digests, money
from service.core.money import Money
from service.statements.formats import csv, json
from service.statements.statement import Kind, Statement
from tests.statements.examples import OCTOBER, issued, statements

Row = dict[str, str]


def rows_of(data: bytes) -> list[Row]:
    """Read a CSV file as a stranger would."""
    return list(reader.DictReader(StringIO(data.decode(), newline="")))


def minor(text: str, currency: str) -> int:
    return money.parse(text, currency).minor


def values_from(rows: list[Row]) -> dict[str, Any]:
    """Put a statement's values together again out of its CSV."""
    first, last, common = rows[0], rows[-1], rows[0]

    def balance(row: Row) -> dict[str, int]:
        parts = {
            f"{name}_minor": minor(row[name], row["currency"]) for name in ("payable", "held", "reserved")
        }
        return parts | {"total_minor": minor(row["balance"], row["currency"])}

    return {
        "format": "benefit-ledger/statement/1",
        "platform_id": common["platform_id"],
        "creator_id": common["creator_id"],
        "period": {
            "id": common["period_id"],
            "start_at": common["period_start_at"],
            "end_at": common["period_end_at"],
            "time_zone": common["time_zone"],
            "posted_at": common["posted_at"],
        },
        "currency": common["currency"],
        "opening": balance(first),
        "lines": [
            {
                "kind": row["kind"],
                "at": row["at"],
                "origin_period_id": row["origin_period_id"] or None,
                "points": row["points"] or None,
                "amount_minor": minor(row["amount"], row["currency"]),
                "reference": row["reference"],
                "entry_id": int(row["entry_id"]) if row["entry_id"] else None,
            }
            for row in rows[1:-1]
        ],
        "closing": balance(last),
        "proof": {
            "split_version": int(common["split_version"]),
            "shares_sha256": common["shares_sha256"],
            "rulebook_sha256": common["rulebook_sha256"],
        },
    }


def unmarked(values: dict[str, Any]) -> dict[str, Any]:
    """Write references as a spreadsheet may see them."""
    lines = [line | {"reference": csv.text_of(line["reference"])} for line in values["lines"]]
    return values | {"lines": lines}


class TestBothFormats:
    """One statement, two files."""

    @given(statements())
    def test_csv_read_back_is_what_json_says(self, one: Statement) -> None:
        """No value is lost or rounded on the way, in VND, USD or KWD."""
        from_csv = values_from(rows_of(csv.write_statement(one, issued(one), locale="vi")))
        from_json = json_reader.loads(json.write_statement(one, issued(one)))["values"]

        assert unmarked(from_json) == from_csv

    @given(statements())
    def test_the_digest_beside_the_values_is_theirs(self, one: Statement) -> None:
        """A reader of either file finds the same digest, and computes it from the JSON."""
        document = json_reader.loads(json.write_statement(one, issued(one)))
        rows = rows_of(csv.write_statement(one, issued(one), locale="en"))

        assert document["values_sha256"] == digests.digest_of(document["values"])
        assert {row["values_sha256"] for row in rows} == {document["values_sha256"]}

    def test_the_same_statement_is_the_same_file(self) -> None:
        """Files can be compared byte by byte."""
        assert json.write_statement(OCTOBER, issued(OCTOBER)) == json.write_statement(
            OCTOBER, issued(OCTOBER)
        )

    def test_names_stand_outside_the_values(self) -> None:
        """What may be erased is not in what is hashed."""
        document = json_reader.loads(json.write_statement(OCTOBER, issued(OCTOBER)))

        assert document["creator_name"] == "Nguyễn Thị Hoa"
        assert "Nguyễn" not in json_reader.dumps(document["values"], ensure_ascii=False)


class TestStatementTable:
    """A statement as CSV."""

    def test_it_is_written_out_whole(self) -> None:
        """The walk from opening to closing balance, line by line."""
        rows = rows_of(csv.write_statement(OCTOBER, issued(OCTOBER), locale="en"))

        shown = ("line", "kind", "description", "points", "amount", "balance")
        assert [
            ("0", "opening_balance", "Opening balance", "", "", "100000"),
            (
                "1",
                "period_share",
                "Share of the revenue of October 2026",
                "9876.5",
                "1234567",
                "1334567",
            ),
            ("2", "late_share", "Late events of September 2026", "0.0001", "0", "1334567"),
            ("3", "payout_sent", "Payout", "", "-30000", "1304567"),
            ("4", "closing_balance", "Closing balance", "", "", "1304567"),
        ] == [tuple(row[name] for name in shown) for row in rows]

    @given(statements())
    def test_the_running_balance_ends_at_the_closing_balance(self, one: Statement) -> None:
        """Each row's balance is the one before plus its amount."""
        rows = rows_of(csv.write_statement(one, issued(one), locale="vi"))

        balance = minor(rows[0]["balance"], one.currency)
        for row in rows[1:-1]:
            balance += minor(row["amount"], one.currency)
            assert balance == minor(row["balance"], one.currency)
        assert balance == minor(rows[-1]["balance"], one.currency)

    @pytest.mark.parametrize(
        ("currency", "text"), [("VND", "-30000"), ("USD", "-300.00"), ("KWD", "-30.000")]
    )
    def test_an_amount_has_the_decimals_of_its_currency(self, currency: str, text: str) -> None:
        """Minor units become decimals by ISO 4217, not by a hundred."""
        one = replace(OCTOBER, currency=currency)

        rows = rows_of(csv.write_statement(one, issued(one), locale="vi"))

        assert text == rows[3]["amount"]

    @pytest.mark.parametrize(
        ("locale", "words"),
        [
            (
                "vi",
                [
                    "Số dư đầu kỳ",
                    "Chia sẻ doanh thu của tháng 10 năm 2026",
                    "Sự kiện đến muộn của tháng 9 năm 2026",
                    "Chi trả",
                    "Số dư cuối kỳ",
                ],
            ),
            (
                "en",
                [
                    "Opening balance",
                    "Share of the revenue of October 2026",
                    "Late events of September 2026",
                    "Payout",
                    "Closing balance",
                ],
            ),
        ],
    )
    def test_descriptions_are_in_the_readers_language(self, locale: str, words: list[str]) -> None:
        """Everything else is the same in both languages."""
        rows = rows_of(csv.write_statement(OCTOBER, issued(OCTOBER), locale=locale))

        assert words == [row["description"] for row in rows]

    @pytest.mark.parametrize("kind", [kind for kind in Kind if not kind.value.endswith("share")])
    def test_every_kind_of_line_has_words(self, kind: Kind) -> None:
        """Each movement is named in both languages, differently."""
        line = replace(OCTOBER.lines[2], kind=kind)
        one = replace(OCTOBER, lines=(*OCTOBER.lines[:2], line))

        said = [
            rows_of(csv.write_statement(one, issued(one), locale=locale))[3]["description"]
            for locale in ("vi", "en")
        ]

        assert all(said)
        assert said[0] != said[1]

    def test_a_spreadsheet_finds_the_mark_of_utf8(self) -> None:
        """Only on demand: a machine would take it for part of the first column's name."""
        marked = csv.write_statement(OCTOBER, issued(OCTOBER), locale="vi", has_bom=True)
        plain = csv.write_statement(OCTOBER, issued(OCTOBER), locale="vi")

        assert marked == b"\xef\xbb\xbf" + plain


class TestCells:
    """What a cell becomes."""

    @pytest.mark.parametrize(
        "name", ['=HYPERLINK("http://x","y")', "+1", "-1+cmd", "@SUM(A1)", "＝1", "\t=1", "\r=1", "  =1"]
    )
    def test_a_name_that_looks_like_a_formula_is_no_formula(self, name: str) -> None:
        """Spreadsheets run what begins with these signs."""
        one = replace(OCTOBER, creator_name=name)

        rows = rows_of(csv.write_statement(one, issued(one), locale="vi"))

        assert {f"'{name}"} == {row["creator_name"] for row in rows}

    @pytest.mark.parametrize("name", ["Nguyễn Thị Hoa", 'Hoa "Sen", Huế', "a=1", "", "1-2"])
    def test_any_other_name_is_kept(self, name: str) -> None:
        """Quotes, commas and signs inside a name are data."""
        one = replace(OCTOBER, issuer_name=name)

        rows = rows_of(csv.write_statement(one, issued(one), locale="vi"))

        assert {name} == {row["issuer_name"] for row in rows}

    @pytest.mark.parametrize(
        ("cell", "text"),
        [
            (None, ""),
            (-5, "-5"),
            (Money(-5, "USD"), "-0.05"),
            (datetime(2026, 11, 21, 13, tzinfo=UTC), "2026-11-21T13:00:00Z"),
            (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ],
    )
    def test_what_is_no_text_is_written_by_us(self, cell: csv.Cell, text: str) -> None:
        """A negative number is a number and keeps its sign."""
        assert text == csv.text_of(cell)


class TestStream:
    """Tables of any length."""

    def test_rows_are_taken_as_pieces_are_asked_for(self) -> None:
        """A table longer than memory never stands there whole."""
        taken = []

        def rows() -> Any:
            for number in range(3 * csv.CHUNK_ROWS):
                taken.append(number)
                yield (number,)

        pieces = csv.stream(("n",), rows())

        assert next(pieces) == "n\r\n"
        assert taken == []
        next(pieces)
        assert len(taken) == csv.CHUNK_ROWS

    def test_lines_end_as_the_standard_says(self) -> None:
        """RFC 4180: CRLF after every row, quotes doubled."""
        assert 'a,b\r\n"x ""y""",1\r\n' == "".join(csv.stream(("a", "b"), [('x "y"', 1)]))

    def test_a_row_that_does_not_fit_its_header_is_a_mistake(self) -> None:
        """A shifted column would be read as another value."""
        with pytest.raises(AssertionError, match="for each column"):
            list(csv.stream(("a", "b"), [("x",)]))
