"""Loads, stores, atomics, cache blocks and self-modifying code through whole engines."""

import itertools

import pytest

from rvemu.hart.exceptions import Cause
from tests.assembler import A0, A1, A2, A3, S0, S1, T0, ZERO, Assembler, encode
from tests.conformance.rig import Rig
from tests.conformance.values import M64, s32, s64

LOADS = {"lb": (1, True), "lbu": (1, False), "lh": (2, True), "lhu": (2, False),
         "lw": (4, True), "lwu": (4, False), "ld": (8, True)}  # fmt: skip
STORES = {"sb": 1, "sh": 2, "sw": 4, "sd": 8}
PATTERN = bytes((i * 37 + 0x81) & 0xFF for i in range(64))

# An address inside a page, and one from which every misaligned access crosses pages.
PLACES = {"inside": 0x100, "across": 0x1FF0}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", LOADS)
def test_loads_of_any_alignment(rig: Rig, name: str, place: str) -> None:
    """Zicclsm: misaligned loads of main memory succeed, across pages too."""
    width, signed = LOADS[name]
    where = rig.data + PLACES[place]
    rig.write(where, PATTERN)
    p = rig.assembler().li(S0, where + 16).li(S1, rig.data + 0x4000)
    for n in range(24):
        p.op(name, rd=A0, rs1=S0, imm=n - 16).op("sd", rs1=S1, rs2=A0, imm=8 * n)
    rig.run(p)
    for n, value in enumerate(rig.read_words(rig.data + 0x4000, 24)):
        expected = int.from_bytes(PATTERN[n : n + width], "little", signed=signed) & M64
        assert value == expected, n


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", STORES)
def test_stores_of_any_alignment(rig: Rig, name: str, place: str) -> None:
    width = STORES[name]
    for n in (0, 1, 3, 4, 7, 8, 9, 12, 14, 15):
        where = rig.data + PLACES[place]
        rig.write(where, PATTERN)
        p = rig.assembler().li(S0, where).li(A0, 0x1122_3344_5566_7788)
        rig.run(p.op(name, rs1=S0, rs2=A0, imm=n))
        stored = 0x1122_3344_5566_7788.to_bytes(8, "little")[:width]
        assert rig.read(where, 64) == PATTERN[:n] + stored + PATTERN[n + width :]
        rig = Rig(rig.machine.engine.name, rig.form)


def test_a_load_sees_the_store_before_it(rig: Rig) -> None:
    p = rig.assembler().li(S0, rig.data).li(A0, 0x8899_AABB_CCDD_EEFF)
    p.op("sd", rs1=S0, rs2=A0).op("sb", rs1=S0, rs2=ZERO, imm=3)
    p.op("lw", rd=A1, rs1=S0).op("sd", rs1=S0, rs2=A1, imm=8)
    p.op("lw", rd=A1, rs1=S0, imm=2).op("sd", rs1=S0, rs2=A1, imm=16)
    rig.run(p)
    words = rig.read_words(rig.data, 3)
    assert words == [0x8899_AABB_00DD_EEFF, 0x00DD_EEFF, s32(0xAABB_00DD) & M64]


# --- Atomics ---------------------------------------------------------------------------------

AMOS = {
    "amoswap": lambda _, b: b,
    "amoadd": lambda a, b: a + b,
    "amoxor": lambda a, b: a ^ b,
    "amoand": lambda a, b: a & b,
    "amoor": lambda a, b: a | b,
    "amomin": lambda a, b: min(s64(a), s64(b)),
    "amomax": lambda a, b: max(s64(a), s64(b)),
    "amominu": lambda a, b: min(a, b),
    "amomaxu": lambda a, b: max(a, b),
}
OPERANDS = (0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, M64 >> 1, 1 << 63, M64, 0x1_2345_6789)


