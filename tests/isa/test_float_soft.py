"""Softfloat against exact rational arithmetic: all operations, formats and rounding modes."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rvemu.hart.state import Hart, Shared
from rvemu.isa import softfloat_arith, softfloat_convert
from rvemu.isa.softfloat_format import D, Format, H, S
from tests.isa import float_oracle as oracle
from tests.isa.float_cases import INTERESTING, any_bits

FORMATS = [pytest.param(fmt, id=name) for name, fmt in (("h", H), ("s", S), ("d", D))]
MODE = st.sampled_from(oracle.MODES)
FAST = settings(max_examples=80, deadline=None)


@pytest.fixture(scope="module")
def h() -> Iterator[Hart]:
    yield Hart(Shared())


def kind(fmt: Format) -> oracle.Kind:
    return oracle.KINDS[fmt.width]


def show(fmt: Format, result: tuple[int, int]) -> str:
    return f"{result[0]:0{fmt.width // 4}x} flags {result[1]:05b}"


def flags_of(h: Hart, result: int) -> tuple[int, int]:
    """A result with the flags it raised, which are then cleared."""
    flags = h.fflags
    h.fflags = 0
    return result, flags


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div"])
@pytest.mark.parametrize("fmt", FORMATS)
@FAST
@given(data=st.data())
def test_two_operands(h: Hart, fmt: Format, name: str, data: st.DataObject) -> None:
    a, b = data.draw(any_bits(fmt)), data.draw(any_bits(fmt))
    for mode in oracle.MODES:
        got = flags_of(h, getattr(softfloat_arith, name)(h, fmt, a, b, mode))
        want = getattr(oracle, name)(kind(fmt), a, b, mode)
        assert show(fmt, got) == show(fmt, want), f"{a:x} {name} {b:x}, mode {mode}"


@pytest.mark.parametrize("name", ["add", "mul", "div"])
@pytest.mark.parametrize("fmt", FORMATS)
def test_two_interesting_operands(h: Hart, fmt: Format, name: str) -> None:
    for a in INTERESTING[fmt]:
        for b in INTERESTING[fmt]:
            for mode in (oracle.RNE, oracle.RDN):
                got = flags_of(h, getattr(softfloat_arith, name)(h, fmt, a, b, mode))
                want = getattr(oracle, name)(kind(fmt), a, b, mode)
                assert show(fmt, got) == show(fmt, want), f"{a:x} {name} {b:x}, mode {mode}"


@pytest.mark.parametrize("fmt", FORMATS)
@FAST
@given(data=st.data(), mode=MODE)
def test_sqrt(h: Hart, fmt: Format, data: st.DataObject, mode: int) -> None:
    a = data.draw(any_bits(fmt))
    got = flags_of(h, softfloat_arith.sqrt(h, fmt, a, mode))
    assert show(fmt, got) == show(fmt, oracle.sqrt(kind(fmt), a, mode)), f"{a:x}"


def test_every_half_square_root(h: Hart) -> None:
    for a in range(0x7C00):
        got = flags_of(h, softfloat_arith.sqrt(h, H, a, oracle.RNE))
        root = oracle.sqrt(kind(H), a, oracle.RNE)
        assert show(H, got) == show(H, root), f"{a:x}"


@pytest.mark.parametrize("fmt", FORMATS)
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_fma(h: Hart, fmt: Format, data: st.DataObject) -> None:
    a, b = data.draw(any_bits(fmt)), data.draw(any_bits(fmt))
    product = oracle.mul(kind(fmt), a, b, oracle.RNE)[0]
    # Often an addend that nearly cancels the product.
    near = (product ^ fmt.sign) + data.draw(st.integers(-2, 2))
    c = data.draw(st.one_of(any_bits(fmt), st.just(near & fmt.mask)))
    for mode in oracle.MODES:
        got = flags_of(h, softfloat_arith.fma(h, fmt, a, b, c, mode))
        want = oracle.fma(kind(fmt), a, b, c, mode)
        assert show(fmt, got) == show(fmt, want), f"{a:x} * {b:x} + {c:x}, mode {mode}"


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("fmt", FORMATS)
@FAST
@given(data=st.data(), mode=MODE)
def test_convert(h: Hart, fmt: Format, to: Format, data: st.DataObject, mode: int) -> None:
    a = data.draw(any_bits(fmt))
    got = flags_of(h, softfloat_convert.convert(h, to, fmt, a, mode))
    assert show(to, got) == show(to, oracle.convert(kind(fmt), kind(to), a, mode)), f"{a:x}"


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("fmt", FORMATS)
@FAST
@given(data=st.data(), mode=MODE)
def test_to_integer(
    h: Hart, fmt: Format, signed: bool, bits: int, data: st.DataObject, mode: int
) -> None:
    limits = [
        oracle.encode(kind(fmt), 0, oracle.Fraction(2) ** n, oracle.RTZ)[0]
        for n in (-1, 0, 1, 10, 15, 31, 32, 52, 53, 62, 63, 64)
    ]
    near = data.draw(st.sampled_from(limits)) + data.draw(st.integers(-3, 3))
    near |= data.draw(st.sampled_from([0, fmt.sign]))
    a = data.draw(st.one_of(st.just(near & fmt.mask), any_bits(fmt)))
    result, flags = flags_of(h, softfloat_convert.to_integer(h, fmt, bits, signed, a, mode))
    want, want_flags = oracle.to_integer(kind(fmt), bits, signed, a, mode)
    assert (result, flags) == (want % (1 << 64), want_flags), f"{a:x}, mode {mode}"


@pytest.mark.parametrize("fmt", FORMATS)
@FAST
@given(data=st.data(), mode=MODE, sign=st.integers(0, 1))
def test_from_integer(h: Hart, fmt: Format, data: st.DataObject, mode: int, sign: int) -> None:
    bits = data.draw(st.integers(0, 64))
    magnitude = min(max((1 << bits) + data.draw(st.integers(-1025, 1025)), 0), (1 << 64) - 1)
    got = flags_of(h, softfloat_convert.from_integer(h, fmt, sign, magnitude, mode))
    value = -magnitude if sign else magnitude
    assert show(fmt, got) == show(fmt, oracle.from_integer(kind(fmt), value, mode)), value


@pytest.mark.parametrize("fmt", FORMATS)
@FAST
@given(data=st.data())
def test_comparisons(h: Hart, fmt: Format, data: st.DataObject) -> None:
    a = data.draw(any_bits(fmt))
    b = data.draw(st.one_of(any_bits(fmt), st.just(a), st.just(a ^ fmt.sign)))
    k = kind(fmt)
    equal = flags_of(h, softfloat_convert.compare_equal(h, fmt, a, b))
    assert equal == oracle.compare(k, "eq", a, b)
    less = flags_of(h, softfloat_convert.compare_signaling(h, fmt, a, b, False))
    assert less == oracle.compare(k, "lt", a, b)
    less_or_equal = flags_of(h, softfloat_convert.compare_signaling(h, fmt, a, b, True))
    assert less_or_equal == oracle.compare(k, "le", a, b)
    for largest in (False, True):
        got = flags_of(h, softfloat_convert.extreme(h, fmt, a, b, largest))
        assert show(fmt, got) == show(fmt, oracle.minmax(k, largest, a, b)), f"{a:x} {b:x}"


def test_underflow_is_detected_after_rounding(h: Hart) -> None:
    """norm:ieee_std_tininess: just below the least normal number there are results that round to
    it, and only those that would not if exponents went on are underflows."""
    least = D.least_normal
    below_one = D.power_of_two(0) - 1  # 1 - 2^-53
    # least * (1 - 2^-53) needs one bit more than a subnormal has; it is tiny after rounding.
    assert flags_of(h, softfloat_arith.mul(h, D, least, below_one, 0)) == (
        least,
        oracle.UF | oracle.NX,
    )
    # 2^-1022 - 2^-1077 rounds to 2^-1022 with any exponent range.
    tiny = D.power_of_two(-1000)
    product = softfloat_arith.fma(h, D, tiny, D.power_of_two(-77) | D.sign, least, 0)
    assert flags_of(h, product) == (least, oracle.NX)
