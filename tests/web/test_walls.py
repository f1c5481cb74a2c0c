"""The walls: who reaches which page, what a forged form can do, what is escaped."""

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask
from sqlalchemy import text, update

from service.app import create
from service.parties import staff
from service.parties.actors import OPERATOR
from service.parties.tables import staff as staff_table
from service.runtime import clock, db
from tests.web.conftest import Visit
from tests.web.visitor import Visitor
from tests.web.world import FORMULA, HOSTILE, PLATFORM, STRANGER, World

CREATOR_PAGES = ["/me", "/me/periods/{booked}", "/me/periods/{booked}/statement.csv"]
FINANCE_PAGES = [
    "/finance",
    "/finance/periods/{booked}",
    "/finance/periods/{booked}/shares.csv",
    "/finance/batches/{done.id}",
    "/finance/exports/journal.csv",
    "/finance/exports/trial-balance.csv",
    "/finance/exports/payouts.csv",
    "/finance/exports/shares.csv",
]
PUBLIC_PAGES = ["/", "/p/sen", "/sign-in/token", "/p/nothing"]


def _acts(world: World) -> list[str]:
    return [
        f"/finance/periods/{world.over}/close",
        f"/finance/periods/{world.published}/approve",
        f"/finance/periods/{world.published}/post",
        f"/finance/periods/{world.present}/estimate",
        "/finance/batches",
        f"/finance/batches/{world.waiting.id}/approve",
        f"/finance/batches/{world.waiting.id}/cancel",
    ]


def _facts(world: World) -> list[tuple[object, ...]]:
    """Read what acts change."""
    queries = (
        "SELECT id, state FROM period WHERE platform_id = 'sen' ORDER BY id",
        "SELECT id, state FROM payout_batch ORDER BY id",
        "SELECT count(*) FROM job_run",
        "SELECT count(*) FROM entry",
        "SELECT count(*) FROM web_session WHERE ended_at IS NOT NULL",
    )
    with db.transaction(world.system.database) as session:
        return [tuple(row) for query in queries for row in session.execute(text(query))]


@pytest.mark.parametrize("path", FINANCE_PAGES)
def test_a_creator_never_reaches_finance(visit: Visit, world: World, path: str) -> None:
    """To a creator, finance's pages are pages of somebody who is not signed in."""
    assert 401 == visit("creator", "an").get(path.format_map(vars(world))).status


@pytest.mark.parametrize("path", CREATOR_PAGES)
def test_staff_never_reach_a_creators_pages(visit: Visit, world: World, path: str) -> None:
    """Nor do finance staff see what creators see of themselves."""
    assert 401 == visit("staff", "hai").get(path.format_map(vars(world))).status


@pytest.mark.parametrize("path", [*CREATOR_PAGES, *FINANCE_PAGES])
def test_strangers_reach_neither(visit: Visit, world: World, path: str) -> None:
    """Without a session there is a page that says how to get one."""
    assert 401 == visit().get(path.format_map(vars(world))).status


@pytest.mark.parametrize("path", FINANCE_PAGES)
def test_the_same_pages_open_to_those_they_are_for(visit: Visit, world: World, path: str) -> None:
    """The refusals above refuse the person, not the page."""
    assert 200 == visit("staff", "thu").get(path.format_map(vars(world))).status


def test_staff_without_a_role_of_finance_see_no_money(visit: Visit) -> None:
    """Payouts and books are not the business of engineers and moderators."""
    page = visit("staff", "ky").get("/finance")

    assert 403 == page.status
    assert "This is another person's business" in page.text


def test_who_left_is_out_at_once(visit: Visit, world: World) -> None:
    """A member of staff who is deactivated has no use of a session that is still alive."""
    with db.transaction(world.system.database) as session:
        staff.register(session, PLATFORM, "left", "Left", ["auditor"], actor=OPERATOR, now=clock.now(session))
    visitor = visit("staff", "left")
    before = visitor.get("/finance").status
    with db.transaction(world.system.database) as session:
        session.execute(
            update(staff_table)
            .where(staff_table.c.platform_id == PLATFORM, staff_table.c.id == "left")
            .values(deactivated_at=clock.now(session))
        )

    assert (200, 403) == (before, visitor.get("/finance").status)


@pytest.mark.parametrize("path", FINANCE_PAGES[1:4])
def test_another_platforms_things_are_not_there(visit: Visit, world: World, path: str) -> None:
    """A period or a batch of another platform is answered like one that does not exist."""
    rival = visit("staff", "lan", STRANGER)
    page = rival.get(path.format_map(vars(world)))

    assert 404 == page.status
    assert "Mạng Sen" not in page.text


