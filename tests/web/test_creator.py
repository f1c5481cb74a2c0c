"""What creators see of themselves: where the money is, what blocks it, and how each amount came about."""

import re
from pathlib import Path
from urllib.parse import urlencode

import pytest
from sqlalchemy import insert

from service.app import create
from service.closing.tables import clawback, clawback_run
from service.earnings import creator as earnings
from service.ledger import entries, journal
from service.runtime import clock, db
from service.runtime.db import Database
from service.splits import shares
from tests.web import world as world_module
from tests.web.conftest import Visit
from tests.web.visitor import Page, Visitor
from tests.web.world import World


def test_an_estimate_is_marked_as_one(visit: Visit, world: World) -> None:
    """It has a box of its own, the sign for `about`, and the words that it is not final and until when."""
    page = visit("creator", "an").get("/me")
    box = page.html.partition('<article class="provisional">')[2].partition("</article>")[0]

    assert "not final" in box
    assert "≈" in box
    assert "It changes until the period is closed, after" in box
    assert f"/me/periods/{world.present}" in page.links
    assert "It changes until" in visit("creator", "an").get(f"/me/periods/{world.present}").text


def test_the_three_figures_are_those_of_the_books(visit: Visit, world: World) -> None:
    """Estimate, final and unpaid, paid to date: as the service computes them."""
    with db.transaction(world.system.database) as session:
        known = earnings.summary(session, world.platform(), "an", now=clock.now(session))
    page = visit("creator", "an").get("/me")

    assert known.estimate is not None
    assert known.paid_minor > 0
    for amount_minor in (known.estimate.amount_minor, known.paid_minor):
        assert f"VND {amount_minor:,}" in page.text.replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("who", "words"),
    [
        (
            "chi",
            "cannot be paid: there is no account to pay it to. Enter your account in the app of Mạng Sen.",
        ),
        ("dung", "is below the minimum payout of VND 50,000;"),
        ("em", "Nothing is final yet: an amount is final when its period is booked."),
        ("binh", "is in a payout batch and is sent when a second person has approved it."),
        ("an", "Everything that is final is paid."),
    ],
)
def test_what_blocks_a_payout_is_said_with_the_remedy(visit: Visit, who: str, words: str) -> None:
    """Each creator reads what becomes of the money, and what to do about it."""
    page = visit("creator", who).get("/me")

    assert words in page.text.replace("\u00a0", " ")


def test_a_failed_payout_says_why_in_words(visit: Visit, world: World) -> None:
    """The code stays beside the words, so that it can be searched for."""
    page = visit("creator", "binh").get("/me")
    texts = [visit("creator", "binh", locale=locale).get("/me").text for locale in ("en", "vi")]

    assert "The account is closed. account_closed" in texts[0]
    assert "Tài khoản đã đóng. account_closed" in texts[1]
    assert page.text.index("waits for approval") < page.text.index("failed"), "the latest payout comes first"


def test_a_creator_without_anything_reads_what_comes_first(visit: Visit) -> None:
    """Empty lists say how they fill."""
    page = visit("creator", "em").get("/me")

    assert "Nothing has been paid yet." in page.text
    assert "No account is known to pay to." in page.text


def test_the_walk_can_be_checked_with_a_calculator(visit: Visit, world: World) -> None:
    """60 likes and 2 comments are 196 points of 378; 900,001 x 70 % x 196 / 378."""
    page = visit("creator", "an").get(f"/me/periods/{world.booked}")
    text = page.text.replace("\u00a0", " ")
    with db.transaction(world.system.database) as session:
        known = earnings.of_period(session, world.platform(), "an", world.booked)
    (line,) = known.lines
    total_e4 = line.quota.points_total_e4

    assert re.search(r"comment 1 2 8 16\b", text)
    assert re.search(r"like 1 60 3 180\b", text)
    assert 1_960_000 == line.quota.points_e4
    assert 3_780_000 == total_e4
    exact = 900_001 * 7_000 * 196 * 10_000 // (10_000 * 378)
    shown = f"{exact // 10_000:,}.{exact % 10_000:04}"
    assert f"VND 900,001 × 70% × 196 ÷ 378 = {shown}…" in text
    assert f"= VND {line.amount_minor:,} (rounded" in text
    assert known.shares_sha256 is not None
    assert known.shares_sha256 in text
    assert known.rule.sha256 in text


