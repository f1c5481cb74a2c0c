"""The door: ids, headers, log lines and problems for every request, whatever becomes of it."""

import gzip
import json
import subprocess
import sys
from typing import Any

import pytest
import structlog
from flask import Flask
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from service import app as door
from service.api import reference
from service.api.reference import ASSETS
from tests.api.client import Client, Rules
from tests.api.world import World

HOSTILE_PATHS = [
    "/nothing",
    "/v1",
    "/v1/",
    "/v1/limits/",
    "//v1/limits",
    "/v1//limits",
    "/v0/limits",
    "/V1/limits",
    "/v1/periods/%D9%A1",
    "/v1/periods/99999999999999999999",
    "/v1/periods/%00",
    "/v1/periods/%ff",
    "/v1/periods/..%2flimits",
    "/v1/periods/..",
    "/v1/jobs/1",
    "/metrics",
    "/debug",
    "/console",
    "/.env",
    "/.git/config",
    "/docs/../openapi.yaml",
    "/docs/VERSION.md",
    "/docs/swagger-ui-bundle.js.gz",
    "/problems/nothing",
    "/static/anything",
]


@pytest.mark.parametrize("path", HOSTILE_PATHS)
def test_an_address_that_is_not_there_is_a_problem(client: Client, path: str) -> None:
    """The router's refusals look like all others, and nothing is served by accident."""
    assert 404 == client.get(path).status_code


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "PROPFIND", "LIMITS"]
)
def test_a_method_that_an_address_does_not_answer_to_is_a_problem(client: Client, method: str) -> None:
    """The answer names those that it does."""
    response = client.send(method, "/v1/limits")

    assert 405 == response.status_code
    assert {"GET", "HEAD"} == set(response.headers["Allow"].split(", "))


def test_a_method_cannot_be_overridden(client: Client) -> None:
    """A header does not turn one operation into another."""
    headers = {"X-HTTP-Method-Override": "POST", "X-Original-URL": "/v1/keys"}

    assert 200 == client.get("/v1/limits", headers=headers).status_code


def test_an_answer_has_the_headers_that_guard_it(client: Client) -> None:
    """A browser that is led here executes nothing, embeds nothing and keeps nothing."""
    headers = client.get("/v1/limits").headers

    assert door.HEADERS.items() <= dict(headers).items()
    assert door.API_POLICY == headers["Content-Security-Policy"]
    assert "Strict-Transport-Security" not in headers


def test_a_request_gets_an_id(client: Client) -> None:
    """Every answer can be found in the log."""
    ids = {client.get("/v1/limits").headers["X-Request-Id"] for _ in range(3)}

    assert 3 == len(ids)


def test_a_client_may_choose_the_request_id(client: Client) -> None:
    """It then is the same in both logs."""
    headers = {"X-Request-Id": "my-request_7"}

    assert "my-request_7" == client.get("/v1/limits", headers=headers).headers["X-Request-Id"]


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "ö", "<script>"])
def test_a_request_id_that_could_harm_a_log_is_replaced(client: Client, given: str) -> None:
    """Only letters, digits, hyphen and underscore come back."""
    headers = {"X-Request-Id": given}

    assert client.get("/v1/limits", headers=headers).headers["X-Request-Id"] != given


def lines_of(client: Client, headers: dict[str, str] | None = None) -> list[Any]:
    """Send a request and return its log lines."""
    processors = [structlog.contextvars.merge_contextvars]
    with capture_logs(processors=processors) as lines:
        client.get("/v1/periods/2026-10", headers=headers, platform="demo.music")
    return lines


def test_a_request_makes_one_log_line(client: Client) -> None:
    """It names the template of the route, who asked and what came of it."""
    [line] = lines_of(client)

    assert ("request", "GET", "/v1/periods/<period>") == (line["event"], line["method"], line["route"])
    assert ("demo.music", client.key.split("_")[2]) == (line["platform_id"], line["key_id"])
    assert {"status", "ms", "bytes", "request_id", "trace_id", "span_id"} <= line.keys()


def test_a_trace_of_the_caller_is_continued(client: Client) -> None:
    """W3C Trace Context: the trace is theirs, the span is ours."""
    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"

    [line] = lines_of(client, {"traceparent": f"00-{trace}-{parent}-01"})

    assert (trace, parent) == (line["trace_id"], line["parent_span_id"])
    assert parent != line["span_id"]


