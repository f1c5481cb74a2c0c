"""The entrance: one link, one session, and nothing that another site could start."""

from dataclasses import replace

import pytest
from flask import Flask
from sqlalchemy import Table, func, select

from service.app import create
from service.parties.tables import sign_in_link, web_session
from service.runtime import db
from tests.web.conftest import Visit
from tests.web.visitor import Visitor
from tests.web.world import World

SESSION = "bl_session"


def _count(world: World, table: Table) -> int:
    with db.transaction(world.system.database) as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def _used_links(world: World) -> int:
    with db.transaction(world.system.database) as session:
        used = sign_in_link.c.used_at.is_not(None)
        return session.scalar(select(func.count()).select_from(sign_in_link).where(used)) or 0


@pytest.mark.parametrize("method", ["get", "head"])
def test_looking_at_a_link_changes_nothing(world: World, app: Flask, method: str) -> None:
    """Mail programs and previews open links, often more than once; the person still gets in."""
    link = world.link("creator", "an")
    before = (_count(world, web_session), _used_links(world))
    visitor = Visitor(app, world)
    looked = [getattr(visitor.client, method)(link, headers=visitor.headers) for _ in range(3)]

    assert [200, 200, 200] == [one.status_code for one in looked]
    assert before == (_count(world, web_session), _used_links(world))
    assert all("Set-Cookie" not in one.headers for one in looked)
    page = visitor.get(link)
    assert "My earnings" in visitor.press(page, "Sign in").text


@pytest.mark.parametrize(("kind", "who", "home"), [("creator", "an", "/me"), ("staff", "lan", "/finance")])
def test_the_button_leads_home(visit: Visit, world: World, kind: str, who: str, home: str) -> None:
    """A creator to the earnings, staff to finance; wherever the address asks to go."""
    link = world.link(kind, who)
    answer = visit().post(f"{link}?next=https://evil.example/&url=//evil.example", {"next": "//evil.example"})

    assert (303, home) == (answer.status, answer.response.headers["Location"])


def test_a_link_works_once(visit: Visit, world: World) -> None:
    """Its second use opens nothing, and says what to do."""
    link = world.link("creator", "an")
    visit().post(link)
    again = visit()
    answer = again.post(link)

    assert 401 == answer.status
    assert "This sign-in link does not work any more" in answer.text
    assert again.cookie(SESSION) is None


def test_a_made_up_link_opens_nothing(visit: Visit) -> None:
    """Nobody learns whether a link was ever one."""
    assert 401 == visit().post("/sign-in/" + "x" * 43).status


def test_the_session_cookie_is_out_of_reach(visit: Visit) -> None:
    """Scripts cannot read it, other sites' forms do not carry it, it holds nothing but a random token."""
    visitor = visit("creator", "an")
    cookie = visitor.client.get_cookie(SESSION)

    assert cookie is not None
    assert (True, "Lax", "/", False) == (cookie.http_only, cookie.same_site, cookie.path, cookie.secure)
    assert "an" != cookie.value
    assert len(cookie.value) >= 43


def test_behind_tls_the_cookie_is_bound_to_the_host(world: World) -> None:
    """The __Host- prefix demands Secure, the path / and no domain, also of its deletion."""
    settings = replace(world.system.settings, public_url="https://ledger.example")
    app = create(replace(world.system, settings=settings))
    visitor = Visitor(app, world)
    link = world.link("creator", "an")
    answer = visitor.client.post(link, headers=visitor.headers, base_url="https://ledger.example")
    begun = answer.headers["Set-Cookie"]
    page = visitor.client.get("/me", headers=visitor.headers, base_url="https://ledger.example")
    csrf = page.get_data(as_text=True).partition('name="csrf" value="')[2].partition('"')[0]
    out = visitor.client.post("/sign-out", data={"csrf": csrf}, base_url="https://ledger.example")
    ended = out.headers["Set-Cookie"]

    assert begun.startswith("__Host-bl=")
    assert ended.startswith("__Host-bl=;")
    for header in (begun, ended):
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(header.split("; "))
        assert "Domain" not in header
    assert "max-age=31536000" == page.headers["Strict-Transport-Security"]


def test_signing_in_makes_a_new_session_and_ends_the_old_one(visit: Visit) -> None:
    """A token that somebody planted or copied before is worth nothing afterwards."""
    visitor = visit("creator", "an")
    before = visitor.cookie(SESSION)
    visitor.sign_in("staff", "lan")
    after = visitor.cookie(SESSION)
    thief = visit()
    thief.client.set_cookie(SESSION, before or "")

    assert before != after
    assert 401 == thief.get("/me").status
    assert 200 == visitor.get("/finance").status


def test_a_planted_session_is_not_adopted(visit: Visit, world: World) -> None:
    """Session fixation: the token that the browser brought is not the one it leaves with."""
    visitor = visit()
    visitor.client.set_cookie(SESSION, "planted")
    visitor.post(world.link("creator", "an"))

    assert "planted" != visitor.cookie(SESSION)


def test_signing_out_ends_the_session_on_the_server(visit: Visit) -> None:
    """A copy of the cookie does not open anything any more."""
    visitor = visit("creator", "an")
    token = visitor.cookie(SESSION) or ""
    left = visitor.press(visitor.get("/me"), "Sign out")
    copy = visit()
    copy.client.set_cookie(SESSION, token)

    assert (200, None) == (left.status, visitor.cookie(SESSION))
    assert 401 == copy.get("/me").status


@pytest.mark.parametrize("origin", ["cross-site", "same-site"])
def test_another_site_signs_nobody_in(visit: Visit, world: World, origin: str) -> None:
    """Nobody is made to look at an account that an attacker chose."""
    link = world.link("creator", "an")
    visitor = visit()
    refused = visitor.post(link, site=origin)
    admitted = visitor.post(link, site="same-origin")

    assert (403, 303) == (refused.status, admitted.status)


def test_who_is_not_signed_in_is_told_how(visit: Visit) -> None:
    """The page says where links come from, in the visitor's language."""
    pages = [visit(locale=locale).get("/me") for locale in ("en", "vi")]

    assert [401, 401] == [page.status for page in pages]
    assert "You are not signed in here" in pages[0].text
    assert "Bạn chưa đăng nhập" in pages[1].text
    assert 'Bearer realm="benefit-ledger"' == pages[0].response.headers["WWW-Authenticate"]


def test_signed_in_people_find_back_from_public_pages(visit: Visit) -> None:
    """The public page offers a creator the own pages and the way out; a stranger neither."""
    own = visit("creator", "an").get("/p/sen")
    strange = visit().get("/p/sen")

    assert "/me" in own.links
    assert "Sign out" in own.text
    assert "/me" not in strange.links
    assert "Sign out" not in strange.text


def test_the_language_is_kept_and_only_a_known_one(visit: Visit) -> None:
    """Chosen once, it stays; what is no language is passed over."""
    visitor = visit()
    chosen = visitor.get("/?lang=vi")
    later = visitor.get("/p/sen")
    unknown = visitor.get('/?lang="><script>')

    assert ["vi", "vi", "vi"] == [
        page.response.headers["Content-Language"] for page in (chosen, later, unknown)
    ]
    assert "<script>" not in unknown.html
