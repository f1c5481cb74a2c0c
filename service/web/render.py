"""Turn values into pages: one environment, one set of filters, texts in the visitor's language."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from flask import Response, make_response, render_template, request

from service.parties.platforms import LOCALES, Platform
from service.rules import words
from service.runtime import texts
from service.web import visit, vocabulary
from service.wiring import System


def page(
    system: System,
    template: str,
    *,
    platform: Platform | None,
    values: Mapping[str, Any],
    status: int = 200,
) -> Response:
    """Render a template in the visitor's language.

    Args:
        template: a file of service/web/templates.
        platform: whose page it is; its zone and currency format what is shown.
        values: what the template shows.
    """
    locale = visit.locale_of(platform)
    translator = texts.translator(locale)
    zone = platform.zone if platform is not None else ZoneInfo("UTC")
    html = render_template(
        template,
        locale=locale,
        _=translator.gettext,
        ngettext=translator.ngettext,
        platform=platform,
        languages=[(one, _here_in(one, values.get("way_back", "/"))) for one in LOCALES],
        here=request.path,
        word=partial(vocabulary.word, translator),
        actor=partial(vocabulary.actor, translator, values.get("staff_names", {})),
        verdicts_of=vocabulary.verdicts_of,
        explained=partial(vocabulary.fault, translator),
        event_type=partial(words.event_type, locale=locale),
        money=partial(_money, locale=locale),
        number=partial(texts.number, locale=locale),
        points=partial(texts.points, locale=locale),
        rate=partial(texts.rate_bp, locale=locale),
        period_name=partial(texts.period_name, locale=locale),
        period_title=partial(_period_title, locale=locale),
        instant=partial(_instant, zone=zone, locale=locale),
        **values,
    )
    response = make_response(html, status)
    response.headers["Content-Language"] = locale
    response.headers["Vary"] = "Accept-Language, Cookie"
    visit.forget_note(response, system)
    return visit.keep_language(response, system)


def _money(amount_minor: int, currency: str, *, locale: str) -> str:
    return texts.money(amount_minor, currency, locale)


def _instant(at: datetime | None, *, zone: ZoneInfo, locale: str) -> str:
    return "" if at is None else texts.instant(at, zone, locale)


def _period_title(period_id: str, *, locale: str) -> str:
    """Name a period where a line begins: "Tháng 10 năm 2026"."""
    name = texts.period_name(period_id, locale)
    return name[:1].upper() + name[1:]


def _here_in(locale: str, way_back: str) -> str:
    """Write the address of this page in a language, relative to it, so that no path can lead elsewhere.

    Args:
        way_back: where to go from a page that answers to a form, and so has no address to look at.
    """
    if request.method not in {"GET", "HEAD"}:
        return f"{way_back}?{urlencode({'lang': locale})}"
    return f"?{urlencode({**request.args.to_dict(), 'lang': locale})}"
