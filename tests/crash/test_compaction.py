"""A compaction that is killed."""

import pytest

from tests.crash import deaths
from tests.crash.stand import Stand

FLOW = "compaction"


def test_the_flow_reaches_what_it_is_for(stand: Stand):
    """Batches are compacted one by one, into files of several days, while others are compacted before."""
    whole = stand.play_whole(FLOW)

    files = [file for file in whole.state["lake_file"] if file["kind"] in {"raw", "index"}]
    written = [point for point in whole.points if point.moment == "before-rename"]
    assert len(files) > len(written) > 2
    assert [] == whole.state["lake"]["unnamed"] == whole.state["lake"]["damaged"]


@pytest.mark.parametrize("part", deaths.parts())
def test_a_death_at_any_point_changes_nothing(stand: Stand, part: int, record_property):
    """Law: every batch is in the lake once, and no file is half there or unnamed."""
    tried = deaths.try_part(stand, FLOW, part, sample=30)

    record_property("told", str(tried))
    assert tried.tried_count