def test_acts_on_another_platforms_things_find_nothing(visit: Visit, world: World) -> None:
    """With a good token of one's own, too."""
    before = _facts(world)
    rival = visit("staff", "lan", STRANGER)
    csrf = rival.get("/finance").form("Sign out").fields
    found = {rival.post(act, csrf).status for act in _acts(world) if act != "/finance/batches"}

    assert {404} == found
    assert before == _facts(world)


def test_a_creator_of_the_same_name_elsewhere_is_somebody_else(visit: Visit, world: World) -> None:
    """Ids are a platform's own: the rival's `an` has earned nothing here."""
    page = visit("creator", "an", STRANGER).get("/me")

    assert "Rival" in page.text
    assert "Mạng Sen" not in page.text
    assert 404 == visit("creator", "an", STRANGER).get(f"/me/periods/{world.booked}").status


def _rules_that_post(app: Flask) -> Iterator[str]:
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith("pages.") and "POST" in (rule.methods or ()):
            yield rule.rule


def test_every_form_that_needs_a_token_is_in_the_tests(app: Flask) -> None:
    """A new act has to be added to the acts that are tried with forged tokens."""
    known = {
        "/sign-in/<token>",
        "/sign-out",
        "/finance/periods/<period_id>/<act>",
        "/finance/batches",
        "/finance/batches/<uuid:batch_id>/<act>",
    }

    assert known == set(_rules_that_post(app))


def test_no_act_is_done_without_the_sessions_own_token(visit: Visit, world: World) -> None:
    """No token, an empty, a wrong, another person's, and one of an earlier session of the same person."""
    before = _facts(world)
    other = visit("staff", "minh").get("/finance").form("Sign out").fields
    earlier = visit("staff", "hai").get("/finance").form("Sign out").fields
    person = visit("staff", "hai")
    forged = [{}, {"csrf": ""}, {"csrf": "0" * 64}, {"csrf": "ü"}, other, earlier]
    acts = [*_acts(world), "/sign-out"]
    found = {person.post(act, fields).status for act in acts for fields in forged}

    assert {403} == found
    assert before == _facts(world)
    assert 200 == person.get("/finance").status


@pytest.mark.parametrize("method", ["get", "put", "delete", "patch"])
def test_an_address_that_acts_is_not_a_page(visit: Visit, world: World, method: str) -> None:
    """Looking at the address of a button does nothing."""
    before = _facts(world)
    person = visit("staff", "hai")
    paths = [act for act in _acts(world) if act != "/finance/batches"]
    found = {getattr(person.client, method)(path, headers=person.headers).status_code for path in paths}

    assert found <= {404, 405}
    assert before == _facts(world)


