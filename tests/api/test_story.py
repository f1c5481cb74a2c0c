"""What the loop leaves behind reads the same through every door of the API."""

import csv
import io
import json
from typing import Any

import pytest

from service.core import digests
from service.events import wire
from tests.api.client import Client
from tests.api.story import POOL_MINOR, Story, body, send_events, tell, tick
from tests.api.world import CHILD, STRANGER, World


@pytest.fixture(scope="module")
def story(client: Client, world: World) -> Story:
    """Tell the story once."""
    return tell(client, world)


def rows(text: str) -> list[dict[str, str]]:
    """Read a CSV."""
    return list(csv.DictReader(io.StringIO(text)))


def every(client: Client, path: str, **query: Any) -> list[dict[str, Any]]:
    """Read a list page by page, two items at a time."""
    items: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = body(client.get(path, limit=2, **query, **cursor))
        items += page["items"]
        if page["next"] is None:
            return items
        cursor = {"cursor": page["next"]}


def test_a_closed_period_went_through_every_state(client: Client, world: World, story: Story) -> None:
    """The steps say who reached which state."""
    period = body(client.get(f"/v1/periods/{world.past_period}"))

    states = ["open", "sealed", "scored", "split", "published", "approved", "posted"]
    assert states == [step["state"] for step in period["steps"]]
    assert ["chi", "anna"] == [period["steps"][index]["actor"]["id"] for index in (1, 5)]


def test_a_job_that_is_done_says_so(client: Client, story: Story) -> None:
    """Who asked for it finds it where the answer said."""
    job = body(client.get(f"/v1/jobs/{story.job}"))

    assert ("done", "close", "staff:chi") == (job["state"], job["job"], job["requested_by"])


def test_the_shares_of_a_split_sum_to_its_pool(client: Client, world: World, story: Story) -> None:
    """To the last dong, and by kind of party as well."""
    path = f"/v1/periods/{world.past_period}"
    split = body(client.get(f"{path}/split"))
    shares = every(client, f"{path}/shares")

    assert POOL_MINOR == split["pool"]["amount_minor"]
    assert POOL_MINOR == sum(one["amount"]["amount_minor"] for one in shares)
    assert POOL_MINOR == sum(one["amount_minor"] for one in split["totals"].values())
    assert split["share_count"] == len(shares)


def test_pages_of_shares_are_in_the_split_s_order(client: Client, world: World, story: Story) -> None:
    """A reader can hash them as they come."""
    path = f"/v1/periods/{world.past_period}/shares"

    assert body(client.get(path))["items"] == every(client, path)


@pytest.mark.parametrize("creator", ["linh", "minh"])
def test_a_creator_s_walk_ends_in_what_was_shared(
    client: Client, world: World, story: Story, creator: str
) -> None:
    """Earnings, share and statement name one amount."""
    walk = body(client.get(f"/v1/creators/{creator}/earnings/{world.past_period}"))
    statement = body(client.get(f"/v1/creators/{creator}/statements/{world.past_period}"))
    shares = every(client, f"/v1/periods/{world.past_period}/shares")
    [share] = [one for one in shares if one["party"] == {"kind": "creator", "id": creator}]

    assert share["amount"] == walk["amount"] == walk["lines"][0]["amount"]
    assert share["amount"]["amount_minor"] == statement["values"]["lines"][0]["amount_minor"]


def test_a_statement_carries_the_digest_of_its_values(client: Client, world: World, story: Story) -> None:
    """Anyone with a JSON library can check it."""
    statement = body(client.get(f"/v1/creators/linh/statements/{world.past_period}"))

    assert statement["values_sha256"] == digests.digest_of(statement["values"])


@pytest.mark.parametrize(
    ("query", "accept", "media_type"),
    [
        ({}, "", "application/json"),
        ({}, "*/*", "application/json"),
        ({}, "text/csv", "text/csv"),
        ({}, "text/csv;q=0.1, application/json", "application/json"),
        ({}, "text/csv, application/json;q=0.5", "text/csv"),
        ({}, "application/pdf", "application/json"),
        ({"format": "csv"}, "application/json", "text/csv"),
        ({"format": "json"}, "text/csv", "application/json"),
    ],
)
def test_a_statement_comes_in_the_format_that_is_preferred(
    client: Client, world: World, story: Story, query: dict[str, str], accept: str, media_type: str
) -> None:
    """The parameter goes before the header."""
    path = f"/v1/creators/linh/statements/{world.past_period}"
    response = client.get(path, headers={"Accept": accept}, **query)

    assert (200, media_type) == (response.status_code, response.mimetype)


