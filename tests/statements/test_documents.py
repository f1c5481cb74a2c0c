"""A statement as a file to hand out."""

import json as json_reader
from datetime import UTC, datetime

import pytest
from sqlalchemy.orm import Session

from service.core.errors import NotFound
from service.statements import documents, numbering, verification
from service.statements.documents import Document
from service.statements.formats import csv
from tests.statements.world import VAULT, World

SEPTEMBER = datetime(2026, 9, 6, tzinfo=UTC)


@pytest.fixture
def world(session: Session) -> World:
    made = World(session)
    made.close("2026-08", 1_000, {("hoa", "2026-08"): 1}, now=SEPTEMBER)
    return made


def write(world: World, form: str, *, locale: str = "vi") -> Document:
    return documents.write(
        world.session,
        world.platform,
        "hoa",
        "2026-08",
        form=form,
        locale=locale,
        vault=VAULT,
        now=world.now,
    )


def test_handing_a_statement_out_gives_it_its_number(world: World) -> None:
    """Once: every later file has the same one."""
    first = json_reader.loads(write(world, "json").content)

    again = write(world, "csv").content.decode()

    assert ["2026-08/000001"] == [
        one.number for one in numbering.listing(world.session, world.platform.id, "2026-08")
    ]
    assert first["number"] == "2026-08/000001"
    assert "\r\n2026-08/000001,1,period_share," in again


def test_a_json_file_can_be_verified(world: World) -> None:
    """What is handed out is what was issued."""
    document = write(world, "json")

    held = json_reader.loads(document.content)
    assert ("application/json", "hoa-2026-08.json") == (document.media_type, document.file_name)
    assert [] == verification.differences(world.session, held, vault=VAULT)


@pytest.mark.parametrize(("locale", "words"), [("vi", "Số dư đầu kỳ"), ("en", "Opening balance")])
def test_a_csv_file_opens_in_a_spreadsheet(world: World, locale: str, words: str) -> None:
    """Marked as UTF-8, described in the reader's language."""
    document = write(world, "csv", locale=locale)

    text = document.content.decode()
    assert (csv.MEDIA_TYPE, "hoa-2026-08.csv") == (document.media_type, document.file_name)
    assert text.startswith(csv.BOM + "number,line,")
    assert words in text


@pytest.mark.parametrize("form", ["pdf", "", "CSV"])
def test_there_is_no_other_form(world: World, form: str) -> None:
    """The refusal names those there are, and gives no number."""
    with pytest.raises(NotFound, match="csv, json"):
        write(world, form)
    assert [] == numbering.listing(world.session, world.platform.id, "2026-08")
