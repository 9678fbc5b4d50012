"""Traces: what the harts do, line by line. docs/tracing.md describes the format.

Each of these adds itself to a machine's hooks. `write` takes one line at a time, without its end.
"""

import ctypes
from collections.abc import Callable
from functools import lru_cache

from rvemu.hart.csr_view import peek
from rvemu.hart.exceptions import FETCH, LOAD, STORE
from rvemu.hart.explain import describe_space
from rvemu.hart.registers import FLOAT_REGISTERS, INTEGER_REGISTERS
from rvemu.hart.state import (
    CONTEXT_M,
    CONTEXT_S,
    CONTEXT_S_SUM,
    CONTEXT_U,
    CONTEXT_VS,
    CONTEXT_VS_SUM,
    CONTEXT_VU,
    M_MODE,
    PMP_MAX,
    Hart,
)
from rvemu.hart.walk import ACCESS_FAULT, GUEST_PAGE_FAULT, OK, PAGE_FAULT
from rvemu.harts import MODE_NAMES
from rvemu.isa.disassembler import disassemble
from rvemu.lang import M64, host_load8
from rvemu.machine import Machine
from rvemu.observe import Decoded, Decoder, data_host
from rvemu.traps import TrapTaken, describe_walk, explain_fault, last_trap

Write = Callable[[str], None]

# The fields of a hart that hold CSRs, and the CSR to show when one has changed. They lie next to
# each other, so that one comparison tells whether any has.
_FIRST, _LAST = "mstatus", "frm"
_NOT_CSRS = {"interrupt_lines", "mtimecmp"}
_SHOWN_AS = {"mcycle_offset": "mcycle", "minstret_offset": "minstret"}
_NAMES = [field[0] for field in Hart._fields_]
_CSR_FIELDS = _NAMES[_NAMES.index(_FIRST) : _NAMES.index(_LAST) + 1]
_CSR_START = getattr(Hart, _FIRST).offset
_CSR_LENGTH = getattr(Hart, _LAST).offset + 8 - _CSR_START
_PMP_START = Hart._pmpaddr.offset
_PMP_LENGTH = PMP_MAX * 9  # pmpaddr, and pmpcfg after it
assert Hart._pmpcfg.offset == _PMP_START + PMP_MAX * 8

_CONTEXT_NAMES = {
    CONTEXT_M: "M",
    CONTEXT_S: "S",
    CONTEXT_S_SUM: "S",
    CONTEXT_U: "U",
    CONTEXT_VS: "VS",
    CONTEXT_VS_SUM: "VS",
    CONTEXT_VU: "VU",
}
_ACCESS_NAMES = {LOAD: "load", STORE: "store", FETCH: "fetch"}
_OUTCOMES = {
    PAGE_FAULT: "page fault",
    ACCESS_FAULT: "access fault",
    GUEST_PAGE_FAULT: "guest page fault",
}


def trap_line(machine: Machine, number: int, trap: TrapTaken) -> str:
    """A trap in one line."""
    text = f"{number} trap {trap.modes} {trap.name} epc={machine.lookup(trap.epc)}"
    if not trap.is_interrupt:
        text += f" tval={trap.value:#x}"
        if trap.guest_physical:
            text += f" gpa={trap.guest_physical:#x}"
    return f"{text} handler={machine.lookup(trap.handler)}"


class TrapTrace:
    """A line for each trap."""

    def __init__(self, machine: Machine, write: Write) -> None:
        self._machine = machine
        self._write = write
        machine.hooks.trap.append(self._trap)

    def _trap(self, number: int) -> None:
        trap = last_trap(self._machine.harts[number].state)
        self._write(trap_line(self._machine, number, trap))


class FaultTrace:
    """The page walk of each fault of a memory access, after a line for the trap."""

    def __init__(self, machine: Machine, write: Write) -> None:
        self._machine = machine
        self._write = write
        machine.hooks.trap.append(self._trap)

    def _trap(self, number: int) -> None:
        state = self._machine.harts[number].state
        trap = last_trap(state)
        walks = explain_fault(state, trap)
        if not walks:
            return
        self._write(f"{number} fault {trap.name} at {self._machine.lookup(trap.epc)}")
        for n, walk in enumerate(walks):
            if n:
                self._write("  or, if MPP was different:")
            for line in describe_walk(walk).splitlines():
                self._write("  " + line)


class TranslationTrace:
    """A line for each translation that was made or refused. (One that a TLB holds is not made
    again; M-mode translates nothing.)"""

    def __init__(self, machine: Machine, write: Write) -> None:
        self._machine = machine
        self._write = write
        machine.hooks.translation.append(self._translation)

    def _translation(self, number: int) -> None:
        h = self._machine.harts[number].state
        for n in range(h.seen_count):
            context, outcome = h.seen_context[n], h.seen_refused[n]
            if context == CONTEXT_M and outcome == OK:
                continue
            access = _ACCESS_NAMES[h.seen_access[n]]
            text = f"{number} mmu {_CONTEXT_NAMES[context]} {access} {h.seen_address[n]:#x}"
            if outcome == OK:
                self._write(f"{text} -> {h.seen_physical[n]:#x}")
            elif outcome == GUEST_PAGE_FAULT:
                self._write(f"{text} refused: {_OUTCOMES[outcome]} gpa={h.seen_physical[n]:#x}")
            else:
                self._write(f"{text} refused: {_OUTCOMES.get(outcome, outcome)}")


