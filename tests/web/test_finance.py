"""Finance's pages: who is offered what, what an act says afterwards, and a day in two hands."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Insert, insert, update
from sqlalchemy.orm import Session

from service.app import create
from service.calendar import periods
from service.calendar.tables import period as period_table
from service.calendar.tables import period_step
from service.closing import stages
from service.jobs import queue
from service.parties.actors import OPERATOR
from service.payouts import batches
from service.runtime import clock, db
from service.scheduler import ticker
from tests.web.conftest import Visit
from tests.web.visitor import Page, Visitor
from tests.web.world import LAN, MINH, PLATFORM, World


def _tick(world: World, *, hours: int = 0) -> None:
    def now_of(session: Session) -> datetime:
        return clock.now(session) + timedelta(hours=hours)

    ticker.tick(world.system, owner="test", now_of=now_of)


@pytest.fixture
def own(own_world: World) -> tuple[World, Visit]:
    """Give a world of this test's own, for acts, and its visitors."""
    app = create(own_world.system)
    return own_world, lambda *who, locale="en": Visitor(app, own_world, locale=locale).sign_in(*who)


BUTTONS: dict[str, dict[str, list[str]]] = {
    "over": {"lan": ["Close the period"], "minh": [], "thu": []},
    "published": {"lan": [], "minh": ["Approve the split"], "hai": ["Approve the split"], "thu": []},
    "booked": {"lan": [], "minh": [], "hai": []},
    "present": {"lan": ["Refresh the estimate"], "minh": [], "thu": []},
}


@pytest.mark.parametrize(
    ("day", "who", "buttons"),
    [(day, who, buttons) for day, known in BUTTONS.items() for who, buttons in known.items()],
)
def test_a_day_offers_each_person_what_that_person_can_do(
    visit: Visit, world: World, day: str, who: str, buttons: list[str]
) -> None:
    """Makers close and book, checkers approve what another prepared, auditors look."""
    assert buttons == visit("staff", who).get(f"/finance/periods/{getattr(world, day)}").buttons


@pytest.mark.parametrize(
    ("who", "buttons"),
    [
        ("lan", ["Withdraw what is not sent"]),
        ("minh", ["Approve and send", "Withdraw what is not sent"]),
        ("hai", ["Approve and send", "Withdraw what is not sent"]),
        ("thu", []),
    ],
)
def test_a_batch_offers_each_person_what_that_person_can_do(
    visit: Visit, world: World, who: str, buttons: list[str]
) -> None:
    """Who prepared it may withdraw it, and not approve it."""
    assert buttons == visit("staff", who).get(f"/finance/batches/{world.waiting.id}").buttons
    assert [] == visit("staff", who).get(f"/finance/batches/{world.done.id}").buttons


def test_finance_is_told_what_waits_for_whom(visit: Visit, world: World) -> None:
    """What the person can do comes first; the rest says for whom it waits."""
    shown = {who: _section(visit("staff", who).get("/finance"), "waiting") for who in ("lan", "minh", "thu")}

    assert "History: waits for somebody who prepares to close it." in shown["lan"]
    assert "Waits for your approval." in shown["minh"]
    assert "Waits for your approval." not in shown["lan"]
    assert 2 == shown["thu"].count("Waits for somebody who approves.")
    assert shown["minh"].index("Look and decide") < shown["minh"].index("History")
    assert f"/finance/batches/{world.waiting.id}" in shown["thu"]


def test_every_day_says_what_is_next(visit: Visit, world: World) -> None:
    """Also those that wait for time only."""
    text = visit("staff", "thu").get("/finance").text

    for words in (
        "Takes events until",
        "Late events count until",
        "History: waits for somebody who prepares to close it.",
        "Waits for somebody who approves.",
        "Nothing: it is final.",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        (
            "en",
            ["finance, prepares finance_maker", "Owed to creators, free to pay creator_payable", "balanced"],
        ),
        (
            "vi",
            [
                "tài chính, người lập finance_maker",
                "Phải trả nhà sáng tạo, có thể chi trả creator_payable",
                "cân",
            ],
        ),
    ],
)
def test_codes_have_words_and_stay_findable(visit: Visit, locale: str, words: list[str]) -> None:
    """Roles and accounts are words first, with their code beside them."""
    text = visit("staff", "lan", locale=locale).get("/finance").text

    assert [] == [one for one in words if one not in text]


