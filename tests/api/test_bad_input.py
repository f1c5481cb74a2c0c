"""Bad input to every operation that changes something: a clear problem, and nothing stored."""

import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from werkzeug.test import TestResponse

from service.api.contract import Operation
from service.parties.scopes import SCOPES
from tests.api import operations
from tests.api.client import Client
from tests.api.operations import CHANGING, READING, WITH_JSON
from tests.api.world import CHILD, PLATFORM, STRANGER, World

KEYED = [one for one in CHANGING if one.needs_key]
SCOPED = [one for one in [*CHANGING, *READING] if one.scopes]


def name(operation: Operation) -> str:
    """Name a case after its operation."""
    return operation.id


@pytest.fixture(scope="module")
def lacking(world: World) -> dict[str, str]:
    """Give, for each scope, a key that holds every other one."""
    return {scope: world.key(scopes=[one for one in SCOPES if one != scope]) for scope in SCOPES}


@pytest.fixture(scope="module")
def of_child(world: World, client: Client) -> Client:
    """Give a client of the platform below ours."""
    return client.of(world.key(CHILD))


@pytest.fixture(autouse=True)
def nothing_is_stored(
    world: World, client: Client, lacking: dict[str, str], of_child: Client
) -> Iterator[None]:
    """Compare the whole database before and after each test; the keys are made before."""
    del client, lacking, of_child
    before = world.stored()
    yield
    assert before == world.stored()


def send(
    client: Client,
    operation: Operation,
    world: World,
    *,
    headers: Mapping[str, str] | None = None,
    **options: Any,
) -> TestResponse:
    """Send an operation as it should be, but for what is given."""
    given: dict[str, str] = {}
    if operation.needs_key:
        given["Idempotency-Key"] = str(uuid.uuid4())
    if operation.media_types:
        options.setdefault("data", sound(operation))
        given["Content-Type"] = operation.media_types[0]
    given |= headers or {}
    options["query_string"] = operations.query(operation, world) | options.get("query_string", {})
    return client.send(operation.method, operations.address(operation, world), headers=given, **options)


def sound(operation: Operation) -> bytes:
    """Give a body that is right."""
    if operation in WITH_JSON:
        return json.dumps(operations.body(operation)).encode()
    return b"[]"


def problem(response: TestResponse) -> tuple[int, str]:
    """Read status and type of a problem."""
    return response.status_code, json.loads(response.data)["type"].removeprefix("/problems/")


@pytest.mark.parametrize("operation", [*CHANGING, *READING], ids=name)
def test_nobody_gets_in_without_a_key(client: Client, world: World, operation: Operation) -> None:
    """Not even to learn what else would be wrong."""
    assert (401, "unauthenticated") == problem(send(client.of(None), operation, world, data=b"{"))


@pytest.mark.parametrize(
    "given",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "Bearer bl_test_x",
        "Bearer bl_live_",
        "Bearer bl_live_" + "0" * 58,
        "Bearer " + "é" * 66,
        "Bearer " + "x" * 4_000,
        "Token bl_live_abc",
    ],
)
def test_what_is_no_key_opens_nothing(client: Client, given: str) -> None:
    """Which part of it is wrong is not told."""
    response = client.of(None).get("/v1/limits", headers={"Authorization": given})

    assert (401, "unauthenticated") == problem(response)
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("place", [8, 12, 20, -1])
def test_a_key_with_one_wrong_character_opens_nothing(client: Client, place: int) -> None:
    """In the public part, the secret and the checksum alike."""
    assert client.key is not None
    letters = list(client.key)
    letters[place] = "a" if letters[place] != "a" else "b"

    assert 401 == client.of("".join(letters)).get("/v1/limits").status_code


def test_a_key_in_the_address_opens_nothing(client: Client) -> None:
    """Addresses end up in logs; so a key there is never taken."""
    assert 401 == client.of(None).get("/v1/limits", key=client.key, access_token=client.key).status_code


@pytest.mark.parametrize("operation", SCOPED, ids=name)
def test_a_key_without_the_scope_is_refused(
    client: Client, world: World, lacking: dict[str, str], operation: Operation
) -> None:
    """It holds every other scope, and the answer names the one that it lacks."""
    assert operation.scopes is not None
    for scope in operation.scopes:
        response = send(client.of(lacking[scope]), operation, world)

        assert (403, "scope-missing") == problem(response)
        assert [scope] == json.loads(response.data)["scopes"]


@pytest.mark.parametrize("operation", [*CHANGING, *READING], ids=name)
@pytest.mark.parametrize("platform_id", [STRANGER, "demo.nothing", "demo2", "nothing"])
def test_another_platform_is_as_if_it_were_not_there(
    client: Client, world: World, operation: Operation, platform_id: str
) -> None:
    """A stranger's, one that does not exist, and one whose name only begins alike are answered the same."""
    response = send(client, operation, world, query_string={"platform": platform_id})

    assert (404, "not-found") == problem(response)


