"""The pages in a browser: every page, wide and narrow, light and dark, in both languages."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Final, Literal

import pytest
from flask import Flask
from playwright.sync_api import Browser
from sqlalchemy.orm import Session

from service.app import create
from service.runtime import clock
from service.scheduler import ticker
from tests.web import browser as browsers
from tests.web import world as world_module
from tests.web.browser import Window
from tests.web.world import World

pytestmark = pytest.mark.skipif(
    browsers.CHROMIUM is None, reason="no Chromium is installed; Debian's package is called chromium"
)

SIZES = ((1280, 900), (360, 740), (320, 640))
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
LOCALES = ("vi", "en")

PAGES = {
    "start": ("", "/"),
    "platform": ("", "/p/sen"),
    "platform without results": ("", "/p/rival"),
    "sign-in": ("", "/sign-in/token"),
    "earnings": ("creator an", "/me"),
    "earnings with a failed payout": ("creator binh", "/me"),
    "earnings of nothing": ("creator em", "/me"),
    "booked day": ("creator an", "/me/periods/{booked}"),
    "estimated day": ("creator an", "/me/periods/{present}"),
    "event that counts": ("creator an", "/me/events?source=app&id=0-like-an"),
    "event that is left out": ("creator an", "/me/events?source=app&id=1-self"),
    "event of no day": ("creator an", "/me/events?source=app&id=1-self&day=1"),
    "day without an amount": ("creator an", "/me/periods/{over}"),
    "finance, who prepares": ("staff lan", "/finance"),
    "finance, who approves": ("staff minh", "/finance"),
    "day to close": ("staff lan", "/finance/periods/{over}"),
    "day to approve": ("staff minh", "/finance/periods/{published}"),
    "batch to approve": ("staff minh", "/finance/batches/{waiting.id}"),
    "batch that is done": ("staff lan", "/finance/batches/{done.id}"),
}
FAULTS = {
    "no such page": ("", "/p/nothing", 404),
    "not signed in": ("", "/me", 401),
    "event of somebody else's": ("creator an", "/me/events?source=app&id=0-view-binh", 404),
    "another's business": ("staff ky", "/finance", 403),
    "not final yet": ("creator an", "/me/periods/{published}/statement.csv", 409),
}

Enter = Callable[[str], Window]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Give one browser."""
    with browsers.launched() as found:
        yield found


@pytest.fixture(scope="module")
def base(app: Flask, world: World) -> Iterator[str]:
    """Give the address of a server of the small world, with a second rule to come."""
    world_module.publish_second_rule(world.system)
    with browsers.served(app) as address:
        yield address


@pytest.fixture(scope="module")
def enter(browser: Browser, base: str, world: World) -> Iterator[Enter]:
    """Give windows, one for each person: signed in through the link and its button."""
    opened: dict[str, Window] = {}
    with ExitStack() as stack:

        def come(who: str) -> Window:
            if who not in opened:
                opened[who] = stack.enter_context(browsers.window(browser, base))
                if who:
                    opened[who].open(world.link(*who.split()))
                    opened[who].page.click("main button")
            opened[who].complaints.clear()
            opened[who].requests.clear()
            return opened[who]

        yield come


def _in_every_way(one: Window) -> list[str]:
    """Look at the open page in every size and scheme; name what is wrong with which."""
    found = []
    for scheme in SCHEMES:
        one.page.emulate_media(color_scheme=scheme)
        for width, height in SIZES:
            one.page.set_viewport_size({"width": width, "height": height})
            if one.overflow() > 0:
                found.append(f"{width} {scheme}: {one.overflow()} pixels wider than the window")
            found += [f"{width} {scheme}: {text}" for text in one.violations()]
    return found


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_accessible_and_fits(enter: Enter, world: World, name: str, locale: str) -> None:
    """No violation of WCAG 2.2 AA, no sideways scrolling, no complaint, no request to anywhere else."""
    who, path = PAGES[name]
    one = enter(who)
    mark = "&" if "?" in path else "?"
    one.open(f"{path.format_map(vars(world))}{mark}lang={locale}")

    assert locale == one.page.evaluate("document.documentElement.lang")
    assert [] == _in_every_way(one)
    assert [] == one.complaints
    assert one.requests
    assert [] == one.strangers()


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("name", FAULTS)
def test_a_faults_page_is_accessible_and_fits(enter: Enter, world: World, name: str, locale: str) -> None:
    """The same for pages that refuse; the browser itself notes their status, and nothing else."""
    who, path, status = FAULTS[name]
    one = enter(who)
    mark = "&" if "?" in path else "?"
    one.open(f"{path.format_map(vars(world))}{mark}lang={locale}")

    assert [] == _in_every_way(one)
    assert [] == [text for text in one.complaints if f"status of {status}" not in text]
    assert [] == one.strangers()


def test_the_keyboard_reaches_everything_in_order_and_shows_where_it_is(enter: Enter) -> None:
    """Tab goes through every link and button from top to bottom, each with a visible outline."""
    one = enter("staff minh")
    one.open("/finance?lang=en")
    expected = one.page.locator("a, button, summary").count()
    seen = []
    for _ in range(expected):
        one.page.keyboard.press("Tab")
        seen.append(
            one.page.evaluate(
                """() => { const e = document.activeElement, s = getComputedStyle(e);
                return [[...document.querySelectorAll('a, button, summary')].indexOf(e),
                        s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2]; }"""
            )
        )

    assert [[place, True] for place in range(expected)] == seen


