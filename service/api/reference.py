"""The reference: the contract as a file, as a page that works offline, and a page for each type of problem.

Owns what is shown about the API to people. Refuses every other file than the few that the page needs. The
page's script is stored compressed and is unpacked for clients that do not take it so.
"""

import gzip
import hashlib
import inspect
from collections.abc import Callable, Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from flask import Blueprint, Response, request
from markupsafe import Markup

from service.api.contract import Contract
from service.core import errors
from service.core.errors import NotFound

NAME: Final = "reference"
CONTRACT_TYPE: Final = "application/yaml"
ASSETS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "swagger-ui-bundle.js": "text/javascript",
        "swagger-ui.css": "text/css",
        "start.js": "text/javascript",
        "start.css": "text/css",
    }
)
CACHED: Final = "public, max-age=3600"

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>benefit-ledger API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="stylesheet" href="/docs/start.css">
<script src="/docs/swagger-ui-bundle.js" defer></script>
<script src="/docs/start.js" defer></script>
</head>
<body>
<noscript>The API is described by <a href="/openapi.yaml">/openapi.yaml</a>.</noscript>
<main id="reference"></main>
</body>
</html>
"""
_PROBLEM: Final = Markup("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/static/pico/pico.min.css">
</head>
<body>
<main class="container">
<h1>{title}</h1>
<p>{meaning}</p>
<p>Type <code>/problems/{slug}</code>, status {status}. The problem document names the reason and the remedy
in <code>detail</code>, and each wrong field in <code>errors</code>.</p>
</main>
</body>
</html>
""")


def blueprint(contract: Contract) -> Blueprint:
    """Make the routes of the reference."""
    made = Blueprint(NAME, __name__)
    routes: dict[str, Callable[..., Response]] = {
        "/openapi.yaml": lambda: _file(contract.text, CONTRACT_TYPE),
        "/docs": lambda: Response(_PAGE, mimetype="text/html"),
        "/docs/<name>": _asset,
        "/problems/<slug>": _problem,
    }
    for number, (rule, view) in enumerate(routes.items()):
        made.add_url_rule(rule, endpoint=str(number), view_func=view, provide_automatic_options=False)
    return made


def _asset(name: str) -> Response:
    if name not in ASSETS:
        raise NotFound(f"There is no file {name!r} here.")
    folder = files("service") / "web" / "static" / "swagger"
    packed = folder / f"{name}.gz"
    if not packed.is_file():
        return _file((folder / name).read_bytes(), ASSETS[name])
    content = packed.read_bytes()
    if request.accept_encodings.quality("gzip") > 0:
        response = _file(content, ASSETS[name])
        response.headers["Content-Encoding"] = "gzip"
    else:
        response = _file(gzip.decompress(content), ASSETS[name])
    response.headers["Vary"] = "Accept-Encoding"
    return response


def _file(content: bytes, media_type: str) -> Response:
    response = Response(content, mimetype=media_type)
    response.headers["Cache-Control"] = CACHED
    response.set_etag(hashlib.sha256(content).hexdigest()[:32])
    response.make_conditional(request)
    return response


def _problem(slug: str) -> Response:
    for kind in errors.catalogue():
        if kind.slug == slug:
            meaning = (inspect.getdoc(kind) or kind.title).partition("\n\n")[0]
            page = _PROBLEM.format(title=kind.title, meaning=meaning, slug=slug, status=kind.status)
            return Response(page, mimetype="text/html")
    raise NotFound(f"There is no problem type {slug!r}.")
