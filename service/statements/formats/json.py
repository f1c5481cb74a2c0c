"""JSON: the statement's values as they are hashed, with names, number and digest around them.

Law: `values` of the document has the canonical digest that stands beside it, so a reader can check it with
any JSON library: sort the keys, write without blanks, hash the UTF-8 bytes (RFC 8785).
"""

import json
from typing import Final

from service.core import spans
from service.statements import statement
from service.statements.numbering import Issued
from service.statements.statement import Statement

MEDIA_TYPE: Final = "application/json"


def write_statement(one: Statement, issued: Issued) -> bytes:
    """Write a statement as a JSON document in UTF-8, the same bytes every time."""
    document = {
        "number": issued.number,
        "issued_at": spans.to_text(issued.issued_at),
        "issuer_name": one.issuer_name,
        "creator_name": one.creator_name,
        "values": statement.values(one),
        "values_sha256": issued.values_sha256,
    }
    return json.dumps(document, ensure_ascii=False, indent=2).encode() + b"\n"
