"""An import of a file that is killed."""

import pytest

from tests.crash import deaths
from tests.crash.stand import Stand

FLOW = "import"


def test_the_flow_reaches_what_it_is_for(stand: Stand):
    """Pieces are committed one by one, rows are taken, skipped and rejected."""
    whole = stand.play_whole(FLOW)

    done = whole.acknowledged["imported"]
    assert (11, 8, 2, 1) == (
        done["row_count"],
        done["accepted_count"],
        done["skipped_count"],
        done["rejected_count"],
    )
    assert "f-bad" not in whole.acknowledged["rejects"]
    assert '"line":7' in whole.acknowledged["rejects"]
    assert 3 + 2 <= sum(point.moment == "after-commit" for point in whole.points)


@pytest.mark.parametrize("part", deaths.parts())
def test_a_death_at_any_point_changes_nothing(stand: Stand, part: int, record_property):
    """Law: every row is taken once, and every reject is in the file, however often the import was begun."""
    tried = deaths.try_part(stand, FLOW, part, sample=30)

    record_property("told", str(tried))
    assert tried.tried_count
