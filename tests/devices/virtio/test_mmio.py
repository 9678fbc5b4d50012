"""The virtio transport: registers, negotiation, status, interrupts."""

import pytest

from rvemu.devices.virtio.device import VirtioDevice
from rvemu.devices.virtio.mmio import Register
from tests.devices.virtio.driver import (
    ACKNOWLEDGE,
    BASE,
    BUFFERS,
    DRIVER,
    DRIVER_OK,
    EVENT_IDX,
    FEATURES_OK,
    INDIRECT_DESC,
    NEEDS_RESET,
    SIZE,
    VERSION_1,
    WRITE,
    Driver,
)


class Echo(VirtioDevice):
    """Gives back what it is sent."""

    device_id = 42
    name = "virtio-echo"
    queue_sizes = (16, 8)

    def __init__(self) -> None:
        super().__init__()
        self.features = 1 << 5 | 1 << 35
        self.seen: list[bytes] = []
        self.written: list[tuple[int, bytes]] = []

    def config(self) -> bytes:
        return bytes(range(1, 13))

    def write_config(self, offset: int, data: bytes) -> None:
        self.written.append((offset, data))

    def request(self, _index: int, chain) -> int:
        self.seen.append(chain.read(chain.to_read))
        chain.write(self.seen[-1][: chain.to_write])
        return 0


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def driver(echo) -> Driver:
    return Driver(echo)


def test_identity(driver):
    assert driver.get(Register.MAGIC_VALUE).to_bytes(4, "little") == b"virt"
    assert driver.get(Register.VERSION) == 2
    assert driver.get(Register.DEVICE_ID) == 42
    assert driver.get(Register.VENDOR_ID).to_bytes(4, "little") == b"QEMU"


def test_empty_slot():
    driver = Driver()
    assert driver.get(Register.MAGIC_VALUE) == 0x7472_6976
    assert driver.get(Register.DEVICE_ID) == 0
    for register in range(0, 0x200, 4):
        driver.put(register, 0xFFFF_FFFF)
    assert driver.get(Register.STATUS) == 0
    assert not driver.line.level


def test_features_are_negotiated(driver, echo):
    expected = VERSION_1 | INDIRECT_DESC | EVENT_IDX | 1 << 5 | 1 << 35
    assert driver.offered() == expected
    driver.put(Register.DEVICE_FEATURES_SEL, 2)
    assert driver.get(Register.DEVICE_FEATURES) == 0
    assert driver.accept(VERSION_1 | 1 << 5)
    assert echo.negotiated == VERSION_1 | 1 << 5
    # They are settled now.
    driver.accept(VERSION_1)
    assert echo.negotiated == VERSION_1 | 1 << 5


def test_features_that_were_not_offered_are_refused(driver, echo):
    assert not driver.accept(VERSION_1 | 1 << 6)
    assert echo.negotiated == 0
    assert driver.accept(VERSION_1)


def test_queue_registers(driver):
    for queue, size in ((0, 16), (1, 8), (2, 0), (0xFFFF_FFFF, 0)):
        driver.put(Register.QUEUE_SEL, queue)
        assert driver.get(Register.QUEUE_NUM_MAX) == size
        assert driver.get(Register.QUEUE_READY) == 0
    driver.start(1, size=8)
    assert driver.get(Register.QUEUE_READY) == 1
    driver.put(Register.QUEUE_READY, 0)
    assert driver.get(Register.QUEUE_READY) == 0


def test_a_request(driver, echo):
    ring = driver.start().rings[0]
    driver.ram.write(BUFFERS, b"hello")
    head = ring.submit((BUFFERS, 5, 0), (BUFFERS + 64, 8, WRITE))
    assert echo.seen == [b"hello"]
    assert ring.taken() == [(head, 5)]
    assert driver.ram.read(BUFFERS + 64, 8) == b"hello\0\0\0"
    assert driver.line.level
    assert driver.acknowledge() == 1
    assert not driver.line.level


def test_nothing_is_consumed_before_driver_ok(driver, echo):
    ring = driver.start().rings[0]
    driver.put(Register.STATUS, 0)
    driver.put(Register.STATUS, ACKNOWLEDGE | DRIVER)
    driver.accept(VERSION_1)
    ring.made = 0
    ring.set_up()
    ring.submit((BUFFERS, 5, 0))
    assert echo.seen == []
    driver.put(Register.STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK)
    assert len(echo.seen) == 1


def test_reset(driver, echo):
    ring = driver.start().rings[0]
    ring.submit((BUFFERS, 5, 0))
    assert driver.line.level
    driver.put(Register.STATUS, 0)
    assert driver.get(Register.STATUS) == 0
    assert driver.get(Register.QUEUE_READY) == 0
    assert driver.get(Register.INTERRUPT_STATUS) == 0
    assert not driver.line.level
    assert echo.negotiated == 0
    ring.notify()
    assert len(echo.seen) == 1


