"""How far long work has come, as a line on the terminal that is written over and over."""

import sys
import time
from typing import Self

# Seconds between two times that a line is `due`: nobody reads more of them.
PACE = 0.2


class StatusLine:
    """The line, on standard error; nothing if that is no terminal. A context manager, which removes
    it at the end."""

    def __init__(self) -> None:
        self._on = sys.stderr.isatty()
        self._next = 0.0

    def due(self) -> bool:
        """Whether it is time to show how far work has come that comes on in many small steps."""
        if not self._on or time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + PACE
        return True

    def show(self, text: str) -> None:
        """Put a text there."""
        if self._on:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Remove it."""
        self.show("")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()
