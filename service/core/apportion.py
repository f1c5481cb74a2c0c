"""Apportionment: the one exact way to divide money.

Owns the division of a pool of minor units in proportion to weights, by largest remainder (Hamilton). Refuses
fractions: everything is an integer. Laws: the parts sum exactly to the pool; each is the floor or the ceiling
of its quota; none is negative; no weight, no part; a greater weight never gets less, and equal weights differ
by one at most; a party gets the same whatever the order of the others; splitting a party in two gains at most
one minor unit a part.

Source: M. Balinski and H. P. Young, Fair Representation, 2nd edition 2001, chapter 3 and appendix A.
"""

from collections.abc import Sequence

from service.core.digests import framed, sha256
from service.core.errors import Invalid


class NothingToShareBy(Invalid):
    """No party has any weight, so no proportion exists."""

    slug = "nothing-to-share-by"
    title = "Nobody has any weight to share by"


def apportion(pool_minor: int, weights: Sequence[tuple[str, int]], *, seed: bytes) -> list[int]:
    """Divide a pool among parties in proportion to their weights.

    Each party gets the floor of its quota; the units left go one each to the largest remainders, and among
    equal remainders to the smallest SHA-256(framed(seed, party key in UTF-8)).

    Args: pool_minor: minor units to divide, >= 0; weights: (party key, weight), keys unique, weights integers
        >= 0 of any size; seed: names the occasion, so that no party wins every tie.
    Returns: minor units in the order of the weights.
    Raises: NothingToShareBy if no weight is above zero.
    """
    sizes = [weight for _, weight in weights]
    assert type(pool_minor) is int, "a pool is a whole number of minor units"
    assert pool_minor >= 0, "a pool is not negative"
    assert all(type(size) is int for size in sizes), "weights are integers"
    assert min(sizes, default=0) >= 0, "weights are not negative"
    assert len({key for key, _ in weights}) == len(sizes), "a party appears once"
    total = sum(sizes)
    if total == 0:
        raise NothingToShareBy("No party has a weight above zero, so there is no proportion to divide by.")

    parts = []
    remainders = []
    for size in sizes:
        part, remainder = divmod(pool_minor * size, total)
        parts.append(part)
        remainders.append(remainder)
    left = pool_minor - sum(parts)
    if left:
        for index in _favoured(weights, remainders, left, seed):
            parts[index] += 1
    return parts


def _favoured(
    weights: Sequence[tuple[str, int]], remainders: Sequence[int], count: int, seed: bytes
) -> list[int]:
    """Choose the indexes of the largest remainders; only those that tie for the last places are hashed.

    More than `count` remainders are above zero, since each is below the total and together they are `count`
    times the total. So the last place never falls to a remainder of zero, nor to a weight of zero.
    """
    last = sorted(remainders, reverse=True)[count - 1]
    above = [index for index, remainder in enumerate(remainders) if remainder > last]
    tied = [index for index, remainder in enumerate(remainders) if remainder == last]
    frame = framed(seed)
    tied.sort(key=lambda index: sha256(frame + framed(weights[index][0].encode())))
    return above + tied[: count - len(above)]
