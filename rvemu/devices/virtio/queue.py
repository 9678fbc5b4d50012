"""Split virtqueues: descriptor chains that the driver makes available, and used ones.

Nothing in them is trusted. What the driver may not do raises `QueueError`, on which the transport
declares that the device needs a reset; no chain is longer than the queue or the indirect table
allows, and no byte outside guest memory is touched.

Source: virtio: Split Virtqueues.
"""

from __future__ import annotations

from typing import NamedTuple

from rvemu.devices.virtio.layout import (
    AVAILABLE_ELEMENT,
    DESCRIPTOR,
    RING,
    USED_ELEMENT,
    packed,
)
from rvemu.memory import Ram

F_NEXT, F_WRITE, F_INDIRECT = 1, 2, 4  # of a descriptor
F_NO_INTERRUPT = 1  # of the available ring
F_NO_NOTIFY = 1  # of the used ring

#: The most descriptors in a queue, and in an indirect table.
MAX_CHAIN = 1024

_DESCRIPTOR = packed(DESCRIPTOR)
_RING = packed(RING)
_INDEX = packed(AVAILABLE_ELEMENT)
_USED = packed(USED_ELEMENT)
_FLAGS_AT, _INDEX_AT, _ENTRIES_AT = 0, 2, _RING.size


class QueueError(Exception):
    """The driver broke a rule: the device cannot go on."""


class Segment(NamedTuple):
    """A buffer in guest memory, all of it: physical address and length in bytes."""

    address: int
    length: int


