"""A real browser on a real server: Debian's Chromium, driven by Playwright, against the application."""

import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Flask
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright
from werkzeug.serving import WSGIRequestHandler, make_server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

AXE = Path(__file__).parent / "axe" / "axe.min.js"
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]

_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class _Quiet(WSGIRequestHandler):
    """The application has a log of its own."""

    def log_request(self, *_: Any) -> None:
        """Write nothing."""


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """Serve an application on a free port of this machine; give its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def launched() -> Iterator[Browser]:
    """Start the browser."""
    assert CHROMIUM is not None, "the tests that need a browser are skipped where there is none"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Window:
    """One browser window with cookies of its own, and what it complained about and asked for."""

    context: BrowserContext
    page: Page
    base: str
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        """Go to a page of the service."""
        self.page.goto(self.base + path)

    def press(self, label: str) -> None:
        """Press the button that says `label`."""
        self.page.get_by_role("button", name=label, exact=True).click(timeout=5_000)
        self.page.wait_for_load_state()

    def strangers(self) -> list[str]:
        """List the requests that went anywhere but to the service."""
        return [one for one in self.requests if not one.startswith((f"{self.base}/", "data:"))]

    def overflow(self) -> int:
        """Measure by how many pixels the page is wider than the window."""
        width: int = self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        return width

    def roles(self, names: tuple[str, ...]) -> Counter[str]:
        """Count what assistive technology is told of the page, by role."""
        session = self.context.new_cdp_session(self.page)
        nodes = session.send("Accessibility.getFullAXTree")["nodes"]
        session.detach()
        found = (node["role"]["value"] for node in nodes if not node["ignored"])
        return Counter(role for role in found if role in names)

    def violations(self, *, without: tuple[str, ...] = ()) -> list[str]:
        """Let axe-core look for violations of WCAG 2.2 A and AA; name each with its places."""
        rules = {"target-size": {"enabled": True}} | {name: {"enabled": False} for name in without}
        options = {
            "runOnly": {"type": "tag", "values": WCAG},
            "rules": rules,
            "resultTypes": ["violations"],
            # Style sheets and media would be fetched again for each run, for rules that need none here.
            "preload": False,
        }
        found = self.page.evaluate("options => axe.run(document, options)", options)
        return [
            f"{one['id']}: {node['html'][:160]} {node['failureSummary']}"
            for one in found["violations"]
            for node in one["nodes"]
        ]


@contextmanager
def window(browser: Browser, base: str, *, has_scripts: bool = True) -> Iterator[Window]:
    """Open a window; without scripts it is what a careful person or an old machine has."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, java_script_enabled=has_scripts, reduced_motion="reduce"
    )
    if has_scripts:
        context.add_init_script(path=AXE)
    opened = Window(context, context.new_page(), base)

    def hear(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            opened.complaints.append(message.text)

    opened.page.on("console", hear)
    opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    context.on("request", lambda request: opened.requests.append(request.url))
    try:
        yield opened
    finally:
        context.close()
