"""The goldfish real-time clock: nanoseconds since 1970, and an alarm.

Source: the goldfish virtual hardware guide, and the Linux driver `rtc-goldfish`, which decides
where the guide is silent.
"""

from __future__ import annotations

import time
from enum import IntEnum
from typing import Protocol

from rvemu.devices.device import Clock, InterruptLine, NoLine, UnsupportedAccess


class Register(IntEnum):
    """Register offsets."""

    TIME_LOW = 0x00  # reading it latches the high half
    TIME_HIGH = 0x04
    ALARM_LOW = 0x08  # writing it arms the alarm
    ALARM_HIGH = 0x0C
    IRQ_ENABLED = 0x10
    CLEAR_ALARM = 0x14
    ALARM_STATUS = 0x18
    CLEAR_INTERRUPT = 0x1C


_MASK32 = 0xFFFF_FFFF
_MASK64 = 0xFFFF_FFFF_FFFF_FFFF
NANOSECONDS_PER_TICK = 100  # at 10 MHz

#: 2024-01-01 00:00:00 UTC in nanoseconds: when machines that keep no wall-clock time start.
DEFAULT_EPOCH = 1_704_067_200 * 10**9


class TimeSource(Protocol):
    """Where the date comes from."""

    def now(self) -> int:
        """Nanoseconds since 1970-01-01 00:00:00 UTC."""


class MachineTime:
    """The date by the machine's own clock: it starts at `epoch` and repeats with every run."""

    def __init__(self, clock: Clock, epoch: int = DEFAULT_EPOCH) -> None:
        self.clock = clock
        self.epoch = epoch

    def now(self) -> int:
        """Nanoseconds since 1970."""
        return self.epoch + self.clock.time() * NANOSECONDS_PER_TICK


class WallTime:
    """The date by the host's clock."""

    def now(self) -> int:
        """Nanoseconds since 1970."""
        return time.time_ns()


class Rtc:
    """The clock's registers, each 32 bits wide."""

    name = "rtc"
    size = 0x1000

    def __init__(self, source: TimeSource, line: InterruptLine | None = None) -> None:
        self.source = source
        self.line: InterruptLine = line or NoLine()
        self.reset()

    def reset(self) -> None:
        """Return to the state after power-on. A date that the guest set is lost."""
        #: What the guest's date is ahead of the source's, in nanoseconds.
        self.offset = 0
        self.latched_high = 0
        self.alarm = 0
        self.alarm_armed = False
        self.irq_enabled = False
        self.irq_pending = False
        self.update()

    def now(self) -> int:
        """The guest's date in nanoseconds since 1970, 64 bits."""
        return (self.source.now() + self.offset) & _MASK64

    def deadline(self) -> int | None:
        """In how many ticks of the machine's clock, rounded up, `update` has to be called for
        the alarm to be on time. None if none is set."""
        if not self.alarm_armed:
            return None
        return max(0, -((self.now() - self.alarm) // NANOSECONDS_PER_TICK))

    def update(self) -> None:
        """Ring if the alarm's time has come, and drive the interrupt line."""
        if self.alarm_armed and self.now() >= self.alarm:
            self.alarm_armed = False
            self.irq_pending = True
        self.line.set(self.irq_pending and self.irq_enabled)

    def read(self, offset: int, width: int) -> int:
        """Read a register; those that cannot be read are 0."""
        if width != 4:
            raise UnsupportedAccess
        self.update()
        match offset:
            case Register.TIME_LOW:
                now = self.now()
                self.latched_high = now >> 32
                return now & _MASK32
            case Register.TIME_HIGH:
                return self.latched_high
            case Register.ALARM_LOW:
                return self.alarm & _MASK32
            case Register.ALARM_HIGH:
                return self.alarm >> 32
            case Register.IRQ_ENABLED:
                return int(self.irq_enabled)
            case Register.ALARM_STATUS:
                return int(self.alarm_armed)
        return 0

    def write(self, offset: int, width: int, value: int) -> None:
        """Write a register; those that cannot be written ignore it."""
        if width != 4:
            raise UnsupportedAccess
        match offset:
            case Register.TIME_LOW:
                self._set_time(self.now() & ~_MASK32 | value)
            case Register.TIME_HIGH:
                self._set_time(self.now() & _MASK32 | value << 32)
            case Register.ALARM_LOW:
                self.alarm = self.alarm & ~_MASK32 | value
                self.alarm_armed = True
            case Register.ALARM_HIGH:
                self.alarm = self.alarm & _MASK32 | value << 32
            case Register.IRQ_ENABLED:
                self.irq_enabled = bool(value & 1)
            case Register.CLEAR_ALARM:
                self.alarm_armed = False
            case Register.CLEAR_INTERRUPT:
                self.irq_pending = False
        self.update()

    def _set_time(self, value: int) -> None:
        self.offset = value - self.source.now()