def test_a_statement_as_csv_ties(client: Client, world: World, story: Story) -> None:
    """Opening, lines and closing are the same figures as in JSON."""
    path = f"/v1/creators/linh/statements/{world.past_period}"
    values = body(client.get(path))["values"]
    response = client.get(path, format="csv", locale="en")

    table = rows(response.text.removeprefix("\ufeff"))
    amounts = [int(row["amount"]) for row in table if row["amount"]]
    assert [line["amount_minor"] for line in values["lines"]] == amounts
    assert 'attachment; filename="linh-' in response.headers["Content-Disposition"]


def test_the_summary_says_where_the_money_is(client: Client, world: World, story: Story) -> None:
    """Everything was paid, so nothing is owed."""
    earned = body(client.get(f"/v1/creators/linh/earnings/{world.past_period}"))["amount"]
    summary = body(client.get("/v1/creators/linh/earnings"))

    assert earned == summary["paid"]
    assert 0 == summary["payable"]["amount_minor"] == summary["reserved"]["amount_minor"]
    assert "posted" == summary["periods"][-1]["state"]


def test_the_trial_balance_balances(client: Client, story: Story) -> None:
    """Debits are credits, in the API and in the export."""
    trial = body(client.get("/v1/ledger/trial-balance"))
    table = rows(client.get("/v1/exports/trial-balance").text)

    assert all(one["debit"] == one["credit"] for one in trial["totals"])
    assert trial["rows"]
    assert sum(int(row["debit"]) for row in table) == trial["totals"][0]["debit"]["amount_minor"]


def test_the_pool_is_empty_after_posting(client: Client, world: World, story: Story) -> None:
    """What was recognised went to those who earned it."""
    balance = body(client.get("/v1/ledger/balance", role="revenue_pool", owner=world.past_period))

    assert 0 == balance["balance"]["amount_minor"]


def test_entries_are_found_by_what_touches_them(client: Client, world: World, story: Story) -> None:
    """By account, kind, cause, period and time."""
    whole = every(client, "/v1/ledger/entries")
    of_pool = every(client, "/v1/ledger/entries", role="revenue_pool", owner=world.past_period)
    of_revenue = every(client, "/v1/ledger/entries", cause_kind="revenue", cause=story.revenue)

    assert {"revenue_recognised", "period_posted"} == {one["kind"] for one in of_pool}
    assert of_revenue == [one for one in whole if one["kind"] == "revenue_recognised"]
    assert [] == every(client, "/v1/ledger/entries", effective_until="1970-01-02T00:00:00Z")
    assert whole == every(client, "/v1/ledger/entries", effective_from="1970-01-02T00:00:00Z")


def test_the_lines_of_an_entry_sum_to_it(client: Client, story: Story) -> None:
    """And each moves money between two accounts."""
    for one in every(client, "/v1/ledger/entries"):
        lines = every(client, f"/v1/ledger/entries/{one['id']}/lines")

        assert one == body(client.get(f"/v1/ledger/entries/{one['id']}"))
        assert one["line_count"] == len(lines)
        assert one["amount"]["amount_minor"] == sum(line["amount"]["amount_minor"] for line in lines)


def test_the_journal_s_export_has_every_line(client: Client, story: Story) -> None:
    """As many rows as the entries have lines, and the same sum."""
    whole = every(client, "/v1/ledger/entries")
    response = client.get("/v1/exports/journal")

    table = rows(response.text)
    assert sum(one["line_count"] for one in whole) == len(table)
    assert sum(one["amount"]["amount_minor"] for one in whole) == sum(int(row["amount"]) for row in table)
    assert 'attachment; filename="demo-journal.csv"' == response.headers["Content-Disposition"]


def test_an_export_of_shares_and_of_payouts_ties(client: Client, world: World, story: Story) -> None:
    """The shares sum to the pool, the payouts to their batch."""
    shares = rows(client.get("/v1/exports/shares", period=world.past_period).text)
    payouts = rows(client.get("/v1/exports/payouts", batch=story.batch).text)
    batch = body(client.get(f"/v1/payout-batches/{story.batch}"))

    assert POOL_MINOR == sum(int(row["amount"]) for row in shares)
    assert batch["amount"]["amount_minor"] == sum(int(row["amount"]) for row in payouts)


def test_accounts_are_listed_with_what_they_hold(client: Client, story: Story) -> None:
    """Page by page, each once."""
    accounts = every(client, "/v1/ledger/accounts")

    assert len({one["id"] for one in accounts}) == len(accounts)
    assert sum(one["debit"]["amount_minor"] for one in accounts) == sum(
        one["credit"]["amount_minor"] for one in accounts
    )


