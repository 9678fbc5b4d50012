"""Guest time."""

import time
from collections.abc import Callable, Sequence

from rvemu.hart.counters import request_poll
from rvemu.hart.state import Hart, Shared
from rvemu.lang import M64

# mtime counts at 10 MHz, one tick for this many instructions (a 1 GHz hart that
# retires one instruction a cycle), where it does not follow the host's clock.
CLOCKS_PER_TICK = 100
TICKS_PER_SECOND = 10_000_000


class MachineClock:
    """mtime, for the devices: it follows the machine's clock, which `now` gives."""

    def __init__(self, shared: Shared, harts: Sequence[Hart], now: Callable[[], int]) -> None:
        self._shared = shared
        self._harts = harts
        self._now = now

    def time(self) -> int:
        """mtime, in ticks of 100 ns."""
        shared = self._shared
        return int(self._now() // shared.clock_per_tick + shared.time_offset) & M64

    def set_time(self, value: int) -> None:
        """Make mtime go on from a value."""
        shared = self._shared
        shared.time_offset = (value - self._now() // shared.clock_per_tick) & M64
        for hart in self._harts:
            request_poll(hart)


class WallClock(MachineClock):
    """mtime follows the host's clock: `follow` is called between slices of instructions, within
    which it follows the machine's. seconds: the host's clock, which never goes back."""

    def __init__(
        self,
        shared: Shared,
        harts: Sequence[Hart],
        now: Callable[[], int],
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(shared, harts, now)
        self._seconds = seconds
        self._host_start = seconds()
        self._guest_start = 0

    def set_time(self, value: int) -> None:
        """Make mtime go on from a value."""
        self._guest_start = (self._guest_start + value - self.time()) & M64
        super().set_time(value)

    def go_on(self) -> None:
        """What time has passed on the host's clock passes unseen: the machine stood still."""
        self._host_start = self._seconds()
        self._guest_start = self.time()

    def follow(self) -> None:
        """Make it as late for the guest as for the host. Where the guest was quicker, it has to
        wait for the host: time never goes back."""
        ticks = int((self._seconds() - self._host_start) * TICKS_PER_SECOND)
        now = self.time()
        behind = (self._guest_start + ticks - now) & M64
        if 0 < behind < 1 << 63:
            super().set_time((now + behind) & M64)
