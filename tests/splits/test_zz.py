from hypothesis import given, settings
from hypothesis import strategies as st
from datetime import timedelta
from tests.splits.model import PERIOD, START, Event
DAY = timedelta(days=1)
CREATORS = ("an", "b", "chi")
INSTANTS = st.sampled_from([START + DAY * day + timedelta(hours=hour) for day in range(3) for hour in (0, 12)])
QUANTITIES = st.integers(-5, 5)
EVENTS=st.integers()
@settings(max_examples=1)
@given(EVENTS)
def test_x(e):
    pass