@pytest.mark.parametrize("operation", [*CHANGING, *READING], ids=name)
def test_a_sub_platform_s_key_does_not_reach_its_parent(
    of_child: Client, world: World, operation: Operation
) -> None:
    """Keys reach down, never up."""
    response = send(of_child, operation, world, query_string={"platform": PLATFORM})

    assert (404, "not-found") == problem(response)


@pytest.mark.parametrize("operation", KEYED, ids=name)
@pytest.mark.parametrize("key", ["", " ", "ö", "x" * 256, "a b"])
def test_a_post_without_a_usable_idempotency_key_is_refused(
    client: Client, world: World, operation: Operation, key: str
) -> None:
    """Nothing that may have been done twice is begun."""
    response = send(client, operation, world, headers={"Idempotency-Key": key})

    assert (400, "idempotency-key-missing") == problem(response)


@pytest.mark.parametrize("operation", [one for one in CHANGING if one.media_types], ids=name)
@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": ""},
        {"Content-Encoding": "br"},
        {"Content-Encoding": "gzip, zstd"},
    ],
    ids=str,
)
def test_a_body_of_another_kind_is_refused(
    client: Client, world: World, operation: Operation, headers: dict[str, str]
) -> None:
    """The answer names the kinds that are taken."""
    response = send(client, operation, world, headers=headers)

    assert (415, "unsupported-media-type") == problem(response)
    assert list(operation.media_types) == json.loads(response.data)["media_types"]


@pytest.mark.parametrize("operation", WITH_JSON, ids=name)
def test_documents_are_not_taken_packed(client: Client, world: World, operation: Operation) -> None:
    """Only batches of events are large enough for it to matter."""
    response = send(client, operation, world, headers={"Content-Encoding": "gzip"})

    assert (415, "unsupported-media-type") == problem(response)


@pytest.mark.parametrize("operation", WITH_JSON, ids=name)
@pytest.mark.parametrize("body", [b"{", b"\xef\xbb\xbf{}", b'{"a":1,"a":2}', b"[" * 100_000, b'{"a":NaN}'])
def test_a_body_that_cannot_be_read_is_refused(
    client: Client, world: World, operation: Operation, body: bytes
) -> None:
    """Every operation reads JSON by the one strict loader."""
    response = send(client, operation, world, data=body, headers={"Content-Type": "application/json"})

    assert (400, "unreadable") == problem(response)


@pytest.mark.parametrize("operation", [one for one in WITH_JSON if one.is_body_needed], ids=name)
def test_a_body_that_is_missing_is_refused(client: Client, world: World, operation: Operation) -> None:
    """Nothing is filled in."""
    response = send(client, operation, world, data=b"", headers={"Content-Type": "application/json"})

    assert (400, "unreadable") == problem(response)


@pytest.mark.parametrize("operation", CHANGING, ids=name)
def test_a_body_beyond_the_limit_is_refused(client: Client, world: World, operation: Operation) -> None:
    """Its length alone is enough; it is not read."""
    body = b" " * (operation.size_bytes_max + 1)

    assert (413, "too-large") == problem(send(client, operation, world, data=body))


@pytest.mark.parametrize("operation", [one for one in CHANGING if not one.media_types], ids=name)
def test_a_body_where_none_is_taken_is_refused(client: Client, world: World, operation: Operation) -> None:
    """Whoever sends one expects it to matter."""
    assert (400, "unreadable") == problem(send(client, operation, world, data=b"{}"))


@pytest.mark.parametrize("operation", [*CHANGING, *READING], ids=name)
def test_a_parameter_that_nobody_knows_is_refused(client: Client, world: World, operation: Operation) -> None:
    """A misspelt filter does not silently show or change everything."""
    response = send(client, operation, world, query_string={"platfrom": PLATFORM})

    assert (422, "parameter-invalid") == problem(response)
    assert ["platfrom"] == [one["name"] for one in json.loads(response.data)["parameters"]]


@pytest.mark.parametrize(
    ("operation", "wrong"),
    [
        pytest.param(operation, wrong, id=f"{operation.id} {wrong.pointer} {wrong.what}")
        for operation in WITH_JSON
        for wrong in operations.wrongs(operation)
    ],
)
def test_a_body_that_is_wrong_in_one_place_is_refused_there(
    client: Client, world: World, operation: Operation, wrong: operations.Wrong
) -> None:
    """A member too many, one too few, a value of another kind: each is named by its pointer."""
    response = send(client, operation, world, data=json.dumps(wrong.document).encode())

    pointers = {one["pointer"] for one in json.loads(response.data).get("errors", ())}
    assert 422 == response.status_code, response.text
    assert any(wrong.is_at(pointer) for pointer in pointers), response.text
