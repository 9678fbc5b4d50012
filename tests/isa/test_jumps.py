"""Jumps and branches."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rvemu.hart.exceptions import Cause
from rvemu.hart.extensions import parse_isa
from rvemu.lang import M64, Trap
from tests.isa.lone_hart import CODE, LoneHart

CASES = [
    # rs1, rs2, and which branches are taken
    (1, 1, "beq bge bgeu"),
    (1, 2, "bne blt bltu"),
    (2, 1, "bne bge bgeu"),
    (M64, 1, "bne blt bgeu"),  # -1 < 1
    (1, M64, "bne bge bltu"),
    (1 << 63, (1 << 63) - 1, "bne blt bgeu"),
]


@pytest.fixture
def hart() -> LoneHart:
    return LoneHart()


@pytest.mark.parametrize(("a", "b", "taken"), CASES)
@pytest.mark.parametrize("name", ["beq", "bne", "blt", "bge", "bltu", "bgeu"])
def test_branches(hart: LoneHart, name: str, a: int, b: int, taken: str) -> None:
    hart.x[11], hart.x[12] = a, b
    hart.do(name, rs1=11, rs2=12, imm=-64)
    assert hart.pc == (CODE - 64 if name in taken.split() else CODE + 4)


@given(st.integers(-(2**19), 2**19 - 1).map(lambda n: 2 * n))
def test_jal(offset: int) -> None:
    hart = LoneHart()
    hart.do("jal", rd=1, imm=offset)
    assert hart.pc == CODE + offset
    assert hart.x[1] == CODE + 4


def test_jalr_clears_the_lowest_bit(hart: LoneHart) -> None:
    hart.x[5] = 0x1001
    hart.do("jalr", rd=1, rs1=5, imm=-1)
    assert (hart.pc, hart.x[1]) == (0x1000, CODE + 4)
    hart.do("jalr", rd=1, rs1=5, imm=2)
    assert (hart.pc, hart.x[1]) == (0x1002, 0x1004)


def test_jalr_with_one_register_for_base_and_link(hart: LoneHart) -> None:
    hart.x[1] = 0x4000
    hart.do("jalr", rd=1, rs1=1, imm=8)
    assert (hart.pc, hart.x[1]) == (0x4008, CODE + 4)


def test_addresses_wrap_around(hart: LoneHart) -> None:
    hart.x[5] = M64 - 1
    hart.do("jalr", rd=0, rs1=5, imm=4)
    assert hart.pc == 2


def test_compressed_jumps_link_past_two_bytes(hart: LoneHart) -> None:
    hart.x[5] = 0x4000
    hart.execute(0x9282)  # c.jalr t0
    assert (hart.pc, hart.x[1]) == (0x4000, CODE + 2)
    hart.execute(0xA009)  # c.j .+2
    assert (hart.pc, hart.x[1]) == (0x4002, CODE + 2)
    hart.x[8] = 0
    hart.execute(0xDC7D)  # c.beqz s0, .-2
    assert hart.pc == 0x4000


@pytest.mark.parametrize("name", ["jal", "jalr", "beq"])
def test_a_misaligned_target_traps_at_the_jump_and_changes_nothing(name: str) -> None:
    hart = LoneHart(parse_isa("rv64i"))
    hart.x[1] = 77
    operands = {"rd": 1} if name != "beq" else {}
    with pytest.raises(Trap):
        hart.do(name, imm=CODE + 6 & 0x7FE if name == "jalr" else 6, **operands)
    assert hart.trap_cause == Cause.INSTRUCTION_ADDRESS_MISALIGNED
    assert hart.trap_value == (CODE + 6 & 0x7FE if name == "jalr" else CODE + 6)
    assert (hart.pc, hart.x[1]) == (CODE, 77)


def test_a_branch_that_is_not_taken_does_not_care(hart: LoneHart) -> None:
    hart.pc_align_mask = 2
    hart.do("bne", imm=6)
    assert hart.pc == CODE + 4


def test_fences_hints_and_pauses_do_nothing(hart: LoneHart) -> None:
    before = list(hart.x)
    for name in ("fence", "fence.tso", "fence.i", "pause", "wrs.sto"):
        pc = hart.pc
        hart.do(name)
        assert hart.pc == pc + 4
    for name in ("prefetch.i", "prefetch.r", "prefetch.w"):
        hart.do(name, rs1=3, imm=-32)
    for hint in (0x1061, 0x0001, 0x900A, 0x8001):  # c.nop -8, c.nop, c.ntl.p1, c.srli s0, 0
        hart.execute(hint)
    assert list(hart.x)[:32] == before[:32]
