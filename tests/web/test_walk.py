"""The walk that a reader with a calculator can follow, as a law."""

from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from service.core.currencies import exponent_of
from service.earnings.creator import Counted, OriginLine
from service.earnings.quota import Quota
from service.rules import registry, rulebook, words
from service.web import walk

RULE = rulebook.load(registry.founding_document())
CLAUSES = {one.key: one for one in words.render(RULE, "en", currency="VND")}
WHOLE_BP = 10_000


@st.composite
def lines(draw: st.DrawFn) -> OriginLine:
    """Draw a line as scoring makes one: the creator's part of each type, then what clauses changed."""
    counted = []
    for name in draw(st.lists(st.sampled_from(sorted(RULE.weights)), unique=True, max_size=4)):
        quantity = draw(st.integers(0, 10**9))
        share_bp = draw(st.integers(0, WHOLE_BP))
        points_e4 = quantity * RULE.weights[name] * share_bp
        counted.append(Counted(type=name, event_count=1, quantity=quantity, points_e4=points_e4))
    sum_e4 = sum(one.points_e4 for one in counted)
    capped_e4 = -draw(st.integers(0, sum_e4))
    taken_e4 = -draw(st.integers(0, sum_e4 + capped_e4))
    points_e4 = sum_e4 + capped_e4 + taken_e4
    total_e4 = points_e4 + draw(st.integers(0, 10**13))
    pool_minor = draw(st.integers(0, 10**12))
    numerator, denominator = pool_minor * RULE.creators_bp * points_e4, WHOLE_BP * total_e4 or 1
    extra = draw(st.booleans()) and numerator % denominator != 0
    return OriginLine(
        origin_period_id="2026-10",
        counted=counted,
        excluded={},
        changed_e4={"caps": capped_e4} if capped_e4 else {},
        scored_e4=sum_e4 + capped_e4,
        quota=Quota(
            pool_minor=pool_minor,
            creators_bp=RULE.creators_bp,
            points_e4=points_e4,
            points_total_e4=total_e4,
            amount_minor=numerator // denominator + extra,
        ),
    )


@given(line=lines(), currency=st.sampled_from(["VND", "USD", "KWD"]))
@example(
    line=OriginLine(
        origin_period_id="2026-10",
        counted=[],
        excluded={},
        changed_e4={},
        scored_e4=0,
        quota=Quota(pool_minor=5, creators_bp=7_000, points_e4=0, points_total_e4=0, amount_minor=0),
    ),
    currency="VND",
)
def test_a_walk_adds_up_and_its_quotient_is_the_exact_one(line: OriginLine, currency: str) -> None:
    """Rows, others' parts, clauses and what was taken back make the points; the quotient is only cut."""
    laid = walk.of_line(line, RULE, CLAUSES, currency)

    assert line.quota.points_e4 == walk.points_of(laid)
    assert [one.quantity * one.weight * WHOLE_BP for one in laid.rows] == [one.points_e4 for one in laid.rows]
    assert laid.others_e4 <= 0
    assert laid.taken_back_e4 <= 0
    exact = Fraction(line.quota.numerator, line.quota.denominator * 10 ** exponent_of(currency))
    assert 0 <= exact - Fraction(laid.quotient_e4, WHOLE_BP) < Fraction(1, WHOLE_BP)
    assert laid.is_cut == (exact != Fraction(laid.quotient_e4, WHOLE_BP))