def test_what_was_left_out_is_named_with_its_clause(visit: Visit, world: World) -> None:
    """The like that an gave to an is there, with the clause that excludes it."""
    text = visit("creator", "an").get(f"/me/periods/{world.booked}").text

    assert "What was not counted, and why like: 1. Engaging with oneself" in text


def test_late_events_are_told_by_the_rule_of_their_own_day(database: Database, tmp_path: Path) -> None:
    """A like of the day before is worth 3 points by its rule, one of the day itself 5 by the next."""
    made, day = world_module.build_late(database, tmp_path)
    visitor = Visitor(create(made.system), made).sign_in("creator", "an")
    text = visitor.get(f"/me/periods/{day}").text
    own, _, late = text.partition("My points of late events of")

    assert "like 1 1 5 5 Points that count 5" in own
    assert "like 1 1 3 3 Points that count 3" in late
    assert "4. My amount" in late


def test_a_statement_is_there_when_the_amount_is_final_and_not_before(visit: Visit, world: World) -> None:
    """Before, the list says so and the address explains it."""
    visitor = visit("creator", "an")
    links = visitor.get("/me").links
    early = visitor.get(f"/me/periods/{world.published}/statement.csv")

    assert f"/me/periods/{world.booked}/statement.json" in links
    assert f"/me/periods/{world.published}/statement.csv" not in links
    assert 200 == visitor.get(f"/me/periods/{world.booked}/statement.json").status
    assert 409 == early.status
    assert "There is a statement as soon as the amount is booked." in early.text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/me/periods/2026-13", 404),
        ("/me/periods/1999-01-01", 404),
        ("/me/periods/{booked}/statement.exe", 404),
        ("/me/periods/{over}", 200),
    ],
)
def test_what_is_not_there_is_a_page_too(visit: Visit, world: World, path: str, status: int) -> None:
    """A wrong name is explained; a day without an amount says so."""
    page = visit("creator", "an").get(path.format_map(vars(world)))

    assert status == page.status
    assert ("There is no such page" if status == 404 else "There is no amount to show yet.") in page.text
    assert "/me" in page.links


def test_the_days_are_told_in_the_readers_language(visit: Visit, world: World) -> None:
    """Event types, states and clauses have words in Vietnamese, with the code where it differs."""
    text = visit("creator", "an", locale="vi").get(f"/me/periods/{world.booked}").text

    assert "lượt thích like" in text
    assert "bình luận comment" in text
    assert "Chính thức" in text
    assert "Final" not in text


def test_what_was_taken_back_is_shown_with_its_reason(own_world: World) -> None:
    """On the day whose events were corrected, and beside the balance what is still to be kept back."""
    system, period_id = own_world.system, own_world.booked
    platform = own_world.platform()
    with db.transaction(system.database) as session:
        now = clock.now(session)
        (earned,) = shares.of_creator(session, platform.id, "an", period_id)
        entry = entries.claw_back(
            platform.id,
            period_id=period_id,
            seq_last=1_000,
            currency=platform.currency,
            unearned_to="unallocated",
            parts=[("an", 0, 1_234)],
            effective_at=now,
        )
        run = {"platform_id": platform.id, "period_id": period_id, "seq_last": 1_000}
        posted = journal.post(session, entry, now=now)
        session.execute(
            insert(clawback_run).values(
                **run,
                version=earned.version,
                currency=platform.currency,
                amount_minor=1_234,
                effective_at=now,
                entry_id=posted.entry_id,
                recorded_at=now,
            )
        )
        session.execute(
            insert(clawback).values(
                **run,
                creator_id="an",
                origin_period_id=period_id,
                points_e4=earned.share.points_e4,
                lost_e4=20_000,
                line_minor=earned.share.amount_minor,
                total_minor=1_234,
                amount_minor=1_234,
                receivable_minor=1_234,
            )
        )
    app = create(system)
    visitors = {one: Visitor(app, own_world, locale=one).sign_in("creator", "an") for one in ("en", "vi")}

    pages = {one: visitor.get(f"/me/periods/{period_id}").text for one, visitor in visitors.items()}
    assert "Taken back, since events were corrected" in pages["en"]
    assert "Thu hồi do sự kiện được sửa lại" in pages["vi"]
    assert "of it VND 1,234 is kept back later" in pages["en"].replace("\u00a0", " ")
    me = visitors["en"].get("/me").text.replace("\u00a0", " ")
    assert "VND 1,234 was taken back after it was paid or set aside, since events were corrected." in me


