"""Guest time."""

from collections.abc import Callable, Sequence

from rvemu.hart.counters import request_poll
from rvemu.hart.state import Hart, Shared
from rvemu.lang import M64

# mtime counts at 10 MHz, one tick for this many instructions (a 1 GHz hart that
# retires one instruction a cycle).
CLOCKS_PER_TICK = 100


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
