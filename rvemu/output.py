"""What a guest prints, on its way to whoever wants it."""

import sys
from collections.abc import Callable

_MAX_HELD = 1 << 16


class GuestOutput:
    """Collects what a guest prints byte by byte, to be handed over in larger pieces."""

    def __init__(self, take: Callable[[bytes], None] | None = None) -> None:
        #: Takes the pieces; without it they go to stdout.
        self.take = take
        self._held = bytearray()

    def add(self, data: bytes) -> None:
        """The guest has printed something."""
        self._held += data
        if len(self._held) >= _MAX_HELD:
            self.flush()

    def flush(self) -> None:
        """Hand over what there is."""
        if not self._held:
            return
        data = bytes(self._held)
        self._held.clear()
        if self.take is not None:
            self.take(data)
        elif (stream := getattr(sys.stdout, "buffer", None)) is not None:
            stream.write(data)
            stream.flush()
        else:  # a notebook's stdout takes text only
            sys.stdout.write(data.decode("utf-8", "replace"))
