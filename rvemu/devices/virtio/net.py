"""The virtio network device: Ethernet frames between the guest and a backend on the host.

Source: virtio: Network Device
"""

from __future__ import annotations

from enum import IntFlag
from typing import Protocol

from rvemu.devices.virtio.device import REQUEST_COST, WORK_LIMIT, VirtioDevice
from rvemu.devices.virtio.device import Feature as Common
from rvemu.devices.virtio.layout import NET_CONFIG, NET_HEADER, packed
from rvemu.devices.virtio.queue import Chain, Queue

RECEIVE, TRANSMIT = 0, 1
QUEUE_SIZE = 256

#: QEMU's first address.
DEFAULT_MAC = bytes((0x52, 0x54, 0x00, 0x12, 0x34, 0x56))
ETHERNET_HEADER = 14
#: Bytes of the longest frame: no device of this one's features sends a longer one.
MAX_FRAME = 65535 + ETHERNET_HEADER
DEFAULT_MTU = 1500

_LINK_UP = 1
_HEADER = packed(NET_HEADER)
_SHORT_HEADER_SIZE = _HEADER.size - 2


class Feature(IntFlag):
    """Feature bits. (virtio: Network Device, Feature bits)"""

    MTU = 1 << 3
    MAC = 1 << 5
    MRG_RXBUF = 1 << 15
    STATUS = 1 << 16


_LONG_HEADER = int(Common.VERSION_1) | int(Feature.MRG_RXBUF)


class Backend(Protocol):
    """The host's end of the cable."""

    def send(self, frame: bytes) -> None:
        """Take a frame from the guest; it is lost if it cannot be delivered now."""

    def receive(self) -> bytes | None:
        """The next frame for the guest, which has room for it; None if there is none."""


class Net(VirtioDevice):
    """A network card. The host side calls `wake(RECEIVE)` when the backend has frames.

    mtu: bytes that a frame carries, at most; the guest is told so if it is not the usual 1500.
    """

    device_id = 1
    name = "virtio-net"
    queue_sizes = (QUEUE_SIZE, QUEUE_SIZE)
    receives = True

    def __init__(self, backend: Backend, mac: bytes = DEFAULT_MAC, mtu: int = DEFAULT_MTU) -> None:
        super().__init__()
        self.backend = backend
        self.mac = mac
        self.mtu = mtu
        self.features = Feature.MAC | Feature.STATUS | Feature.MRG_RXBUF
        if mtu != DEFAULT_MTU:
            self.features |= Feature.MTU
        #: Frames that the guest had no room for in its buffers, or that were no frames.
        self.dropped = 0
        self._waiting: bytes | None = None  # a frame for which there was no buffer yet

    def config(self) -> bytes:
        """See `NET_CONFIG`."""
        fields = {
            "mac": self.mac,
            "status": _LINK_UP,
            "max_virtqueue_pairs": 1,
            "mtu": self.mtu,
        }
        return bytes(NET_CONFIG.build(fields))

    def reset(self) -> None:
        """Forget the driver, and frames that it did not take."""
        self._waiting = None

    @property
    def header_size(self) -> int:
        """Bytes before each frame. (virtio: Legacy Interface: Device Operation)"""
        return _HEADER.size if self.negotiated & _LONG_HEADER else _SHORT_HEADER_SIZE

    def handle(self, index: int) -> bool:
        """Send the guest's frames, or give it those that have come."""
        if index == RECEIVE:
            return self._receive()
        left = super().handle(index)
        self.wake(RECEIVE)  # the backend may have an answer already
        return left

    def request(self, index: int, chain: Chain) -> int:
        """Send a frame. (virtio: Packet Transmission)"""
        del index
        chain.read(self.header_size)  # says nothing: no offload was offered
        frame = chain.read(chain.to_read) if chain.to_read <= MAX_FRAME else b""
        if len(frame) >= ETHERNET_HEADER:
            self.backend.send(frame)
        else:
            self.dropped += 1
        return 0

    def _receive(self) -> bool:
        """Fill the guest's buffers, as long as there are both."""
        queue = self.queues[RECEIVE]
        header_size = self.header_size
        merge = bool(self.negotiated & Feature.MRG_RXBUF)
        work = 0
        while work < WORK_LIMIT:
            frame = self._waiting if self._waiting is not None else self.backend.receive()
            self._waiting = None
            if frame is None:
                # Buffers are plenty: no need to hear of each new one.
                queue.wants_notifications(False)
                return False
            work += REQUEST_COST + len(frame)
            if not self._deliver(queue, frame, header_size, merge):
                self._waiting = frame
                queue.wants_notifications()
                return False
        return True

    def _deliver(self, queue: Queue, frame: bytes, header_size: int, merge: bool) -> bool:
        """Put a frame into buffers. False if there are none. (virtio: Processing of Incoming
        Packets)"""
        room = 0
        chains: list[Chain] = []
        while room < header_size + len(frame):
            chain = queue.pop()
            if chain is None:
                for _ in chains:
                    queue.unpop()
                return False
            chains.append(chain)
            room += chain.to_write
            if not merge or len(chains) == queue.size:
                break
        if room < header_size + len(frame):
            # The buffers go back empty.
            self.dropped += 1
        else:
            header = _HEADER.pack(0, 0, 0, 0, 0, 0, len(chains))[:header_size]
            data = memoryview(header + frame)
            for chain in chains:
                count = min(chain.to_write, len(data))
                chain.write(data[:count])
                data = data[count:]
        for chain in chains:
            queue.push(chain)
        return True
