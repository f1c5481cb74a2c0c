"""Checking a statement that somebody holds."""

import json as json_reader
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.orm import Session

from service.core import digests
from service.statements import gather, numbering, verification
from service.statements.formats import json
from tests.statements.world import VAULT, World

SEPTEMBER = datetime(2026, 9, 6, tzinfo=UTC)


@pytest.fixture
def document(session: Session) -> dict[str, Any]:
    """A statement as it was handed out."""
    world = World(session)
    world.close("2026-08", 1_000, {("hoa", "2026-08"): 1}, now=SEPTEMBER)
    one = gather.creator_statement(session, world.platform, "hoa", "2026-08", VAULT)
    issued = numbering.issue(session, one, now=world.now)
    held: dict[str, Any] = json_reader.loads(json.write_statement(one, issued))
    return held


def resealed(document: dict[str, Any]) -> dict[str, Any]:
    """Put the right digest beside changed values, as a forger would."""
    return document | {"values_sha256": digests.digest_of(document["values"])}


def test_a_genuine_statement_has_no_differences(session: Session, document: dict[str, Any]) -> None:
    """As it was issued."""
    assert [] == verification.differences(session, document, vault=VAULT)


def test_a_statement_whose_names_were_changed_is_still_genuine(
    session: Session, document: dict[str, Any]
) -> None:
    """Names may be erased."""
    changed = document | {"creator_name": None, "issuer_name": "?"}

    assert [] == verification.differences(session, changed, vault=VAULT)


def test_a_changed_amount_does_not_fit_its_digest(session: Session, document: dict[str, Any]) -> None:
    """One dong more."""
    document["values"]["closing"]["payable_minor"] += 1

    found = verification.differences(session, document, vault=VAULT)

    assert "not the one that stands beside them" in found[0]
    assert "Other values were issued under its number." in found
    assert "The books give other values." in found


def test_a_forged_digest_is_not_the_one_that_was_issued(session: Session, document: dict[str, Any]) -> None:
    """Whoever changes values and digest still meets the register and the books."""
    document["values"]["closing"]["payable_minor"] += 1

    found = verification.differences(session, resealed(document), vault=VAULT)

    assert ["Other values were issued under its number.", "The books give other values."] == found


@pytest.mark.parametrize("change", [{"number": "2026-08/000002"}, {"issued_at": "2026-09-06T00:00:01Z"}])
def test_a_changed_number_or_date_is_found(
    session: Session, document: dict[str, Any], change: dict[str, str]
) -> None:
    """The register says under which it was issued."""
    found = verification.differences(session, document | change, vault=VAULT)

    assert ["It was issued as 2026-08/000001 at 2026-09-06T00:00:00Z."] == found


def test_a_statement_that_was_never_issued_is_found(session: Session, document: dict[str, Any]) -> None:
    """Right values under an invented name."""
    document["values"]["creator_id"] = "lan"

    [found] = verification.differences(session, resealed(document), vault=VAULT)

    assert found.startswith("No statement was issued to lan ")


def test_values_that_cannot_be_hashed_are_found(session: Session, document: dict[str, Any]) -> None:
    """A float is no amount."""
    document["values"]["closing"]["payable_minor"] = 1.5

    [found] = verification.differences(session, document, vault=VAULT)

    assert found.startswith("The values have no digest: ")


@pytest.mark.parametrize("document", [None, [], {}, "x", {"values": {}}, {"number": 1, "values": {}}])
def test_what_is_no_statement_differs(session: Session, document: object) -> None:
    """Whatever was in the file."""
    assert ["The document is no statement in JSON."] == verification.differences(
        session, document, vault=VAULT
    )
