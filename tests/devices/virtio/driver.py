"""A small virtio driver: what a guest does with a transport's registers and with memory."""

import struct

from rvemu.devices.virtio.mmio import MmioTransport, Register
from rvemu.memory import Ram

BASE = 0x8000_0000
SIZE = 4 << 20
BUFFERS = BASE + (1 << 20)

NEXT, WRITE, INDIRECT = 1, 2, 4
VERSION_1, INDIRECT_DESC, EVENT_IDX = 1 << 32, 1 << 28, 1 << 29
ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, NEEDS_RESET = 1, 2, 4, 8, 64


class Line:
    level = False

    def set(self, level: bool) -> None:
        self.level = level


class Ring:
    """A virtqueue, from the driver's side."""

    def __init__(self, driver: "Driver", number: int, size: int = 16) -> None:
        self.driver = driver
        self.number = number
        self.size = size
        base = BASE + number * 0x10000
        self.descriptors, self.available, self.used = base, base + 0x5000, base + 0x8000
        self.made = 0  # the available ring's index
        self.seen = 0  # of the used ring
        self.free = 0

    def set_up(self) -> None:
        put, ram = self.driver.put, self.driver.ram
        for address, length in (
            (self.available, 6 + 2 * self.size),
            (self.used, 6 + 8 * self.size),
        ):
            if ram.contains(address, length):
                ram.zero(address, length)
        put(Register.QUEUE_SEL, self.number)
        put(Register.QUEUE_NUM, self.size)
        for low, address in (
            (Register.QUEUE_DESC_LOW, self.descriptors),
            (Register.QUEUE_DRIVER_LOW, self.available),
            (Register.QUEUE_DEVICE_LOW, self.used),
        ):
            put(low, address & 0xFFFF_FFFF)
            put(low + 4, address >> 32)
        put(Register.QUEUE_READY, 1)

    def descriptor(self, n: int, address: int, length: int, flags: int = 0, after: int = 0) -> None:
        data = struct.pack("<QIHH", address, length, flags, after)
        self.driver.ram.write(self.descriptors + 16 * n, data)

    def chain(self, *buffers: tuple[int, int, int]) -> int:
        """Write descriptors for buffers (address, length, flags), and return the first's number."""
        head = self.free
        for n, (address, length, flags) in enumerate(buffers):
            last = n == len(buffers) - 1
            here = (head + n) % self.size
            self.descriptor(
                here, address, length, flags | (0 if last else NEXT), (here + 1) % self.size
            )
        self.free = (head + len(buffers)) % self.size
        return head

    def offer(self, *heads: int) -> None:
        """Make chains available."""
        ram = self.driver.ram
        for head in heads:
            at = self.available + 4 + 2 * (self.made % self.size)
            ram.write(at, struct.pack("<H", head))
            self.made = (self.made + 1) & 0xFFFF
        ram.write(self.available + 2, struct.pack("<H", self.made))

    def notify(self) -> None:
        self.driver.put(Register.QUEUE_NOTIFY, self.number)

    def wants_notification(self) -> bool:
        """Whether the device wants to hear of the latest chain that was offered."""
        ram = self.driver.ram
        if not self.driver.transport.device.negotiated & EVENT_IDX:
            return not ram.read(self.used, 1)[0] & 1
        (event,) = struct.unpack("<H", ram.read(self.used + 4 + 8 * self.size, 2))
        return event == (self.made - 1) & 0xFFFF

    def submit(self, *buffers: tuple[int, int, int]) -> int:
        """Offer one chain and notify the device; the chain's head."""
        head = self.chain(*buffers)
        self.offer(head)
        self.notify()
        return head

    def taken(self) -> list[tuple[int, int]]:
        """What the device has put into the used ring since: heads and lengths."""
        ram, found = self.driver.ram, []
        (index,) = struct.unpack("<H", ram.read(self.used + 2, 2))
        while self.seen != index:
            at = self.used + 4 + 8 * (self.seen % self.size)
            found.append(struct.unpack("<II", ram.read(at, 8)))
            self.seen = (self.seen + 1) & 0xFFFF
        return found


class Driver:
    """A driver of one device: `start` does the dance of the specification."""

    def __init__(self, device=None, ram: Ram | None = None) -> None:
        self.ram = ram or Ram(BASE, SIZE)
        self.line = Line()
        self.transport = MmioTransport(self.ram, self.line, device)
        self.rings: list[Ring] = []

    def get(self, register: int) -> int:
        return self.transport.read(register, 4)

    def put(self, register: int, value: int) -> None:
        self.transport.write(register, 4, value)

    def offered(self) -> int:
        self.put(Register.DEVICE_FEATURES_SEL, 0)
        low = self.get(Register.DEVICE_FEATURES)
        self.put(Register.DEVICE_FEATURES_SEL, 1)
        return self.get(Register.DEVICE_FEATURES) << 32 | low

    def accept(self, features: int) -> bool:
        for half in range(2):
            self.put(Register.DRIVER_FEATURES_SEL, half)
            self.put(Register.DRIVER_FEATURES, features >> 32 * half & 0xFFFF_FFFF)
        self.put(Register.STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK)
        return bool(self.get(Register.STATUS) & FEATURES_OK)

    def start(self, *queues: int, features: int = VERSION_1, size: int = 16) -> "Driver":
        self.put(Register.STATUS, 0)
        self.put(Register.STATUS, ACKNOWLEDGE)
        self.put(Register.STATUS, ACKNOWLEDGE | DRIVER)
        assert self.accept(features)
        self.rings = [Ring(self, n, size) for n in (queues or (0,))]
        for ring in self.rings:
            ring.set_up()
        self.put(Register.STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK)
        return self

    @property
    def broken(self) -> bool:
        return bool(self.get(Register.STATUS) & NEEDS_RESET)

    def acknowledge(self) -> int:
        """Read and clear the interrupt status."""
        status = self.get(Register.INTERRUPT_STATUS)
        self.put(Register.INTERRUPT_ACK, status)
        return status