class Chain:
    """A request: bytes to read from the driver, then bytes to write for it.

    Both are read and written in order, whatever way the driver divided them into descriptors, as
    the specification demands ("Message Framing").
    """

    def __init__(
        self, memory: Ram, head: int, readable: list[Segment], writable: list[Segment]
    ) -> None:
        self.head = head
        #: More bytes than this there are only where buffers overlap.
        self.limit = memory.size
        self._memory = memory
        self._readable = readable
        self._writable = writable
        #: Bytes not yet read, and not yet written.
        self.to_read = sum(segment.length for segment in readable)
        self.to_write = sum(segment.length for segment in writable)
        #: Bytes written so far, up to the first that was skipped.
        self.written = 0
        self._skipped = False
        self._read_at = self._write_at = 0  # segment numbers
        self._read_offset = self._write_offset = 0  # in these

    def read(self, length: int) -> bytes:
        """The next bytes from the driver, fewer if there are not so many."""
        if self._read_at < len(self._readable) and self._read_offset == 0:
            segment = self._readable[self._read_at]
            if segment.length == length:  # the usual case: the driver's framing is the request's
                self._read_at += 1
                self.to_read -= length
                return self._memory.read(segment.address, length)
        parts = []
        left = min(length, self.to_read)
        self.to_read -= left
        while left:
            segment = self._readable[self._read_at]
            count = min(left, segment.length - self._read_offset)
            parts.append(self._memory.read(segment.address + self._read_offset, count))
            left -= count
            self._read_offset += count
            if self._read_offset == segment.length:
                self._read_at, self._read_offset = self._read_at + 1, 0
        return b"".join(parts)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Give the driver the next bytes; there must be room for them (`to_write`)."""
        length = len(data)
        assert length <= self.to_write
        self.to_write -= length
        if not self._skipped:
            self.written += length
        start = 0
        view = memoryview(data)
        while start < length:
            segment = self._writable[self._write_at]
            count = min(length - start, segment.length - self._write_offset)
            self._memory.write(segment.address + self._write_offset, view[start : start + count])
            start += count
            self._write_offset += count
            if self._write_offset == segment.length:
                self._write_at, self._write_offset = self._write_at + 1, 0

    def skip(self, length: int) -> None:
        """Leave the next bytes for the driver as they are; there must be as many."""
        assert length <= self.to_write
        self.to_write -= length
        self._skipped |= length > 0
        while length:
            segment = self._writable[self._write_at]
            count = min(length, segment.length - self._write_offset)
            length -= count
            self._write_offset += count
            if self._write_offset == segment.length:
                self._write_at, self._write_offset = self._write_at + 1, 0


class Queue:
    """A virtqueue of at most `max_size` entries, in guest memory.

    Addresses are physical, sizes are in entries, ring indexes count modulo 2^16.
    """

    def __init__(self, memory: Ram, max_size: int) -> None:
        assert 0 < max_size <= MAX_CHAIN
        assert not max_size & (max_size - 1)
        self._memory = memory
        self._view = memory.view
        self.max_size = max_size
        self.reset()

    def reset(self) -> None:
        """As after the device's reset."""
        self.ready = False
        self.size = self.max_size
        self.descriptors = 0
        self.available = 0
        self.used = 0
        #: Whether VIRTIO_F_INDIRECT_DESC and VIRTIO_F_EVENT_IDX were negotiated.
        self.indirect = False
        self.event_index = False
        self._next_available = 0
        self._next_used = 0
        self._published = 0
        self._signalled_used = 0  # where `needs_interrupt` was last asked

    def enable(self) -> None:
        """Begin to use the rings that the driver has set up.

        Raises `QueueError` where the size is none, or where a part is not aligned, or not all in
        guest memory. (virtio: Split Virtqueues)
        """
        size = self.size
        if not 0 < size <= self.max_size or size & (size - 1):
            raise QueueError(f"a queue of {size} entries")
        for address, alignment, length in (
            (self.descriptors, 16, size * _DESCRIPTOR.size),
            (self.available, 2, _ENTRIES_AT + size * _INDEX.size + 2),
            (self.used, 4, _ENTRIES_AT + size * _USED.size + 2),
        ):
            if address % alignment or not self._memory.contains(address, length):
                raise QueueError(f"part of a queue at {address:#x}")
        self.ready = True
        base = self._memory.base
        self._descriptors_at = self.descriptors - base  # offsets in the view
        self._available_at = self.available - base
        self._used_at = self.used - base
        self._available_event_at = self._used_at + _ENTRIES_AT + size * _USED.size
        self._used_event_at = self._available_at + _ENTRIES_AT + size * _INDEX.size

    def pop(self) -> Chain | None:
        """The next request that the driver made available; None if there is none."""
        if not self.ready:
            return None
        view, size = self._view, self.size
        available = self._available_at
        (index,) = _INDEX.unpack_from(view, available + _INDEX_AT)
        waiting = (index - self._next_available) & 0xFFFF
        if not waiting:
            return None
        if waiting > size:
            raise QueueError(f"{waiting} entries available in a queue of {size}")
        slot = self._next_available & (size - 1)
        (head,) = _INDEX.unpack_from(view, available + _ENTRIES_AT + slot * _INDEX.size)
        self._next_available = (self._next_available + 1) & 0xFFFF
        return self._walk(head)

    def unpop(self) -> None:
        """Take back the latest `pop`: the request stays available."""
        self._next_available = (self._next_available - 1) & 0xFFFF

    def _walk(self, head: int) -> Chain:
        """Follow a chain from its head."""
        table, size = self._descriptors_at, self.size
        memory, view = self._memory, self._view
        readable: list[Segment] = []
        writable: list[Segment] = []
        index, direct = head, True
        left = size
        while True:
            if index >= size:
                raise QueueError(f"descriptor {index} of {size}")
            if not left:
                raise QueueError("a chain of descriptors with a loop")
            left -= 1
            address, length, flags, following = _DESCRIPTOR.unpack_from(view, table + index * 16)
            if flags & F_INDIRECT:
                if not (direct and self.indirect) or flags & F_NEXT:
                    raise QueueError("an indirect descriptor where there may be none")
                size = length // _DESCRIPTOR.size
                if length % _DESCRIPTOR.size or not 0 < size <= MAX_CHAIN:
                    raise QueueError(f"an indirect table of {length} bytes")
                self._check(address, length)
                table, index, left, direct = address - memory.base, 0, size, False
                continue
            self._check(address, length)
            if flags & F_WRITE:
                writable.append(Segment(address, length))
            elif writable:
                raise QueueError("a readable descriptor after a writable one")
            else:
                readable.append(Segment(address, length))
            if not flags & F_NEXT:
                return Chain(memory, head, readable, writable)
            index = following

    def _check(self, address: int, length: int) -> None:
        if not self._memory.contains(address, length):
            raise QueueError(f"{length} bytes at {address:#x}, which are not all in memory")

    def push(self, chain: Chain) -> None:
        """Give a request back, with as many bytes written as it says. The driver sees it after
        `publish`."""
        slot = self._next_used & (self.size - 1)
        at = self.used + _ENTRIES_AT + slot * _USED.size
        self._memory.write(at, _USED.pack(chain.head, min(chain.written, 0xFFFF_FFFF)))
        self._next_used = (self._next_used + 1) & 0xFFFF

    def publish(self) -> None:
        """Let the driver see what was pushed."""
        if self._next_used != self._published:
            self._published = self._next_used
            self._memory.write(self.used + _INDEX_AT, _INDEX.pack(self._next_used))

    def wants_notifications(self, wanted: bool = True) -> None:
        """Tell the driver whether to notify the device of the next request.

        It is a hint, and a driver may do it anyway. (virtio: Available Buffer Notification
        Suppression)
        """
        if not self.ready:
            return
        if self.event_index:
            # Not to be told takes no write: the event lies behind the driver's index.
            at, value = self._available_event_at, self._next_available
            if not wanted:
                return
        else:
            at, value = self._used_at + _FLAGS_AT, 0 if wanted else F_NO_NOTIFY
        if _INDEX.unpack_from(self._view, at)[0] != value:
            self._memory.write(self._memory.base + at, _INDEX.pack(value))

    def needs_interrupt(self) -> bool:
        """Whether the driver wants to know of what was pushed since this was last asked.

        Source: virtio: Used Buffer Notification Suppression
        """
        old, new = self._signalled_used, self._next_used
        if old == new:
            return False
        self._signalled_used = new
        if self.event_index:
            (event,) = _INDEX.unpack_from(self._view, self._used_event_at)
            return int(new - event - 1) & 0xFFFF < (new - old) & 0xFFFF
        (flags,) = _INDEX.unpack_from(self._view, self._available_at + _FLAGS_AT)
        return not flags & F_NO_INTERRUPT