def test_the_first_stop_leads_to_the_content(enter: Enter) -> None:
    """Who uses the keyboard need not pass the links of every page first."""
    one = enter("")
    one.open("/p/sen?lang=en")
    one.page.keyboard.press("Tab")
    is_shown = one.page.evaluate("document.activeElement.getBoundingClientRect().left >= 0")
    one.page.keyboard.press("Enter")

    assert is_shown
    assert one.page.url.endswith("#main")


@pytest.mark.parametrize("name", ["earnings", "booked day", "finance, who prepares", "batch that is done"])
def test_tables_stay_tables_where_they_are_shown_as_cards(enter: Enter, world: World, name: str) -> None:
    """A screen reader finds the same rows, headers and cells on a narrow screen as on a wide one."""
    who, path = PAGES[name]
    one = enter(who)
    one.open(f"{path.format_map(vars(world))}?lang=en")
    counts = []
    for size in (SIZES[0], SIZES[-1]):
        one.page.set_viewport_size({"width": size[0], "height": size[1]})
        counts.append(one.roles(("table", "row", "rowheader", "columnheader", "cell")))

    assert min(counts[0][role] for role in ("table", "row", "columnheader", "cell")) > 0
    assert counts[0] == counts[1]


def test_a_page_prints_without_buttons_and_with_everything_unfolded(enter: Enter, world: World) -> None:
    """On paper nothing can be pressed or opened."""
    one = enter("creator an")
    one.open(f"/me/periods/{world.booked}?lang=en")
    one.page.emulate_media(media="print")
    is_read = one.page.locator("details li").first.is_visible()
    shown = [form.is_visible() for form in one.page.locator("form").all()]
    one.page.emulate_media(media="screen")

    assert is_read
    assert shown
    assert not any(shown)


def test_a_page_that_follows_a_job_loads_itself_again_and_can_be_stopped(
    browser: Browser, own_world: World
) -> None:
    """It does so because its reader asked for it; everything else on it is as accessible as elsewhere."""
    address = f"/finance/periods/{own_world.over}"
    with (
        browsers.served(create(own_world.system)) as base,
        browsers.window(browser, base) as one,
    ):
        one.open(own_world.link("staff", "lan"))
        one.page.click("main button")
        one.open(f"{address}?lang=en")
        one.press("Close the period")
        found = one.violations(without=("meta-refresh",))
        with one.page.expect_navigation(timeout=20_000):
            _tick(own_world)
        is_over = one.page.locator("text=Waits for somebody who approves.").first.is_visible()
        still = one.page.locator("meta[http-equiv=refresh]").count()

    assert [] == found
    assert (True, 0) == (is_over, still)


def test_a_day_is_closed_approved_booked_and_paid_without_scripts(browser: Browser, own_world: World) -> None:
    """Two people of finance and a creator, in three windows whose scripts are switched off."""
    address = f"/finance/periods/{own_world.over}"
    with (
        browsers.served(create(own_world.system)) as base,
        browsers.window(browser, base, has_scripts=False) as lan,
        browsers.window(browser, base, has_scripts=False) as minh,
        browsers.window(browser, base, has_scripts=False) as an,
    ):
        for one, kind, who in ((lan, "staff", "lan"), (minh, "staff", "minh"), (an, "creator", "an")):
            one.open(own_world.link(kind, who))
            one.page.click("main button")
            one.page.click("text=English")
        before = an.page.locator(".figures article").nth(2).inner_text()
        lan.open(address)
        lan.press("Close the period")
        _tick(own_world)
        lan.open(address)
        own_buttons = lan.page.locator("main form").count()
        minh.open("/finance")
        minh.page.locator("#waiting ~ ul a", has_text="Look and decide").first.click()
        minh.press("Approve the split")
        approved = minh.page.locator("[role=status]").inner_text()
        lan.open(address)
        lan.press("Book it")
        _tick(own_world)
        lan.open("/finance")
        lan.press("Put what is due into a batch")
        batch_url = lan.page.url
        minh.page.goto(batch_url)
        minh.press("Approve and send")
        for hours in (0, 72):
            _tick(own_world, hours=hours)
        minh.page.goto(batch_url)
        state = minh.page.locator("h1 .state").inner_text()
        an.open("/me")
        after = an.page.locator(".figures article").nth(2).inner_text()
        complaints = [*lan.complaints, *minh.complaints, *an.complaints]
        strangers = [*lan.strangers(), *minh.strangers(), *an.strangers()]

    assert 0 == own_buttons, "who closed is offered nothing to approve"
    assert "You approved the split." == approved
    assert "done" == state
    assert before != after
    assert ([], []) == (complaints, strangers)


def _tick(world: World, *, hours: int = 0) -> None:
    def now_of(session: Session) -> datetime:
        return clock.now(session) + timedelta(hours=hours)

    ticker.tick(world.system, owner="test", now_of=now_of)
