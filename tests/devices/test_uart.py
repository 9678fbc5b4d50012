"""The NS16550A, register by register."""

import pytest

from rvemu.devices.device import UnsupportedAccess
from rvemu.devices.uart import Uart

RBR = THR = DLL = 0
IER = DLM = 1
IIR = FCR = 2
LCR, MCR, LSR, MSR, SCR = 3, 4, 5, 6, 7


class Line:
    level = False

    def set(self, level: bool) -> None:
        self.level = level


class Bench:
    """A UART with something at both ends."""

    def __init__(self) -> None:
        self.line = Line()
        self.sent = bytearray()
        self.uart = Uart(self.line, self.sent.extend)

    def get(self, register: int) -> int:
        return self.uart.read(register, 1)

    def put(self, register: int, value: int) -> None:
        self.uart.write(register, 1, value)

    @property
    def irq(self) -> bool:
        return self.line.level


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_sending(bench):
    for byte in b"hello":
        assert bench.get(LSR) & 0x60 == 0x60
        bench.put(THR, byte)
    assert bench.sent == b"hello"


def test_sending_with_nobody_listening():
    uart = Uart()
    for _ in range(1000):
        uart.write(THR, 1, 65)
    assert uart.read(LSR, 1) == 0x60


def test_receiving_without_fifo(bench):
    assert bench.get(LSR) == 0x60
    assert bench.uart.receive(b"ab") == 1, "one holding register"
    assert bench.get(LSR) == 0x61
    assert bench.uart.receive(b"b") == 0
    assert bench.get(RBR) == ord("a")
    assert bench.get(LSR) == 0x60
    assert bench.uart.receive(b"b") == 1
    assert bench.get(RBR) == ord("b")
    assert bench.get(RBR) == 0


def test_fifo_takes_sixteen_and_loses_nothing(bench):
    bench.put(FCR, 0x01)
    text = bytes(range(40))
    taken = bench.uart.receive(text)
    assert taken == 16
    assert bench.uart.room == 0
    got = bytearray()
    while len(got) < len(text):
        assert bench.get(LSR) & 1
        got.append(bench.get(RBR))
        taken += bench.uart.receive(text[taken:])
    assert got == text
    assert not bench.get(LSR) & 2, "no overrun"


def test_divisor_latch(bench):
    bench.put(IER, 0x05)
    bench.put(LCR, 0x83)
    bench.put(DLL, 0x12)
    bench.put(DLM, 0x34)
    assert (bench.get(DLL), bench.get(DLM)) == (0x12, 0x34)
    bench.put(LCR, 0x03)
    assert bench.get(LCR) == 0x03
    assert bench.get(IER) == 0x05, "the latch hid it"
    assert bench.sent == b""


def test_enable_register_has_four_bits(bench):
    bench.put(IER, 0xFF)
    assert bench.get(IER) == 0x0F


def test_fifo_bits_identify_a_16550a(bench):
    assert bench.get(IIR) == 0x01
    bench.put(FCR, 0x01)
    assert bench.get(IIR) == 0xC1
    bench.put(FCR, 0x00)
    assert bench.get(IIR) == 0x01


def test_received_interrupt_without_fifo(bench):
    bench.put(IER, 0x01)
    assert not bench.irq
    bench.uart.receive(b"x")
    assert bench.irq
    assert bench.get(IIR) == 0x04
    assert bench.irq, "identifying does not clear it"
    bench.get(RBR)
    assert not bench.irq
    assert bench.get(IIR) == 0x01


@pytest.mark.parametrize(("bits", "trigger"), [(0, 1), (1, 4), (2, 8), (3, 14)])
def test_trigger_level_and_timeout(bench, bits, trigger):
    bench.put(FCR, 0x01 | bits << 6)
    bench.put(IER, 0x01)
    bench.uart.receive(bytes(trigger - 1))
    if trigger > 1:
        assert bench.irq, "bytes below the trigger level are announced by the time-out"
        assert bench.get(IIR) == 0xCC
    bench.uart.receive(b"x")
    assert bench.get(IIR) == 0xC4
    for _ in range(trigger):
        assert bench.irq
        bench.get(RBR)
    assert not bench.irq


