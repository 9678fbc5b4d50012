"""Loads, stores and atomics: which bytes, how they are extended, and what traps. (What decides
whether an access is allowed is tested with the hart.)"""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rvemu.hart.exceptions import Cause
from rvemu.hart.state import DEVICE_ABSENT, DEVICE_NONE
from rvemu.lang import M64, Trap
from tests.isa.lone_hart import BASE, BY_NAME, SIZE, LoneHart

HART = LoneHart()
LOADS = {
    "lb": (1, True),
    "lh": (2, True),
    "lw": (4, True),
    "ld": (8, True),
    "lbu": (1, False),
    "lhu": (2, False),
    "lwu": (4, False),
}
STORES = {"sb": 1, "sh": 2, "sw": 4, "sd": 8}


def read(address: int, size: int, signed: bool = False) -> int:
    return int.from_bytes(HART.ram.read(address, size), "little", signed=signed)


def write(address: int, value: int, size: int) -> None:
    HART.ram.write(address, (value % (1 << 8 * size)).to_bytes(size, "little"))


@pytest.mark.parametrize("name", LOADS)
@given(offset=st.integers(0x7F0, 0x1010), imm=st.integers(-2048, 2047), data=st.binary(min_size=8))
def test_loads(name: str, offset: int, imm: int, data: bytes) -> None:
    size, signed = LOADS[name]
    address = BASE + offset
    HART.ram.write(address, data[:8])
    wanted = int.from_bytes(data[:size], "little", signed=signed) % 2**64
    assert HART.compute(name, address - imm, imm=imm) == wanted


@pytest.mark.parametrize("name", STORES)
@given(offset=st.integers(0x7F0, 0x1010), imm=st.integers(-2048, 2047), value=st.integers(0, M64))
def test_stores(name: str, offset: int, imm: int, value: int) -> None:
    size = STORES[name]
    address = BASE + offset
    HART.ram.write(address - 8, b"\xa5" * 24)
    HART.x[11], HART.x[12] = (address - imm) % 2**64, value
    HART.do(name, rs1=11, rs2=12, imm=imm)
    stored = value.to_bytes(8, "little")[:size]
    assert HART.ram.read(address - 8, 24) == b"\xa5" * 8 + stored + b"\xa5" * (16 - size)


def test_a_load_to_x0_still_traps() -> None:
    HART.x[11] = BASE + SIZE
    HART.device_state = DEVICE_ABSENT
    with pytest.raises(Trap):
        HART.do("ld", rd=0, rs1=11)
    assert HART.trap_cause == Cause.LOAD_ACCESS_FAULT
    assert HART.trap_value == BASE + SIZE


@pytest.mark.parametrize("name", ["lw", "sw", "amoadd.w", "lr.w", "sc.w"])
def test_a_fault_changes_nothing(name: str) -> None:
    HART.x[10], HART.x[11], HART.x[12] = 42, 8, 5
    HART.device_state = DEVICE_ABSENT  # nothing answered at that address
    pc = HART.pc
    registers = {"rd": 10, "rs1": 11, "rs2": 12}
    names = {operand.name for operand in BY_NAME[name].operands}
    with pytest.raises(Trap):
        HART.do(name, **{k: v for k, v in registers.items() if k in names})
    HART.device_state = DEVICE_NONE
    wanted = Cause.LOAD_ACCESS_FAULT if name[0] == "l" else Cause.STORE_ACCESS_FAULT
    assert (HART.trap_cause, HART.trap_value) == (wanted, 8)
    assert (HART.pc, HART.x[10]) == (pc, 42)


# --- Atomics ---------------------------------------------------------------------------------


def as_signed(value: int, bits: int) -> int:
    value %= 1 << bits
    return value - (1 << bits) if value >> (bits - 1) else value


