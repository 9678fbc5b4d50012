"""What the kinds of virtio devices share: features, configuration, requests in queues."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntFlag
from typing import ClassVar

from rvemu.devices.virtio.queue import Chain, Queue

#: How much a device does for one notification, in bytes and `REQUEST_COST` for each request, before
#: the guest runs on. The rest is done a tick of time later: however much a driver asks for, the
#: host keeps control.
WORK_LIMIT = 32 << 20
REQUEST_COST = 4096


class Feature(IntFlag):
    """Feature bits of every device. (virtio: Reserved Feature Bits)"""

    INDIRECT_DESC = 1 << 28
    EVENT_IDX = 1 << 29
    VERSION_1 = 1 << 32


class VirtioDevice:
    """A device behind a transport, without registers: what the queues mean.

    The transport calls `handle` for a queue of which the driver has notified it. Requests that
    break the device raise `QueueError`.
    """

    #: virtio: Device Types
    device_id: ClassVar[int] = 0
    #: What the device is called, in memory maps and messages.
    name: ClassVar[str] = "virtio"
    #: The largest size of each queue.
    queue_sizes: ClassVar[tuple[int, ...]] = ()
    #: Whether what comes from outside is put into the driver's buffers.
    receives: ClassVar[bool] = False

    def __init__(self) -> None:
        #: Features that the device offers, without those of `Feature`.
        self.features = 0
        #: Features that the driver has accepted.
        self.negotiated = 0
        self.queues: list[Queue] = []
        #: What was done for the driver so far, as `WORK_LIMIT` counts it.
        self.moved = 0
        #: Have the transport call `handle` for a queue soon: the host side has something for it.
        self.wake: Callable[[int], None] = lambda _: None
        #: Tell the driver that the configuration has changed.
        self.config_changed: Callable[[], None] = lambda: None

    def config(self) -> bytes:
        """The configuration space."""
        return b""

    def write_config(self, offset: int, data: bytes) -> None:
        """Store into the configuration space. Fields that the driver may not write ignore it."""

    def reset(self) -> None:
        """Forget the driver; what the host side holds stays."""

    def handle(self, index: int) -> bool:
        """Do the requests in a queue. True if some are left for which there was no time.

        Raises `QueueError`.
        """
        queue = self.queues[index]
        work = 0
        while work < WORK_LIMIT:
            chain = queue.pop()
            if chain is None:
                queue.wants_notifications()
                return False
            cost = REQUEST_COST + chain.to_read + chain.to_write
            cost += self.request(index, chain)
            queue.push(chain)
            work += cost
            self.moved += cost
        return True

    def request(self, index: int, chain: Chain) -> int:
        """Do one request of a queue's. What work that was beyond its buffers, in bytes."""
        raise NotImplementedError
