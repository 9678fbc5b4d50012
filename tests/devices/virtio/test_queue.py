"""Split virtqueues: chains of descriptors, and what the driver may not do with them."""

import struct

import pytest

from rvemu.devices.virtio import layout
from rvemu.devices.virtio.device import WORK_LIMIT, VirtioDevice
from rvemu.devices.virtio.layout import packed
from rvemu.devices.virtio.mmio import Register
from tests.devices.virtio.driver import (
    BASE,
    BUFFERS,
    EVENT_IDX,
    INDIRECT,
    INDIRECT_DESC,
    NEXT,
    SIZE,
    VERSION_1,
    WRITE,
    Driver,
)

ALL = VERSION_1 | INDIRECT_DESC | EVENT_IDX


class Recorder(VirtioDevice):
    """Keeps what was sent, and fills what is to be written."""

    queue_sizes = (16,)

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[bytes] = []
        self.work = 0

    def request(self, _index: int, chain) -> int:
        self.seen.append(chain.read(chain.to_read))
        chain.write(b"#" * chain.to_write)
        return self.work


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def driver(recorder) -> Driver:
    return Driver(recorder)


@pytest.mark.parametrize(
    "name",
    [name for name in vars(layout) if name.isupper() and name[0] != "_" and name != "P9_CONFIG"],
)
def test_both_forms_of_a_layout_agree(name):
    declared = getattr(layout, name)
    fast = packed(declared)
    assert fast.size == declared.sizeof()
    data = bytes(range(1, 1 + fast.size))
    parsed = declared.parse(data)
    assert fast.unpack(data) == tuple(parsed[field.name] for field in declared.subcons)
    assert fast.pack(*fast.unpack(data)) == data == declared.build(parsed)


def test_a_request_does_not_depend_on_its_framing(driver, recorder):
    ring = driver.start().rings[0]
    driver.ram.write(BUFFERS, bytes(range(100)))
    ring.submit((BUFFERS, 1, 0), (BUFFERS + 1, 0, 0), (BUFFERS + 1, 99, 0),
                (BUFFERS + 200, 3, WRITE), (BUFFERS + 210, 0, WRITE),
                (BUFFERS + 220, 4, WRITE))  # fmt: skip
    assert recorder.seen == [bytes(range(100))]
    assert driver.ram.read(BUFFERS + 199, 5) == b"\0###\0"
    assert driver.ram.read(BUFFERS + 219, 6) == b"\0####\0"
    assert ring.taken() == [(0, 7)]


def test_the_indexes_wrap_around(driver, recorder):
    ring = driver.start(features=ALL).rings[0]
    for n in range(70_000):
        if n % 997 == 0:
            assert ring.submit((BUFFERS, 1, 0)) == ring.taken()[-1][0]
        else:
            ring.offer(ring.chain((BUFFERS, 1, 0)))
            if n % 16 == 15:
                ring.notify()
                ring.taken()
    assert not driver.broken
    assert len(recorder.seen) > 69_900


def indirect(
    driver: Driver, *entries: tuple[int, int, int, int], at: int = BUFFERS + 0x1000
) -> int:
    driver.ram.write(at, b"".join(struct.pack("<QIHH", *entry) for entry in entries))
    return at


def test_indirect_descriptors(driver, recorder):
    ring = driver.start(features=ALL).rings[0]
    driver.ram.write(BUFFERS, b"abcdef")
    # The table's order is what `next` says, not how it stands there.
    table = indirect(
        driver,
        (BUFFERS, 2, NEXT, 2),
        (BUFFERS + 100, 4, WRITE, 0),
        (BUFFERS + 4, 2, NEXT, 1),
    )
    ring.submit((BUFFERS + 2, 2, 0), (table, 48, INDIRECT | WRITE))
    assert recorder.seen == [b"cdabef"]
    assert ring.taken() == [(0, 4)]
    assert not driver.broken


BAD_INDIRECT = {
    "not negotiated": (VERSION_1, 16, INDIRECT, [(BUFFERS, 1, 0, 0)]),
    "followed": (ALL, 16, INDIRECT | NEXT, [(BUFFERS, 1, 0, 0)]),
    "nested": (ALL, 16, INDIRECT, [(BUFFERS + 0x1010, 16, INDIRECT, 0), (BUFFERS, 1, 0, 0)]),
    "empty": (ALL, 0, INDIRECT, []),
    "no multiple of 16": (ALL, 24, INDIRECT, [(BUFFERS, 1, 0, 0)]),
    "too long": (ALL, 16 * 1025, INDIRECT, [(BUFFERS, 1, 0, 0)]),
    "huge": (ALL, 0xFFFF_FFF0, INDIRECT, []),
    "leads out of the table": (ALL, 16, INDIRECT, [(BUFFERS, 1, NEXT, 1)]),
    "loop": (ALL, 32, INDIRECT, [(BUFFERS, 1, NEXT, 1), (BUFFERS, 1, NEXT, 0)]),
    "address": (ALL, 16, INDIRECT, [(BASE + SIZE, 1, 0, 0)]),
}


@pytest.mark.parametrize("case", BAD_INDIRECT)
def test_bad_indirect_descriptors_break_the_device(driver, recorder, case):
    features, length, flags, entries = BAD_INDIRECT[case]
    ring = driver.start(features=features).rings[0]
    table = indirect(driver, *entries)
    ring.descriptor(0, table, length, flags, 1)
    ring.descriptor(1, BUFFERS, 1)
    ring.offer(0)
    ring.notify()
    assert driver.broken
    assert recorder.seen == []
    assert ring.taken() == []