def test_people_are_named_with_their_ids(visit: Visit, world: World) -> None:
    """And what the service did by itself says so."""
    text = visit("staff", "thu").get(f"/finance/periods/{world.booked}").text

    assert "Nguyễn Thị Lan lan" in text
    assert "Trần Đức Minh minh" in text
    assert "staff:" not in text
    assert "the service by itself" in visit("staff", "thu").get(f"/finance/periods/{world.present}").text


def test_balances_are_added_up_by_what_becomes_of_them(visit: Visit) -> None:
    """chi named no account, dung is below the minimum; nobody else has a free balance."""
    text = _section(visit("staff", "lan").get("/finance"), "batches")

    assert "The creator has not said where to be paid." in text
    assert "no_payee" in text
    assert "The amount is below the minimum payout; it is kept and adds up." in text
    assert [] == visit("staff", "lan").get("/finance").buttons, "nothing is payable, so no batch is offered"


def test_a_failed_payout_is_explained_to_finance(visit: Visit, world: World) -> None:
    """The reason in words, its code, and what has to happen first."""
    text = visit("staff", "thu").get(f"/finance/batches/{world.done.id}").text

    assert "The account is closed. account_closed" in text
    assert "its creator has to correct it first" in text
    assert text.index("failed The account is closed.") < text.index("Ngô An"), "what needs a look comes first"


def _section(page: Page, name: str) -> str:
    """Cut one section out of a page."""
    return page.html.partition(f'<section aria-labelledby="{name}">')[2].partition("</section>")[0]


def test_a_day_goes_through_two_hands(own: tuple[World, Visit]) -> None:
    """Closed by one, approved by another, booked, and paid: each step by the button that the page offers."""
    world, visit = own
    lan, minh = visit("staff", "lan"), visit("staff", "minh")
    address = f"/finance/periods/{world.over}"
    asked = lan.press(lan.get(address), "Close the period")
    _tick(world)
    closed = lan.get(address)
    checked = minh.get(address)
    approved = minh.press(checked, "Approve the split")
    booking = lan.press(lan.get(address), "Book it")
    _tick(world)
    overview = lan.get("/finance")
    batch = lan.press(overview, "Put what is due into a batch")
    sent = minh.press(minh.get(batch.response.request.path), "Approve and send")
    _tick(world)
    _tick(world, hours=72)

    assert "Asked for: the period is being closed." in asked.text
    assert "Waits for somebody who approves." in closed.text
    assert "Waits for your approval." in checked.text
    assert "You approved the split." in approved.text
    assert "Asked for: the period is being booked." in booking.text
    assert "The batch is prepared and its money set aside. Another person approves it." in batch.text
    assert "You approved the batch. It is being sent." in sent.text
    assert "Nothing: it is final." in lan.get(address).text
    assert "Nothing: it is finished." in lan.get(batch.response.request.path).text
    assert "paid" in visit("creator", "an").get("/me").text


def test_a_note_is_shown_once(own: tuple[World, Visit]) -> None:
    """The page that is loaded again does not repeat what was done before."""
    world, visit = own
    minh = visit("staff", "minh")
    first = minh.press(minh.get(f"/finance/periods/{world.published}"), "Approve the split")
    again = minh.get(f"/finance/periods/{world.published}")

    assert ("You approved the split." in first.text, "You approved the split." in again.text) == (True, False)


