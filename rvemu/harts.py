"""A hart, as programs of the host see it: registers, CSRs, memory through its translation."""

import ctypes
from collections.abc import Callable

from rvemu.errors import RvemuError
from rvemu.hart.counters import request_poll
from rvemu.hart.csr_view import peek, peek_field, poke, poke_field
from rvemu.hart.explain import explain
from rvemu.hart.exceptions import LOAD
from rvemu.hart.state import Hart
from rvemu.isa.disassembler import FLOAT_REGISTERS, INTEGER_REGISTERS
from rvemu.lang import M64

_X = {name: n for n, name in enumerate(INTEGER_REGISTERS)} | {f"x{n}": n for n in range(32)} | {"fp": 8}
_F = {name: n for n, name in enumerate(FLOAT_REGISTERS)} | {f"f{n}": n for n in range(32)}

MODE_NAMES = {(0, 0): "U", (1, 0): "S", (3, 0): "M", (0, 1): "VU", (1, 1): "VS"}


class HartView:
    """One hart of a machine.

    `hart["a0"]`, `hart["pc"]`, `hart["mstatus"]`, `hart["mstatus.MPP"]` read and write registers
    by name: ABI and numeric names, CSRs, and fields of CSRs. No privilege is needed, and reading
    has no side effects. Values are unsigned, 64 bits; those of floating-point registers are bit
    patterns. An unknown name is an `RvemuError`.
    """

    def __init__(self, state: Hart, physical_read: Callable[[int, int], bytes]) -> None:
        #: The model's own state.
        self.state = state
        self._physical_read = physical_read

    def __getitem__(self, name: str) -> int:
        if name == "pc":
            return int(self.state.pc)
        if name in _X:
            return int(self.state.x[_X[name]])
        if name in _F:
            return int(self.state.f[_F[name]])
        register, _, field = name.partition(".")
        return peek_field(self.state, register, field) if field else peek(self.state, register)

    def __setitem__(self, name: str, value: int) -> None:
        h = self.state
        if name == "pc":
            h.pc = value & M64
        elif name in _X:
            if _X[name]:
                h.x[_X[name]] = value & M64
        elif name in _F:
            h.f[_F[name]] = value & M64
        else:
            register, _, field = name.partition(".")
            if field:
                poke_field(h, register, field, value)
            else:
                poke(h, register, value)
            request_poll(h)

    @property
    def pc(self) -> int:
        """The address of the next instruction."""
        return int(self.state.pc)

    @property
    def mode(self) -> str:
        """The privilege mode: M, S, U, VS or VU."""
        return MODE_NAMES[self.state.priv, self.state.v]

    @property
    def instret(self) -> int:
        """Instructions retired since reset."""
        return int(self.state.retire_end - self.state.budget) & M64

    def translate(self, address: int, access: int = LOAD) -> int | None:
        """The physical address of a virtual one, as the hart would translate it now, without side
        effects; None where it would fault."""
        return explain(self.state, address, access).physical

    def read_memory(self, address: int, length: int) -> bytes:
        """Bytes at a virtual address, without side effects. Raises `RvemuError` where one can't be
        read."""
        parts = []
        while length > 0:
            part = min(length, 4096 - address % 4096)
            physical = self.translate(address)
            if physical is None:
                raise RvemuError(f"{address:#x} is not mapped in {self.mode}-mode")
            parts.append(self._physical_read(physical, part))
            address, length = (address + part) & M64, length - part
        return b"".join(parts)

    # What the board drives (`rvemu.board.HartPorts`).

    @property
    def mtimecmp(self) -> int:
        """The timer compare register of the ACLINT."""
        return int(self.state.mtimecmp)

    @mtimecmp.setter
    def mtimecmp(self, value: int) -> None:
        self.state.mtimecmp = value
        request_poll(self.state)

    def set_interrupt(self, bit: int, level: bool) -> None:
        """Drive an interrupt input, by its bit in mip."""
        if level:
            self.state.interrupt_lines |= 1 << bit
        else:
            self.state.interrupt_lines &= ~(1 << bit)
        request_poll(self.state)

    @property
    def host_address(self) -> int:
        """Where the state is in this process."""
        return ctypes.addressof(self.state)
