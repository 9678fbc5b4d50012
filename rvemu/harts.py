"""A hart, as programs of the host see it: registers, CSRs, memory through its translation."""

import ctypes
from typing import Protocol

from rvemu.errors import RvemuError
from rvemu.hart.counters import request_poll
from rvemu.hart.csr_view import peek, peek_field, poke, poke_field
from rvemu.hart.exceptions import LOAD, STORE
from rvemu.hart.explain import Walk, explain
from rvemu.hart.privilege import set_privilege
from rvemu.hart.registers import FLOAT_REGISTERS, INTEGER_REGISTERS
from rvemu.hart.state import Hart
from rvemu.lang import M64

_X = {
    **{name: n for n, name in enumerate(INTEGER_REGISTERS)},
    **{f"x{n}": n for n in range(32)},
    "fp": 8,
}
_F = {name: n for n, name in enumerate(FLOAT_REGISTERS)} | {f"f{n}": n for n in range(32)}

MODE_NAMES = {(0, 0): "U", (1, 0): "S", (3, 0): "M", (0, 1): "VU", (1, 1): "VS"}
_MODES = {name: mode for mode, name in MODE_NAMES.items()}


class PhysicalMemory(Protocol):
    """What a hart needs of its machine."""

    def read_physical(self, address: int, length: int) -> bytes:
        """Bytes of memory; `RvemuError` where there is none."""

    def write_physical(self, address: int, data: bytes) -> None:
        """Write bytes to memory; `RvemuError` where there is none."""


class HartView:
    """One hart of a machine.

    `hart["a0"]`, `hart["pc"]`, `hart["mstatus"]`, `hart["mstatus.MPP"]` read and write registers
    by name: ABI and numeric names, CSRs, and fields of CSRs. No privilege is needed, and reading
    has no side effects. Values are unsigned, 64 bits; those of floating-point registers are bit
    patterns. An unknown name is an `RvemuError`.
    """

    def __init__(self, state: Hart, memory: PhysicalMemory) -> None:
        #: The model's own state.
        self.state = state
        #: Whether firmware of the host's has stopped it: it waits until that starts it again.
        self.stopped = False
        self._memory = memory

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
            if value & (1 | h.pc_align_mask):
                raise RvemuError(f"pc {value:#x} is not where an instruction can be")
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
        """The privilege mode: M, S, U, VS or VU. It can be set."""
        return MODE_NAMES[self.state.priv, self.state.v]

    @mode.setter
    def mode(self, name: str) -> None:
        if name not in _MODES:
            raise RvemuError(f"no privilege mode {name!r}; there are: {', '.join(_MODES)}")
        set_privilege(self.state, *_MODES[name])
        request_poll(self.state)

    @property
    def instret(self) -> int:
        """Instructions retired since reset."""
        return int(self.state.retire_end - self.state.budget) & M64

    @property
    def waiting(self) -> bool:
        """Whether it is in WFI."""
        return bool(self.state.waiting)

    @property
    def activity(self) -> str:
        """What it does, for people."""
        if self.stopped:
            return "stopped"
        return "waiting (WFI)" if self.waiting else "running"

    def explain(self, address: int, access: int = LOAD) -> Walk:
        """The page walk that an access of a byte at a virtual address would make now. access:
        LOAD, STORE or FETCH of `rvemu.hart.exceptions`."""
        return explain(self.state, address & M64, access)

    def translate(self, address: int, access: int = LOAD) -> int | None:
        """The physical address of a virtual one, as the hart would translate it now, without side
        effects; None where it would fault."""
        return self.explain(address, access).physical

    def read_memory(self, address: int, length: int) -> bytes:
        """Bytes at a virtual address, without side effects. Raises `RvemuError` where one can't be
        read."""
        parts = self._physical_parts(address, length, LOAD)
        return b"".join(self._memory.read_physical(*part) for part in parts)

    def write_memory(self, address: int, data: bytes) -> None:
        """Write bytes at a virtual address that the hart may store to now. Raises `RvemuError`,
        with nothing written, if it may not."""
        parts = self._physical_parts(address, len(data), STORE)
        for physical, length in parts:
            self._memory.read_physical(physical, length)  # is there memory?
        for physical, length in parts:
            self._memory.write_physical(physical, data[:length])
            data = data[length:]

    def _physical_parts(self, address: int, length: int, access: int) -> list[tuple[int, int]]:
        """Where bytes at a virtual address are: physical addresses and lengths, page by page."""
        parts = []
        while length > 0:
            part = min(length, 4096 - address % 4096)
            physical = self.translate(address, access)
            if physical is None:
                what = "writable" if access == STORE else "readable"
                raise RvemuError(f"{address:#x} is not {what} in {self.mode}-mode")
            parts.append((physical, part))
            address, length = (address + part) & M64, length - part
        return parts

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
