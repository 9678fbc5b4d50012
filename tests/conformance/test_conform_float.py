"""F, D and Zfh through whole engines: values, flags and rounding modes against exact rational
arithmetic (tests/isa/float_oracle.py)."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from rvemu.isa.softfloat_format import D, H, S
from tests.assembler import A0, ENCODINGS, S0, S1, csr_number
from tests.conformance.rig import Rig
from tests.conformance.values import M64
from tests.isa import float_oracle as oracle
from tests.isa.float_cases import INTERESTING
from tests.isa.float_oracle import KINDS, MODES, RNE, Kind

FORMATS = {"h": (KINDS[16], INTERESTING[H]), "s": (KINDS[32], INTERESTING[S]),
           "d": (KINDS[64], INTERESTING[D])}  # fmt: skip
DYNAMIC = 7
FFLAGS, FRM = csr_number("fflags"), csr_number("frm")
Answer = tuple[int, int]


def boxed(kind: Kind, bits: int) -> int:
    """As a 64-bit register holds it: with ones above (norm:fp_nan-boxing)."""
    return bits | M64 << kind.width & M64


@dataclass(frozen=True)
class FloatCase:
    """Register values, the mode in frm, and the value and flags that must come out."""

    sources: tuple[int, ...]
    expected: Answer
    mode: int = RNE
    rm: int = DYNAMIC


def check(rig: Rig, name: str, cases: Sequence[FloatCase]) -> None:
    """Run all cases of an instruction in one program. Sources and the result are integer or
    floating-point registers, as the instruction has it."""
    names = [operand.name for operand in ENCODINGS[name].operands]
    places = {"fs1": 1, "fs2": 2, "fs3": 3, "rs1": 11}
    has_rm = "rm" in names
    to_float = "fd" in names
    p = rig.assembler().li(S0, rig.data)
    inputs: list[int] = []
    for case in cases:
        used = [place for place in places if place in names]
        assert len(used) == len(case.sources)
        for place in used:
            load = "ld" if place == "rs1" else "fld"
            operand = {"rd" if place == "rs1" else "fd": places[place]}
            p.op(load, rs1=S0, imm=8 * used.index(place), **operand)
        p.op("csrrwi", csr=FRM, zimm=case.mode).op("csrrwi", csr=FFLAGS, zimm=0)
        operands = {place: places[place] for place in used}
        operands |= {"rm": case.rm} if has_rm else {}
        operands |= {"fd": 4} if to_float else {"rd": A0}
        p.op(name, **operands).op("csrrs", rd=S1, csr=FFLAGS)
        if to_float:
            p.op("fsd", rs1=S0, fs2=4, imm=24)
        else:
            p.op("sd", rs1=S0, rs2=A0, imm=24)
        p.op("sd", rs1=S0, rs2=S1, imm=32).op("addi", rd=S0, rs1=S0, imm=40)
        inputs += [*case.sources, *[0] * (3 - len(case.sources)), 0, 0]
    rig.write_words(rig.data, inputs)
    rig.run(p)
    words = rig.read_words(rig.data, len(inputs))
    for n, case in enumerate(cases):
        result = tuple(words[5 * n + 3 : 5 * n + 5])
        assert result == (case.expected[0] & M64, case.expected[1]), (
            [hex(source) for source in case.sources],
            case.mode,
            case.rm,
            [hex(x) for x in result],
        )


def sample(values: Sequence[int], count: int, number: int) -> list[tuple[int, ...]]:
    """`number` tuples of values, spread evenly over all."""
    every = [*itertools.islice(itertools.product(values, repeat=count), 50_000)]
    step = max(len(every) // number, 1)
    # Not a divisor of the number of values, so that all of them occur everywhere.
    return every[:: step + (step % len(values) == 0)]


ARITHMETIC: dict[str, tuple[int, Callable[..., Answer]]] = {
    "fadd": (2, oracle.add),
    "fsub": (2, oracle.sub),
    "fmul": (2, oracle.mul),
    "fdiv": (2, oracle.div),
    "fsqrt": (1, oracle.sqrt),
    "fmadd": (3, oracle.fma),
    "fmsub": (3, lambda k, a, b, c, m: oracle.fma(k, a, b, c ^ k.zero(1), m)),
    "fnmsub": (3, lambda k, a, b, c, m: oracle.fma(k, a ^ k.zero(1), b, c, m)),
    "fnmadd": (3, lambda k, a, b, c, m: oracle.fma(k, a ^ k.zero(1), b, c ^ k.zero(1), m)),
}


@pytest.mark.parametrize("letter", FORMATS)
@pytest.mark.parametrize("name", ARITHMETIC)
def test_arithmetic(rig: Rig, name: str, letter: str) -> None:
    """norm:roundingmode_dynamic: the mode is the instruction's, or that in frm."""
    kind, values = FORMATS[letter]
    count, compute = ARITHMETIC[name]
    cases = []
    for n, sources in enumerate(sample(values, count, 120)):
        mode = MODES[n % 5]
        value, flags = compute(kind, *sources, mode)
        registers = tuple(boxed(kind, source) for source in sources)
        in_frm, rm = (mode, DYNAMIC) if n % 2 else (MODES[(n + 2) % 5], mode)
        cases.append(FloatCase(registers, (boxed(kind, value), flags), in_frm, rm))
    check(rig, f"{name}.{letter}", cases)