def test_interrupt_needs_its_enable_bit(bench):
    bench.uart.receive(b"x")
    assert not bench.irq
    assert bench.get(IIR) == 0x01
    bench.put(IER, 0x01)
    assert bench.irq


def test_transmitter_interrupt(bench):
    bench.put(IER, 0x02)
    assert bench.irq, "the transmitter is empty when the interrupt is enabled"
    assert bench.get(IIR) == 0x02
    assert not bench.irq, "identifying clears it"
    assert bench.get(IIR) == 0x01
    bench.put(THR, 65)
    assert bench.irq, "empty again"
    assert bench.get(IIR) == 0x02
    bench.put(IER, 0x02)
    assert not bench.irq, "it was enabled already"
    bench.put(IER, 0x00)
    bench.put(IER, 0x02)
    assert bench.get(IIR) == 0x02, "Linux tests for this"


def test_who_reads_that_the_transmitter_is_empty_need_not_identify(bench):
    bench.put(IER, 0x02)
    assert bench.irq
    assert bench.get(LSR) & 0x20
    assert not bench.irq
    bench.put(THR, 65)
    assert bench.irq, "empty again"
    bench.get(IIR)
    bench.put(THR, 65)
    bench.get(LSR)
    assert bench.irq, "a driver that identifies interrupts waits for them"


def test_identifying_another_interrupt_keeps_the_transmitter_one(bench):
    bench.put(IER, 0x03)
    bench.uart.receive(b"x")
    assert bench.get(IIR) == 0x04
    bench.get(RBR)
    assert bench.irq
    assert bench.get(IIR) == 0x02


def test_priorities(bench):
    bench.put(MCR, 0x10)  # loop: all four lines fall
    bench.put(MCR, 0x00)
    bench.put(IER, 0x0F)
    bench.uart.receive_break()
    assert bench.get(IIR) == 0x06
    assert bench.get(LSR) & 0x10
    assert bench.get(IIR) == 0x04
    bench.get(RBR)
    assert bench.get(IIR) == 0x02
    assert bench.get(IIR) == 0x00
    bench.get(MSR)
    assert bench.get(IIR) == 0x01
    assert not bench.irq


def test_break_is_marked_on_its_character(bench):
    bench.put(FCR, 0x01)
    bench.put(IER, 0x04)
    bench.uart.receive(b"a")
    bench.uart.receive_break()
    bench.uart.receive(b"b")
    assert not bench.irq, "not yet the next character"
    assert bench.get(LSR) == 0xE1, "but it is in the FIFO"
    assert bench.get(RBR) == ord("a")
    assert bench.irq
    assert bench.get(LSR) == 0xF1
    assert not bench.irq
    assert bench.get(LSR) == 0x61, "reading cleared it"
    assert bench.get(RBR) == 0
    assert bench.get(RBR) == ord("b")


def test_break_interrupts_at_once(bench):
    bench.put(IER, 0x04)
    bench.uart.receive_break()
    assert bench.irq
    bench.uart.receive_break()
    assert bench.uart.received == [0x1000], "no room for another"


def test_clearing_the_receiver_fifo(bench):
    bench.put(FCR, 0x01)
    bench.put(IER, 0x01)
    bench.uart.receive(b"abc")
    bench.put(FCR, 0x05)
    assert bench.irq, "clearing the transmitter leaves the receiver"
    bench.put(FCR, 0x03)
    assert not bench.irq
    assert not bench.get(LSR) & 1
    bench.uart.receive(b"abc")
    bench.put(FCR, 0x00)
    assert not bench.get(LSR) & 1, "switching the FIFOs off clears them"


def test_trigger_is_not_programmed_without_enable(bench):
    bench.put(FCR, 0xC1)
    bench.put(FCR, 0xC0)
    bench.put(IER, 0x01)
    bench.uart.receive(b"x")
    assert bench.get(IIR) == 0x04


def test_modem_lines(bench):
    assert bench.get(MSR) == 0xB0
    bench.put(MCR, 0x0B)
    assert bench.get(MCR) == 0x0B
    assert bench.get(MSR) == 0xB0


