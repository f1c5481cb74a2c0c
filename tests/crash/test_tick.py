"""A scheduler that is killed while it does everything."""

import pytest

from tests.crash import deaths
from tests.crash.stand import Stand
from tests.crash.state import State
from tests.crash.world import PART, POSTED, WAITING

CLOSING = "tick"
SETTLING = "settling tick"


def test_the_flows_reach_what_they_are_for(stand: Stand):
    """Every duty is done, by runs of which none failed."""
    closing, settling = (stand.play_whole(flow).state for flow in (CLOSING, SETTLING))

    assert {"compact", "close", "estimate", "pay", "fold", "tidy"} == _done(closing)
    assert "published" == _state_of(closing, WAITING)
    assert {"post", "pay", "settle", "fold", "estimate", "tidy"} == _done(settling)
    assert "posted" == _state_of(settling, WAITING) == _state_of(settling, POSTED)
    assert ["failed", "paid"] == sorted(one["state"] for one in settling["payout"])


@pytest.mark.parametrize("part", deaths.parts())
def test_a_death_at_any_point_of_a_close_changes_nothing(stand: Stand, part: int, record_property):
    """Law: what is due is done once, however often its holder dies; none of its runs is given up."""
    tried = deaths.try_part(stand, CLOSING, part, sample=30)

    record_property("told", str(tried))
    assert tried.tried_count


@pytest.mark.parametrize("part", deaths.parts())
def test_a_death_at_any_point_of_a_settlement_changes_nothing(stand: Stand, part: int, record_property):
    """Law: as above; and every creator is paid once or not at all."""
    tried = deaths.try_part(stand, SETTLING, part, sample=30)

    record_property("told", str(tried))
    assert tried.tried_count


def _done(state: State) -> set[str]:
    """Name the jobs that were done; no run is anything else."""
    runs = [run for run in state["jobs"] if run[0] == PART]
    assert {"done"} == {outcome for _, _, _, outcome, _ in runs}
    return {job for _, job, _, _, _ in runs}


def _state_of(state: State, period_id: str) -> str:
    return next(
        one["state"] for one in state["period"] if (one["platform_id"], one["id"]) == (PART, period_id)
    )