def test_a_batch_says_what_became_of_its_payouts(client: Client, story: Story) -> None:
    """Submitted by one, approved by another, all paid."""
    batch = body(client.get(f"/v1/payout-batches/{story.batch}"))

    assert ("staff:chi", "staff:anna") == (batch["submitted_by"], batch["approved_by"])
    assert [("paid", 2)] == [(one["state"], one["count"]) for one in batch["payouts"]]
    assert [story.batch] == [one["id"] for one in every(client, "/v1/payout-batches")]
    assert [] == every(client, "/v1/payout-batches", state="cancelled")


def test_a_payout_tells_its_history(client: Client, story: Story) -> None:
    """Every state that it was in, and every attempt to send it."""
    payout = body(client.get(f"/v1/payouts/{story.payout}"))

    assert ["ready", "approved", "sending", "sent", "paid"] == [one["state"] for one in payout["steps"]]
    assert 1 == len(payout["attempts"])
    assert 4 == len(payout["destination_hint"])


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({}, 2),
        ({"creator": "linh"}, 1),
        ({"state": "paid"}, 2),
        ({"state": "failed"}, 0),
        ({"creator": "no"}, 0),
    ],
)
def test_payouts_are_filtered(client: Client, story: Story, query: dict[str, str], count: int) -> None:
    """By creator and state; the batch is tested beside."""
    assert count == len(every(client, "/v1/payouts", **query))
    assert 2 == len(every(client, "/v1/payouts", batch=story.batch))


def test_nothing_is_due_once_all_is_paid(client: Client, story: Story) -> None:
    """A second batch finds nothing."""
    assert [] == every(client, "/v1/payouts/due")
    assert 409 == client.post("/v1/payout-batches", {"as": "binh"}).status_code


def test_the_same_events_again_are_the_same_receipt(client: Client, world: World, story: Story) -> None:
    """Their bytes are their key."""
    assert {**story.receipt, "replayed": True} == send_events(client, world)


def test_a_bad_event_harms_none_of_its_neighbours(client: Client, world: World, story: Story) -> None:
    """207 names it; the others are taken."""
    lines = [
        {"specversion": "1.0", "id": "x-1", "source": "app", "type": "view", "data": {"creator": "linh"}},
        {"specversion": "1.0", "id": "x-2", "source": "app", "type": "view", "data": {"creator": "nobody"}},
        {"specversion": "1.0", "id": "x-3", "source": "app", "type": "wave", "data": {"creator": "linh"}},
    ]
    now = world.now().isoformat()
    content = b"\n".join(json.dumps({**line, "time": now}).encode() for line in lines)

    response = client.send("POST", "/v1/events", data=content, headers={"Content-Type": wire.LINES})

    receipt = json.loads(response.data)
    assert 207 == response.status_code
    assert {"accepted": 1, "rejected": 2} == receipt["counts"]
    assert [(1, "unknown_creator"), (2, "unknown_type")] == [
        (one["index"], one["code"]) for one in receipt["items"] if one["verdict"] == "rejected"
    ]


def test_an_estimate_is_made_by_a_job(client: Client, world: World, story: Story) -> None:
    """It counts the open period and says up to when."""
    job = body(client.post(f"/v1/periods/{open_period(client)}/estimate"))
    tick(world)

    done = body(client.get(f"/v1/jobs/{job['id']}"))
    assert "done" == done["state"], done
    assert body(client.get("/v1/creators/linh/earnings"))["estimate"] is not None


def open_period(client: Client) -> str:
    """Find the period that is estimated: the first regular one that is open."""
    known = every(client, "/v1/periods")
    return next(one["id"] for one in known if one["state"] == "open" and not one["is_historic"])


def test_the_audit_trail_says_who_did_what(client: Client, story: Story) -> None:
    """The key that acted for a person is written down beside the person."""
    records = every(client, "/v1/audit-log")
    acts = [one["act"] for one in records]
    acted = [one for one in records if one["act"] == "key.act_as"]

    assert {"revenue.record", "period.approved", "payout_batch.approve", "content.register"} <= set(acts)
    assert {"chi", "anna"} == {one["subject"]["id"] for one in acted}
    assert all(one["actor"]["kind"] == "key" and one["request_id"] for one in acted)


PATHS = [
    "/v1/revenues/{revenue}",
    "/v1/jobs/{job}",
    "/v1/payout-batches/{batch}",
    "/v1/payouts/{payout}",
    "/v1/ledger/entries/{entry}",
    "/v1/ledger/entries/{entry}/lines",
    "/v1/contents/{content}",
    "/v1/creators/linh/payee",
]
ACTS = [
    "/v1/keys/{key}/revoke",
    "/v1/payout-batches/{batch}/cancel",
]