class CommitTrace:
    """A line for each instruction that retires, one for each trap, and one for each change of a
    hart's address space."""

    def __init__(self, machine: Machine, write: Write) -> None:
        self._machine = machine
        self._write = write
        self._decoder = Decoder(machine.translated_as)
        symbols = machine.image
        self._spaces: dict[int, tuple[int, ...]] = {}
        self._text = lru_cache(1 << 14)(lambda raw, pc: disassemble(raw, pc, symbols))
        machine.hooks.before.append(self._before)
        machine.hooks.after.append(self._after)
        machine.hooks.trap.append(self._trap)

    def detach(self) -> None:
        """Trace no more."""
        hooks = self._machine.hooks
        hooks.before.remove(self._before)
        hooks.after.remove(self._after)
        hooks.trap.remove(self._trap)

    def _before(self, number: int) -> None:
        """Remember what the instruction will overwrite."""
        h = self._machine.harts[number].state
        self._note_space(number, h)
        self._pc = int(h.pc)
        self._mode = MODE_NAMES[h.priv, h.v]
        self._decoded = self._decoder.at(h, self._pc)
        self._memory = self._planned_access(h) if self._decoded is not None else ""
        address = ctypes.addressof(h)
        self._csrs = ctypes.string_at(address + _CSR_START, _CSR_LENGTH)
        self._pmp = ctypes.string_at(address + _PMP_START, _PMP_LENGTH)
        self._trapped = False

    def _note_space(self, number: int, h: Hart) -> None:
        """Say in which address space a hart goes on, where that has changed."""
        if h.priv == M_MODE:
            return
        space = (1, h.vsatp, h.hgatp) if h.v else (0, h.satp)
        if self._spaces.get(number) != space:
            self._spaces[number] = space
            self._write(f"{number} space {'; '.join(describe_space(h))}")

    def _planned_access(self, h: Hart) -> str:
        """What to show of the instruction's memory access, as far as that is known before."""
        decoded = self._decoded
        assert decoded is not None
        use = decoded.memory
        if use is None:
            return ""
        address = decoded.address(h)
        self._address = address
        if not use.stores or use.loads or use.size > 8:
            return f" [{address:#x}]"
        value = h.f[decoded.rs2] if decoded.stores_float else h.x[decoded.rs2]
        return f" [{address:#x}]={_hex(int(value), use.size)}"

    def _trap(self, number: int) -> None:
        h = self._machine.harts[number].state
        trap = last_trap(h)
        self._write(trap_line(self._machine, number, trap))
        if trap.is_interrupt:
            self._before(number)  # the handler's first instruction is executed now
        else:
            self._trapped = True

    def _after(self, number: int) -> None:
        decoded = self._decoded
        if self._trapped or decoded is None:
            return
        h = self._machine.harts[number].state
        text = self._text(decoded.raw, self._pc)
        bits = f"{decoded.raw:0{2 * decoded.length}x}"
        effects = self._effects(h, decoded)
        found = self._machine.image.lookup(self._pc) if self._machine.image is not None else None
        name = f" @{found[0]}+{found[1]:#x}" if found else ""
        line = f"{number} {self._mode:<2} {self._pc:016x} {bits:<8}  {text:<32}{effects}{name}"
        self._write(line.rstrip())

    def _effects(self, h: Hart, decoded: Decoded) -> str:
        """What the instruction changed."""
        parts = []
        if decoded.rd is not None:
            parts.append(f" {INTEGER_REGISTERS[decoded.rd]}={_hex(int(h.x[decoded.rd]), 8)}")
        if decoded.fd is not None:
            parts.append(f" {FLOAT_REGISTERS[decoded.fd]}={_hex(int(h.f[decoded.fd]), 8)}")
        use = decoded.memory
        if use is not None:
            if use.stores and not use.loads and decoded.instruction.name.startswith("sc."):
                failed = decoded.rd is not None and h.x[decoded.rd]
                parts.append(f" [{self._address:#x}]" if failed else self._memory)
            elif use.stores and use.loads:
                parts.append(f"{self._memory}={self._stored(h, use.size)}")
            elif use.size > 8:
                parts.append(f"{self._memory}=0*{use.size}")
            else:
                parts.append(self._memory)
        address = ctypes.addressof(h)
        if ctypes.string_at(address + _CSR_START, _CSR_LENGTH) != self._csrs:
            parts += self._changed_csrs(h)
        if ctypes.string_at(address + _PMP_START, _PMP_LENGTH) != self._pmp:
            parts += self._changed_pmp(h)
        return "".join(parts)

    def _stored(self, h: Hart, size: int) -> str:
        host = data_host(h, self._address, self._machine.translated_as)
        if not host:
            return "?"
        return _hex(
            int.from_bytes(bytes(host_load8(host + n) for n in range(size)), "little"), size
        )

    def _changed_csrs(self, h: Hart) -> list[str]:
        parts = []
        for name in _CSR_FIELDS:
            at = getattr(Hart, name).offset - _CSR_START
            if name in _NOT_CSRS:
                continue
            if int.from_bytes(self._csrs[at : at + 8], "little") != getattr(h, name):
                shown = _SHOWN_AS.get(name, name)
                parts.append(f" {shown}={peek(h, shown):#x}")
        return parts

    def _changed_pmp(self, h: Hart) -> list[str]:
        parts = []
        for n in range(PMP_MAX):
            old = int.from_bytes(self._pmp[8 * n : 8 * n + 8], "little")
            if old != h.pmpaddr[n]:
                parts.append(f" pmpaddr{n}={h.pmpaddr[n]:#x}")
        for n in range(PMP_MAX):
            if self._pmp[8 * PMP_MAX + n] != h.pmpcfg[n]:
                parts.append(f" pmp{n}cfg={h.pmpcfg[n]:#x}")
        return parts


def _hex(value: int, size: int) -> str:
    """A value of some bytes, with all its digits."""
    return f"0x{value & M64 & ((1 << 8 * size) - 1):0{2 * size}x}"
