"""A statement as a file: gathered, numbered, written in the form that is asked for."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from service.core.errors import NotFound
from service.parties.platforms import Platform
from service.runtime.vault import Vault
from service.statements import gather, numbering
from service.statements.formats import csv, json

FORMS = ("csv", "json")


@dataclass(frozen=True, slots=True)
class Document:
    """A file to hand out."""

    content: bytes
    media_type: str
    file_name: str


def write(
    session: Session,
    platform: Platform,
    creator_id: str,
    period_id: str,
    *,
    form: str,
    locale: str,
    vault: Vault,
    now: datetime,
) -> Document:
    """Write a creator's statement of a posted period; the first time gives it its number.

    Args:
        form: one of FORMS.
        locale: of the labels, where the form has any.

    Raises:
        NotFound: no such creator, period or form.
        PeriodNotPosted: the period is not final.
    """
    if form not in FORMS:
        raise NotFound(f"There is no statement as {form!r}; choose from {', '.join(FORMS)}.")
    one = gather.creator_statement(session, platform, creator_id, period_id, vault)
    issued = numbering.issue(session, one, now=now)
    name = f"{creator_id}-{period_id}.{form}"
    if form == "csv":
        content = csv.write_statement(one, issued, locale=locale, has_bom=True)
        return Document(content, csv.MEDIA_TYPE, name)
    return Document(json.write_statement(one, issued), json.MEDIA_TYPE, name)