@pytest.mark.parametrize("platform_id", [STRANGER, CHILD])
@pytest.mark.parametrize("path", PATHS)
def test_another_platform_s_ids_are_as_if_they_were_not_there(
    client: Client, world: World, story: Story, path: str, platform_id: str
) -> None:
    """Not for a stranger, and not for a part of the platform."""
    address = path.format_map(vars(story))
    other = client.of(world.key(platform_id))

    assert 200 == client.get(address).status_code
    assert 404 == other.get(address).status_code


@pytest.mark.parametrize("platform_id", [STRANGER, CHILD])
@pytest.mark.parametrize("path", ACTS)
def test_another_platform_s_things_cannot_be_acted_on(
    client: Client, world: World, story: Story, path: str, platform_id: str
) -> None:
    """The refusal is the one for what does not exist."""
    other = client.of(world.key(platform_id))

    assert 404 == other.post(path.format_map(vars(story))).status_code


def test_another_platform_s_batch_cannot_be_approved(client: Client, world: World, story: Story) -> None:
    """Not even by a checker of its own."""
    other = client.of(world.key(STRANGER))

    response = other.post(f"/v1/payout-batches/{story.batch}/approve", {"as": "anna"})

    assert 404 == response.status_code


def test_a_parent_s_key_acts_on_a_sub_platform(client: Client, story: Story) -> None:
    """It names the sub-platform; what is made there is seen there, and not above."""
    made = client.post("/v1/creators", {"id": "only-below"}, platform=CHILD)

    address = made.headers["Location"]
    assert (201, f"/v1/creators/only-below?platform={CHILD}") == (made.status_code, address)
    assert 200 == client.get("/v1/creators/only-below", platform=CHILD).status_code
    assert 404 == client.get("/v1/creators/only-below").status_code


def test_a_sub_platform_is_founded(client: Client, world: World, story: Story) -> None:
    """It has what its parent has, where the request does not say otherwise."""
    made = body(client.post("/v1/platforms", {"id": "demo.film", "name": "Film", "locale": "en"}))

    assert ("demo", "VND", "en") == (made["parent"], made["currency"], made["locale"])
    assert made == body(client.get("/v1/platform", platform="demo.film"))
    assert ["demo", "demo.film", "demo.music"] == [one["id"] for one in every(client, "/v1/platforms")]
    assert body(client.get("/v1/periods", platform="demo.film"))["items"]
    assert body(client.get("/v1/event-types", platform="demo.film"))["items"]


def test_a_rulebook_is_rendered_in_both_languages(client: Client, story: Story) -> None:
    """The words are of the very document that executes."""
    vietnamese = body(client.get("/v1/rulebooks/in-force", locale="vi"))
    english = body(client.get(f"/v1/rulebooks/{story.rulebook}", locale="en"))

    assert vietnamese["document"] == english["document"]
    assert [one["key"] for one in vietnamese["clauses"]] == [one["key"] for one in english["clauses"]]
    assert vietnamese["clauses"] != english["clauses"]
    assert digests.digest_of(english["document"]) == english["sha256"]


def test_a_creator_s_name_is_shown_where_it_was_given(client: Client, story: Story) -> None:
    """Registering again renames; leaving the name out leaves it."""
    client.post("/v1/creators", {"id": "hoa", "display_name": "Hoa"})
    renamed = client.post("/v1/creators", {"id": "hoa", "display_name": "Hoa Nguyễn"})
    kept = client.post("/v1/creators", {"id": "hoa"})

    assert (200, 200) == (renamed.status_code, kept.status_code)
    assert "Hoa Nguyễn" == body(client.get("/v1/creators/hoa"))["display_name"]


def test_contributors_share_a_content_s_points(client: Client, world: World, story: Story) -> None:
    """A declaration is shown with the dates between which it holds."""
    client.post("/v1/contents", {"id": "song", "creator": "linh"})
    from_at = body(client.get("/v1/contents/song"))["created_at"]
    shares = {"linh": 7_000, "minh": 3_000}

    content = body(client.put("/v1/contents/song/contributions", {"shares_bp": shares, "from_at": from_at}))

    assert [{"from_at": from_at, "until_at": None, "shares_bp": shares}] == content["contributions"]


def test_every_list_is_the_same_page_by_page(client: Client, story: Story) -> None:
    """Cursors lose nothing and repeat nothing."""
    for path in ("creators", "staff", "keys", "partners", "rulebooks", "periods", "revenues", "event-types"):
        whole = body(client.get(f"/v1/{path}", limit=200))["items"]

        assert whole == every(client, f"/v1/{path}"), path
        assert whole, path
