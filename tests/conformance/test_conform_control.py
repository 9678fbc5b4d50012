"""Branches, jumps and compressed instructions through whole engines."""

import itertools
from collections.abc import Callable

import pytest

from tests.assembler import A0, A1, A2, ENCODINGS, RA, S0, S1, SP, T0, ZERO, Assembler, encode
from tests.conformance.rig import Rig
from tests.conformance.values import INTERESTING, M64, s32, s64

BRANCHES: dict[str, Callable[[int, int], bool]] = {
    "beq": lambda a, b: a == b,
    "bne": lambda a, b: a != b,
    "blt": lambda a, b: s64(a) < s64(b),
    "bge": lambda a, b: s64(a) >= s64(b),
    "bltu": lambda a, b: a < b,
    "bgeu": lambda a, b: a >= b,
}


@pytest.mark.parametrize("name", BRANCHES)
def test_branches(rig: Rig, name: str) -> None:
    pairs = [*itertools.product(INTERESTING[::2], INTERESTING[::2])]
    rig.write_words(rig.data, [value for pair in pairs for value in pair])
    p = rig.assembler().li(S0, rig.data).li(S1, rig.data + 0x8000)
    for n in range(len(pairs)):
        p.op("ld", rd=A0, rs1=S0).op("ld", rd=A1, rs1=S0, imm=8).li(A2, 1)
        p.branch(name, A0, A1, f"taken{n}").li(A2, 0).label(f"taken{n}")
        p.op("sb", rs1=S1, rs2=A2)
        p.op("addi", rd=S0, rs1=S0, imm=16).op("addi", rd=S1, rs1=S1, imm=1)
    rig.run(p)
    taken = rig.read(rig.data + 0x8000, len(pairs))
    assert list(taken) == [int(BRANCHES[name](*pair)) for pair in pairs]


@pytest.mark.parametrize("distance", [8, 2048, 4094])
@pytest.mark.parametrize("backward", [False, True])
def test_branches_reach_as_far_as_they_can(rig: Rig, distance: int, backward: bool) -> None:
    p = rig.assembler().li(S0, rig.data).li(A0, 7).jal(ZERO, "from" if backward else "enter")
    if backward:
        p.label("to").op("sd", rs1=S0, rs2=A0).jal(ZERO, "end")
        p.word(0, distance - 8).label("from").branch("beq", ZERO, ZERO, "to")
        p.word(0xFFFF_FFFF)
    else:
        p.label("enter").branch("beq", ZERO, ZERO, "to").word(0, distance - 4)
        p.label("to").op("sd", rs1=S0, rs2=A0)
    rig.run(p.label("end"))
    assert rig.read_words(rig.data, 1) == [7]


def test_jal_and_jalr_link(rig: Rig) -> None:
    """norm:jalr_op: the lowest bit of the target is cleared; rd may be rs1."""
    p = rig.assembler().li(S0, rig.data)
    p.jal(RA, "first").label("after").word(0xFFFF_FFFF)
    p.label("first").op("sd", rs1=S0, rs2=RA).la(T0, "second")
    p.op("jalr", rd=T0, rs1=T0, imm=1).label("linked").word(0xFFFF_FFFF)
    p.label("second").op("sd", rs1=S0, rs2=T0, imm=8)
    rig.run(p)
    assert rig.read_words(rig.data, 2) == [p.symbols["after"], p.symbols["linked"]]


def test_calls_and_returns_nest(rig: Rig) -> None:
    """Fibonacci's numbers the slow way, with a stack."""
    p = rig.assembler().li(S0, rig.data).li(SP, rig.data + 0x8000).li(A0, 12)
    p.jal(RA, "fib").op("sd", rs1=S0, rs2=A0).jal(ZERO, "end")
    p.label("fib").li(T0, 2).branch("bltu", A0, T0, "return")
    p.op("addi", rd=SP, rs1=SP, imm=-24).op("sd", rs1=SP, rs2=RA).op("sd", rs1=SP, rs2=A0, imm=8)
    p.op("addi", rd=A0, rs1=A0, imm=-1).jal(RA, "fib").op("sd", rs1=SP, rs2=A0, imm=16)
    p.op("ld", rd=A0, rs1=SP, imm=8).op("addi", rd=A0, rs1=A0, imm=-2).jal(RA, "fib")
    p.op("ld", rd=T0, rs1=SP, imm=16).op("add", rd=A0, rs1=A0, rs2=T0).op("ld", rd=RA, rs1=SP)
    p.op("addi", rd=SP, rs1=SP, imm=24).label("return").op("jalr", rs1=RA).label("end")
    rig.run(p)
    assert rig.read_words(rig.data, 1) == [144]


def test_code_runs_across_pages(rig: Rig) -> None:
    """Straight on over two page boundaries, also with an instruction that lies across."""
    p = rig.assembler().li(S0, rig.data).li(A0, 0).op("c.nop")
    count = 0
    while p.here < rig.base + 2 * 4096 + 64:
        p.op("addi", rd=A0, rs1=A0, imm=1)
        count += 1
    assert p.here % 4 == 2
    rig.run(p.op("sd", rs1=S0, rs2=A0))
    assert rig.read_words(rig.data, 1) == [count]


# --- Compressed ------------------------------------------------------------------------------


