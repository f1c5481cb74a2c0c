"""The pages: server-rendered, without scripts, in Vietnamese and English.

Laws: a page shows what the API shows, from the same functions; what is provisional says so; every act is a
form that carries its session's token; a fault is a page that says what happened and what to do.
"""

from flask import Blueprint, Response

from service.core.errors import Fault
from service.web import creator, entrance, finance, public, render, visit
from service.wiring import System


def blueprint(system: System) -> Blueprint:
    """Make the blueprint of all pages."""
    pages = Blueprint(
        "pages",
        __name__,
        template_folder="templates",
        static_folder="static",
        static_url_path="/static",
    )
    for module in (public, entrance, creator, finance):
        module.add_to(pages, system)

    pages.register_error_handler(Fault, lambda fault: explain(system, fault))
    return pages


def explain(system: System, fault: Fault) -> Response:
    """Make the page of a fault, also of one that met no page: what happened, and what to do."""
    values = {"fault": fault, "request_id": visit.request_id()}
    return render.page(system, "fault.html", platform=None, values=values, status=fault.status)
