"""Memory as the debugger sees it: by the translation of a hart's current mode.

A debugger is not bound by what the hart may do: a page that is mapped can be read and written,
whatever its permissions and PMP say, and nothing is changed by looking (no A or D bits, no TLB
entries). MPRV does not count: addresses mean what they mean to the code that the hart executes.
"""

from typing import NamedTuple

from gdbstub import TargetError
from rvemu.errors import RvemuError
from rvemu.hart.exceptions import LOAD
from rvemu.hart.explain import mode_name
from rvemu.hart.fields import HSTATUS
from rvemu.hart.pte import Verdict, leaf_target, page_bits
from rvemu.hart.state import M_MODE, Hart
from rvemu.hart.walk import OK, PAGE_BITS, STAGE_G, STAGE_S, STAGE_VS, walk
from rvemu.harts import HartView
from rvemu.lang import M64, get
from rvemu.machine import Machine

_EFAULT = 14
_SPACE = 1 << 64


class _Target(NamedTuple):
    """Where an address leads to, and how many bytes from it on lead to those that follow."""

    physical: int
    length: int


class DebugMemory:
    """The memory of a machine, through its harts."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        #: Addresses are physical.
        self.physical = False
        #: Addresses are those of the guest that vsatp and hgatp describe, though V=0.
        self.guest = False
        #: Devices are read and written, with whatever that does.
        self.devices = False

    def read(self, hart: HartView, address: int, length: int) -> bytes:
        """As many bytes as can be read without a gap; TargetError if the first can't be."""
        parts: list[bytes] = []
        while length > 0 and address < _SPACE:
            try:
                found = self.translate(hart, address)
                part = self._read_physical(found.physical, min(length, found.length))
            except TargetError:
                if parts:
                    break
                raise
            parts.append(part)
            address, length = address + len(part), length - len(part)
        return b"".join(parts)

    def write(self, hart: HartView, address: int, data: bytes) -> None:
        """Write all bytes, or raise TargetError with nothing written to memory."""
        places: list[tuple[int, bytes]] = []
        while data:
            if address >= _SPACE:
                raise TargetError("the write wraps around at the end of the address space")
            found = self.translate(hart, address)
            part = data[: found.length]
            self._check(found.physical, len(part))
            places.append((found.physical, part))
            address, data = address + len(part), data[len(part) :]
        for physical, part in places:
            if self._in_memory(physical, len(part)):
                self._machine.write_physical(physical, part)
            elif not self._machine.board.bus.write(
                physical, len(part), int.from_bytes(part, "little")
            ):
                raise TargetError(f"no device takes {len(part)} bytes at {physical:#x}", _EFAULT)

    def guest_mode(self, h: Hart) -> int:
        """The privilege mode of the guest that a hart runs, or from which it came."""
        return int(h.priv if h.v else get(h.hstatus, HSTATUS.SPVP))

    def translate(self, hart: HartView, address: int) -> _Target:
        """Where an address leads to now. TargetError where it leads nowhere."""
        h = hart.state
        priv, v = int(h.priv), int(h.v)
        if self.guest and not self.physical:
            priv, v = self.guest_mode(h), 1
        if self.physical or priv == M_MODE:
            return _Target(address, _SPACE - address)
        if not v:
            found = _see_stage(h, STAGE_S, address, priv, v)
            return _Target(self._machine.guest_physical(found.physical), found.length)
        first = _see_stage(h, STAGE_VS, address, priv, v)
        second = _see_stage(h, STAGE_G, first.physical, priv, v)
        return _Target(second.physical, min(first.length, second.length))

    def _in_memory(self, physical: int, length: int) -> bool:
        board = self._machine.board
        return board.ram.contains(physical, length) or board.rom.contains(physical, length)

    def _check(self, physical: int, length: int) -> None:
        """Raise TargetError where nothing may be accessed."""
        if self._in_memory(physical, length):
            return
        regions = self._machine.board.bus.regions()
        device = next((r for r in regions if r.base <= physical < r.end), None)
        if device is None:
            raise TargetError(f"nothing is at physical address {physical:#x}", _EFAULT)
        if not self.devices:
            raise TargetError(
                f"physical address {physical:#x} is a device ({device.name}); "
                "`monitor devices on` allows access",
                _EFAULT,
            )

    def _read_physical(self, physical: int, length: int) -> bytes:
        """Some bytes at a physical address, at least one."""
        for ram in (self._machine.board.ram, self._machine.board.rom):
            if ram.contains(physical, 1):
                return ram.read(physical, min(length, ram.end - physical))
        self._check(physical, 1)
        width = next(n for n in (8, 4, 2, 1) if n <= length and physical % n == 0)
        try:
            value = self._machine.board.bus.read(physical, width)
            while value is None and width > 1:
                width //= 2
                value = self._machine.board.bus.read(physical, width)
        except RvemuError as error:
            raise TargetError(str(error), _EFAULT) from None
        if value is None:
            raise TargetError(f"no device answers at {physical:#x}", _EFAULT)
        return value.to_bytes(width, "little")


def _see_stage(h: Hart, stage: int, address: int, priv: int, v: int) -> _Target:
    """One stage of translation, in which a page's permissions do not matter."""
    last: list[tuple[int, int, int]] = []

    def watch(
        _: Hart, at: int, level: int, _entry: int, _physical: int, pte: int, verdict: int
    ) -> None:
        if at == stage:
            last[:] = [(level, pte, verdict)]

    outcome, found, attributes = walk(h, address & M64, LOAD, priv, 0, stage, watch)
    if outcome == OK:
        bits = int(attributes & PAGE_BITS)
        if not last:  # not translated
            return _Target(address, _SPACE - address)
        return _Target(int(found), (1 << bits) - address % (1 << bits))
    if last and last[0][2] >= Verdict.SUPERVISOR_PAGE:
        level, pte, _ = last[0]
        bits = page_bits(pte, level)
        return _Target(leaf_target(pte, level, address), (1 << bits) - address % (1 << bits))
    what = "guest-physical address " if stage == STAGE_G else ""
    raise TargetError(
        f"{what}{address:#x} is not mapped in {mode_name(priv, v)} (see `monitor walk`)", _EFAULT
    )
