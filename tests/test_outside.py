"""An idle machine waits for what is outside of it, as long as a clock on the wall says."""

import contextlib
import os
import time

import pytest

from rvemu import Machine
from rvemu.devices.virtio.console import Console as VirtioConsole
from rvemu.errors import RvemuError
from rvemu.hooks import Reason
from rvemu.outside import READABLE, wait_outside


class Pipe:
    """Something outside: it notes what comes through a pipe."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self.got = b""
        self.wish: float | None = None
        self.polls = 0

    def descriptors(self):
        return ((self.reader, READABLE),)

    def timeout(self) -> float | None:
        return self.wish

    def poll(self) -> None:
        self.polls += 1
        with contextlib.suppress(BlockingIOError):
            self.got += os.read(self.reader, 100)

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.writer)


@pytest.fixture
def pipe():
    made = Pipe()
    yield made
    made.close()


def measured(*arguments) -> tuple[int, float]:
    started = time.monotonic()
    return wait_outside(*arguments), time.monotonic() - started


def test_time_passes_as_on_a_clock(pipe):
    passed, seconds = measured([pipe], 200_000)
    assert 0.02 <= seconds < 1
    assert passed == 200_000
    assert pipe.polls == 1


def test_something_comes(pipe):
    os.write(pipe.writer, b"x")
    passed, _ = measured([pipe], 10_000_000)
    assert pipe.got == b"x"
    assert 0 < passed < 10_000_000


def test_somebody_has_a_timer(pipe):
    pipe.wish = 0.0
    passed, seconds = measured([pipe], None)
    assert seconds < 0.1
    assert passed > 0


def test_a_wait_does_not_last_for_ever(pipe):
    _, seconds = measured([pipe], None)
    assert 0.05 < seconds < 2


def test_the_console_has_input(pipe):
    reader, writer = os.pipe()
    os.write(writer, b"x")
    _, seconds = measured([pipe], None, reader)
    assert seconds < 0.1
    os.close(reader)
    os.close(writer)


WFI = 0x1050_0073
JUMP_BACK = 0xFFDF_F06F  # j .-4


def sleeper(**options) -> Machine:
    """A machine whose guest waits for interrupts, for ever."""
    machine = Machine(memory=1 << 20, engine="reference", **options)
    code = WFI.to_bytes(4, "little") + JUMP_BACK.to_bytes(4, "little")
    machine.load(code, address=0x8000_0000)
    machine.hart["mie"] = 1 << 11
    return machine


def test_a_machine_with_a_network_is_not_stuck(pipe):
    assert sleeper().run().reason is Reason.IDLE
    machine = sleeper()
    machine.hooks.outside.append(pipe)
    os.write(pipe.writer, b"wake up")
    assert machine.run(until=lambda: bool(pipe.got)).reason is Reason.CONDITION
    assert machine.input_open


def test_plugging_in():
    machine = sleeper()
    printed: list[bytes] = []
    machine.output = printed.append
    console = VirtioConsole()
    machine.plug(console)
    assert machine.virtio_console is console
    assert machine.board.virtio[0].device is console
    assert console.on_output is not None
    console.on_output(b"hello")
    machine.run(1)
    assert printed == [b"hello"]
    for _ in range(7):
        machine.plug(VirtioConsole())
    with pytest.raises(RvemuError, match="8 virtio slots, all taken"):
        machine.plug(VirtioConsole())


def test_a_plugged_link_is_polled(pipe):
    machine = sleeper()
    machine.plug(VirtioConsole(), pipe)
    machine.run(1)
    assert pipe.polls > 0
    assert machine.hooks.outside == [pipe]
