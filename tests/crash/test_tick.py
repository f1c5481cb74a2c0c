"""A scheduler that is killed while it does everything."""

import pytest

from tests.crash import deaths
from tests.crash.stand import Stand
from tests.crash.world import PART, POSTED, WAITING

FLOW = "tick"


def test_the_flow_reaches_what_it_is_for(stand: Stand):
    """Every duty is done, by runs of which none failed."""
    state = stand.play_whole(FLOW).state

    jobs = {(job, scope, outcome) for platform, job, scope, outcome, _ in state["jobs"] if platform == PART}
    assert {"compact", "close", "post", "estimate", "pay", "settle", "fold"} == {job for job, _, _ in jobs}
    assert {"done"} == {outcome for _, _, outcome in jobs}
    assert {("close", WAITING, "done"), ("pay", POSTED, "done")} <= jobs
    assert {"paid", "failed"} <= {one["state"] for one in state["payout"]}


@pytest.mark.parametrize("part", deaths.parts())
def test_a_death_at_any_point_changes_nothing(stand: Stand, part: int, record_property):
    """Law: what is due is done once, however often its holder dies; none of its runs is given up."""
    tried = deaths.try_part(stand, FLOW, part, sample=30)

    record_property("told", str(tried))
    assert tried.tried_count
