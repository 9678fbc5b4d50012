"""Bit patterns worth trying, for tests of floating point."""

from functools import cache

from hypothesis import strategies as st

from rvemu.isa.softfloat_format import D, Format, H, S


def _interesting(fmt: Format) -> list[int]:
    one = fmt.bias << fmt.fraction_bits
    magnitudes = [
        0,
        1,
        2,
        fmt.least_normal - 1,
        fmt.least_normal,
        fmt.least_normal + 1,
        one - 1,
        one,
        one + 1,
        one + (1 << fmt.fraction_bits),
        fmt.greatest - 1,
        fmt.greatest,
        fmt.infinity,
        fmt.infinity + 1,  # signaling
        fmt.nan - 1,  # signaling
        fmt.nan,
        fmt.nan + 1,
        fmt.magnitude,
    ]
    return [sign | m for m in magnitudes for sign in (0, fmt.sign)]


INTERESTING = {fmt: _interesting(fmt) for fmt in (H, S, D)}


@cache  # hypothesis looks into every new strategy at length
def any_bits(fmt: Format) -> st.SearchStrategy[int]:
    """All kinds of values: special ones, those with few bits set, exponents near both
    ends and the middle, and whatever."""
    near_exponents = st.one_of(
        st.integers(0, 3),
        st.integers(fmt.exponent_mask - 3, fmt.exponent_mask),
        st.integers(
            max(fmt.bias - fmt.fraction_bits - 3, 0),
            min(fmt.bias + fmt.fraction_bits + 3, fmt.exponent_mask),
        ),
        # half of the least exponent, for products at the lower end
        st.integers(fmt.bias // 2 - 2, fmt.bias // 2 + 2),
        st.integers(0, fmt.exponent_mask),
    )
    few_bits = st.builds(
        lambda x, y, z: ((1 << x) ^ (1 << y) ^ (1 << z)) & fmt.fraction_mask,
        *[st.integers(0, fmt.fraction_bits)] * 3,
    )
    fractions = st.one_of(
        few_bits, few_bits.map(lambda x: fmt.fraction_mask ^ x), st.integers(0, fmt.fraction_mask)
    )
    built = st.builds(
        lambda s, e, f: (s << (fmt.width - 1)) | (e << fmt.fraction_bits) | f,
        st.integers(0, 1),
        near_exponents,
        fractions,
    )
    return st.one_of(built, built, built, st.sampled_from(INTERESTING[fmt]))
