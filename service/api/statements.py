"""A creator's statement of a posted period, as JSON or as CSV; reading it gives it its number."""

from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from service.api.answers import JSON_TYPE, Answer
from service.api.calls import Call
from service.statements import gather, numbering
from service.statements.formats import csv, json

CSV_TYPE = "text/csv"


def get(call: Call) -> Answer:
    """Read a statement in the format that the request prefers."""
    one = gather.creator_statement(
        call.session,
        call.platform,
        call.parameters["creator"],
        call.parameters["period"],
        call.system.vault,
    )
    issued = numbering.issue(call.session, one, now=call.now)
    if _is_csv_wanted(call):
        locale = call.parameters["locale"] or call.platform.locale
        name = f"{one.creator_id}-{one.period_id}.csv"
        return Answer(
            content=csv.write_statement(one, issued, locale=locale),
            media_type=csv.MEDIA_TYPE,
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )
    return Answer(content=json.write_statement(one, issued), media_type=json.MEDIA_TYPE)


def _is_csv_wanted(call: Call) -> bool:
    if call.parameters["format"]:
        return bool(call.parameters["format"] == "csv")
    accepted = parse_accept_header(call.accept, MIMEAccept)
    return accepted.best_match([JSON_TYPE, CSV_TYPE], default=JSON_TYPE) == CSV_TYPE
