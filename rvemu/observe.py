"""What an instruction is about to do, seen from outside: its bits, its operands, and the memory
that it will access. Nothing here has an effect on the hart."""

import re
from dataclasses import dataclass

from rvemu.hart.exceptions import FETCH, LOAD, STORE
from rvemu.hart.explain import explain
from rvemu.hart.regions import find_region
from rvemu.hart.state import (
    ADDEND,
    DATA_ENTRIES,
    FETCH_ADDEND,
    FETCH_ENTRIES,
    FETCH_TAG,
    LOAD_TAG,
    PAGE_MASK,
    Hart,
)
from rvemu.isa import INSTRUCTIONS
from rvemu.isa.decoder import decode
from rvemu.isa.encoding import Instruction
from rvemu.lang import M64, X0_SINK, host_load16, host_load32

_SIZES = {"b": 1, "h": 2, "w": 4, "d": 8}
_BLOCK = 64


@dataclass(frozen=True)
class MemoryUse:
    """How an instruction uses memory."""

    size: int  # bytes
    loads: bool
    stores: bool


def _memory_use(name: str) -> MemoryUse | None:
    """What an instruction's name says about that."""
    if name == "cbo.zero":
        return MemoryUse(_BLOCK, loads=False, stores=True)
    if found := re.fullmatch(r"(lr|sc|amo\w+)\.([bhwd])", name):
        kind = found[1]
        return MemoryUse(_SIZES[found[2]], loads=kind != "sc", stores=kind != "lr")
    if found := re.fullmatch(r"f?l([bhwd])u?|hlvx?\.([bhwd])u?", name):
        return MemoryUse(_SIZES[found[1] or found[2]], loads=True, stores=False)
    if found := re.fullmatch(r"f?s([bhwd])|hsv\.([bhwd])", name):
        return MemoryUse(_SIZES[found[1] or found[2]], loads=False, stores=True)
    return None


_MEMORY_USES = {i.name: use for i in INSTRUCTIONS if (use := _memory_use(i.name)) is not None}


@dataclass(frozen=True)
class Decoded:
    """An instruction's bits, decoded."""

    raw: int
    instruction: Instruction
    length: int  # bytes
    rd: int | None  # the integer register that it writes, if it is not x0
    fd: int | None  # the floating-point register that it writes
    rs1: int
    rs2: int
    imm: int
    csr: int | None  # the CSR that it names
    memory: MemoryUse | None
    stores_float: bool  # its rs2 is a floating-point register

    def address(self, h: Hart) -> int:
        """The virtual address that it accesses, with the registers as they are."""
        if self.instruction.name == "cbo.zero":
            return int(h.x[self.rs1]) & -_BLOCK
        return (int(h.x[self.rs1]) + self.imm) & M64


class Decoder:
    """Decodes the instructions that harts are about to execute, each once. priv: as of
    `fetch_bits`."""

    def __init__(self, priv: int | None = None) -> None:
        self._priv = priv
        self._known: dict[tuple[int, int], Decoded] = {}

    def at(self, h: Hart, address: int) -> Decoded | None:
        """The instruction at a virtual address; None where it can't be fetched."""
        raw = fetch_bits(h, address, self._priv)
        if raw is None:
            return None
        key = (raw, int(h.extensions))
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = _decode(h, raw)
        return found


def _decode(h: Hart, raw: int) -> Decoded:
    instruction = INSTRUCTIONS[decode(h, raw)]
    names = {operand.name for operand in instruction.operands}
    rd = int(h.decoded_rd)
    return Decoded(
        raw,
        instruction,
        4 if raw & 3 == 3 else 2,
        rd if "rd" in names and rd != X0_SINK else None,
        rd if "fd" in names else None,
        int(h.decoded_rs1),
        int(h.decoded_rs2),
        int(h.decoded_imm) if "imm" in names else 0,
        int(h.decoded_imm) & 0xFFF if "csr" in names else None,
        _MEMORY_USES.get(instruction.name),
        "fs2" in names,
    )


# --- Finding what is in memory -----------------------------------------------------------------
# The TLBs, where they hold the page, know faster what a walk would find. priv: whose permissions
# count in tables, if not those of the hart's own privilege.


def fetch_bits(h: Hart, address: int, priv: int | None = None) -> int | None:
    """The bits of the instruction at a virtual address; None where it can't be fetched."""
    host = _fetch_host(h, address, priv)
    if not host:
        return None
    low = host_load16(host)
    if low & 3 != 3:
        return low
    if address & 0xFFF <= 4096 - 4:
        return host_load32(host)
    host = _fetch_host(h, (address + 2) & M64, priv)
    return low | host_load16(host) << 16 if host else None


def _fetch_host(h: Hart, address: int, priv: int | None) -> int:
    i = h.ftlb_base + ((address >> 12) & (FETCH_ENTRIES - 1)) * 4
    if h.ftlb[i + FETCH_TAG] == address & PAGE_MASK:
        return int(address + h.ftlb[i + FETCH_ADDEND]) & M64
    return _walk(h, address, FETCH, priv)


def data_host(h: Hart, address: int, priv: int | None = None) -> int:
    """The host address of a byte that the hart may load at a virtual address; 0 if there is no
    such memory."""
    i = h.dtlb_base + ((address >> 12) & (DATA_ENTRIES - 1)) * 4
    if h.dtlb[i + LOAD_TAG] == address & PAGE_MASK:
        return int(address + h.dtlb[i + ADDEND]) & M64
    return _walk(h, address, LOAD, priv) or _walk(h, address, STORE, priv)


def _walk(h: Hart, address: int, access: int, priv: int | None) -> int:
    physical = explain(h, address, access, priv).physical
    return find_region(h, physical, 1) if physical is not None else 0
