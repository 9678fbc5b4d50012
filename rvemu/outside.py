"""Events from outside the machine: what to wait for while the guest has nothing to do."""

from __future__ import annotations

import select
import time
from collections.abc import Sequence
from typing import Protocol

from rvemu.board import TIMEBASE_FREQUENCY

READABLE, WRITABLE = select.POLLIN, select.POLLOUT

#: Seconds that one wait lasts, at most: a request to stop is seen thereafter.
_LONGEST = 0.1


class Outside(Protocol):
    """Something on the host that may have a machine go on, as a network."""

    def descriptors(self) -> Sequence[tuple[int, int]]:
        """File descriptors to wait for, with `READABLE` and `WRITABLE`."""

    def timeout(self) -> float | None:
        """After how many seconds it wants `poll` called in any case; None if it need not be."""

    def poll(self) -> None:
        """Take and give what can be had without blocking."""


def wait_outside(sources: Sequence[Outside], ticks: int | None, console: int | None = None) -> int:
    """Wait for one of the sources or the console's descriptor, for so many ticks of mtime (None:
    for as long as one wait lasts), as a clock on the wall counts them. How many have passed."""
    started = time.monotonic()
    wanted: dict[int, int] = {}
    limit = _LONGEST if ticks is None else min(_LONGEST, ticks / TIMEBASE_FREQUENCY)
    if console is not None:
        wanted[console] = READABLE
    for source in sources:
        for descriptor, events in source.descriptors():
            wanted[descriptor] = wanted.get(descriptor, 0) | events
        wish = source.timeout()
        if wish is not None:
            limit = min(limit, wish)
    poller = select.poll()
    for descriptor, events in wanted.items():
        poller.register(descriptor, events)
    poller.poll(limit * 1000)
    for source in sources:
        source.poll()
    passed = int((time.monotonic() - started) * TIMEBASE_FREQUENCY) + 1
    return passed if ticks is None else min(ticks, passed)
