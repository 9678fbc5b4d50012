"""Software and timer interrupts: the ACLINT's MSWI and MTIMER devices, laid out as a CLINT.

Source: RISC-V Advanced Core Local Interruptor specification 1.0, and for the layout the SiFive
CLINT that it is compatible with.

The device holds no time and compares nothing. `mtime` is the machine's clock, and each hart
keeps its own `mtimecmp`, which an engine compares without coming here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rvemu.devices.device import Clock, InterruptLine, UnsupportedAccess

_MSIP = 0x0000  # 4 bytes for each hart
_MTIMECMP = 0x4000  # 8 bytes for each hart
_MTIME = 0xBFF8
_END = 0xC000
_MASK32 = 0xFFFF_FFFF


class TimerPort(Protocol):
    """A hart's side of the timer."""

    #: 64 bits. The hart's MTIP is pending while mtime >= mtimecmp, and assigning to this makes
    #: the hart look at once.
    mtimecmp: int


class Aclint:
    """MSWI and MTIMER for the harts whose ports are given, in the order of their hart ids."""

    name = "clint"
    size = 0x10000

    def __init__(
        self, clock: Clock, timers: Sequence[TimerPort], msip_lines: Sequence[InterruptLine]
    ) -> None:
        assert len(timers) == len(msip_lines)
        self.clock = clock
        self.timers = timers
        self.msip_lines = msip_lines
        self.reset()

    def reset(self) -> None:
        """Withdraw all software interrupts. `mtimecmp` is reset with its hart."""
        self.msip = [False] * len(self.msip_lines)
        self.update()

    def update(self) -> None:
        """Drive every hart's MSIP."""
        for line, level in zip(self.msip_lines, self.msip, strict=True):
            line.set(level)

    def read(self, offset: int, width: int) -> int:
        """Read `msip` (32 bits wide), `mtimecmp` or `mtime` (64, or either half of them).

        The registers of harts that there are not read as zero.
        """
        if offset < _MTIMECMP and width == 4:
            hart = (offset - _MSIP) // 4
            return int(self.msip[hart]) if hart < len(self.msip) else 0
        self._check(offset, width)
        return self._read64(offset & ~7) >> 8 * (offset & 4) & (1 << 8 * width) - 1

    def write(self, offset: int, width: int, value: int) -> None:
        """Write `msip` (bit 0), `mtimecmp` or `mtime`, or a half of the latter two."""
        if offset < _MTIMECMP and width == 4:
            hart = (offset - _MSIP) // 4
            if hart < len(self.msip):
                self.msip[hart] = bool(value & 1)
                self.msip_lines[hart].set(self.msip[hart])
            return
        self._check(offset, width)
        if width == 4:
            shift = 8 * (offset & 4)
            value = self._read64(offset & ~7) & ~(_MASK32 << shift) | value << shift
        self._write64(offset & ~7, value)

    def _check(self, offset: int, width: int) -> None:
        if not _MTIMECMP <= offset < _END or width not in (4, 8):
            raise UnsupportedAccess

    def _read64(self, offset: int) -> int:
        if offset == _MTIME:
            return self.clock.time()
        hart = (offset - _MTIMECMP) // 8
        return self.timers[hart].mtimecmp if hart < len(self.timers) else 0

    def _write64(self, offset: int, value: int) -> None:
        if offset == _MTIME:
            self.clock.set_time(value)
        else:
            hart = (offset - _MTIMECMP) // 8
            if hart < len(self.timers):
                self.timers[hart].mtimecmp = value
