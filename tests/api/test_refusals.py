"""What is readable and wrong: each is refused with its reason, and stores nothing."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from service.rules import registry
from tests.api.client import Client
from tests.api.story import Refusal, Story, body, tell
from tests.api.world import World


@pytest.fixture(scope="module")
def story(client: Client, world: World) -> Story:
    """Tell the story once, so that there is something to refuse a second time."""
    return tell(client, world)


@pytest.fixture(autouse=True)
def nothing_is_stored(world: World, story: Story) -> Iterator[None]:
    """Compare the whole database before and after each test."""
    before = world.stored()
    yield
    assert before == world.stored()


def revenue(**changes: Any) -> dict[str, Any]:
    """Make a sound record of revenue, but for what is given."""
    sound = {
        "stream": "ads",
        "reference": "ads-2",
        "gross": {"amount_minor": 1_000, "currency": "VND"},
        "period": "2026-10",
    }
    return {name: value for name, value in {**sound, **changes}.items() if value is not None}


def rulebook(**changes: Any) -> dict[str, Any]:
    """Make a rulebook that differs from the founding one."""
    return {"document": registry.founding_document() | changes, "in_force_from_at": "2099-12-31T17:00:00Z"}


REFUSED: dict[str, tuple[str, str, Any, int, str, str | None]] = {
    "a currency that is not the platform's": (
        "POST",
        "/v1/revenues",
        revenue(gross={"amount_minor": 1_000, "currency": "USD"}),
        422,
        "invalid-input",
        "/gross/currency",
    ),
    "a currency that is none": (
        "POST",
        "/v1/revenues",
        revenue(gross={"amount_minor": 1_000, "currency": "vnd"}),
        422,
        "invalid-input",
        "/gross/currency",
    ),
    "dong with decimals": (
        "POST",
        "/v1/revenues",
        revenue(gross={"amount_minor": 1_000.5, "currency": "VND"}),
        422,
        "invalid-input",
        "/gross/amount_minor",
    ),
    "dong with decimals as text": (
        "POST",
        "/v1/revenues",
        revenue(gross={"amount_minor": "1000.50", "currency": "VND"}),
        422,
        "invalid-input",
        "/gross/amount_minor",
    ),
    "dong with a point of zero": (
        "POST",
        "/v1/revenues",
        revenue(gross={"amount_minor": 1_000.0, "currency": "VND"}),
        422,
        "invalid-input",
        "/gross/amount_minor",
    ),
    "an amount of 64 bits": (
        "POST",
        "/v1/revenues",
        revenue(gross={"amount_minor": 2**63 - 1, "currency": "VND"}),
        422,
        "invalid-input",
        "/gross/amount_minor",
    ),
    "an amount beyond 64 bits": (
        "POST",
        "/v1/revenues",
        revenue(gross={"amount_minor": 2**63, "currency": "VND"}),
        422,
        "invalid-input",
        "/gross/amount_minor",
    ),
    "a deduction that adds": (
        "POST",
        "/v1/revenues",
        revenue(deductions=[{"name": "fee", "amount_minor": -1}]),
        422,
        "invalid-input",
        "/deductions/0/amount_minor",
    ),
    "a span without zone": (
        "POST",
        "/v1/revenues",
        revenue(period=None, span={"start_at": "2026-10-01T00:00:00", "end_at": "2026-10-02T00:00:00Z"}),
        422,
        "invalid-input",
        "/span/start_at",
    ),
    "a day that is not in the calendar": (
        "POST",
        "/v1/revenues",
        revenue(period=None, span={"start_at": "2026-02-30T00:00:00Z", "end_at": "2026-10-02T00:00:00Z"}),
        422,
        "invalid-input",
        "/span/start_at",
    ),
    "a leap second": (
        "POST",
        "/v1/revenues",
        revenue(period=None, span={"start_at": "2026-06-30T23:59:60Z", "end_at": "2026-10-02T00:00:00Z"}),
        422,
        "invalid-input",
        "/span/start_at",
    ),
    "a zone that is none": (
        "POST",
        "/v1/revenues",
        revenue(
            period=None, span={"start_at": "2026-10-01T00:00:00+25:00", "end_at": "2026-10-02T00:00:00Z"}
        ),
        422,
        "invalid-input",
        "/span/start_at",
    ),
    "the year 9999": (
        "POST",
        "/v1/revenues",
        revenue(period=None, span={"start_at": "9999-10-01T00:00:00Z", "end_at": "9999-10-02T00:00:00Z"}),
        422,
        "invalid-input",
        "/span/start_at",
    ),
    "a span that ends before it begins": (
        "POST",
        "/v1/revenues",
        revenue(period=None, span={"start_at": "2026-10-02T00:00:00Z", "end_at": "2026-10-01T00:00:00Z"}),
        422,
        "invalid-input",
        "/span/end_at",
    ),
    "a span and a period": (
        "POST",
        "/v1/revenues",
        revenue(span={"start_at": "2026-10-01T00:00:00Z", "end_at": "2026-10-02T00:00:00Z"}),
        422,
        "invalid-input",
        "/period",
    ),
    "a span in no period": (
        "POST",
        "/v1/revenues",
        revenue(period=None, span={"start_at": "1999-10-01T00:00:00Z", "end_at": "1999-10-02T00:00:00Z"}),
        404,
        "not-found",
        "/span/start_at",
    ),
    "a period that is not there": (
        "POST",
        "/v1/revenues",
        revenue(period="1999-01"),
        404,
        "not-found",
        None,
    ),
    "a reference that stands for other values": (
        "POST",
        "/v1/revenues",
        revenue(reference="ads-1"),
        409,
        "revenue-reference-used",
        "/reference",
    ),
    "a content of an unknown creator": (
        "POST",
        "/v1/contents",
        {"id": "video-9", "creator": "nobody"},
        404,
        "not-found",
        None,
    ),
    "contributions of an unknown creator": (
        "PUT",
        "/v1/contents/video-7/contributions",
        {"shares_bp": {"linh": 5_000, "nobody": 5_000}, "from_at": "2099-01-01T00:00:00Z"},
        404,
        "not-found",
        "/shares_bp/nobody",
    ),
    "contributions that make 9,999": (
        "PUT",
        "/v1/contents/video-7/contributions",
        {"shares_bp": {"linh": 5_000, "minh": 4_999}, "from_at": "2099-01-01T00:00:00Z"},
        422,
        "invalid-input",
        "/shares_bp",
    ),
    "contributions for the past": (
        "PUT",
        "/v1/contents/video-7/contributions",
        {"shares_bp": {"linh": 10_000}, "from_at": "2020-01-01T00:00:00Z"},
        422,
        "invalid-input",
        "/from_at",
    ),
    "a payee of an unknown creator": (
        "PUT",
        "/v1/creators/nobody/payee",
        {"destination": {"account_number": "0071000123456", "holder": "NOBODY"}},
        404,
        "not-found",
        None,
    ),
    "an account number that is none": (
        "PUT",
        "/v1/creators/linh/payee",
        {"destination": {"account_number": "12", "holder": "LINH"}},
        422,
        "invalid-input",
        "/destination/account_number",
    ),
    "a provider that does not pay here": (
        "PUT",
        "/v1/creators/linh/payee",
        {"provider": "stripe", "destination": {"account_number": "0071000123456", "holder": "LINH"}},
        422,
        "invalid-input",
        "/provider",
    ),
    "a creator's id of blanks": ("POST", "/v1/creators", {"id": "   "}, 422, "invalid-input", "/id"),
    "a creator's id that is too long": (
        "POST",
        "/v1/creators",
        {"id": "a" * 65},
        422,
        "invalid-input",
        "/id",
    ),
    "a creator's id that turns the text around": (
        "POST",
        "/v1/creators",
        {"id": "a\u202eb"},
        422,
        "invalid-input",
        "/id",
    ),
    "a name that is invisible": (
        "POST",
        "/v1/creators",
        {"id": "ghost", "display_name": "\u200b"},
        422,
        "invalid-input",
        "/display_name",
    ),
    "NUL in a name": (
        "POST",
        "/v1/creators",
        {"id": "ghost", "display_name": "a\0"},
        422,
        "invalid-input",
        "/display_name",
    ),
    "a scope that is none": (
        "POST",
        "/v1/keys",
        {"label": "x", "scopes": ["admin", "everything"]},
        422,
        "invalid-input",
        "/scopes/1",
    ),
    "a key that has expired": (
        "POST",
        "/v1/keys",
        {"label": "x", "scopes": ["admin"], "expires_at": "2020-01-01T00:00:00Z"},
        422,
        "invalid-input",
        "/expires_at",
    ),
    "a role that is none": (
        "POST",
        "/v1/staff",
        {"id": "dung", "name": "Dung", "roles": ["king"]},
        422,
        "invalid-input",
        "/roles/0",
    ),
    "a sub-platform of somebody else": (
        "POST",
        "/v1/platforms",
        {"id": "rival.music", "name": "Music"},
        422,
        "invalid-input",
        "/id",
    ),
    "a platform beside": (
        "POST",
        "/v1/platforms",
        {"id": "music", "name": "Music"},
        422,
        "invalid-input",
        "/id",
    ),
    "a sub-platform that is there": (
        "POST",
        "/v1/platforms",
        {"id": "demo.music", "name": "Music"},
        409,
        "platform-exists",
        None,
    ),
    "a currency of its own": (
        "POST",
        "/v1/platforms",
        {"id": "demo.game", "name": "Game", "currency": "USD"},
        422,
        "invalid-input",
        "/currency",
    ),
    "a time zone that is nowhere": (
        "POST",
        "/v1/platforms",
        {"id": "demo.game", "name": "Game", "time_zone": "Asia/Atlantis"},
        422,
        "invalid-input",
        "/time_zone",
    ),
    "a rulebook that is null": (
        "POST",
        "/v1/platforms",
        {"id": "demo.game", "name": "Game", "rulebook": None},
        422,
        "invalid-input",
        "/rulebook",
    ),
    "a founding rulebook that contradicts itself": (
        "POST",
        "/v1/platforms",
        {"id": "demo.game", "name": "Game", "rulebook": registry.founding_document() | {"grace_h": -1}},
        422,
        "invalid-rulebook",
        "/rulebook/grace_h",
    ),
    "a rulebook that contradicts itself": (
        "POST",
        "/v1/rulebooks",
        rulebook(grace_h=-1),
        422,
        "invalid-rulebook",
        "/document/grace_h",
    ),
    "a rulebook that is a list": (
        "POST",
        "/v1/rulebooks",
        {"document": [], "in_force_from_at": "2099-12-31T17:00:00Z"},
        422,
        "invalid-rulebook",
        "/document",
    ),
    "a rulebook for the past": (
        "POST",
        "/v1/rulebooks",
        rulebook(grace_h=1) | {"in_force_from_at": "2020-01-31T17:00:00Z"},
        409,
        "retroactive-rule",
        "/in_force_from_at",
    ),
    "history that is to come": (
        "POST",
        "/v1/periods",
        {"from": "2099-01-01T00:00:00Z"},
        422,
        "invalid-input",
        "/from",
    ),
    "a period that is not over": ("POST", "/v1/periods/{present}/close", {}, 409, "period-not-over", None),
    "a second close": ("POST", "/v1/periods/{past}/close", {}, 409, "period-state", None),
    "a second approval": ("POST", "/v1/periods/{past}/approve", {"as": "anna"}, 409, "period-state", None),
    "a second posting": ("POST", "/v1/periods/{past}/post", None, 409, "period-state", None),
    "an approval of what is not published": (
        "POST",
        "/v1/periods/{present}/approve",
        {"as": "anna"},
        409,
        "period-state",
        None,
    ),
    "a posting of what is not approved": (
        "POST",
        "/v1/periods/{present}/post",
        None,
        409,
        "period-state",
        None,
    ),
    "a close of a period that is not there": (
        "POST",
        "/v1/periods/1999-01/close",
        {},
        404,
        "not-found",
        None,
    ),
    "a close by somebody who may not": (
        "POST",
        "/v1/periods/{present}/close",
        {"as": "anna"},
        403,
        "role-missing",
        None,
    ),
    "an approval by nobody": ("POST", "/v1/periods/{past}/approve", {"as": "nobody"}, 404, "not-found", None),
    "an estimate of what is closed": ("POST", "/v1/periods/{past}/estimate", None, 409, "period-state", None),
    "a batch of nothing": ("POST", "/v1/payout-batches", {"as": "binh"}, 409, "nothing-due", None),
    "a second approval of a batch": (
        "POST",
        "/v1/payout-batches/{batch}/approve",
        {"as": "anna"},
        409,
        "payout-batch-state",
        None,
    ),
    "a withdrawal of what was sent": (
        "POST",
        "/v1/payout-batches/{batch}/cancel",
        {},
        409,
        "payout-batch-state",
        None,
    ),
    "a key that is not there": ("POST", "/v1/keys/00000000/revoke", None, 404, "not-found", None),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_refused_with_its_reason(
    client: Client, world: World, story: Story, case: str
) -> None:
    """Status, type and place are what a client acts on; the sentence is for people."""
    method, path, document, status, slug, pointer = REFUSED[case]
    address = path.format(past=world.past_period, present=world.present_period, batch=story.batch)
    if document is not None and document.get("period") == "2026-10":
        document = document | {"period": world.past_period}

    response = client.post(address, document) if method == "POST" else client.put(address, document)

    problem = json.loads(response.data)
    pointers = [one["pointer"] for one in problem.get("errors", ())]
    assert (status, f"/problems/{slug}") == (response.status_code, problem["type"]), response.text
    assert pointer is None or pointer in pointers, response.text
    assert problem["detail"].endswith((".", "!", "?"))


@pytest.mark.parametrize(
    ("attempt", "slug"),
    [("own period", "same-person"), ("own batch", "same-person"), ("no checker", "role-missing")],
)
def test_an_approval_needs_a_second_person_who_may(story: Story, attempt: str, slug: str) -> None:
    """The one who closed or submitted cannot approve, nor can one without the role; nothing is stored."""
    assert Refusal(403, slug, is_stored=False) == story.refusals[attempt]


READS: dict[str, tuple[str, dict[str, str], int, str]] = {
    "a creator that is not there": ("/v1/creators/nobody", {}, 404, "not-found"),
    "earnings of a creator that is not there": ("/v1/creators/nobody/earnings", {}, 404, "not-found"),
    "earnings of a period that is not there": ("/v1/creators/linh/earnings/1999-01", {}, 404, "not-found"),
    "a statement of what is open": ("/v1/creators/linh/statements/{present}", {}, 409, "period-not-posted"),
    "a split of what is open": ("/v1/periods/{present}/split", {}, 404, "not-found"),
    "shares of what is open": ("/v1/periods/{present}/shares", {}, 404, "not-found"),
    "a payee that was not declared": ("/v1/creators/{undeclared}/payee", {}, 404, "not-found"),
    "a rulebook that is not there": (f"/v1/rulebooks/{'0' * 64}", {}, 404, "not-found"),
    "an entry that is not there": ("/v1/ledger/entries/999999999", {}, 404, "entry-not-found"),
    "lines of an entry that is not there": ("/v1/ledger/entries/999999999/lines", {}, 404, "entry-not-found"),
    "an account whose owner is missing": (
        "/v1/ledger/balance",
        {"role": "creator_payable"},
        422,
        "bad-account",
    ),
    "an owner without a role": ("/v1/ledger/entries", {"owner": "linh"}, 422, "parameter-invalid"),
    "a page of none": ("/v1/creators", {"limit": "0"}, 422, "parameter-invalid"),
    "a page of everything": ("/v1/creators", {"limit": "1000000000"}, 422, "parameter-invalid"),
    "a cursor that was made up": ("/v1/creators", {"cursor": "AAAA"}, 400, "cursor-unusable"),
    "a state that is none": ("/v1/payouts", {"state": "stolen"}, 422, "parameter-invalid"),
    "an order that is none": ("/v1/creators", {"sort": "password"}, 422, "parameter-invalid"),
    "SQL in a filter": ("/v1/payouts", {"creator": "' OR 1=1 --"}, 422, "parameter-invalid"),
    "an instant without zone": (
        "/v1/rulebooks/in-force",
        {"at": "2026-10-01T00:00:00"},
        422,
        "parameter-invalid",
    ),
}


@pytest.mark.parametrize("case", READS)
def test_a_reading_that_is_wrong_is_refused_with_its_reason(client: Client, world: World, case: str) -> None:
    """Reading refuses as clearly as writing."""
    path, query, status, slug = READS[case]
    address = path.format(present=world.present_period, undeclared="nobody")

    response = client.get(address, **query)

    assert (status, f"/problems/{slug}") == (response.status_code, json.loads(response.data)["type"])


def test_the_cursor_of_one_list_does_not_open_another(client: Client, world: World, story: Story) -> None:
    """Not another platform's, not another operation's, not one with other filters."""
    cursor = body(client.get("/v1/ledger/entries", limit=1))["next"]

    assert 200 == client.get("/v1/ledger/entries", cursor=cursor).status_code
    for path, query in (
        ("/v1/ledger/accounts", {}),
        ("/v1/ledger/entries", {"kind": "fund"}),
        ("/v1/ledger/entries", {"platform": "demo.music"}),
    ):
        assert 400 == client.get(path, cursor=cursor, **query).status_code
