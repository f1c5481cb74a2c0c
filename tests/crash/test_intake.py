"""An intake of batches that is killed."""

import pytest

from tests.crash import deaths
from tests.crash.stand import Stand

FLOW = "intake"


def test_the_flow_reaches_what_it_is_for(stand: Stand):
    """It takes, rejects, registers a creator, and answers a repeat from the stored receipt."""
    whole = stand.play_whole(FLOW)

    shown = {
        name: (receipt["counts"]["accepted"], [one["code"] for one in receipt["items"]])
        for name, receipt in whole.acknowledged.items()
    }
    assert {
        "plain": (3, []),
        "mixed": (1, ["unknown_type", "too_old"]),
        "plain again": (3, []),
        "lines": (2, []),
    } == shown
    assert whole.acknowledged["plain"] == whole.acknowledged["plain again"]


@pytest.mark.parametrize("part", deaths.parts())
def test_a_death_at_any_point_changes_nothing(stand: Stand, part: int, record_property):
    """Law: what was acknowledged is there, once, and whoever sends again ends where nobody died."""
    tried = deaths.try_part(stand, FLOW, part, sample=40)

    record_property("told", str(tried))
    assert tried.tried_count