@pytest.mark.parametrize("path", [*PUBLIC_PAGES, *CREATOR_PAGES[:2], *FINANCE_PAGES[:2]])
def test_every_page_is_guarded_by_its_headers(visit: Visit, world: World, path: str) -> None:
    """Nothing from elsewhere, no frames, no guessing of types, nothing kept by caches on the way."""
    person = visit(*(("creator", "an") if path.startswith("/me") else ("staff", "lan")))
    headers = person.get(path.format_map(vars(world))).response.headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["Content-Security-Policy"].split(";"))

    assert "'self'" == policy["default-src"]
    assert ["'none'"] * 3 == [policy[name] for name in ("object-src", "base-uri", "frame-ancestors")]
    assert "'self'" == policy["form-action"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert ("nosniff", "no-referrer", "no-store") == (
        headers["X-Content-Type-Options"],
        headers["Referrer-Policy"],
        headers["Cache-Control"],
    )


@pytest.mark.parametrize(
    "path", [*PUBLIC_PAGES, *CREATOR_PAGES[:2], *FINANCE_PAGES[:2], "/finance/batches/{done.id}"]
)
def test_no_page_has_a_script_or_a_style_of_its_own(visit: Visit, world: World, path: str) -> None:
    """The policy would refuse them; and nothing on a page needs them."""
    person = visit(*(("creator", "binh") if path.startswith("/me") else ("staff", "lan")))
    html = person.get(path.format_map(vars(world))).html

    assert [] == re.findall(r"<script|<style|\sstyle=|\son\w+=|javascript:", _without_text(html))
    # A form either acts, and is posted with its token, or asks, and changes nothing.
    assert html.count("<form") == html.count('method="post"') + html.count('class="question" method="get"')


def _without_text(html: str) -> str:
    """Keep the tags only."""
    return "".join(re.findall(r"<[^>]*>", html))


@pytest.mark.parametrize(
    ("who", "path", "name"),
    [
        (("creator", "binh"), "/me", HOSTILE),
        (("creator", "binh"), "/me/periods/{booked}", HOSTILE),
        (("staff", "lan"), "/finance/batches/{done.id}", HOSTILE),
        (("creator", "chi"), "/me", FORMULA),
        (("staff", "lan"), "/finance", FORMULA),
    ],
)
def test_names_are_shown_as_they_are(
    visit: Visit, world: World, who: tuple[str, str], path: str, name: str
) -> None:
    """Markup, template braces and formulas in a name are letters of a name."""
    page = visit(*who).get(path.format_map(vars(world)))

    assert name in page.text
    assert "<script" not in page.html
    assert "<img" not in page.html


def test_what_an_address_names_is_shown_as_it_is(visit: Visit) -> None:
    """A fault that repeats the address repeats it as text."""
    page = visit("staff", "lan").get("/finance/periods/<script>alert(1)<!--")

    assert 404 == page.status
    assert "<script" not in page.html
    assert "alert(1)" in page.text


def test_formulas_are_inert_in_exports(visit: Visit, world: World) -> None:
    """A spreadsheet opens an export without running anything."""
    exported = visit("staff", "lan").get("/finance/exports/journal.csv").response
    statement = visit("creator", "chi").get(f"/me/periods/{world.booked}/statement.csv").response
    cells = [
        cell.strip().strip('"')
        for answer in (exported, statement)
        for line in answer.get_data(as_text=True).splitlines()
        for cell in line.split(",")
    ]

    assert "text/csv" == exported.mimetype
    assert [] == [cell for cell in cells if cell.startswith(("=", "@", "+", "\t"))]
    assert any("HYPERLINK" in cell for cell in cells)


@pytest.mark.parametrize(
    "path",
    [
        "/p/sen?before=%00",
        "/finance?before=%0a",
        "/p/%00",
        "/me/periods/%00",
        "/finance/periods/%00",
        "/p/%0d%0aSet-Cookie:x=1",
        "/p/%E2%80%AE",
    ],
)
def test_control_characters_name_nothing(visit: Visit, path: str) -> None:
    """They never reach the database, nor a header."""
    answer = visit("staff", "lan").get(path)

    assert 404 == answer.status
    assert "Set-Cookie" not in answer.response.headers


@pytest.mark.parametrize("path", ["//evil.example/", "/%2f%2fevil.example/", "/\\evil.example"])
def test_no_link_of_a_page_leads_elsewhere(visit: Visit, path: str) -> None:
    """The links that change the language are relative to the page, whatever its address looks like."""
    for address in (path, f"{path}?lang=en&next=//evil.example"):
        page = visit().get(address)

        assert page.links
        assert [] == [link for link in page.links if not re.match(r"/(?![/\\])|\?|#|/$", link)]


@pytest.mark.parametrize("path", ["/", "/p/sen", "/me", "/finance", "/p/nothing"])
def test_pages_link_within_the_service_only(visit: Visit, path: str) -> None:
    """Every link begins at our own root, or on the page itself."""
    person = visit(*(("creator", "an") if path == "/me" else ("staff", "lan")))
    links = person.get(path).links

    assert links
    assert [] == [link for link in links if not re.match(r"/(?![/\\])|\?|#|/$", link)]


def test_a_note_cannot_be_put_on_a_page_by_others(visit: Visit) -> None:
    """Neither by the address, nor by a cookie, nor by the note of another session."""
    person = visit("staff", "lan")
    shown = []
    for planted in ("period-approved", "period-approved." + "0" * 64, "<b>x</b>.", "period-approved.ü"):
        person.client.set_cookie("bl_session_note", planted)
        shown.append(person.get("/finance?note=period-approved").html)

    assert [] == [html for html in shown if 'class="note"' in html]


def test_an_error_of_ours_says_nothing_of_the_inside(world: World) -> None:
    """When the database is away, a page says to try again, with the number of the request."""
    away = db.connect("postgresql+psycopg://nobody:x@127.0.0.1:1/none", application_name="tests")
    try:
        app = create(replace(world.system, database=away))
        page = Visitor(app, world).get("/p/sen")
    finally:
        away.engine.dispose()

    assert 503 == page.status
    assert "The service cannot do this right now" in page.text
    assert "Request:" in page.text
    assert not re.search(r"psycopg|Traceback|127\.0\.0\.1|SELECT", page.html)
    assert "5" == page.response.headers["Retry-After"]
