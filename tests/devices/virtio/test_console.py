"""The virtio console."""

import pytest

from rvemu.devices.virtio.console import MAX_INPUT, RECEIVE, TRANSMIT, Console, Feature
from tests.devices.virtio.driver import BUFFERS, VERSION_1, WRITE, Driver


class Terminal(Driver):
    def __init__(self) -> None:
        self.printed = bytearray()
        self.console = Console(self.printed.extend)
        super().__init__(self.console)
        self.start(RECEIVE, TRANSMIT, features=VERSION_1 | Feature.SIZE)
        self.rx, self.tx = self.rings


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


def test_output(terminal):
    terminal.ram.write(BUFFERS, b"hello, world")
    terminal.tx.submit((BUFFERS, 5, 0), (BUFFERS + 5, 7, 0))
    assert terminal.printed == b"hello, world"
    assert terminal.tx.taken() == [(0, 0)]


def test_long_output(terminal):
    terminal.ram.write(BUFFERS, b"x" * 200_000)
    terminal.tx.submit((BUFFERS, 200_000, 0))
    assert terminal.printed == b"x" * 200_000


def test_input_waits_for_output(terminal):
    terminal.console.receive(b"abc")
    terminal.rx.submit((BUFFERS, 64, WRITE))
    assert terminal.rx.taken() == []
    terminal.tx.submit((BUFFERS, 1, 0))
    assert terminal.rx.taken() == [(0, 3)]
    assert terminal.ram.read(BUFFERS, 3) == b"abc"
    terminal.put(0x70, 0)
    terminal.start(RECEIVE, TRANSMIT, features=VERSION_1)
    terminal.rings[0].submit((BUFFERS, 64, WRITE))
    terminal.console.receive(b"def")
    assert terminal.rings[0].taken() == [], "another driver, another start"


def test_input(terminal):
    terminal.tx.submit((BUFFERS, 1, 0))
    terminal.rx.submit((BUFFERS, 4, WRITE))
    assert terminal.console.receive(b"abcdefg") == 7
    assert terminal.rx.taken() == [(0, 4)]
    assert terminal.ram.read(BUFFERS, 4) == b"abcd"
    assert terminal.acknowledge() == 1
    terminal.rx.submit((BUFFERS, 64, WRITE))
    assert terminal.rx.taken() == [(1, 3)]
    assert terminal.ram.read(BUFFERS, 3) == b"efg"


def test_input_is_not_taken_without_end(terminal):
    assert terminal.console.receive(bytes(MAX_INPUT + 10)) == MAX_INPUT
    assert terminal.console.receive(b"x") == 0


def test_size(terminal):
    assert terminal.transport.read(0x100, 4) == 24 << 16 | 80
    terminal.console.resize(132, 43)
    assert terminal.transport.read(0x100, 4) == 43 << 16 | 132
    assert terminal.acknowledge() == 2
    terminal.console.resize(132, 43)
    assert terminal.acknowledge() == 0


def test_emergency_write(terminal):
    terminal.put(0x70, 0)
    for character in b"oops":
        terminal.transport.write(0x108, 4, character)
    terminal.transport.write(0x100, 4, 0x41)
    assert terminal.printed == b"oops"