def test_the_driver_cannot_clear_status_bits_or_set_needs_reset(driver):
    driver.put(Register.STATUS, ACKNOWLEDGE | DRIVER)
    driver.put(Register.STATUS, NEEDS_RESET | 0x100)
    assert driver.get(Register.STATUS) == ACKNOWLEDGE | DRIVER


def test_configuration_space(driver, echo):
    read = driver.transport.read
    assert read(0x100, 1) == 1
    assert read(0x102, 2) == 0x0403
    assert read(0x104, 4) == 0x08070605
    assert read(0x100, 8) == 0x0807060504030201
    assert read(0x108, 8) == 0x0C0B0A09  # behind its end are zeros
    assert read(0xFF8, 8) == 0
    driver.transport.write(0x104, 2, 0xBEEF)
    assert echo.written == [(4, b"\xef\xbe")]


def test_registers_are_32_bits_wide(driver):
    for width in (1, 2, 8):
        assert driver.transport.read(Register.MAGIC_VALUE, width) == 0
        driver.transport.write(Register.STATUS, width, ACKNOWLEDGE)
    assert driver.get(Register.STATUS) == 0


def test_there_is_no_shared_memory(driver):
    assert driver.get(Register.SHM_LEN_LOW) == driver.get(Register.SHM_LEN_HIGH) == 0xFFFF_FFFF


def test_configuration_change(driver, echo):
    driver.start()
    before = driver.get(Register.CONFIG_GENERATION)
    echo.config_changed()
    assert driver.get(Register.CONFIG_GENERATION) == before + 1
    assert driver.line.level
    assert driver.acknowledge() == 2


@pytest.mark.parametrize(
    ("descriptors", "available", "used", "size"),
    [
        (BASE + 8, BASE + 0x5000, BASE + 0x8000, 16),
        (BASE, BASE + 0x5001, BASE + 0x8000, 16),
        (BASE, BASE + 0x5000, BASE + 0x8002, 16),
        (BASE + SIZE - 0xF0, BASE + 0x5000, BASE + 0x8000, 16),
        (BASE - 16, BASE + 0x5000, BASE + 0x8000, 16),
        (BASE, BASE + SIZE - 4, BASE + 0x8000, 16),
        (BASE, BASE + 0x5000, BASE + SIZE - 128, 16),
        (0, 0, 0, 16),
        ((1 << 64) - 16, BASE + 0x5000, BASE + 0x8000, 16),
        (BASE, BASE + 0x5000, BASE + 0x8000, 0),
        (BASE, BASE + 0x5000, BASE + 0x8000, 12),
        (BASE, BASE + 0x5000, BASE + 0x8000, 32),
        (BASE, BASE + 0x5000, BASE + 0x8000, 0xFFFF_FFFF),
    ],
)
def test_impossible_rings_break_the_device(driver, descriptors, available, used, size):
    driver.start()
    driver.put(Register.QUEUE_READY, 0)
    ring = driver.rings[0]
    ring.descriptors, ring.available, ring.used, ring.size = descriptors, available, used, size
    ring.set_up()
    assert driver.broken
    assert driver.get(Register.QUEUE_READY) == 0
    assert driver.acknowledge() == 2  # a configuration change tells the driver
    ring.notify()
    driver.start()
    assert not driver.broken


def test_rings_at_the_very_end_of_memory_are_fine(driver, echo):
    driver.start()
    driver.put(Register.QUEUE_READY, 0)
    ring = driver.rings[0]
    ring.used = BASE + SIZE - (6 + 8 * 16 + 2)
    ring.set_up()
    assert not driver.broken
    ring.submit((BASE + SIZE - 5, 5, 0))
    assert echo.seen == [bytes(5)]


def test_rings_of_a_queue_in_use_cannot_be_moved(driver, echo):
    ring = driver.start().rings[0]
    driver.put(Register.QUEUE_DESC_LOW, 0)
    driver.put(Register.QUEUE_DEVICE_LOW, 0)
    driver.put(Register.QUEUE_NUM, 1)
    for n in range(3):
        assert ring.submit((BUFFERS, 5, 0)) == n
        assert ring.taken() == [(n, 0)]
    assert echo.seen == [bytes(5)] * 3


def test_notifications_of_queues_that_do_not_exist(driver):
    driver.start()
    driver.put(Register.QUEUE_NOTIFY, 2)
    driver.put(Register.QUEUE_NOTIFY, 0xFFFF_FFFF)
    driver.put(Register.QUEUE_NOTIFY, 1)  # exists, and is not set up
    assert not driver.broken