def test_loopback_of_modem_lines(bench):
    """Linux decides with 0x1a whether there is a UART at all."""
    bench.put(MCR, 0x1A)
    assert bench.get(MSR) & 0xF0 == 0x90
    for output, line in ((0x01, 0x20), (0x02, 0x10), (0x04, 0x40), (0x08, 0x80)):
        bench.put(MCR, 0x10 | output)
        assert bench.get(MSR) & 0xF0 == line


def test_modem_deltas(bench):
    bench.put(MCR, 0x1F)
    bench.get(MSR)
    bench.put(MCR, 0x1B)
    assert bench.get(MSR) == 0xB4, "the ring indicator's trailing edge"
    assert bench.get(MSR) == 0xB0
    bench.put(MCR, 0x1F)
    assert bench.get(MSR) == 0xF0, "its leading edge does not count"
    bench.put(MCR, 0x1E)
    assert bench.get(MSR) == 0xD2
    bench.put(IER, 0x08)
    bench.put(MCR, 0x1C)
    assert bench.irq
    bench.get(MSR)
    assert not bench.irq


def test_loopback_of_data(bench):
    bench.put(FCR, 0x01)
    bench.put(MCR, 0x10)
    assert bench.uart.receive(b"outside") == 0, "the wire is disconnected"
    bench.uart.receive_break()
    for byte in range(16):
        bench.put(THR, byte)
    assert bench.sent == b""
    assert bench.get(LSR) == 0x61
    bench.put(THR, 99)
    assert bench.get(LSR) == 0x63, "overrun"
    assert bench.get(LSR) == 0x61
    assert [bench.get(RBR) for _ in range(17)] == [*range(16), 0]


def test_overrun_interrupt(bench):
    bench.put(IER, 0x04)
    bench.put(MCR, 0x10)
    bench.put(THR, 1)
    bench.put(THR, 2)
    assert bench.irq
    assert bench.get(IIR) == 0x06
    bench.get(LSR)
    assert not bench.irq


def test_scratch_and_read_only_registers(bench):
    bench.put(SCR, 0x5A)
    bench.put(LSR, 0)
    bench.put(MSR, 0)
    assert bench.get(SCR) == 0x5A
    assert bench.get(LSR) == 0x60
    assert bench.get(MSR) == 0xB0


def test_wide_accesses_reach_one_register(bench):
    bench.uart.write(SCR, 4, 0x1234_5678)
    bench.uart.write(THR, 4, 0x4142_4344)
    assert bench.get(SCR) == 0x78
    assert bench.sent == b"D"
    assert bench.uart.read(4, 4) == 0


@pytest.mark.parametrize("offset", [8, 0x10, 0xFF])
def test_only_eight_registers(bench, offset):
    with pytest.raises(UnsupportedAccess):
        bench.get(offset)
    with pytest.raises(UnsupportedAccess):
        bench.put(offset, 0)


def test_linux_probe(bench):
    """The steps by which Linux' 8250 driver finds a 16550A with 16 bytes of FIFO."""
    bench.put(IER, 0)
    assert bench.get(IER) == 0
    bench.put(IER, 0x0F)
    assert bench.get(IER) == 0x0F
    bench.put(IER, 0)
    bench.put(LCR, 0xBF)
    bench.put(FCR, 0)  # EFR, were there one
    bench.put(LCR, 0)
    bench.put(FCR, 0x01)
    assert bench.get(IIR) >> 6 == 3
    bench.put(LCR, 0x80)
    assert bench.get(FCR) != 0, "no EFR, so no 16650"
    bench.put(LCR, 0)
    bench.put(FCR, 0x07)
    bench.put(MCR, 0x10)
    for byte in range(256):
        bench.put(THR, byte)
    count = 0
    while bench.get(LSR) & 1:
        bench.get(RBR)
        count += 1
    assert count == 16


def test_reset(bench):
    bench.put(FCR, 0x01)
    bench.put(IER, 0x0F)
    bench.uart.receive(b"abc")
    bench.uart.reset()
    assert not bench.irq
    assert bench.get(IER) == 0
    assert bench.get(LSR) == 0x60
    assert bench.get(IIR) == 0x01
