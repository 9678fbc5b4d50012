"""The virtio transport of the 9P protocol: a folder of the host's, shared with the guest.

Linux mounts it with `mount -t 9p -o trans=virtio,version=9p2000.L TAG /mnt`.

Source: the 9P transport of virtio has device id 9 in virtio: Device Types; its configuration space
and queue are those of Linux's driver, net/9p/trans_virtio.c.
"""

from __future__ import annotations

from enum import IntFlag
from typing import Protocol

from rvemu.devices.virtio.device import VirtioDevice
from rvemu.devices.virtio.layout import P9_CONFIG
from rvemu.devices.virtio.queue import Chain, QueueError

#: Bytes of the largest message.
MAX_MESSAGE = 512 << 10

_SMALLEST_REPLY = 11  # an error
# The guest runs on after some tens of requests that may read a disk of the host's.
_WORK = 1 << 19


class Feature(IntFlag):
    """Feature bits."""

    MOUNT_TAG = 1 << 0


class Server(Protocol):
    """What answers."""

    def reset(self) -> None:
        """Forget the client."""

    def answer(self, message: bytes, room: int) -> bytes:
        """The answer to a message, of at most `room` bytes."""


class P9(VirtioDevice):
    """A channel for 9P messages. tag: the name by which the guest mounts it."""

    device_id = 9
    name = "virtio-9p"
    queue_sizes = (128,)

    def __init__(self, server: Server, tag: str) -> None:
        super().__init__()
        self.server = server
        self.features = Feature.MOUNT_TAG
        name = tag.encode()
        self._config = bytes(P9_CONFIG.build({"tag_len": len(name), "tag": name}))

    def config(self) -> bytes:
        """See `P9_CONFIG`."""
        return self._config

    def reset(self) -> None:
        """Forget the driver."""
        self.server.reset()

    def request(self, index: int, chain: Chain) -> int:
        """Answer a message."""
        del index
        room = min(chain.to_write, MAX_MESSAGE)
        if chain.to_read > MAX_MESSAGE or room < _SMALLEST_REPLY:
            raise QueueError("a 9P message that is too long, or without room for its answer")
        chain.write(self.server.answer(chain.read(chain.to_read), room))
        return _WORK
