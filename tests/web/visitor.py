"""A visitor: a browser without scripts. It reads pages, follows what they offer and presses their buttons."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from tests.web.world import PLATFORM, Place

HEADERS = {"Accept": "text/html", "Accept-Language": "en"}


@dataclass
class Form:
    """A form as the page has it."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    label: str = ""


@dataclass
class Page:
    """An answer, read as people read it: its words without tags, its forms, its links."""

    response: TestResponse
    text: str = ""
    html: str = ""
    forms: list[Form] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.response.status_code

    @property
    def buttons(self) -> list[str]:
        """The labels of its forms' buttons, but for the one that signs out."""
        return [form.label for form in self.forms if form.action != "/sign-out"]

    def form(self, label: str) -> Form:
        """Find the form whose button says `label`."""
        found = [form for form in self.forms if form.label == label]
        assert len(found) == 1, f"{label!r} is not on this page once; there are {self.buttons}"
        return found[0]


class Visitor:
    """One browser, with its cookies."""

    def __init__(self, app: Flask, place: Place, *, locale: str = "en") -> None:
        """Open a browser that prefers a language."""
        self.place = place
        self.client = app.test_client()
        self.headers = {**HEADERS, "Accept-Language": locale}

    def get(self, path: str) -> Page:
        """Open a page."""
        return _read(self.client.get(path, headers=self.headers, buffered=True))

    def post(self, path: str, fields: dict[str, str] | None = None, *, site: str | None = None) -> Page:
        """Send a form, and stay at its answer; `site` is what browsers say of where it came from."""
        told = {} if site is None else {"Sec-Fetch-Site": site}
        return _read(self.client.post(path, data=fields or {}, headers={**self.headers, **told}))

    def press(self, page: Page, label: str) -> Page:
        """Press a button and look at the page that it leads to."""
        form = page.form(label)
        answer = self.post(form.action, form.fields)
        assert 303 == answer.status, answer.text
        return self.get(answer.response.headers["Location"])

    def sign_in(self, kind: Any, subject_id: str, platform_id: str = PLATFORM) -> "Visitor":
        """Come in by a link of one's own."""
        page = self.get(self.place.link(kind, subject_id, platform_id))
        self.press(page, page.buttons[0])
        return self

    def cookie(self, name: str) -> str | None:
        """Read a cookie."""
        found = self.client.get_cookie(name)
        return None if found is None else found.value


class _Reader(HTMLParser):
    """Gathers what a page says and offers."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.page = page
        self.words: list[str] = []
        self.form: Form | None = None
        self.is_button = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.form = Form(known["action"])
            self.page.forms.append(self.form)
        elif tag == "input" and self.form is not None:
            self.form.fields[known["name"]] = known["value"]
        elif tag == "button":
            self.is_button = True
        elif tag == "a":
            self.page.links.append(known["href"])

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.form = None
        elif tag == "button":
            self.is_button = False

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self.is_button and self.form is not None:
            self.form.label += data.strip()


def _read(response: TestResponse) -> Page:
    page = Page(response)
    if response.mimetype == "text/html":
        page.html = response.get_data(as_text=True)
        reader = _Reader(page)
        reader.feed(page.html)
        page.text = " ".join(" ".join(reader.words).split())
    return page
