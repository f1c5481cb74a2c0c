from hypothesis import given, settings, strategies as st
from tests.splits.test_scoring import score, rulebooks, EVENTS, declarations, Rulebook, Event, Contribution
@settings(max_examples=3)
@given(rulebooks(), EVENTS, declarations())
def test_a(a,b,c): score(a,[b],c)
@settings(max_examples=3)
@given(rulebooks(), EVENTS)
def test_b(a,b): score(a,[b])
@settings(max_examples=3)
@given(EVENTS, declarations())
def test_c(b,c): b
@settings(max_examples=3)
@given(rulebooks(), EVENTS, declarations())
def test_d(a:Rulebook,b:list[Event],c:list[Contribution]) -> None: score(a,[b],c)
@settings(max_examples=60)
@given(rulebooks(), EVENTS, declarations())
def test_e(a:Rulebook,b:list[Event],c:list[Contribution]) -> None: 
    for one in score(a,[b],c): one.walk
