"""Integer instructions against other formulations: on Python's unbounded integers, and on strings
of bits."""

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rvemu.lang import M64
from tests.isa.lone_hart import BY_NAME, LoneHart

HART = LoneHart()

EDGES = [0, 1, 2, 3, 31, 32, 63, 64, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF]
EDGES += [2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**63 + 1, M64 - 1, M64]
registers = st.one_of(
    st.integers(0, M64),
    st.sampled_from(EDGES),
    st.integers(0, 63).map(lambda n: 1 << n),
    st.integers(0, 200),
    st.integers(1, 200).map(lambda n: 2**64 - n),
)
immediates = st.integers(-2048, 2047)


def signed(value: int, bits: int = 64) -> int:
    """The low bits as two's complement."""
    return int.from_bytes(
        (value % (1 << bits)).to_bytes(bits // 8, "little"), "little", signed=True
    )


def bits_of(value: int, width: int = 64) -> str:
    return format(value % (1 << width), f"0{width}b")


def word(value: int) -> int:
    """The register that holds a 32-bit result."""
    return signed(value, 32) % 2**64


def divide(a: int, b: int) -> int:
    """Truncated, with RISC-V's results for 0."""
    if b == 0:
        return -1
    return (abs(a) // abs(b)) * (1 if (a < 0) == (b < 0) else -1)


def modulo(a: int, b: int) -> int:
    return a if b == 0 else a - b * divide(a, b)


def carryless(a: int, b: int) -> int:
    """The product of two polynomials, as lists of coefficients."""
    x, y = [[int(c) for c in reversed(bits_of(v))] for v in (a, b)]
    product = [0] * 127
    for i, c in enumerate(x):
        if c:
            for j, d in enumerate(y):
                product[i + j] += d
    return sum((n & 1) << i for i, n in enumerate(product))


def rotate(value: int, left: int, width: int = 64) -> int:
    text = bits_of(value, width)
    n = left % width
    return int(text[n:] + text[:n], 2)


def bytewise(value: int, function: Callable[[int], int]) -> int:
    return int.from_bytes(bytes(function(b) for b in value.to_bytes(8, "little")), "little")


def leading(text: str) -> int:
    return len(text) - len(text.lstrip("0"))


REGISTER_REGISTER: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: signed(a) + signed(b),
    "sub": lambda a, b: signed(a) - signed(b),
    "sll": lambda a, b: a * 2 ** (b % 64),
    "slt": lambda a, b: 1 if signed(a) < signed(b) else 0,
    "sltu": lambda a, b: 1 if a < b else 0,
    "xor": lambda a, b: (a | b) - (a & b),
    "srl": lambda a, b: a // 2 ** (b % 64),
    "sra": lambda a, b: signed(a) // 2 ** (b % 64),
    "or": lambda a, b: a + b - (a & b),
    "and": lambda a, b: int("".join(min(p) for p in zip(bits_of(a), bits_of(b), strict=True)), 2),
    "addw": lambda a, b: word(a + b),
    "subw": lambda a, b: word(a - b),
    "sllw": lambda a, b: word(a * 2 ** (b % 32)),
    "srlw": lambda a, b: word(a % 2**32 // 2 ** (b % 32)),
    "sraw": lambda a, b: signed(a, 32) // 2 ** (b % 32),
    "mul": lambda a, b: signed(a) * signed(b),
    "mulh": lambda a, b: signed(a) * signed(b) // 2**64,
    "mulhsu": lambda a, b: signed(a) * b // 2**64,
    "mulhu": lambda a, b: a * b // 2**64,
    "mulw": lambda a, b: word(signed(a, 32) * signed(b, 32)),
    "div": lambda a, b: divide(signed(a), signed(b)),
    "divu": lambda a, b: divide(a, b),
    "rem": lambda a, b: modulo(signed(a), signed(b)),
    "remu": lambda a, b: modulo(a, b),
    "divw": lambda a, b: word(divide(signed(a, 32), signed(b, 32))),
    "divuw": lambda a, b: word(divide(a % 2**32, b % 2**32)),
    "remw": lambda a, b: word(modulo(signed(a, 32), signed(b, 32))),
    "remuw": lambda a, b: word(modulo(a % 2**32, b % 2**32)),
    "sh1add": lambda a, b: 2 * a + b,
    "sh2add": lambda a, b: 4 * a + b,
    "sh3add": lambda a, b: 8 * a + b,
    "add.uw": lambda a, b: a % 2**32 + b,
    "sh1add.uw": lambda a, b: a % 2**32 * 2 + b,
    "sh2add.uw": lambda a, b: a % 2**32 * 4 + b,
    "sh3add.uw": lambda a, b: a % 2**32 * 8 + b,
    "andn": lambda a, b: a & (M64 - b),
    "orn": lambda a, b: a | (M64 - b),
    "xnor": lambda a, b: M64 - (a ^ b),
    "max": lambda a, b: sorted([signed(a), signed(b)])[1],
    "maxu": lambda a, b: sorted([a, b])[1],
    "min": lambda a, b: sorted([signed(a), signed(b)])[0],
    "minu": lambda a, b: sorted([a, b])[0],
    "rol": lambda a, b: rotate(a, b),
    "ror": lambda a, b: rotate(a, -b),
    "rolw": lambda a, b: word(rotate(a, b, 32)),
    "rorw": lambda a, b: word(rotate(a, -b, 32)),
    "clmul": lambda a, b: carryless(a, b),
    "clmulh": lambda a, b: carryless(a, b) // 2**64,
    "clmulr": lambda a, b: carryless(a, b) // 2**63,
    "bclr": lambda a, b: a - (2 ** (b % 64) if bits_of(a)[63 - b % 64] == "1" else 0),
    "bext": lambda a, b: int(bits_of(a)[63 - b % 64]),
    "binv": lambda a, b: a + 2 ** (b % 64) * (1 if bits_of(a)[63 - b % 64] == "0" else -1),
    "bset": lambda a, b: a + (2 ** (b % 64) if bits_of(a)[63 - b % 64] == "0" else 0),
    "czero.eqz": lambda a, b: a * bool(b),
    "czero.nez": lambda a, b: a * (not b),
}

ONE_REGISTER: dict[str, Callable[[int], int]] = {
    "clz": lambda a: leading(bits_of(a)),
    "ctz": lambda a: leading(bits_of(a)[::-1]),
    "cpop": lambda a: bits_of(a).count("1"),
    "clzw": lambda a: leading(bits_of(a, 32)),
    "ctzw": lambda a: leading(bits_of(a, 32)[::-1]),
    "cpopw": lambda a: bits_of(a, 32).count("1"),
    "sext.b": lambda a: signed(a, 8),
    "sext.h": lambda a: signed(a, 16),
    "zext.h": lambda a: a % 2**16,
    "orc.b": lambda a: bytewise(a, lambda b: 255 if b else 0),
    "rev8": lambda a: int.from_bytes(a.to_bytes(8, "little"), "big"),
}

# With the value of the immediate.
REGISTER_IMMEDIATE: dict[str, Callable[[int, int], int]] = {
    "addi": lambda a, n: signed(a) + n,
    "slti": lambda a, n: 1 if signed(a) < n else 0,
    "sltiu": lambda a, n: 1 if a < n % 2**64 else 0,
    "xori": lambda a, n: a ^ n % 2**64,
    "ori": lambda a, n: a | n % 2**64,
    "andi": lambda a, n: a & n % 2**64,
    "addiw": lambda a, n: word(a + n),
}
SHIFTS: dict[str, tuple[str, int]] = {
    "slli": ("sll", 64),
    "srli": ("srl", 64),
    "srai": ("sra", 64),
    "slliw": ("sllw", 32),
    "srliw": ("srlw", 32),
    "sraiw": ("sraw", 32),
    "rori": ("ror", 64),
    "roriw": ("rorw", 32),
    "bclri": ("bclr", 64),
    "bexti": ("bext", 64),
    "binvi": ("binv", 64),
    "bseti": ("bset", 64),
}


@pytest.mark.parametrize("name", REGISTER_REGISTER)
@given(a=registers, b=registers)
@example(a=2**63, b=M64)
@example(a=2**31, b=M64)
@example(a=M64, b=0)
def test_register_register(name: str, a: int, b: int) -> None:
    assert HART.compute(name, a, b) == REGISTER_REGISTER[name](a, b) % 2**64


@pytest.mark.parametrize("name", ONE_REGISTER)
@given(a=registers)
def test_one_register(name: str, a: int) -> None:
    assert HART.compute(name, a) == ONE_REGISTER[name](a) % 2**64


@pytest.mark.parametrize("name", REGISTER_IMMEDIATE)
@given(a=registers, n=immediates)
@example(a=M64, n=-1)
def test_register_immediate(name: str, a: int, n: int) -> None:
    assert HART.compute(name, a, imm=n) == REGISTER_IMMEDIATE[name](a, n) % 2**64


@pytest.mark.parametrize("name", SHIFTS)
@given(a=registers, n=st.integers(0, 63))
def test_shifts_by_an_immediate(name: str, a: int, n: int) -> None:
    like, width = SHIFTS[name]
    n %= width
    assert HART.compute(name, a, shamt=n) == REGISTER_REGISTER[like](a, n) % 2**64


@given(a=registers, n=st.integers(0, 63))
def test_slli_uw(a: int, n: int) -> None:
    assert HART.compute("slli.uw", a, shamt=n) == a % 2**32 * 2**n % 2**64


@given(st.integers(-(2**19), 2**19 - 1))
def test_upper_immediates(n: int) -> None:
    assert HART.compute("lui", imm=n << 12) == (n << 12) % 2**64
    pc = HART.pc
    assert HART.compute("auipc", imm=n << 12) == (pc + (n << 12)) % 2**64


COVERED = {*REGISTER_REGISTER, *ONE_REGISTER, *REGISTER_IMMEDIATE, *SHIFTS}


def test_all_of_them_are_here() -> None:
    elsewhere = {"slli.uw", "lui", "auipc", "jal"}
    writing = {
        name
        for name, instruction in BY_NAME.items()
        if set(instruction.extensions) <= {"i", "m", "zmmul", "zba", "zbb", "zbc", "zbs", "zicond"}
        and instruction.encoding.operand("rd") is not None
        and "(" not in instruction.syntax
    }
    assert writing - {"fence"} == COVERED | elsewhere


@pytest.mark.parametrize("name", sorted(COVERED))
def test_x0_stays_zero(name: str) -> None:
    names = {operand.name for operand in BY_NAME[name].operands}
    HART.x[11], HART.x[12] = 12345, 3
    HART.do(name, rd=0, **{k: v for k, v in (("rs1", 11), ("rs2", 12)) if k in names})
    assert HART.x[0] == 0


@pytest.mark.parametrize("name", sorted(REGISTER_REGISTER))
def test_the_destination_may_be_a_source(name: str) -> None:
    a, b = 0x8765_4321_0FED_CBA9, 0x1234_5678_9ABC_DEF7
    wanted = REGISTER_REGISTER[name](a, b) % 2**64
    for rd in (11, 12):
        HART.x[11], HART.x[12] = a, b
        HART.do(name, rd=rd, rs1=11, rs2=12)
        assert HART.x[rd] == wanted
