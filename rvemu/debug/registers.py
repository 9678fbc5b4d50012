"""Registers by gdb's numbers: x0-x31, pc, f0-f31, CSRs, the privilege mode and V.

Numbers are those that gdb itself uses (gdb/riscv-tdep.h), so that a client without our target
description understands them too. Neither privilege nor mstatus.FS has a say in reading, and CSRs go
by their own names: at V=1 `sstatus` is HS-mode's, and the guest's is `vsstatus`.
"""

from gdbstub import TargetError
from rvemu.errors import RvemuError
from rvemu.hart.csr_table import BY_NUMBER
from rvemu.hart.csr_view import peek
from rvemu.hart.extensions import Ext
from rvemu.hart.state import M_MODE, S_MODE, U_MODE, Hart
from rvemu.harts import HartView

X0, PC, F0 = 0, 32, 33
CSR0 = 65
PRIV = CSR0 + 4096
VIRT = PRIV + 1

# Those that each stop reply carries: pc, ra, sp, fp.
EXPEDITED = (PC, 1, 2, 8)


def exists(h: Hart, number: int) -> bool:
    """Whether a hart was built with a register."""
    if X0 <= number <= PC or number == PRIV:
        return True
    if F0 <= number < CSR0:
        return bool(h.extensions_built & Ext.F)
    if number == VIRT:
        return bool(h.extensions_built & Ext.H)
    row = BY_NUMBER.get(number - CSR0)
    return row is not None and not row.requires & ~h.extensions_built


def read(hart: HartView, number: int) -> bytes:
    """A register's value, in 8 bytes (priv and V: one). Raises TargetError for one that is not
    there."""
    h = hart.state
    _check(h, number)
    if number < PC:
        value = h.x[number]
    elif number == PC:
        value = h.pc
    elif number < CSR0:
        value = h.f[number - F0]
    elif number in (PRIV, VIRT):
        return bytes([h.priv if number == PRIV else h.v])
    else:
        value = peek(h, number - CSR0)
    return int(value).to_bytes(8, "little")


def read_general(hart: HartView) -> bytes:
    """The registers from x0 on, as far as their numbers follow each other."""
    h = hart.state
    values = [*h.x[:32], h.pc]
    if h.extensions_built & Ext.F:
        values += h.f[:32]
    return b"".join(value.to_bytes(8, "little") for value in values)


def write(hart: HartView, number: int, data: bytes) -> None:
    """Set a register. Raises TargetError where that can't be; CSRs take what is legal."""
    h = hart.state
    _check(h, number)
    size = 1 if number in (PRIV, VIRT) else 8
    if len(data) != size:
        raise TargetError(f"register {number} has {size} bytes, not {len(data)}")
    value = int.from_bytes(data, "little")
    if number < PC:
        if number:
            h.x[number] = value
    elif number == PC:
        check_pc(h, value)
        set_pc(h, value)
    elif number < CSR0:
        h.f[number - F0] = value
    elif number == PRIV:
        _set_mode(hart, value, int(h.v))
    elif number == VIRT:
        _set_mode(hart, int(h.priv), value)
    else:
        _write_csr(hart, number - CSR0, value)


def check_pc(h: Hart, address: int) -> None:
    """Raises TargetError for what a hart's pc cannot be."""
    if address & 1 or address & h.pc_align_mask:
        raise TargetError(f"pc cannot be {address:#x}: it is not aligned")


def set_pc(h: Hart, address: int) -> None:
    """Has a hart go on somewhere else. If it waits (WFI) the wait is over: else a function that a
    debugger calls would begin with the next interrupt."""
    if address != h.pc:
        h.pc = address
        h.waiting = 0


def write_general(hart: HartView, data: bytes) -> None:
    """The inverse of `read_general`; data may be shorter."""
    if len(data) % 8 or len(data) > len(read_general(hart)):
        raise TargetError(f"{len(data)} bytes are not a number of registers")
    for number in range(len(data) // 8):
        write(hart, number, data[8 * number : 8 * number + 8])


def _check(h: Hart, number: int) -> None:
    if not exists(h, number):
        raise TargetError(f"there is no register {number}")


def _write_csr(hart: HartView, number: int, value: int) -> None:
    row = BY_NUMBER[number]
    if value == peek(hart.state, number):
        return  # gdb writes back what it read, counters and read-only ones included
    try:
        hart[row.name] = value
    except RvemuError as error:
        raise TargetError(str(error)) from None


def _set_mode(hart: HartView, priv: int, v: int) -> None:
    h = hart.state
    names = {(U_MODE, 0): "U", (S_MODE, 0): "S", (M_MODE, 0): "M", (U_MODE, 1): "VU"}
    name = {**names, (S_MODE, 1): "VS"}.get((priv, v))
    lacks = (priv == U_MODE and not h.extensions_built & Ext.U) or (
        priv == S_MODE and not h.extensions_built & Ext.S
    )
    if name is None or lacks or (v and not h.extensions_built & Ext.H):
        raise TargetError(f"there is no privilege mode priv={priv}, v={v}")
    hart.mode = name
