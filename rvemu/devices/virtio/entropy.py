"""The virtio entropy device: random bytes for the guest.

Source: virtio: Entropy Device
"""

from __future__ import annotations

import hashlib
import os
from typing import Protocol

from rvemu.devices.virtio.device import VirtioDevice
from rvemu.devices.virtio.queue import Chain

#: The most bytes for one request. (The device may give fewer than the driver has room for.)
MAX_BYTES = 1 << 16


class Source(Protocol):
    """Where random bytes come from."""

    def take(self, length: int) -> bytes:
        """The next bytes."""

    def reset(self) -> None:
        """Begin again, if the bytes repeat."""


class HostEntropy:
    """The host's randomness. Runs of a guest that uses it do not repeat."""

    def take(self, length: int) -> bytes:
        """The next bytes."""
        return os.urandom(length)

    def reset(self) -> None:
        """They do not repeat."""


class SeededEntropy:
    """Bytes that look random and are the same in every run with the same seed: SHA-256 of the seed
    and a counter. Whoever knows the seed knows them."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = f"rvemu entropy {seed} ".encode()
        self.reset()

    def take(self, length: int) -> bytes:
        """The next bytes."""
        while len(self._left) < length:
            self._left += hashlib.sha256(self._seed + str(self._counter).encode()).digest()
            self._counter += 1
        taken = bytes(self._left[:length])
        del self._left[:length]
        return taken

    def reset(self) -> None:
        """Begin again."""
        self._counter = 0
        self._left = bytearray()


class Entropy(VirtioDevice):
    """A source of random bytes."""

    device_id = 4
    name = "virtio-rng"
    queue_sizes = (64,)

    def __init__(self, source: Source | None = None) -> None:
        super().__init__()
        self.source: Source = source or SeededEntropy()

    def request(self, index: int, chain: Chain) -> int:
        """Fill a buffer."""
        del index
        chain.write(self.source.take(min(chain.to_write, MAX_BYTES)))
        return 0
