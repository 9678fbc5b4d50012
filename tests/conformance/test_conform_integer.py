"""Integer instructions through whole engines: RV64I, M, Zba, Zbb, Zbc, Zbs, Zicond. What each must
give is computed here, with Python's numbers."""

import itertools
from collections.abc import Callable
from functools import reduce
from operator import xor

import pytest

from tests.assembler import A0, A1, A2, S0, S1
from tests.conformance.rig import Rig
from tests.conformance.values import INTERESTING, M64, evaluate, s32, s64

PAIRS = [*itertools.product(INTERESTING, INTERESTING)]
M32 = (1 << 32) - 1


def tdiv(a: int, b: int) -> int:
    """A quotient rounded towards zero."""
    return -(-a // b) if (a < 0) != (b < 0) else a // b


def div(a: int, b: int) -> int:
    """norm:div_by_zero, norm:signed_div_overflow: no traps, but these values."""
    return tdiv(a, b) if b else -1


def rem(a: int, b: int) -> int:
    return a - b * tdiv(a, b) if b else a


def clmul(a: int, b: int) -> int:
    """A product without carries."""
    return reduce(xor, (a << i for i in range(64) if b >> i & 1), 0)


def rol(value: int, by: int, width: int) -> int:
    by %= width
    value &= (1 << width) - 1
    return (value << by | value >> (width - by)) & ((1 << width) - 1)


REGISTER: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "sll": lambda a, b: a << (b & 63),
    "slt": lambda a, b: s64(a) < s64(b),
    "sltu": lambda a, b: a < b,
    "xor": lambda a, b: a ^ b,
    "srl": lambda a, b: a >> (b & 63),
    "sra": lambda a, b: s64(a) >> (b & 63),
    "or": lambda a, b: a | b,
    "and": lambda a, b: a & b,
    "addw": lambda a, b: s32(a + b),
    "subw": lambda a, b: s32(a - b),
    "sllw": lambda a, b: s32(a << (b & 31)),
    "srlw": lambda a, b: s32((a & M32) >> (b & 31)),
    "sraw": lambda a, b: s32(a) >> (b & 31),
    "mul": lambda a, b: a * b,
    "mulh": lambda a, b: s64(a) * s64(b) >> 64,
    "mulhsu": lambda a, b: s64(a) * b >> 64,
    "mulhu": lambda a, b: a * b >> 64,
    "mulw": lambda a, b: s32(a * b),
    "div": lambda a, b: div(s64(a), s64(b)),
    "divu": lambda a, b: a // b if b else M64,
    "rem": lambda a, b: rem(s64(a), s64(b)),
    "remu": lambda a, b: a % b if b else a,
    "divw": lambda a, b: s32(div(s32(a), s32(b))),
    "divuw": lambda a, b: s32((a & M32) // (b & M32)) if b & M32 else M64,
    "remw": lambda a, b: s32(rem(s32(a), s32(b))),
    "remuw": lambda a, b: s32((a & M32) % (b & M32) if b & M32 else a),
    "sh1add": lambda a, b: (a << 1) + b,
    "sh2add": lambda a, b: (a << 2) + b,
    "sh3add": lambda a, b: (a << 3) + b,
    "add.uw": lambda a, b: (a & M32) + b,
    "sh1add.uw": lambda a, b: ((a & M32) << 1) + b,
    "sh2add.uw": lambda a, b: ((a & M32) << 2) + b,
    "sh3add.uw": lambda a, b: ((a & M32) << 3) + b,
    "andn": lambda a, b: a & ~b,
    "orn": lambda a, b: a | ~b,
    "xnor": lambda a, b: ~(a ^ b),
    "max": lambda a, b: max(s64(a), s64(b)),
    "maxu": lambda a, b: max(a, b),
    "min": lambda a, b: min(s64(a), s64(b)),
    "minu": lambda a, b: min(a, b),
    "rol": lambda a, b: rol(a, b & 63, 64),
    "ror": lambda a, b: rol(a, -b & 63, 64),
    "rolw": lambda a, b: s32(rol(a, b & 31, 32)),
    "rorw": lambda a, b: s32(rol(a, -b & 31, 32)),
    "clmul": clmul,
    "clmulh": lambda a, b: clmul(a, b) >> 64,
    "clmulr": lambda a, b: clmul(a, b) >> 63,
    "bclr": lambda a, b: a & ~(1 << (b & 63)),
    "bext": lambda a, b: a >> (b & 63) & 1,
    "binv": lambda a, b: a ^ 1 << (b & 63),
    "bset": lambda a, b: a | 1 << (b & 63),
    "czero.eqz": lambda a, b: a if b else 0,
    "czero.nez": lambda a, b: 0 if b else a,
}

IMMEDIATE: dict[str, tuple[str, Callable[[int, int], int]]] = {
    "addi": ("imm", REGISTER["add"]),
    "slti": ("imm", lambda a, i: s64(a) < i),
    "sltiu": ("imm", lambda a, i: a < i & M64),
    "xori": ("imm", REGISTER["xor"]),
    "ori": ("imm", REGISTER["or"]),
    "andi": ("imm", REGISTER["and"]),
    "addiw": ("imm", REGISTER["addw"]),
    "slli": ("shamt", REGISTER["sll"]),
    "srli": ("shamt", REGISTER["srl"]),
    "srai": ("shamt", REGISTER["sra"]),
    "slliw": ("shamt5", REGISTER["sllw"]),
    "srliw": ("shamt5", REGISTER["srlw"]),
    "sraiw": ("shamt5", REGISTER["sraw"]),
    "slli.uw": ("shamt", lambda a, i: (a & M32) << i),
    "rori": ("shamt", REGISTER["ror"]),
    "roriw": ("shamt5", REGISTER["rorw"]),
    "bclri": ("shamt", REGISTER["bclr"]),
    "bexti": ("shamt", REGISTER["bext"]),
    "binvi": ("shamt", REGISTER["binv"]),
    "bseti": ("shamt", REGISTER["bset"]),
}
IMMEDIATES = {
    "imm": (0, 1, -1, 5, 2047, -2048, 0x555, -0x556),
    "shamt": (0, 1, 7, 31, 32, 33, 63),
    "shamt5": (0, 1, 7, 16, 31),
}


def leading_zeros(value: int, width: int) -> int:
    return width - (value & ((1 << width) - 1)).bit_length()


def trailing_zeros(value: int, width: int) -> int:
    value &= (1 << width) - 1
    return (value & -value).bit_length() - 1 if value else width


def bytewise(value: int, change: Callable[[int], int]) -> int:
    return int.from_bytes(bytes(change(byte) for byte in value.to_bytes(8, "little")), "little")


UNARY: dict[str, Callable[[int], int]] = {
    "clz": lambda a: leading_zeros(a, 64),
    "clzw": lambda a: leading_zeros(a, 32),
    "ctz": lambda a: trailing_zeros(a, 64),
    "ctzw": lambda a: trailing_zeros(a, 32),
    "cpop": lambda a: a.bit_count(),
    "cpopw": lambda a: (a & M32).bit_count(),
    "sext.b": lambda a: (a & 0x7F) - (a & 0x80),
    "sext.h": lambda a: (a & 0x7FFF) - (a & 0x8000),
    "zext.h": lambda a: a & 0xFFFF,
    "orc.b": lambda a: bytewise(a, lambda byte: 255 if byte else 0),
    "rev8": lambda a: int.from_bytes(a.to_bytes(8, "little"), "big"),
}


@pytest.mark.parametrize("name", REGISTER)
def test_register_register(rig: Rig, name: str) -> None:
    results = evaluate(rig, [(name, pair, {}) for pair in PAIRS])
    for pair, result in zip(PAIRS, results, strict=True):
        assert result == REGISTER[name](*pair) & M64, tuple(map(hex, pair))


@pytest.mark.parametrize("name", IMMEDIATE)
def test_register_immediate(rig: Rig, name: str) -> None:
    kind, expected = IMMEDIATE[name]
    operand = "imm" if kind == "imm" else "shamt"
    cases = [*itertools.product(INTERESTING, IMMEDIATES[kind])]
    results = evaluate(rig, [(name, (a,), {operand: i}) for a, i in cases])
    for (a, i), result in zip(cases, results, strict=True):
        assert result == expected(a, i) & M64, (hex(a), i)


@pytest.mark.parametrize("name", UNARY)
def test_unary(rig: Rig, name: str) -> None:
    values = [*INTERESTING, *(1 << i for i in range(64)), *(M64 >> i for i in range(64))]
    results = evaluate(rig, [(name, (a,), {}) for a in values])
    for a, result in zip(values, results, strict=True):
        assert result == UNARY[name](a) & M64, hex(a)


def test_lui_and_auipc(rig: Rig) -> None:
    p = rig.assembler().li(S0, rig.data)
    expected = []
    for n, imm in enumerate((0, 0x1000, 0x7FFF_F000, -0x8000_0000, -0x1000)):
        p.op("lui", rd=A0, imm=imm).op("sd", rs1=S0, rs2=A0, imm=16 * n)
        expected += [imm & M64, (p.here + imm) & M64]
        p.op("auipc", rd=A0, imm=imm).op("sd", rs1=S0, rs2=A0, imm=16 * n + 8)
    rig.run(p)
    assert rig.read_words(rig.data, 10) == expected


def test_x0_stays_zero_whatever_writes_it(rig: Rig) -> None:
    """norm:x0eq0: results go nowhere, and sources may be the destination."""
    p = rig.assembler().li(S0, rig.data).li(A1, 5).li(A2, 7)
    p.op("sd", rs1=S0, rs2=A1)
    for name in ("add", "mul", "sltu", "xnor", "sh1add"):
        p.op(name, rd=0, rs1=A1, rs2=A2)
    p.op("lui", rd=0, imm=0x1000).op("ld", rd=0, rs1=S0).op("amoadd.d", rd=0, rs1=S0, rs2=A2)
    p.op("add", rd=A0, rs1=0, rs2=0).op("add", rd=A1, rs1=A1, rs2=A1)
    p.op("sd", rs1=S0, rs2=A0, imm=8).op("sd", rs1=S0, rs2=A1, imm=16)
    rig.run(p)
    assert rig.read_words(rig.data, 3) == [12, 0, 10]


def test_a_result_is_seen_by_the_next_instruction(rig: Rig) -> None:
    """Chains through one register, of which each link is both source and destination."""
    p, value = rig.assembler().li(S0, rig.data).li(S1, 3).li(A0, 1), 1
    for n in range(60):
        name = ("add", "mul", "xor", "rol")[n % 4]
        p.op(name, rd=A0, rs1=A0, rs2=S1 if n % 3 else A0)
        value = REGISTER[name](value, 3 if n % 3 else value) & M64
    rig.run(p.op("sd", rs1=S0, rs2=A0))
    assert rig.read_words(rig.data, 1) == [value]