def ask(visitor: Visitor, event_id: str, **query: str) -> Page:
    """Ask what became of an event of the app, as the form does."""
    return visitor.get("/me/events?" + urlencode({"source": "app", "id": event_id, **query}))


@pytest.mark.parametrize(
    ("event_id", "words"),
    [
        ("0-like-an", "It counts It counts for you in"),
        ("0-self", "A clause of the rule leaves it out: Engaging with oneself –"),
        ("2-like-an", "Not decided yet It has arrived."),
    ],
)
def test_a_creator_reads_what_became_of_an_event(visit: Visit, event_id: str, words: str) -> None:
    """In words, with what it was and when it arrived; who acted is not told."""
    page = ask(visit("creator", "an"), event_id)

    assert 200 == page.status
    assert words in page.text
    assert "like × " in page.text
    assert "fan-" not in page.html


def test_the_question_stands_on_the_creators_own_page_and_keeps_what_was_typed(visit: Visit) -> None:
    """In both languages."""
    english, vietnamese = (visit("creator", "an", locale=locale) for locale in ("en", "vi"))

    assert "What became of this event?" in english.get("/me").text
    assert "Sự kiện này được tính thế nào?" in vietnamese.get("/me").text
    assert "Tự tương tác –" in ask(vietnamese, "0-self").text
    assert 'value="0-self"' in ask(english, "0-self").html


def test_the_form_leads_to_the_answer(visit: Visit) -> None:
    """It asks with a GET: its address can be kept."""
    visitor = visit("creator", "an")
    form = visitor.get("/me").form("Look it up")

    page = visitor.get(f"{form.action}?{urlencode({**form.fields, 'source': 'app', 'id': '0-like-an'})}")

    assert "It counts for you in" in page.text


def test_an_event_of_somebody_else_is_as_if_it_were_not_there(visit: Visit) -> None:
    """The same words as for one that nobody sent."""
    visitor = visit("creator", "an")
    pages = [ask(visitor, event_id) for event_id in ("0-view-binh", "never-sent")]

    assert [404, 404] == [page.status for page in pages]
    assert pages[0].text == pages[1].text
    assert "No such event was found on your content." in pages[0].text


def test_a_day_narrows_the_search_and_no_day_is_said_so(visit: Visit, world: World) -> None:
    """The local day of the event; another one holds nothing."""
    visitor = visit("creator", "an")

    assert "It counts for you in" in ask(visitor, "0-like-an", day=world.booked).text
    assert 404 == ask(visitor, "0-like-an", day=world.published).status
    assert "There is no such day." in ask(visitor, "0-like-an", day="2026-02-30").text


def test_late_and_repeated_events_say_so(database: Database, tmp_path: Path) -> None:
    """The like that came late counts in the next day's pool; sent again, it is told twice."""
    made, day = world_module.build_late(database, tmp_path)
    visitor = Visitor(create(made.system), made).sign_in("creator", "an")

    text = ask(visitor, "late").text.replace("\u00a0", " ")

    assert "It counts, late It came after" in text
    assert "by the rule of" in text
    assert day[-2:].lstrip("0") in text.partition("in the pool of")[2][:4]