@pytest.mark.parametrize("place", [BASE + SIZE - 16, BASE + SIZE, BASE - 16, 0, (1 << 64) - 16])
def test_an_indirect_table_outside_of_memory(driver, place):
    ring = driver.start(features=ALL).rings[0]
    last = struct.pack("<QIHH", BUFFERS, 1, 0, 0)
    driver.ram.write(BASE + SIZE - 16, last)
    ring.submit((place, 32, INDIRECT))
    assert driver.broken


BAD_CHAINS = {
    "loop to itself": [(BUFFERS, 1, NEXT, 0)],
    "loop": [(BUFFERS, 1, NEXT, 1), (BUFFERS, 1, NEXT, 0)],
    "next out of range": [(BUFFERS, 1, NEXT, 16)],
    "readable after writable": [(BUFFERS, 1, WRITE | NEXT, 1), (BUFFERS, 1, 0, 0)],
    "below memory": [(BASE - 1, 2, 0, 0)],
    "above memory": [(BASE + SIZE - 1, 2, 0, 0)],
    "at zero": [(0, 1, WRITE, 0)],
    "wraps around": [((1 << 64) - 1, 2, WRITE, 0)],
    "too long": [(BUFFERS, 0xFFFF_FFFF, WRITE, 0)],
}


@pytest.mark.parametrize("case", BAD_CHAINS)
def test_bad_chains_break_the_device(driver, recorder, case):
    ring = driver.start().rings[0]
    ring.descriptor(16, BUFFERS, 1)  # behind the last one
    for n, entry in enumerate(BAD_CHAINS[case]):
        ring.descriptor(n, *entry)
    ring.offer(0)
    ring.notify()
    assert driver.broken
    assert driver.line.level
    assert driver.acknowledge() == 2
    assert recorder.seen == []
    # It does nothing more, until it is reset.
    ring.descriptor(1, BUFFERS, 1)
    ring.offer(1)
    ring.notify()
    assert recorder.seen == []
    driver.start().rings[0].submit((BUFFERS, 1, 0))
    assert recorder.seen == [b"\0"]


def test_a_head_out_of_range(driver):
    ring = driver.start().rings[0]
    ring.descriptor(16, BUFFERS, 1)
    ring.offer(16)
    ring.notify()
    assert driver.broken


def test_more_available_than_there_are_entries(driver, recorder):
    ring = driver.start().rings[0]
    ring.descriptor(0, BUFFERS, 1)
    ring.made = 17
    ring.offer()
    ring.notify()
    assert driver.broken
    assert recorder.seen == []


def test_a_full_queue(driver, recorder):
    ring = driver.start().rings[0]
    ring.offer(*(ring.chain((BUFFERS, 1, 0)) for _ in range(16)))
    ring.notify()
    assert len(recorder.seen) == 16
    assert len(ring.taken()) == 16


def test_the_driver_may_not_want_interrupts(driver):
    ring = driver.start().rings[0]
    driver.ram.write(ring.available, struct.pack("<H", 1))
    ring.submit((BUFFERS, 1, 0))
    assert not driver.line.level
    driver.ram.write(ring.available, struct.pack("<H", 0))
    ring.submit((BUFFERS, 1, 0))
    assert driver.line.level


@pytest.mark.parametrize("features", [VERSION_1, ALL])
def test_the_device_wants_to_hear_of_requests(driver, recorder, features):
    ring = driver.start(features=features).rings[0]
    for n in range(1, 40):
        ring.offer(ring.chain((BUFFERS, 1, 0)))
        assert ring.wants_notification()
        ring.notify()
        assert len(recorder.seen) == n


@pytest.mark.parametrize("start", [0, 0xFFFD])
def test_interrupts_at_an_event_index(driver, start):
    ring = driver.start(features=ALL).rings[0]
    for _ in range(start):
        ring.submit((BUFFERS, 1, 0))
    driver.acknowledge()
    event = ring.available + 4 + 2 * ring.size
    driver.ram.write(event, struct.pack("<H", (start + 2) & 0xFFFF))
    for expected in (False, False, True, False):
        driver.acknowledge()
        ring.submit((BUFFERS, 1, 0))
        assert driver.line.level is expected


def test_the_guest_runs_on_during_much_work(driver, recorder):
    recorder.work = WORK_LIMIT // 2
    ring = driver.start().rings[0]
    ring.offer(*(ring.chain((BUFFERS, 1, 0)) for _ in range(6)))
    ring.notify()
    assert len(recorder.seen) == 2
    assert driver.transport.backlog
    driver.transport.update()
    assert len(recorder.seen) == 4
    driver.transport.update()
    driver.transport.update()
    assert len(recorder.seen) == 6
    assert not driver.transport.backlog


def test_reset_forgets_the_backlog(driver, recorder):
    recorder.work = WORK_LIMIT
    ring = driver.start().rings[0]
    ring.offer(*(ring.chain((BUFFERS, 1, 0)) for _ in range(6)))
    ring.notify()
    driver.put(Register.STATUS, 0)
    assert not driver.transport.backlog
    driver.transport.update()
    assert len(recorder.seen) == 1


def test_the_engine_hears_of_every_write(driver):
    ring = driver.start().rings[0]
    heard: list[tuple[int, int]] = []
    head = ring.chain((BUFFERS, 3, WRITE), (BUFFERS + 10, 4, WRITE))
    ring.offer(head)
    driver.ram.on_write = lambda address, length: heard.append((address, length))
    ring.notify()
    assert (BUFFERS, 3) in heard
    assert (BUFFERS + 10, 4) in heard
    assert (ring.used + 4, 8) in heard
    assert (ring.used + 2, 2) in heard