@pytest.mark.parametrize("letter", FORMATS)
@pytest.mark.parametrize("relation", ["eq", "lt", "le"])
def test_comparisons(rig: Rig, relation: str, letter: str) -> None:
    kind, values = FORMATS[letter]
    cases = [
        FloatCase((boxed(kind, a), boxed(kind, b)), oracle.compare(kind, relation, a, b))
        for a, b in sample(values, 2, 300)
    ]
    check(rig, f"f{relation}.{letter}", cases)


@pytest.mark.parametrize("letter", FORMATS)
@pytest.mark.parametrize("name", ["fmin", "fmax"])
def test_minimum_and_maximum(rig: Rig, name: str, letter: str) -> None:
    kind, values = FORMATS[letter]
    cases = []
    for a, b in sample(values, 2, 300):
        value, flags = oracle.minmax(kind, name == "fmax", a, b)
        cases.append(FloatCase((boxed(kind, a), boxed(kind, b)), (boxed(kind, value), flags)))
    check(rig, f"{name}.{letter}", cases)


@pytest.mark.parametrize("letter", FORMATS)
@pytest.mark.parametrize("name", ["fsgnj", "fsgnjn", "fsgnjx"])
def test_signs(rig: Rig, name: str, letter: str) -> None:
    """No flags, and NaNs keep their payload."""
    kind, values = FORMATS[letter]
    top = kind.zero(1)
    sign = {
        "fsgnj": lambda _, b: b & top,
        "fsgnjn": lambda _, b: ~b & top,
        "fsgnjx": lambda a, b: (a ^ b) & top,
    }[name]
    cases = [
        FloatCase((boxed(kind, a), boxed(kind, b)), (boxed(kind, a & ~top | sign(a, b)), 0))
        for a, b in sample(values, 2, 200)
    ]
    check(rig, f"{name}.{letter}", cases)


INTEGERS = {"w": (32, True), "wu": (32, False), "l": (64, True), "lu": (64, False)}


@pytest.mark.parametrize("letter", FORMATS)
@pytest.mark.parametrize("integer", INTEGERS)
def test_to_integers(rig: Rig, integer: str, letter: str) -> None:
    """norm:fcvt-w-d_fcvt-wu-d_sign_ext: 32-bit results, unsigned ones too, are sign-extended."""
    kind, values = FORMATS[letter]
    bits, signed = INTEGERS[integer]
    near = [oracle.from_integer(kind, sign << shift, RNE)[0]
            for shift in (0, 1, 8, 30, 31, 32, 62, 63) for sign in (1, -1)]  # fmt: skip
    half = oracle.div(kind, near[0], near[2], RNE)[0]
    near += [half, half | kind.zero(1), half + 1, near[0] + (1 << (kind.f - 1))]
    cases = []
    for n, (a, mode) in enumerate(itertools.product([*values, *near], MODES)):
        value, flags = oracle.to_integer(kind, bits, signed, a, mode)
        if bits == 32 and value >> 31 & 1:
            value |= ~0 << 32
        in_frm, rm = (mode, DYNAMIC) if n % 2 else (RNE, mode)
        cases.append(FloatCase((boxed(kind, a),), (value, flags), in_frm, rm))
    check(rig, f"fcvt.{integer}.{letter}", cases)


@pytest.mark.parametrize("letter", FORMATS)
@pytest.mark.parametrize("integer", INTEGERS)
def test_from_integers(rig: Rig, integer: str, letter: str) -> None:
    kind, _ = FORMATS[letter]
    bits, signed = INTEGERS[integer]
    values = [0, 1, -1, 3, 2049, 65519, 65520, 0x0100_0001, (1 << 53) + 1, -((1 << 53) + 3)]
    values += [1 << 31, (1 << 31) - 1, -(1 << 31), 1 << 63, (1 << 63) - 1, M64]
    cases = []
    for value, mode in itertools.product(values, MODES):
        low = value & (1 << bits) - 1
        number = low - (1 << bits) if signed and low >> (bits - 1) else low
        bits_out, flags = oracle.from_integer(kind, number, mode)
        cases.append(FloatCase((value & M64,), (boxed(kind, bits_out), flags), mode))
    check(rig, f"fcvt.{letter}.{integer}", cases)


@pytest.mark.parametrize(("to", "of"), [*itertools.permutations("hsd", 2)])
def test_between_formats(rig: Rig, to: str, of: str) -> None:
    source, values = FORMATS[of]
    target, _ = FORMATS[to]
    cases = []
    for a, mode in itertools.product(values, MODES):
        value, flags = oracle.convert(source, target, a, mode)
        cases.append(FloatCase((boxed(source, a),), (boxed(target, value), flags), mode))
    check(rig, f"fcvt.{to}.{of}", cases)


