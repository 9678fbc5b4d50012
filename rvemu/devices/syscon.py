"""The SiFive test finisher: how a guest ends or restarts its machine.

Linux and OpenSBI use it as the register of `syscon-poweroff` and `syscon-reboot`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from rvemu.devices.device import UnsupportedAccess

FAIL = 0x3333
PASS = 0x5555
RESET = 0x7777


class Ending(Enum):
    """What the guest asked for."""

    PASS = "pass"
    FAIL = "fail"
    RESET = "reset"


class Finisher:
    """One register. Its low 16 bits say how the machine is to end; with FAIL, the 16 bits above
    are the exit code."""

    name = "test"
    size = 0x1000

    def __init__(self, on_exit: Callable[[int, Ending], None] | None = None) -> None:
        #: Called with the exit code and how it came about. The code is 0 unless it is a FAIL,
        #: and never 0 then: a guest that reports a failure must not look like a success.
        self.on_exit = on_exit

    def read(self, offset: int, width: int) -> int:
        """Nothing can be read: 0, for 16 and 32 bits."""
        del offset
        self._check(width)
        return 0

    def write(self, offset: int, width: int, value: int) -> None:
        """Write 16 or 32 bits at offset 0; other offsets and unknown values do nothing."""
        self._check(width)
        if offset or self.on_exit is None:
            return
        how = value & 0xFFFF
        if how == PASS:
            self.on_exit(0, Ending.PASS)
        elif how == FAIL:
            self.on_exit(value >> 16 or 1, Ending.FAIL)
        elif how == RESET:
            self.on_exit(0, Ending.RESET)

    def update(self) -> None:
        """It has no interrupt."""

    def reset(self) -> None:
        """It has no state."""

    def _check(self, width: int) -> None:
        if width not in (2, 4):
            raise UnsupportedAccess
