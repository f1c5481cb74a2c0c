"""A payout run that is killed."""

import pytest

from tests.crash import deaths
from tests.crash.stand import Stand

FLOW = "payouts"


def test_the_flow_reaches_what_it_is_for(stand: Stand):
    """One is paid, one rejected, one returned, one paid though the answer was lost, one failed on its way."""
    whole = stand.play_whole(FLOW)

    made = {one["creator_id"]: (one["state"], one["reason"]) for one in whole.state["payout"]}
    assert {
        "an": ("paid", None),
        "binh": ("failed", "account_closed"),
        "chi": ("returned", "account_closed"),
        "dung": ("paid", None),
        "em": ("failed", "refused_by_receiving_bank"),
    } == made
    assert ["done"] == [one["state"] for one in whole.state["payout_batch"]]
    assert "payout.no_answer" in whole.words
    calls = {point.what for point in whole.points if point.moment == "before-call"}
    assert {"fund", "send", "look_up"} == calls


@pytest.mark.parametrize("part", deaths.parts())
def test_a_death_at_any_point_changes_nothing(stand: Stand, part: int, record_property):
    """Law: every creator is paid once or not at all, and our books and the bank's say the same."""
    tried = deaths.try_part(stand, FLOW, part, sample=50)

    record_property("told", str(tried))
    assert tried.tried_count
