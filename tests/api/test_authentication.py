"""Keys at the door: what is revoked or over opens nothing, and what is refused leaves no mark."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from service.api import problems
from service.core.errors import Conflict, Unavailable
from service.core.spans import to_text
from service.runtime import db
from tests.api.client import Client
from tests.api.story import body
from tests.api.world import CHILD, World


def test_a_revoked_key_opens_nothing_from_the_next_request_on(client: Client) -> None:
    """Whoever revokes it need not wait."""
    made = body(client.post("/v1/keys", {"label": "lost", "scopes": ["admin"]}))
    lost = client.of(made["secret"])
    before = lost.get("/v1/limits")

    revoked = body(client.post(f"/v1/keys/{made['id']}/revoke"))

    assert (200, 401) == (before.status_code, lost.get("/v1/limits").status_code)
    assert revoked["revoked_at"] is not None
    assert 409 == client.post(f"/v1/keys/{made['id']}/revoke").status_code


def test_a_key_that_is_over_opens_nothing(client: Client, world: World) -> None:
    """Its expiry is exclusive, and the database's clock decides."""
    expires_at = to_text(world.now() + timedelta(hours=1))
    made = body(client.post("/v1/keys", {"label": "short", "scopes": ["admin"], "expires_at": expires_at}))
    short = client.of(made["secret"])
    before = short.get("/v1/limits")
    with db.transaction(world.system.database) as session:
        session.execute(
            text("UPDATE api_key SET expires_at = :now WHERE id = :id"),
            {"now": world.now(), "id": made["id"]},
        )

    assert (200, 401) == (before.status_code, short.get("/v1/limits").status_code)


def test_the_use_of_a_key_is_written_down(client: Client) -> None:
    """To the hour: a key that nobody uses can be found and revoked."""
    made = body(client.post("/v1/keys", {"label": "used", "scopes": ["admin"]}))
    used = client.of(made["secret"])
    used.get("/v1/limits")

    [shown] = [one for one in body(used.get("/v1/keys", limit=200))["items"] if one["id"] == made["id"]]

    assert (None, True) == (made["last_used_at"], shown["last_used_at"] is not None)


def test_a_key_shows_its_platform_as_its_own(client: Client, world: World) -> None:
    """A sub-platform's key begins where it belongs, and names its platform or not as it likes."""
    child = client.of(world.key(CHILD))

    assert CHILD == body(child.get("/v1/platform"))["id"]
    assert body(child.get("/v1/platform")) == body(child.get("/v1/platform", platform=CHILD))


def test_the_scheme_is_written_in_any_case(client: Client) -> None:
    """RFC 9110: names of authentication schemes ignore case."""
    headers = {"Authorization": f"bearer {client.key}"}

    assert 200 == client.of(None).get("/v1/limits", headers=headers).status_code


def test_a_browser_gets_a_page_for_a_fault(client: Client) -> None:
    """People read pages; programs read problems, and the API answers with nothing else."""
    asked = client.app.test_client()
    accept = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}

    page, problem = asked.get("/nothing", headers=accept), asked.get("/v1/nothing", headers=accept)

    assert (404, "text/html") == (page.status_code, page.mimetype)
    assert (404, "application/problem+json") == (problem.status_code, problem.mimetype)


class _Broken(Exception):  # noqa: N818 — it stands for a fault of the driver.
    """A database's refusal with a code."""

    def __init__(self, sqlstate: str | None) -> None:
        super().__init__("secret words of the database")
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (IntegrityError("INSERT", {}, _Broken("23505")), Conflict),
        (OperationalError("SELECT", {}, _Broken("55P03")), Unavailable),
        (OperationalError("SELECT", {}, _Broken("57014")), Unavailable),
        (OperationalError("SELECT", {}, _Broken("40P01")), Unavailable),
        (OperationalError("SELECT", {}, _Broken("53100")), Unavailable),
        (PoolTimeout(), Unavailable),
    ],
)
def test_what_the_database_cannot_do_now_is_told_without_its_words(
    fault: Exception, kind: type[Exception]
) -> None:
    """Two writers of one row, a lock, a time-out, a full disk: each tells what to do."""
    told = problems.of_database(fault)

    assert isinstance(told, kind)
    assert "secret" not in str(told)


@pytest.mark.parametrize("state", ["23503", "42501", "22003", None])
def test_what_the_database_refuses_for_our_mistake_is_unexpected(state: str | None) -> None:
    """A reference that is not there, a change of what is written once: those are ours to mend."""
    assert problems.of_database(IntegrityError("INSERT", {}, _Broken(state))) is None
