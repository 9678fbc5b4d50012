"""What every device offers, and the two small interfaces that it uses."""

from __future__ import annotations

from typing import Protocol


class UnsupportedAccess(Exception):  # noqa: N818 - control flow, not an error
    """The device decodes no register at this offset, or not at this width.

    The bus reports such an access as unanswered, and the guest takes an access fault.
    """


class InterruptLine(Protocol):
    """A level-triggered wire to an interrupt controller or a hart."""

    def set(self, level: bool) -> None:
        """Drive the wire; driving the level that it already has changes nothing."""


class Clock(Protocol):
    """The machine's time. Devices keep none of their own, so that runs repeat exactly."""

    def time(self) -> int:
        """The value of `mtime`: 64 bits, in ticks of the timebase frequency (10 MHz)."""

    def set_time(self, value: int) -> None:
        """Make `time()` go on from `value`, as a guest's store to `mtime` does."""


class Device(Protocol):
    """A block of registers with, perhaps, an interrupt line.

    It knows neither its base address nor any hart, and never raises a guest's exception. State
    is kept in plain attributes, so that a machine can be saved.
    """

    name: str
    #: Bytes of address space that the registers take.
    size: int

    def read(self, offset: int, width: int) -> int:
        """The unsigned value of `width` (1, 2, 4 or 8) bytes at `offset`, which is a multiple of
        `width`. Raises `UnsupportedAccess`."""

    def write(self, offset: int, width: int, value: int) -> None:
        """Store an unsigned value of `width` bytes at `offset`. Raises `UnsupportedAccess`."""

    def update(self) -> None:
        """Recompute the interrupt line from the registers and drive it."""

    def reset(self) -> None:
        """Return to the state after power-on."""


class NoLine:
    """An interrupt line that leads nowhere."""

    def set(self, level: bool) -> None:
        """Nothing listens."""