@pytest.mark.parametrize(
    "given", ["", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "00-a-b-01"]
)
def test_a_trace_that_is_none_is_not_continued(client: Client, given: str) -> None:
    """An id of zeros, or no id, begins a trace of our own."""
    [line] = lines_of(client, {"traceparent": given})

    assert "parent_span_id" not in line
    assert 32 == len(line["trace_id"])


@pytest.fixture
def broken(world: World, rules: Rules) -> Client:
    """Give an application with two routes that do what none may."""
    app = door.create(world.system)

    def raises() -> str:
        secret = "the secret of the database"
        raise RuntimeError(secret)

    def leaves_open() -> str:
        session = Session(world.system.database.engine)
        session.connection()
        left.append(session)
        return "done"

    left: list[Session] = []
    app.add_url_rule("/raises", view_func=raises)
    app.add_url_rule("/leaves-open", view_func=leaves_open)
    yield Client(app, Unchecked(rules.contract, rules.components), None)
    for session in left:
        session.close()


class Unchecked(Rules):
    """Rules for routes that the contract does not know."""

    def check(self, operation_id: str | None, response: Any) -> None:
        """Take every answer."""


def test_an_unexpected_fault_says_its_request_id_only(broken: Client) -> None:
    """What went wrong is in the log, and nowhere else."""
    with capture_logs() as lines:
        response = broken.get("/raises")

    problem = json.loads(response.data)
    assert (500, "/problems/internal") == (response.status_code, problem["type"])
    assert response.headers["X-Request-Id"] == problem["request_id"]
    assert "secret" not in response.text
    assert any(line["event"] == "unexpected" for line in lines)


def test_no_answer_leaves_while_a_transaction_is_open(broken: Client) -> None:
    """What was said to be done, and was not committed, would be a lie."""
    response = broken.get("/leaves-open")

    assert (500, "application/problem+json") == (response.status_code, response.mimetype)


def test_the_contract_is_served_as_it_is(client: Client) -> None:
    """What is read is what binds."""
    response = client.app.test_client().get("/openapi.yaml")

    assert (200, client.rules.contract.text) == (response.status_code, response.data)


def test_the_documentation_runs_under_a_policy_without_inline_script(client: Client) -> None:
    """It loads its own files only, and works offline."""
    response = client.app.test_client().get("/docs")

    assert (200, door.PAGE_POLICY) == (response.status_code, response.headers["Content-Security-Policy"])
    assert not any(text in response.text for text in ("<script>", "<style", "style=", "onload=", "http"))


@pytest.mark.parametrize("name", ASSETS)
def test_a_file_of_the_documentation_is_served(client: Client, name: str) -> None:
    """Compressed or not, the content is the same, and is not sent again to those who have it."""
    asked = client.app.test_client()
    plain = asked.get(f"/docs/{name}")
    packed = asked.get(f"/docs/{name}", headers={"Accept-Encoding": "gzip"})
    again = asked.get(f"/docs/{name}", headers={"If-None-Match": plain.headers["ETag"]})

    is_packed = packed.headers.get("Content-Encoding") == "gzip"
    assert plain.data == (gzip.decompress(packed.data) if is_packed else packed.data)
    assert (200, ASSETS[name], 304) == (plain.status_code, plain.mimetype, again.status_code)


def test_a_problem_type_leads_to_its_page(client: Client) -> None:
    """A client's engineer follows the type and reads what it means."""
    problem = json.loads(client.of(None).get("/v1/limits").data)

    page = client.app.test_client().get(problem["type"])

    assert 200 == page.status_code
    assert problem["title"] in page.text


def test_only_the_documentation_is_served_beside_the_contract(app: Flask) -> None:
    """Nothing is reachable that nobody wrote down."""
    api = {rule.rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/v1")}
    known = {path.replace("{", "<").replace("}", ">") for path in Rules.load().contract.document["paths"]}
    described = {"/openapi.yaml", "/docs", "/docs/<name>", "/problems/<slug>"}
    ours = {rule.rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith(reference.NAME)}

    assert api <= known
    assert described == ours


def test_the_web_process_loads_no_engine() -> None:
    """DuckDB and pyarrow belong to jobs: a web worker stays small."""
    code = (
        "import sys, service.app, service.wiring;"
        "print([name for name in ('duckdb', 'pyarrow') if name in sys.modules])"
    )

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]" == run.stdout.strip()
