import sys
sys.path.insert(0,'/work/main')
from hypothesis import given, strategies as st, settings
from tests.splits.test_scoring import *
import tests.splits.test_scoring as m
for n in list(globals()):
    if n.startswith('test_'): del globals()[n]
S=settings(max_examples=30, deadline=None, database=None)
@S
@given(EVENTS)
def test_a(e): score(rulebook(), [e])
@S
@given(rulebooks())
def test_b(e): score(e, [[Event(creator="an")]])
@S
@given(declarations())
def test_c(e): score(rulebook(), [[Event(creator="an")]],e)
def test_d():
    for i in range(30): score(rulebook(), [[Event(creator="an")]],[contribution("c1","an",10000)])
def test_e():
    for i in range(30): score(rulebook(), [[Event(creator="an",actor="u",content="c")]])
@settings(max_examples=30)
@given(EVENTS)
def test_f(e): score(rulebook(), [e])
import duckdb
@settings(max_examples=3)
@given(st.integers())
def test_g(e): 
    with duckdb.connect() as c: c.execute("select 1").fetchall()
