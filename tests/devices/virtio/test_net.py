"""The virtio network device, with a cable that records."""

from collections import deque

import pytest

from rvemu.devices.virtio.layout import NET_HEADER
from rvemu.devices.virtio.mmio import Register
from rvemu.devices.virtio.net import MAX_FRAME, RECEIVE, TRANSMIT, Feature, Net
from tests.devices.virtio.driver import BUFFERS, EVENT_IDX, NEXT, VERSION_1, WRITE, Driver

FRAME = bytes(range(60))
HEADER = 12


class Cable:
    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.waiting: deque[bytes] = deque()

    def send(self, frame: bytes) -> None:
        self.sent.append(frame)

    def receive(self) -> bytes | None:
        return self.waiting.popleft() if self.waiting else None


class Card(Driver):
    def __init__(self, features: int = VERSION_1 | Feature.MRG_RXBUF, **options) -> None:
        self.cable = Cable()
        self.net = Net(self.cable, **options)
        super().__init__(self.net)
        self.start(RECEIVE, TRANSMIT, features=features)
        self.rx, self.tx = self.rings

    def arrive(self, *frames: bytes) -> None:
        self.cable.waiting += frames
        self.net.wake(RECEIVE)


@pytest.fixture
def card() -> Card:
    return Card()


def test_configuration():
    card = Card(mac=b"\x02\1\2\3\4\5")
    assert card.transport.read(0x100, 4).to_bytes(4, "little") == b"\x02\1\2\3"
    assert card.transport.read(0x106, 2) == 1  # the link is up
    assert not card.offered() & Feature.MTU
    card = Card(mtu=9000)
    assert card.offered() & Feature.MTU
    assert card.transport.read(0x10A, 2) == 9000


@pytest.mark.parametrize("split", [HEADER, 5, HEADER + 20])
def test_transmit(card, split):
    card.ram.write(BUFFERS, bytes(HEADER) + FRAME)
    card.tx.submit((BUFFERS, split, 0), (BUFFERS + split, HEADER + 60 - split, 0))
    assert card.cable.sent == [FRAME]
    assert card.tx.taken() == [(0, 0)]


def test_legacy_header():
    card = Card(features=0)
    card.ram.write(BUFFERS, bytes(10) + FRAME)
    card.tx.submit((BUFFERS, 70, 0))
    assert card.cable.sent == [FRAME]


def test_what_is_no_frame_is_dropped(card):
    card.tx.submit((BUFFERS, HEADER + 13, 0))
    card.tx.submit((BUFFERS, 3, 0))
    card.tx.submit((BUFFERS, HEADER + MAX_FRAME + 1, 0))
    assert card.cable.sent == []
    assert card.net.dropped == 3
    assert len(card.tx.taken()) == 3
    assert not card.broken


def test_receive(card):
    card.rx.submit((BUFFERS, 100, WRITE))
    assert card.rx.taken() == []
    card.arrive(FRAME)
    assert card.rx.taken() == [(0, HEADER + 60)]
    assert card.ram.read(BUFFERS + HEADER, 60) == FRAME
    assert NET_HEADER.parse(card.ram.read(BUFFERS, HEADER)).num_buffers == 1
    assert card.acknowledge() == 1


def test_receive_into_several_buffers(card):
    for n in range(4):
        card.rx.submit((BUFFERS + 32 * n, 30, WRITE))
    card.arrive(FRAME)
    assert card.rx.taken() == [(0, 30), (1, 30), (2, 12)]
    assert NET_HEADER.parse(card.ram.read(BUFFERS, HEADER)).num_buffers == 3
    data = b"".join(card.ram.read(BUFFERS + 32 * n, 30) for n in range(3))
    assert data[HEADER : HEADER + 60] == FRAME
    card.arrive(b"y" * 15)
    assert card.rx.taken() == [(3, 27)]


def test_a_frame_waits_for_buffers(card):
    card.rx.submit((BUFFERS, 40, WRITE))
    card.arrive(FRAME, FRAME[::-1])
    assert card.rx.taken() == []
    card.rx.submit((BUFFERS + 64, 200, WRITE))
    assert [length for _, length in card.rx.taken()] == [40, 32]
    card.rx.submit((BUFFERS, 100, WRITE))
    assert card.rx.taken() == [(2, 72)]
    assert card.ram.read(BUFFERS + HEADER, 60) == FRAME[::-1]


def test_a_frame_that_does_not_fit_is_dropped():
    card = Card(features=VERSION_1)
    card.rx.submit((BUFFERS, HEADER + 59, WRITE))
    card.arrive(FRAME)
    assert card.rx.taken() == [(0, 0)]
    assert card.net.dropped == 1
    card.rx.submit((BUFFERS, HEADER + 60, WRITE))
    card.arrive(FRAME)
    assert card.rx.taken() == [(1, HEADER + 60)]


def test_buffers_that_hold_nothing(card):
    for n in range(16):
        card.rx.descriptor(n, BUFFERS, 0, WRITE)
    card.rx.offer(*range(16))
    card.arrive(FRAME)
    assert card.net.dropped == 1
    assert len(card.rx.taken()) == 16


def test_a_loop_in_a_buffer_breaks_the_device(card):
    card.rx.descriptor(0, BUFFERS, 1, WRITE | NEXT, 0)
    card.rx.offer(0)
    card.rx.notify()
    assert not card.broken  # nobody has looked yet
    card.arrive(FRAME)
    assert card.broken
    card.arrive(FRAME)


def test_frames_before_the_driver_is_there(card):
    card.put(Register.STATUS, 0)
    card.arrive(FRAME)
    card.start(RECEIVE, TRANSMIT, features=VERSION_1)
    card.rings[0].submit((BUFFERS, 100, WRITE))
    assert card.rings[0].taken() == [(0, 72)]


def test_answers_come_at_once(card):
    card.rx.submit((BUFFERS, 100, WRITE))
    card.cable.send = card.cable.waiting.append
    card.ram.write(BUFFERS + 0x1000, bytes(HEADER) + FRAME)
    card.tx.submit((BUFFERS + 0x1000, HEADER + 60, 0))
    assert card.rx.taken() == [(0, 72)]


def test_the_driver_need_not_notify_of_every_buffer(card):
    card.rx.submit((BUFFERS, 100, WRITE))
    assert card.ram.read(card.rx.used, 2) == b"\1\0"
    card.arrive(FRAME, FRAME)
    assert card.ram.read(card.rx.used, 2) == b"\0\0"  # now it is wanted


def test_the_same_with_event_indexes():
    card = Card(features=VERSION_1 | EVENT_IDX)
    event = card.rx.used + 4 + 8 * 16
    card.rx.submit((BUFFERS, 100, WRITE))
    assert card.ram.read(event, 2) == b"\0\0"
    card.arrive(FRAME, FRAME)
    assert card.ram.read(event, 2) == b"\1\0"
    card.rx.submit((BUFFERS, 100, WRITE))
    assert len(card.rx.taken()) == 2
