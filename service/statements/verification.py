"""Check a statement that somebody holds: against itself, the register of numbers, and the books.

Owns the check of a JSON statement. Refuses nothing: a document that is no statement differs from one. Law: a
statement as it was issued, untouched, has no differences; any changed value has one. Names are not checked,
because they may change or be erased.
"""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from sqlalchemy.orm import Session

from service.core import digests, spans
from service.parties import platforms
from service.runtime.vault import Vault
from service.statements import gather, numbering, statement


def differences(session: Session, document: object, *, vault: Vault) -> list[str]:
    """Say in sentences how a statement document differs from what was issued and booked; none if it does not.

    Args: document: what the JSON text says.
    """
    match document:
        case {
            "number": str(),
            "issued_at": str(),
            "values_sha256": str(),
            "values": {
                "platform_id": str(platform_id),
                "creator_id": str(creator_id),
                "period": {"id": str(period_id)},
            },
        }:
            held = cast("Mapping[str, Any]", document)
            return list(_found(session, held, platform_id, period_id, creator_id, vault))
        case _:
            return ["The document is no statement in JSON."]


def _found(
    session: Session,
    held: Mapping[str, Any],
    platform_id: str,
    period_id: str,
    creator_id: str,
    vault: Vault,
) -> Iterator[str]:
    try:
        sha256 = digests.digest_of(held["values"])
    except digests.NotCanonical as fault:
        yield f"The values have no digest: {fault.detail}"
        return
    if sha256 != held["values_sha256"]:
        yield f"The digest of the values is {sha256}, not the one that stands beside them."
    issued = numbering.find(session, platform_id, period_id, creator_id)
    if issued is None:
        yield f"No statement was issued to {creator_id} of {platform_id} for {period_id}."
        return
    if (issued.number, spans.to_text(issued.issued_at)) != (held["number"], held["issued_at"]):
        yield f"It was issued as {issued.number} at {spans.to_text(issued.issued_at)}."
    if issued.values_sha256 != sha256:
        yield "Other values were issued under its number."
    platform = platforms.get(session, platform_id)
    booked = gather.creator_statement(session, platform, creator_id, period_id, vault)
    if statement.values(booked) != held["values"]:
        yield "The books give other values."
