"""Random integers for tests of the compiler."""

from random import Random

from rvemu.lang import Range


def any_value(rng: Random, r: Range) -> int:
    """A value in a range: often at its ends, or near a power of two."""
    kind = rng.random()
    if kind < 0.3:
        value = rng.choice((r.low, r.high, 0, 1, 2, 3, r.high - 1, r.low + 1, r.high >> 1))
    elif kind < 0.6:
        value = (1 << rng.randrange(129)) * rng.choice((1, -1)) + rng.randrange(-2, 3)
    elif kind < 0.8:
        value = rng.randrange(-20, 220)
    else:
        value = rng.randint(r.low, r.high)
    return value if r.low <= value <= r.high else rng.randint(r.low, r.high)