@pytest.mark.parametrize("ordering", [(0, 0), (1, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize("width", ["w", "d"])
@pytest.mark.parametrize("name", AMOS)
def test_amo(rig: Rig, name: str, width: str, ordering: tuple[int, int]) -> None:
    """rd gets the old value (sign-extended), memory the new; a word's neighbour
    stays."""
    pairs = [*itertools.product(OPERANDS, OPERANDS)]
    rig.write_words(rig.data, [word for a, b in pairs for word in (a, b, 0)])
    p = rig.assembler().li(S0, rig.data)
    aq, rl = ordering
    for _ in pairs:
        p.op("ld", rd=A1, rs1=S0, imm=8)
        p.op(f"{name}.{width}", rd=A0, rs1=S0, rs2=A1, aq=aq, rl=rl)
        p.op("sd", rs1=S0, rs2=A0, imm=16).op("addi", rd=S0, rs1=S0, imm=24)
    rig.run(p)
    words = rig.read_words(rig.data, 3 * len(pairs))
    for n, (a, b) in enumerate(pairs):
        after, _, old = words[3 * n : 3 * n + 3]
        if width == "d":
            assert (old, after) == (a, AMOS[name](a, b) & M64)
        else:
            # As 32-bit numbers; extending both keeps the order, signed and unsigned.
            new = AMOS[name](s32(a) & M64, s32(b) & M64) & 0xFFFF_FFFF
            assert (old, after) == (s32(a) & M64, a >> 32 << 32 | new)


@pytest.mark.parametrize("width", ["w", "d"])
def test_sc_after_lr(rig: Rig, width: str) -> None:
    """norm:sc_w_success: 0 and the store; the second sc has no reservation left: 1 and no store
    (norm:sc_intervening_sc_fail)."""
    rig.write_words(rig.data, [5, M64])
    p = rig.assembler().li(S0, rig.data).li(A1, 9).li(A2, 11)
    p.op(f"lr.{width}", rd=A0, rs1=S0).op(f"sc.{width}", rd=A3, rs1=S0, rs2=A1)
    p.op("sd", rs1=S0, rs2=A0, imm=16).op("sd", rs1=S0, rs2=A3, imm=24)
    p.op(f"sc.{width}", rd=A3, rs1=S0, rs2=A2).op("sd", rs1=S0, rs2=A3, imm=32)
    rig.run(p)
    assert rig.read_words(rig.data, 5) == [9, M64, 5, 0, 1]


def test_sc_elsewhere_fails(rig: Rig) -> None:
    """norm:sc_addr_not_in_reservation_fail: not the reserved address."""
    rig.write_words(rig.data, [5, 6])
    p = rig.assembler().li(S0, rig.data).li(S1, rig.data + 0x800).li(A1, 9)
    p.op("lr.d", rd=A0, rs1=S0).op("sc.d", rd=A3, rs1=S1, rs2=A1)
    p.op("sd", rs1=S0, rs2=A3, imm=16)
    p.op("sc.d", rd=A3, rs1=S0, rs2=A1).op("sd", rs1=S0, rs2=A3, imm=24)
    rig.run(p)
    assert rig.read_words(rig.data, 4) == [5, 6, 1, 1]
    assert rig.read_words(rig.data + 0x800, 1) == [0]


def test_a_loop_of_lr_and_sc_makes_progress(rig: Rig) -> None:
    p = rig.assembler().li(S0, rig.data).li(A2, 100)
    p.label("again").op("lr.w", rd=A0, rs1=S0).op("addi", rd=A0, rs1=A0, imm=3)
    p.op("sc.w", rd=A1, rs1=S0, rs2=A0).branch("bne", A1, ZERO, "again")
    p.op("addi", rd=A2, rs1=A2, imm=-1).branch("bne", A2, ZERO, "again")
    rig.run(p)
    assert rig.read_words(rig.data, 1) == [300]


def test_wrs_returns(rig: Rig) -> None:
    """Zawrs: without a reservation, and with a store to it or a time limit, they go on."""
    p = rig.assembler().li(S0, rig.data).op("wrs.sto").op("lr.w", rd=A0, rs1=S0).op("wrs.sto")
    p.op("lr.w", rd=A0, rs1=S0).op("sw", rs1=S0, rs2=S0).op("wrs.nto")
    rig.run(p.li(A0, 1).op("sd", rs1=S0, rs2=A0))
    assert rig.read_words(rig.data, 1) == [1]


# --- Cache blocks ----------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0, 1, 63, 0x1FC0, 0x1FFF])
def test_cbo_zero_clears_its_block(offset: int, engine: str) -> None:
    """norm:cbo-zero_op: 64 bytes around the address."""
    for form in ("p", "v"):
        rig = Rig(engine, form)
        rig.machine.hart["menvcfg"] = 0xF0
        rig.machine.hart["senvcfg"] = 0xF0
        block = rig.data + 0x2000 + (offset & ~63)
        rig.write(block - 64, b"\xff" * 192)
        rig.run(rig.assembler().li(S0, rig.data + 0x2000 + offset).op("cbo.zero", rs1=S0))
        assert rig.read(block - 64, 192) == b"\xff" * 64 + bytes(64) + b"\xff" * 64


@pytest.mark.parametrize("name", ["cbo.clean", "cbo.flush", "cbo.inval", "prefetch.r"])
def test_other_cache_block_operations_change_no_memory(name: str, engine: str) -> None:
    for form in ("p", "v"):
        rig = Rig(engine, form)
        rig.machine.hart["menvcfg"] = 0xF0
        rig.machine.hart["senvcfg"] = 0xF0
        rig.write(rig.data, PATTERN)
        p = rig.assembler().li(S0, rig.data)
        rig.run(p.op("lb", rd=A0, rs1=S0).op(name, rs1=S0))
        assert rig.read(rig.data, 64) == PATTERN


# --- Code that changes itself ----------------------------------------------------------------


def replace_spot(before: Assembler, new: int) -> Assembler:
    """Code that replaces the instruction at label `spot`."""
    return before.la(T0, "spot").li(A1, new).op("sw", rs1=T0, rs2=A1)


def test_fence_i_makes_new_code_visible(rig: Rig) -> None:
    """The instruction has been executed, and so decoded, before it changes."""
    p = rig.assembler().li(S0, rig.data).li(A2, 0).jal(ZERO, "spot").align(8)
    p.label("spot").op("addi", rd=A0, rs1=ZERO, imm=1)
    p.branch("bne", A2, ZERO, "done").op("sd", rs1=S0, rs2=A0).li(A2, 1)
    replace_spot(p, encode("addi", rd=A0, imm=2)).op("fence.i").jal(ZERO, "spot")
    p.label("done").op("sd", rs1=S0, rs2=A0, imm=8)
    rig.run(p)
    assert rig.read_words(rig.data, 2) == [1, 2]


def test_new_code_across_two_pages(rig: Rig) -> None:
    """An instruction whose halves lie in two pages, of which only the second one changes."""
    p = rig.assembler().li(S0, rig.data).li(A2, 0).jal(ZERO, "spot")
    p.word(0, -p.here % 4096 - 2)
    p.label("spot").op("addi", rd=A0, rs1=ZERO, imm=1)
    p.branch("bne", A2, ZERO, "done").op("sd", rs1=S0, rs2=A0).li(A2, 1)
    p.la(T0, "spot").li(A1, encode("addi", rd=A0, imm=3) >> 16).op("sh", rs1=T0, rs2=A1, imm=2)
    p.op("fence.i").jal(ZERO, "spot")
    p.label("done").op("sd", rs1=S0, rs2=A0, imm=8)
    rig.run(p)
    assert rig.read_words(rig.data, 2) == [1, 3]


def test_code_written_to_fresh_memory_runs(rig: Rig) -> None:
    p = rig.assembler().li(S0, rig.data)
    for n, raw in enumerate((encode("addi", rd=A0, imm=42), encode("jalr", rs1=1))):
        p.li(A1, raw).op("sw", rs1=S0, rs2=A1, imm=64 + 4 * n)
    p.op("fence.i").op("jalr", rd=1, rs1=S0, imm=64).op("sd", rs1=S0, rs2=A0)
    rig.run(p)
    assert rig.read_words(rig.data, 1) == [42]


def test_every_page_is_mapped_by_a_first_touch(engine: str) -> None:
    """That the "v" form does what it is for: a page fault for each page, and no other trap."""
    rig = Rig(engine, "v")
    causes: list[int] = []
    hart = rig.machine.hart
    hart.state.trap_hooks = 1
    rig.machine.hooks.trap.append(lambda _: causes.append(hart["mcause"]))
    p = rig.assembler().li(S0, rig.data)
    for _ in range(3):
        p.op("ld", rd=A0, rs1=S0, imm=0).op("sd", rs1=S0, rs2=S0, imm=8)
        p.li(A1, 4096).op("add", rd=S0, rs1=S0, rs2=A1).op("sd", rs1=S0, rs2=S0)
    rig.run(p)
    assert causes == [
        Cause.INSTRUCTION_PAGE_FAULT,
        Cause.LOAD_PAGE_FAULT,
        *[Cause.STORE_PAGE_FAULT] * 3,
        Cause.ECALL_FROM_U,
    ]