def test_who_holds_both_roles_cannot_approve_the_own_work(own: tuple[World, Visit]) -> None:
    """No button; and the act itself refuses, whatever was sent."""
    world, visit = own
    hai = visit("staff", "hai")
    address = f"/finance/periods/{world.over}"
    hai.press(hai.get(address), "Close the period")
    _tick(world)
    page = hai.get(address)
    refused = hai.post(f"{address}/approve", page.form("Sign out").fields)

    assert [] == page.buttons
    assert "You prepared it" in page.text
    assert 403 == refused.status
    assert "A second person has to approve this" in refused.text
    assert "Approve the split" in visit("staff", "minh").get(address).buttons


def test_a_close_that_is_at_work_is_shown_as_such_and_can_be_followed(own: tuple[World, Visit]) -> None:
    """With its progress, no second button, and a page that loads itself again only while it is asked to."""
    world, visit = own
    lan = visit("staff", "lan")
    address = f"/finance/periods/{world.over}"
    followed = lan.press(lan.get(address), "Close the period")
    with db.transaction(world.system.database) as session:
        now = clock.now(session)
        run = queue.claim(session, owner="test", now=now)
        assert run is not None
        queue.renew(session, run, now=now, done=2, total=4)
    plain = lan.get(address)

    assert '<meta http-equiv="refresh"' in followed.html
    assert address in followed.links
    assert '<meta http-equiv="refresh"' not in plain.html
    assert f"{address}?follow=on" in plain.links
    assert "Closing the period: step 2 of 4." in plain.text
    assert "Close the period" not in plain.buttons
    with db.transaction(world.system.database) as session:
        queue.finish(session, run, result={}, now=now)
    assert '<meta http-equiv="refresh"' not in lan.get(f"{address}?follow=on").html


def test_pressing_twice_asks_once(own: tuple[World, Visit]) -> None:
    """Two windows with the same button make one job."""
    world, visit = own
    lan = visit("staff", "lan")
    page = lan.get(f"/finance/periods/{world.over}")
    lan.press(page, "Close the period")
    again = lan.press(page, "Close the period")
    with db.transaction(world.system.database) as session:
        jobs = [run for run in queue.listing(session, PLATFORM) if run.job == "close"]

    assert 1 == len(jobs)
    assert "This was asked for already, and is being done." in again.text


def test_a_close_that_was_given_up_says_why_and_goes_on_when_asked(own: tuple[World, Visit]) -> None:
    """The day is sealed and no job is left: the page has the fault, and the button that carries it on."""
    world, visit = own
    with db.transaction(world.system.database) as session:
        now = clock.now(session)
        stages.request_close(session, world.platform(), world.over, actor=LAN, now=now)
        run = queue.claim(session, owner="test", now=now)
        assert run is not None
        queue.give_up(session, run, stages.PeriodNotOver("The lake is away."), now=now, is_final=True)
        session.execute(
            update(period_table)
            .where(period_table.c.platform_id == PLATFORM, period_table.c.id == world.over)
            .values(state="sealed", sealed_at=now, cut_seq=10**6)
        )
        session.execute(_sealed_by_lan(world, now))
    lan = visit("staff", "lan")
    page = lan.get(f"/finance/periods/{world.over}")
    lan.press(page, "Go on closing it")
    _tick(world)

    assert "given up. Attempts: 1." in page.text
    assert "The lake is away." in page.text
    assert "published" in lan.get(f"/finance/periods/{world.over}").text


def _sealed_by_lan(world: World, now: datetime) -> Insert:
    return insert(period_step).values(
        platform_id=PLATFORM,
        period_id=world.over,
        state="sealed",
        at=now,
        actor_kind="staff",
        actor_id="lan",
        detail={},
    )


def test_what_moved_on_meanwhile_is_refused_with_a_page_that_says_so(own: tuple[World, Visit]) -> None:
    """Another window approved first: the second press changes nothing and leads back."""
    world, visit = own
    minh = visit("staff", "minh")
    page = minh.get(f"/finance/batches/{world.waiting.id}")
    minh.press(page, "Approve and send")
    form = page.form("Approve and send")
    refused = minh.post(form.action, form.fields)

    assert 409 == refused.status
    assert "The batch has moved on" in refused.text
    assert "Nothing was changed." in refused.text
    assert "/finance" in refused.links