def test_compressed_arithmetic(rig: Rig) -> None:
    x, y = 0x1234_5678_9ABC_DEF0, 0xF0F0_F0F0_0F0F_0F0F
    cases: list[tuple[str, dict[str, int], int]] = [
        ("c.addi", {"rd": A0, "imm": -32}, x - 32),
        ("c.addiw", {"rd": A0, "imm": 31}, s32(x + 31)),
        ("c.addiw", {"rd": A0, "imm": 0}, s32(x)),
        ("c.li", {"rd": A0, "imm": -17}, -17),
        ("c.lui", {"rd": A0, "imm": 0x1F000}, 0x1F000),
        ("c.lui", {"rd": A0, "imm": -0x20000}, -0x20000),
        ("c.slli", {"rd": A0, "shamt": 63}, x << 63),
        ("c.srli", {"rd": A0, "shamt": 33}, x >> 33),
        ("c.srai", {"rd": A0, "shamt": 33}, s64(x) >> 33),
        ("c.andi", {"rd": A0, "imm": -16}, x & -16),
        ("c.mv", {"rd": A0, "rs2": A1}, y),
        ("c.add", {"rd": A0, "rs2": A1}, x + y),
        ("c.sub", {"rd": A0, "rs2": A1}, x - y),
        ("c.xor", {"rd": A0, "rs2": A1}, x ^ y),
        ("c.or", {"rd": A0, "rs2": A1}, x | y),
        ("c.and", {"rd": A0, "rs2": A1}, x & y),
        ("c.subw", {"rd": A0, "rs2": A1}, s32(x - y)),
        ("c.addw", {"rd": A0, "rs2": A1}, s32(x + y)),
    ]
    p = rig.assembler().li(S0, rig.data)
    for n, (name, operands, _) in enumerate(cases):
        both = {**operands}
        if "rs1" in {o.name for o in ENCODINGS[name].operands}:
            both["rs1"] = both["rd"]
        p.li(A0, x).li(A1, y).op(name, **both).op("sd", rs1=S0, rs2=A0, imm=8 * n)
    rig.run(p)
    for (name, _, expected), value in zip(cases, rig.read_words(rig.data, len(cases)), strict=True):
        assert value == expected & M64, name


def test_compressed_loads_stores_and_stack(rig: Rig) -> None:
    p = rig.assembler().li(S0, rig.data).li(SP, rig.data + 512).li(A0, -2)
    p.op("c.sd", rs1=S0, rs2=A0, uimm=248).op("c.sw", rs1=S0, rs2=A0, uimm=124)
    p.op("c.sdsp", rs2=A0, uimm=504).op("c.swsp", rs2=A0, uimm=252)
    p.op("c.ld", rd=A1, rs1=S0, uimm=248).op("sd", rs1=S0, rs2=A1, imm=0)
    p.op("c.lw", rd=A1, rs1=S0, uimm=124).op("sd", rs1=S0, rs2=A1, imm=8)
    p.op("c.ldsp", rd=A1, uimm=504).op("sd", rs1=S0, rs2=A1, imm=16)
    p.op("c.lwsp", rd=A1, uimm=252).op("sd", rs1=S0, rs2=A1, imm=24)
    p.op("c.addi4spn", rd=A1, uimm=1020).op("sd", rs1=S0, rs2=A1, imm=32)
    p.op("c.addi16sp", imm=-512).op("sd", rs1=S0, rs2=SP, imm=40)
    rig.run(p)
    minus_two = -2 & M64
    expected = [minus_two] * 4 + [rig.data + 512 + 1020, rig.data]
    assert rig.read_words(rig.data, 6) == expected
    assert rig.read_words(rig.data + 248, 1) == [minus_two]
    assert rig.read_words(rig.data + 512 + 504, 1) == [minus_two]
    assert rig.read(rig.data + 124, 8) == b"\xfe\xff\xff\xff" + bytes(4)


def test_compressed_jumps_and_branches(rig: Rig) -> None:
    p = rig.assembler().li(S0, rig.data).li(A0, 0).li(A1, 1)
    steps = 0

    def skip(p: Assembler, name: str, **operands: int) -> None:
        nonlocal steps
        p.compressed_branch(name, f"over{steps}", **operands).word(0, 2)
        p.label(f"over{steps}")
        steps += 1

    skip(p, "c.j")
    skip(p, "c.beqz", rs1=A0)
    skip(p, "c.bnez", rs1=A1)
    p.compressed_branch("c.beqz", "wrong", rs1=A1).compressed_branch("c.bnez", "wrong", rs1=A0)
    p.la(T0, "there").op("c.jalr", rs1=T0).label("link").label("wrong").word(0, 2)
    p.label("there").op("sd", rs1=S0, rs2=RA).la(T0, "last").op("c.jr", rs1=T0).word(0, 2)
    p.label("last").op("sd", rs1=S0, rs2=A1, imm=8)
    rig.run(p)
    assert rig.read_words(rig.data, 2) == [p.symbols["link"], 1]


def test_hints_change_nothing(rig: Rig) -> None:
    """Compressed instructions that write x0, fences of nothing, pause, and non-temporal hints."""
    p = rig.assembler().li(S0, rig.data).li(A0, 5)
    p.op("c.li", rd=0, imm=5).op("c.lui", rd=0, imm=0x1000).op("c.mv", rd=0, rs2=A0)
    p.op("c.add", rd=0, rs2=A0).op("c.nop", imm=3).op("fence").op("fence", pred=15, succ=15)
    p.word(0x0100_000F)  # pause
    for rs2 in (2, 3, 4, 5):
        p.op("add", rd=0, rs1=0, rs2=rs2)  # ntl.*
    p.word(encode("slti", rd=0, rs1=A0, imm=1))
    rig.run(p.op("sd", rs1=S0, rs2=A0).op("sd", rs1=S0, rs2=ZERO, imm=8))
    assert rig.read_words(rig.data, 2) == [5, 0]
