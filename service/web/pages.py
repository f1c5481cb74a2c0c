"""The pages: server-rendered, without scripts, in Vietnamese and English.

Laws: a page shows what the API shows, from the same functions; what is provisional says so; every act is a
form that carries its session's token; a fault is a page that says what happened and what to do.
"""

from flask import Blueprint, Response, request

from service.core.errors import Fault, NotFound
from service.web import creator, entrance, finance, finance_acts, my_event, public, render, visit
from service.wiring import System

RETRY_AFTER_S = 5


def blueprint(system: System) -> Blueprint:
    """Make the blueprint of all pages."""
    pages = Blueprint(
        "pages",
        __name__,
        template_folder="templates",
        static_folder="static",
        static_url_path="/static",
    )
    for module in (public, entrance, creator, my_event, finance, finance_acts):
        module.add_to(pages, system)

    pages.before_request(_check_address)
    pages.register_error_handler(Fault, lambda fault: explain(system, fault))
    return pages


def explain(system: System, fault: Fault) -> Response:
    """Make the page of a fault, also of one that met no page: what happened, and what to do."""
    values = {"fault": fault, "request_id": visit.request_id(), "way_back": _way_back()}
    response = render.page(system, "fault.html", platform=None, values=values, status=fault.status)
    if fault.status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="benefit-ledger"'
    if fault.status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def _check_address() -> None:
    # No name of anything holds a control character, and the database would choke on some.
    if not all(one.isprintable() for one in (request.path, *request.args.values())):
        raise NotFound("There is nothing at this address; it holds characters that no name has.")


def _way_back() -> str:
    """Choose where a fault's page leads on to: the pages that the request came from."""
    for place in ("/finance", "/me"):
        if request.path == place or request.path.startswith(f"{place}/"):
            return place
    return "/"