# The result in memory, from two numbers of `bits` bits without sign.
AMOS: dict[str, Callable[[int, int, int], int]] = {
    "amoswap": lambda old, new, bits: new,  # noqa: ARG005
    "amoadd": lambda old, new, bits: old + new,  # noqa: ARG005
    "amoxor": lambda old, new, bits: (old | new) - (old & new),  # noqa: ARG005
    "amoand": lambda old, new, bits: old & new,  # noqa: ARG005
    "amoor": lambda old, new, bits: old + new - (old & new),  # noqa: ARG005
    "amomin": lambda old, new, bits: sorted([as_signed(old, bits), as_signed(new, bits)])[0],
    "amomax": lambda old, new, bits: sorted([as_signed(old, bits), as_signed(new, bits)])[1],
    "amominu": lambda old, new, bits: sorted([old, new])[0],  # noqa: ARG005
    "amomaxu": lambda old, new, bits: sorted([old, new])[1],  # noqa: ARG005
}
values = st.one_of(
    st.integers(0, M64), st.sampled_from([0, 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, M64])
)


@pytest.mark.parametrize("size", [4, 8])
@pytest.mark.parametrize("name", AMOS)
@given(old=values, operand=values, ordering=st.integers(0, 3))
def test_amo(name: str, size: int, old: int, operand: int, ordering: int) -> None:
    bits = 8 * size
    full = f"{name}.{'w' if size == 4 else 'd'}"
    write(BASE + 24, old, 8)
    result = HART.compute(full, BASE + 24, operand, aq=ordering & 1, rl=ordering >> 1)
    assert result == as_signed(old, bits) % 2**64
    wanted = AMOS[name](old % 2**bits, operand % 2**bits, bits) % 2**bits
    assert read(BASE + 24, size) == wanted
    if size == 4:
        assert read(BASE + 28, 4) == old >> 32


def test_amo_with_one_register_for_operand_and_result() -> None:
    write(BASE + 8, 100, 8)
    HART.x[11], HART.x[12] = BASE + 8, 7
    HART.do("amoadd.d", rd=12, rs1=11, rs2=12)
    assert (HART.x[12], read(BASE + 8, 8)) == (100, 107)
    HART.do("amoadd.d", rd=11, rs1=11, rs2=12)
    assert (HART.x[11], read(BASE + 8, 8)) == (107, 207)


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("amoadd.w", Cause.STORE_ADDRESS_MISALIGNED),
        ("amoadd.d", Cause.STORE_ADDRESS_MISALIGNED),
        ("sc.d", Cause.STORE_ADDRESS_MISALIGNED),
        ("lr.d", Cause.LOAD_ADDRESS_MISALIGNED),
    ],
)
def test_misaligned_atomics(name: str, cause: Cause) -> None:
    HART.x[11] = BASE + 2
    HART.do("ld", rd=10, rs1=11)  # the page is held now: that must make no difference
    with pytest.raises(Trap):
        HART.do(name, rs1=11)
    assert (HART.trap_cause, HART.trap_value) == (cause, BASE + 2)


# --- Reservations ----------------------------------------------------------------------------


@pytest.mark.parametrize(("suffix", "size"), [("w", 4), ("d", 8)])
def test_load_reserved_and_store_conditional(suffix: str, size: int) -> None:
    write(BASE + 64, 0xFFFF_FFFF_8000_0001, 8)
    loaded = HART.compute(f"lr.{suffix}", BASE + 64)
    assert loaded == 0xFFFF_FFFF_8000_0001
    assert HART.compute(f"sc.{suffix}", BASE + 64, 0x1122_3344_5566_7788) == 0
    assert read(BASE + 64, size) == 0x1122_3344_5566_7788 % (1 << 8 * size)
    # The reservation is used up.
    assert HART.compute(f"sc.{suffix}", BASE + 64, 1) == 1
    assert read(BASE + 64, size) == 0x1122_3344_5566_7788 % (1 << 8 * size)


def test_store_conditional_elsewhere_fails_and_ends_the_reservation() -> None:
    write(BASE + 64, 5, 8)
    HART.compute("lr.d", BASE + 64)
    assert HART.compute("sc.d", BASE + 72, 9) == 1
    assert HART.compute("sc.d", BASE + 64, 9) == 1
    assert read(BASE + 64, 8) == 5


def test_every_load_and_store_is_here() -> None:
    names = {
        name
        for name, instruction in BY_NAME.items()
        if set(instruction.extensions) <= {"i", "zaamo", "zalrsc"} and "(" in instruction.syntax
    }
    amos = {f"{name}.{suffix}" for name in AMOS for suffix in "wd"}
    assert names - {"jalr"} == {*LOADS, *STORES, *amos, "lr.w", "lr.d", "sc.w", "sc.d"}
