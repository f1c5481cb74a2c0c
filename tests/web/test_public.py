"""What anyone sees: the pool, that its shares add up to it, and every version of the rule."""

import hashlib
import json

import pytest

from service.core import digests
from service.rules import registry
from service.runtime import db
from service.splits import shares
from tests.web import world as world_module
from tests.web.conftest import Visit
from tests.web.world import CREATORS, PLATFORM, STRANGER, World


@pytest.fixture(scope="module")
def second_rule(world: World) -> None:
    """Publish a second version of the rule, for days to come."""
    world_module.publish_second_rule(world.system)


def test_the_start_names_the_platforms(visit: Visit) -> None:
    """A reader chooses one, and learns how creators and staff come in."""
    page = visit().get("/")

    assert 200 == page.status
    assert {"/p/sen", "/p/rival", "/docs"} <= set(page.links)
    assert "sign in with a link that works once" in page.text


def test_a_published_day_shows_its_pool_its_parts_and_their_sum(visit: Visit, world: World) -> None:
    """Gross 1,000,001 less 100,000 is shared 70 to 30, to the dong."""
    page = visit().get("/p/sen")
    with db.transaction(world.system.database) as session:
        split = shares.latest(session, PLATFORM, world.booked)
        assert split is not None
        totals = shares.totals(session, split)

    assert {"platform": 270_000, "creator": 630_001} == totals
    assert split.shares_sha256 in page.text
    for words in (
        "Pool: VND 900,001",
        "Platform VND 270,000 30%",
        "Creators VND 630,001 70%",
        "The shares add up to the pool, VND 900,001, exactly.",
    ):
        assert words in page.text
    assert "do not add up" not in page.text


def test_what_is_not_final_says_until_when_it_may_be_challenged_or_that_it_is_not_booked(
    visit: Visit,
) -> None:
    """The day that waits for a second person is published, not booked."""
    page = visit().get("/p/sen")

    assert 1 == page.text.count("It never changes.")
    assert 1 == page.text.count("Published on")


def test_a_platform_without_a_result_says_when_the_first_one_comes(visit: Visit) -> None:
    """An empty page would look broken."""
    page = visit().get(f"/p/{STRANGER}")

    assert "No period has been published yet. The present one," in page.text
    assert "takes events until" in page.text


@pytest.mark.usefixtures("second_rule")
def test_every_version_of_the_rule_is_there_with_what_it_changed(visit: Visit, world: World) -> None:
    """The one in force in full, the one to come with its difference in words, both with their digests."""
    page = visit().get("/p/sen")
    with db.transaction(world.system.database) as session:
        known = registry.history(session, PLATFORM)

    assert [1, 2] == [one.version for one in known]
    assert page.text.index("Version 2: Second rules") < page.text.index("Version 1: Founding rules")
    assert "The part of the creators: 75%; it was 70%." in page.text
    assert "to come" in page.text
    assert "in force" in page.text
    assert [] == [one.sha256 for one in known if one.sha256 not in page.text]


@pytest.mark.usefixtures("second_rule")
def test_the_document_of_a_rule_has_the_digest_that_the_page_shows(visit: Visit, world: World) -> None:
    """Whoever saves it and computes its SHA-256 gets the very same."""
    with db.transaction(world.system.database) as session:
        known = registry.history(session, PLATFORM)
    for one in known:
        answer = visit().get(f"/p/sen/rules/{one.sha256}.json").response

        assert ("application/json", 200) == (answer.mimetype, answer.status_code)
        assert one.sha256 == hashlib.sha256(answer.get_data()).hexdigest()
        assert one.document == json.loads(answer.get_data())


def test_a_rule_of_another_platform_or_of_nobody_is_not_there(visit: Visit) -> None:
    """Digests are looked up within the platform that is named."""
    assert 404 == visit().get(f"/p/sen/rules/{digests.sha256_hex(b'nothing')}.json").status


def test_nobody_is_named_in_public(visit: Visit, world: World) -> None:
    """No creator's id or name, no member of staff, no account is on the public pages."""
    html = visit().get("/p/sen?all=periods").html

    private = [*CREATORS.values(), "Nguyễn Thị Lan", "staff:lan", "8888", world.done.payouts_sha256]
    assert [] == [one for one in private if one in html]


@pytest.mark.parametrize(
    ("locale", "words"), [("vi", "Tổng các phần chia bằng đúng quỹ: 900.001"), ("en", "VND 900,001")]
)
def test_the_page_speaks_the_readers_language(visit: Visit, locale: str, words: str) -> None:
    """Numbers, dates and sentences alike."""
    page = visit(locale=locale).get("/p/sen")

    assert words in page.text.replace("\u00a0", " ")
    assert f'<html lang="{locale}">' in page.html
    assert locale == page.response.headers["Content-Language"]
