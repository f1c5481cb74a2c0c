"""The senders' totals on finance's page of a period: before the close, and as whoever approves sees them."""

import pytest

from tests.web.conftest import Visit
from tests.web.world import HOSTILE, World


@pytest.mark.parametrize(
    ("locale", "before", "after"),
    [
        (
            "en",
            ["Totals of the senders", "not compared yet"],
            ["nothing arrived missing", "other than sent differs -1 / -1,000", "as sent matches"],
        ),
        (
            "vi",
            ["Số tổng do bên gửi báo", "chưa đối chiếu"],
            [
                "không nhận được gì missing",
                "khác số đã gửi differs -1 / -1.000",
                "khớp với số đã gửi matches",
            ],
        ),
    ],
)
def test_whoever_approves_sees_what_senders_said(
    visit: Visit, world: World, locale: str, before: list[str], after: list[str]
) -> None:
    """Totals that do not match come first; a sender's name is text, whatever it holds."""
    visitor = visit("staff", "minh", locale=locale)
    over = visitor.get(f"/finance/periods/{world.over}").text
    published = visitor.get(f"/finance/periods/{world.published}").text

    assert [] == [words for words in before if words not in over]
    places = [published.index(words) for words in after]
    assert sorted(places) == places
    assert HOSTILE in published


def test_a_period_of_which_no_sender_said_anything_says_nothing(visit: Visit, world: World) -> None:
    """The section is not there."""
    assert "Totals of the senders" not in visit("staff", "minh").get(f"/finance/periods/{world.booked}").text
