"""The retention policy over HTTP."""

import pytest

from tests.api.client import Client
from tests.api.story import body
from tests.api.world import CHILD, World

PATH = "/v1/event-retention"


def test_a_policy_is_set_read_and_taken_back(client: Client, world: World) -> None:
    """Each answer says what holds from now on."""
    found = [
        body(client.get(PATH)),
        body(client.put(PATH, {"days": 400})),
        body(client.get(PATH)),
        body(client.put(PATH, {"days": None})),
        body(client.get(PATH)),
    ]

    assert [None, 400, 400, None, None] == [one["days"] for one in found]


def test_a_sub_platform_has_a_policy_of_its_own(client: Client, world: World) -> None:
    """The parent's stays as it is."""
    client.put(PATH, {"days": 0}, platform=CHILD)

    assert (0, None) == (body(client.get(PATH, platform=CHILD))["days"], body(client.get(PATH))["days"])


@pytest.mark.parametrize("days", [-1, 36_501, "30", True, 1.5])
def test_what_is_no_number_of_days_is_refused(client: Client, world: World, days: object) -> None:
    """By its pointer."""
    answer = client.put(PATH, {"days": days})

    assert 422 == answer.status_code
    assert "/days" in {one["pointer"] for one in answer.json["errors"]}
