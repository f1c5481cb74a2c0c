"""An estimate that is killed."""

import pytest

from tests.crash import deaths
from tests.crash.stand import Stand
from tests.crash.world import PART, WAITING

FLOW = "estimate"


def test_the_flow_reaches_what_it_is_for(stand: Stand):
    """The open period is estimated, from events that it compacts and revenue so far; nothing is booked."""
    whole = stand.play_whole(FLOW)

    (run,) = whole.state["estimate_run"]
    assert (WAITING, 10) == (run["period_id"], run["event_count"])
    assert len(whole.state["estimate"]) > 4
    assert stand.play_whole("compaction").state["balances of " + PART] == whole.state["balances of " + PART]


@pytest.mark.parametrize("part", deaths.parts())
def test_a_death_at_any_point_changes_nothing(stand: Stand, part: int, record_property):
    """Law: the estimate is replaced as a whole or stays as it was."""
    tried = deaths.try_part(stand, FLOW, part, sample=20)

    record_property("told", str(tried))
    assert tried.tried_count
