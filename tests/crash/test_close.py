"""A close, its approval and its posting that are killed."""

import pytest

from tests.crash import deaths
from tests.crash.stand import Stand
from tests.crash.world import PARENT, PART, POSTED, WAITING

FLOW = "close"


def test_the_flow_reaches_what_it_is_for(stand: Stand):
    """It tells repeats, conflicts, late events and those left out apart, and passes the parent's share on."""
    state = stand.play_whole(FLOW).state

    split = next(one for one in state["split"] if one["period_id"] == WAITING)
    told = {"counted": 8, "late": 1, "filtered": 1, "duplicate": 2, "conflict": 1, "voided": 0}
    assert told == split["inputs"]["verdicts"]
    shares = [one for one in state["share"] if one["period_id"] == WAITING]
    assert {"platform", "parent", "creator"} == {one["party_kind"] for one in shares}
    assert {WAITING, POSTED} == {one["origin_period_id"] for one in shares}
    assert split["pool_minor"] == sum(one["amount_minor"] for one in shares)
    passed_on = [one for one in state["revenue"] if one["platform_id"] == PARENT]
    assert [POSTED, WAITING] == sorted(one["reference"].split(":")[2] for one in passed_on)
    posted = [one["id"] for one in state["period"] if one["platform_id"] == PART and one["state"] == "posted"]
    assert [POSTED, WAITING] == sorted(posted)


@pytest.mark.parametrize("part", deaths.parts())
def test_a_death_at_any_point_changes_nothing(stand: Stand, part: int, record_property):
    """Law: the period is sealed, divided and booked once, to the same shares, whoever goes on."""
    tried = deaths.try_part(stand, FLOW, part, sample=50)

    record_property("told", str(tried))
    assert tried.tried_count
