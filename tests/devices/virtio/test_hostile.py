"""A driver that means harm: whatever it writes to registers, rings and descriptors, no exception
comes out of a device, and nothing outside of guest memory and the disk is touched."""

import struct
import time
from collections import deque

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rvemu.devices.virtio.block import Block
from rvemu.devices.virtio.console import Console
from rvemu.devices.virtio.device import VirtioDevice
from rvemu.devices.virtio.entropy import Entropy
from rvemu.devices.virtio.mmio import MmioTransport, Register
from rvemu.devices.virtio.net import Net
from rvemu.devices.virtio.p9 import MAX_MESSAGE, P9
from rvemu.memory import Ram
from tests.devices.virtio.driver import Driver, Line, Ring

BASE, SIZE = 0x8000_0000, 0x10000
END = BASE + SIZE

FUZZ = settings(
    max_examples=150, deadline=2000, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


class Disk:
    """A disk of 64 sectors that minds its borders."""

    name, size, read_only = "disk", 64 * 512, False

    def __init__(self) -> None:
        self.data = bytearray(self.size)

    def _check(self, offset: int, length: int) -> None:
        assert 0 <= offset <= offset + length <= self.size

    def read(self, offset: int, length: int) -> bytes:
        self._check(offset, length)
        return bytes(self.data[offset : offset + length])

    def write(self, offset: int, data: bytes) -> None:
        self._check(offset, len(data))
        self.data[offset : offset + len(data)] = data

    def zero(self, offset: int, length: int, *, unmap: bool = False) -> None:
        del unmap
        self._check(offset, length)

    def discard(self, offset: int, length: int) -> None:
        self._check(offset, length)

    def flush(self) -> None: ...

    def close(self) -> None: ...


class Loop:
    """A cable whose ends are joined."""

    def __init__(self) -> None:
        self.frames: deque[bytes] = deque(maxlen=64)

    def send(self, frame: bytes) -> None:
        assert len(frame) < 70_000
        self.frames.append(frame)

    def receive(self) -> bytes | None:
        return self.frames.popleft() if self.frames else None


class Talker:
    """A server that always says as much as it may."""

    def reset(self) -> None: ...

    def answer(self, message: bytes, room: int) -> bytes:
        assert len(message) <= MAX_MESSAGE and 11 <= room <= MAX_MESSAGE
        return bytes(room)


MAKERS = {
    "block": lambda: Block(Disk()),
    "net": lambda: Net(Loop()),
    "console": lambda: Console(lambda data: None),  # noqa: ARG005
    "entropy": Entropy,
    "9p": lambda: P9(Talker(), "tag"),
}

edges = st.sampled_from(
    [0, 1, 2, 15, 16, 17, 512, 4096, SIZE - 1, SIZE, BASE - 1, BASE, BASE + 16, END - 16, END - 1]
    + [END, 1 << 31, (1 << 32) - 1, 1 << 63, (1 << 64) - 1]
)
numbers = edges | st.integers(0, (1 << 64) - 1)
addresses = st.integers(BASE, END - 1) | edges
lengths = st.sampled_from([0, 1, 7, 12, 16, 17, 512, 513, 4096, SIZE, (1 << 32) - 1]) | st.integers(
    0, (1 << 32) - 1
)
descriptors = st.tuples(addresses, lengths, st.integers(0, 7), st.integers(0, 20))
registers = st.sampled_from(list(Register)) | st.integers(0, 0x3FF).map(lambda n: n * 4)


def start(device: VirtioDevice, features: int) -> Driver:
    """The device, set up as a decent driver would."""
    driver = Driver.__new__(Driver)
    driver.ram, driver.line = Ram(BASE, SIZE), Line()
    driver.transport = MmioTransport(driver.ram, driver.line, device)
    driver.put(Register.STATUS, 3)
    driver.accept(features & driver.offered())
    driver.rings = []
    for number in range(len(driver.transport.queues)):
        ring = Ring(driver, number, 8)
        ring.descriptors = BASE + number * 0x1000
        ring.available, ring.used = ring.descriptors + 0x200, ring.descriptors + 0x400
        ring.set_up()
        driver.rings.append(ring)
    driver.put(Register.STATUS, 15)
    return driver


features_sets = st.sampled_from([0, 1 << 32, (1 << 64) - 1, ~(1 << 29) & (1 << 64) - 1])


@pytest.mark.parametrize("kind", MAKERS)
def test_registers(kind):
    @FUZZ
    @given(
        st.lists(
            st.tuples(registers, st.sampled_from([1, 2, 4, 8]), numbers, st.booleans()),
            max_size=60,
        )
    )
    def fuzz(accesses) -> None:
        driver = start(MAKERS[kind](), 1 << 32)
        for register, width, value, write in accesses:
            offset = register // width * width
            if offset + width > driver.transport.size:
                continue
            if write:
                driver.transport.write(offset, width, value & (1 << 8 * width) - 1)
            else:
                assert 0 <= driver.transport.read(offset, width) < 1 << 8 * width
            driver.transport.update()

    fuzz()


@pytest.mark.parametrize("kind", MAKERS)
def test_descriptors(kind):
    @FUZZ
    @given(
        features_sets,
        st.lists(st.lists(descriptors, min_size=1, max_size=20), min_size=1, max_size=6),
        st.lists(st.integers(0, 9), min_size=1, max_size=12),
        st.integers(0, 1),
        st.binary(max_size=48),
    )
    def fuzz(features, tables, heads, queue, request) -> None:
        device = MAKERS[kind]()
        driver = start(device, features)
        ram = driver.ram
        ring = driver.rings[queue % len(driver.rings)]
        ram.write(BASE + 0x4000, request)
        for n, table in enumerate(tables):
            # One stands where the ring's is, others where indirect descriptors may lead.
            at = ring.descriptors if n == 0 else BASE + 0x4000 + n * 0x200
            for m, fields in enumerate(table):
                ram.write(at + 16 * m, struct.pack("<QIHH", *fields))
        if kind == "console":
            device.receive(b"input" * 1000)
        if kind == "net":
            device.backend.frames.extend([bytes(60), bytes(1514), bytes(65000)])
        for head in heads:
            ring.offer(head)
            ring.notify()
            if kind == "net":
                device.wake(0)
            driver.transport.update()

    fuzz()


@pytest.mark.parametrize("kind", MAKERS)
def test_chains_that_are_almost_right(kind):
    """Readable and writable buffers in order, but of any place and length."""
    buffers = st.tuples(
        st.integers(BASE + 0x3000, END - 1), st.sampled_from([0, 1, 11, 12, 16, 20, 512, 4096])
    )

    @FUZZ
    @given(
        features_sets,
        st.lists(buffers, max_size=4),
        st.lists(buffers, max_size=4),
        st.integers(0, 15),
        st.integers(0, 80),
        st.integers(0, 1),
    )
    def fuzz(features, readable, writable, request, sector, queue) -> None:
        device = MAKERS[kind]()
        driver = start(device, features)
        ring = driver.rings[queue % len(driver.rings)]
        driver.ram.write(BASE + 0x2F00, struct.pack("<IIQ", request, 0, sector))
        chain = [(BASE + 0x2F00, 16, 0), *((*each, 0) for each in readable)]
        chain += [(*each, 2) for each in writable]
        if kind == "console":
            device.receive(b"input" * 100)
        for _ in range(3):
            ring.submit(*chain[: ring.size])
            driver.transport.update()

    fuzz()


def test_rings_anywhere():
    """The parts of a queue overlap each other and their buffers, so that the device's own writes
    change what it reads next."""

    @FUZZ
    @given(
        st.sampled_from(list(MAKERS)),
        st.lists(st.integers(0, 0x80).map(lambda n: BASE + 16 * n), min_size=3, max_size=3),
        st.sampled_from([1, 2, 8, 16, 64, 256]),
        st.binary(min_size=64, max_size=2048),
    )
    def fuzz(kind, places, size, content) -> None:
        device = MAKERS[kind]()
        driver = start(device, (1 << 64) - 1)
        driver.ram.write(BASE, content)
        if kind == "console":
            device.receive(content)
        for number in range(len(driver.rings)):
            ring = Ring(driver, number, size)
            driver.put(Register.QUEUE_SEL, number)
            driver.put(Register.QUEUE_READY, 0)
            ring.descriptors, ring.available, ring.used = places
            ring.set_up()
            driver.ram.write(BASE, content)
            for _ in range(4):
                ring.notify()
                driver.transport.update()

    fuzz()


@pytest.mark.parametrize("kind", MAKERS)
def test_the_time_for_one_notification_is_limited(kind):
    """The largest requests that fit, as many as fit, and more of them made by the device itself."""
    device = MAKERS[kind]()
    size = 64 << 20
    ram = Ram(BASE, size)
    driver = Driver(device, ram)
    driver.start(*range(len(driver.transport.queues)), features=driver.offered(), size=64)
    for ring in driver.rings:
        readable = kind in ("net", "console") and ring.number == 1
        for n in range(64):
            ring.descriptor(n, BASE, size, 1 if readable else 3, (n + 1) % 64)
        ring.descriptor(63, BASE, size, 0 if readable else 2)
        if kind == "block":
            ram.write(BASE + (8 << 20), struct.pack("<IIQ", 0, 0, 0))
            ring.descriptor(0, BASE + (8 << 20), 16, 1, 1)
        ring.offer(*[0] * 64)
        started = time.monotonic()
        ring.notify()
        assert time.monotonic() - started < 2