@pytest.mark.parametrize("letter", FORMATS)
def test_classify(rig: Rig, letter: str) -> None:
    kind, values = FORMATS[letter]

    def bit(a: int) -> int:
        sign, magnitude = kind.decode(a)
        if magnitude == oracle.SNAN:
            return 8
        if magnitude == oracle.QNAN:
            return 9
        exponent = a >> kind.f & (1 << kind.e) - 1
        rank = 3 if magnitude == oracle.INF else 0 if not magnitude else 1 if not exponent else 2
        return 3 - rank if sign else 4 + rank

    cases = [FloatCase((boxed(kind, a),), (1 << bit(a), 0)) for a in values]
    check(rig, f"fclass.{letter}", cases)


@pytest.mark.parametrize(("letter", "suffix"), [("h", "h"), ("s", "w"), ("d", "d")])
def test_moves(rig: Rig, letter: str, suffix: str) -> None:
    """Bits as they are, sign-extended on the way to x, boxed on that to f."""
    kind, values = FORMATS[letter]
    extend = M64 << kind.width & M64
    to_x = [FloatCase((boxed(kind, a),), (a | (extend if a & kind.zero(1) else 0), 0))
            for a in values]  # fmt: skip
    check(rig, f"fmv.x.{suffix}", to_x)
    rig = Rig(rig.machine.engine.name, rig.form)
    high = 0x5A5A_5A5A_5A5A_5A5A & extend
    to_f = [FloatCase((a | high,), (boxed(kind, a), 0)) for a in values]
    check(rig, f"fmv.{suffix}.x", to_f)


@pytest.mark.parametrize("letter", ["h", "s"])
def test_a_value_that_is_not_boxed_is_a_nan(rig: Rig, letter: str) -> None:
    """norm:FP_nontransfer_instrs_improper_nan-boxed_input: any bit missing above
    makes it the canonical NaN, which is quiet."""
    kind, _ = FORMATS[letter]
    one = kind.emax << kind.f
    nan = boxed(kind, kind.nan)
    bad = [one, boxed(kind, one) ^ 1 << 63, boxed(kind, one) ^ 1 << kind.width]
    check(rig, f"fadd.{letter}", [FloatCase((b, boxed(kind, one)), (nan, 0)) for b in bad])


def test_loads_and_stores(rig: Rig) -> None:
    p = rig.assembler().li(S0, rig.data)
    rig.write_words(rig.data, [0x8899_AABB_CCDD_EEFF])
    for n, load in enumerate(("fld", "flw", "flh")):
        p.op(load, fd=1, rs1=S0, imm=0).op("fsd", rs1=S0, fs2=1, imm=8 + 8 * n)
    p.op("fld", fd=1, rs1=S0).op("fsw", rs1=S0, fs2=1, imm=36).op("fsh", rs1=S0, fs2=1, imm=42)
    p.op("c.fld", fd=8, rs1=S0, uimm=0).op("c.fsd", rs1=S0, fs2=8, uimm=48)
    rig.run(p)
    words = rig.read_words(rig.data, 7)
    assert words[1] == 0x8899_AABB_CCDD_EEFF
    assert words[2] == 0xFFFF_FFFF_CCDD_EEFF
    assert words[3] == 0xFFFF_FFFF_FFFF_EEFF
    assert words[4] == 0xCCDD_EEFF << 32
    assert words[5] == 0xEEFF << 16
    assert words[6] == 0x8899_AABB_CCDD_EEFF


def test_flags_accumulate(rig: Rig) -> None:
    """norm:fcsr_fflags_op: operations only set flags."""
    p = rig.assembler().li(S0, rig.data).li(A0, 1).op("fcvt.d.l", fd=1, rs1=A0)
    p.li(A0, 3).op("fcvt.d.l", fd=2, rs1=A0).op("fcvt.d.l", fd=3, rs1=0)
    p.op("csrrwi", csr=FFLAGS, zimm=0)
    p.op("fdiv.d", fd=4, fs1=1, fs2=2, rm=0).op("csrrs", rd=A0, csr=FFLAGS)
    p.op("sd", rs1=S0, rs2=A0)
    p.op("fdiv.d", fd=4, fs1=1, fs2=3, rm=0).op("csrrs", rd=A0, csr=FFLAGS)
    p.op("sd", rs1=S0, rs2=A0, imm=8)
    p.op("fadd.d", fd=4, fs1=1, fs2=1, rm=0).op("csrrs", rd=A0, csr=FFLAGS)
    p.op("sd", rs1=S0, rs2=A0, imm=16)
    rig.run(p)
    assert rig.read_words(rig.data, 3) == [oracle.NX, oracle.NX | oracle.DZ, oracle.NX | oracle.DZ]