def test_a_batch_is_withdrawn_by_either_hand(own: tuple[World, Visit]) -> None:
    """Whoever may prepare or approve may stop money from leaving."""
    world, visit = own
    minh = visit("staff", "minh")
    page = minh.press(minh.get(f"/finance/batches/{world.waiting.id}"), "Withdraw what is not sent")

    assert "What had not been sent is withdrawn; the money is payable again." in page.text
    with db.transaction(world.system.database) as session:
        assert "cancelled" == batches.get(session, PLATFORM, world.waiting.id).state


def test_a_checker_asks_for_nothing_that_makers_do(own: tuple[World, Visit]) -> None:
    """Closing, booking, batches and estimates refuse a checker, with the page's own good token."""
    world, visit = own
    minh = visit("staff", "minh")
    csrf = minh.get("/finance").form("Sign out").fields
    paths = [
        f"/finance/periods/{world.over}/close",
        f"/finance/periods/{world.published}/post",
        f"/finance/periods/{world.present}/estimate",
        "/finance/batches",
    ]

    assert [403] * 4 == [minh.post(path, csrf).status for path in paths]


def test_an_auditor_changes_nothing(own: tuple[World, Visit]) -> None:
    """Every act refuses somebody who only reads."""
    world, visit = own
    thu = visit("staff", "thu")
    csrf = thu.get("/finance").form("Sign out").fields
    acts = [f"/finance/periods/{world.published}/approve", f"/finance/batches/{world.waiting.id}/approve"]
    acts += [f"/finance/batches/{world.waiting.id}/cancel", f"/finance/periods/{world.over}/close"]

    assert [403] * 4 == [thu.post(path, csrf).status for path in acts]


def test_the_estimate_is_refreshed_when_asked(own: tuple[World, Visit]) -> None:
    """As a job that the scheduler does."""
    world, visit = own
    lan = visit("staff", "lan")
    page = lan.press(lan.get(f"/finance/periods/{world.present}"), "Refresh the estimate")
    with db.transaction(world.system.database) as session:
        states = [run.state for run in queue.listing(session, PLATFORM) if run.job == "estimate"]

    assert "Asked for: the estimate is being refreshed." in page.text
    assert ["due"] == states


def test_a_long_history_is_folded_and_can_be_unfolded(own: tuple[World, Visit]) -> None:
    """What is booked long ago is behind a link; what is not booked never is."""
    world, visit = own
    with db.transaction(world.system.database) as session:
        now = clock.now(session)
        opened = periods.open_from(
            session, world.platform(), now - timedelta(days=20), actor=OPERATOR, now=now
        )
        unbooked, *booked = [one.id for one in opened]
        session.execute(
            update(period_table)
            .where(period_table.c.platform_id == PLATFORM, period_table.c.id.in_(booked))
            .values(state="posted", sealed_at=now, cut_seq=0, posted_at=now)
        )
    lan = visit("staff", "lan")
    folded = lan.get("/finance")
    (earlier,) = [link for link in folded.links if "before=" in link and "lang=" not in link]
    rest = lan.get(f"/finance{earlier.partition('#')[0]}")
    earliest = f"/finance/periods/{booked[0]}"

    assert earliest not in folded.links
    assert earliest in rest.links
    assert [] == [link for link in rest.links if "before=" in link and "lang=" not in link]
    assert f"/finance/periods/{unbooked}" in folded.links
    assert 404 == lan.get("/finance?before=1999-01-01").status


def test_an_export_of_an_unknown_name_is_not_there(visit: Visit) -> None:
    """The page says which there are."""
    page = visit("staff", "lan").get("/finance/exports/secrets.csv")

    assert 404 == page.status
    assert "journal, trial-balance, payouts, shares" in page.text


def test_makers_and_checkers_are_two_people(world: World) -> None:
    """The story above is told of two; were they one, it would prove nothing."""
    assert LAN != MINH
    assert str(LAN) == world.waiting.submitted_by
