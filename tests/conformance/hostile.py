"""Programs that harm the worker that is given them. (In a module that a worker can import.)"""

import os
import time

from rvemu.conformance.discover import Program


class Deadly(Program):
    """Kills the process that it arrives in."""

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return kill_oneself, ()


class Endless(Program):
    """Keeps the process busy that it arrives in."""

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return time.sleep, (3600,)


def kill_oneself() -> None:
    """Die as a crash would."""
    os.kill(os.getpid(), 9)
