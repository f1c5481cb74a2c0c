"""A creator asks what became of one event, and reads the answer in words."""

from dataclasses import dataclass
from datetime import date

from flask import Blueprint, Response, request

from service.earnings import events
from service.earnings.events import Quoted
from service.events.verdicts import EventUnknown, Occurrence, Searched
from service.parties import creators, platforms
from service.parties.platforms import Platform
from service.rules.words import Clause
from service.runtime import clock, db
from service.web import render, visit
from service.web.visit import Visit
from service.wiring import System


@dataclass(frozen=True, slots=True)
class Question:
    """What was typed into the form; `day` is None where it is no day, or none was given."""

    source: str
    event_id: str
    day_text: str
    day: date | None


@dataclass(frozen=True, slots=True)
class Line:
    """One occurrence, and in the reader's language the clause that left it out."""

    occurrence: Occurrence
    clause: Clause | None
    version: int | None


def add_to(pages: Blueprint, system: System) -> None:
    """Add the route."""

    @pages.get("/me/events")
    def my_event() -> Response:
        with db.transaction(system.database) as session:
            seen = visit.of_request(session, system, "creator", clock.now(session))
            platform = platforms.get(session, seen.session.platform_id)
            creator_id = seen.session.subject_id
            name = creators.names(session, platform.id, [creator_id], system.vault).get(
                creator_id, creator_id
            )
        asked = _question()
        lines: list[Line] = []
        searched: Searched | None = None
        status = 200
        if asked.event_id and not _is_no_day(asked):
            # The lake is read between transactions, not within one.
            try:
                lines, searched = _answer(system, platform, seen, asked, visit.locale_of(platform))
            except EventUnknown:
                status = 404
        values = {
            "csrf": visit.csrf_token(system, seen),
            "creator_id": creator_id,
            "creator_name": name,
            "asked": asked,
            "is_no_day": _is_no_day(asked),
            "lines": lines,
            "searched": searched,
        }
        return render.page(system, "my_event.html", platform=platform, values=values, status=status)


def _question() -> Question:
    day_text = request.args.get("day", "").strip()
    try:
        day = date.fromisoformat(day_text)
    except ValueError:
        day = None
    return Question(
        source=request.args.get("source", "").strip(),
        event_id=request.args.get("id", "").strip(),
        day_text=day_text,
        day=day,
    )


def _is_no_day(asked: Question) -> bool:
    return bool(asked.day_text) and asked.day is None


def _answer(
    system: System, platform: Platform, seen: Visit, asked: Question, locale: str
) -> tuple[list[Line], Searched]:
    told = events.of_creator(
        system.database,
        system.lake,
        platform,
        seen.session.subject_id,
        asked.source,
        asked.event_id,
        day=asked.day,
    )
    return [
        _line(one, told.clause_of(one.standing), locale) for one in told.found.occurrences
    ], told.found.searched


def _line(one: Occurrence, quoted: Quoted | None, locale: str) -> Line:
    if quoted is None:
        return Line(one, None, None)
    return Line(one, quoted.words[locale], quoted.rulebook_version)
