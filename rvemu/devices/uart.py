"""A National Semiconductor NS16550A UART.

Registers and their bits are those of the PC16550D data sheet. Three things have no meaning in a
machine without a serial cable and are settled so that drivers are content:

- Sending takes no time: the transmitter is empty again as soon as a byte was written.
- The receiver's character time-out has always passed already: bytes below the FIFO's trigger
  level are announced at once.
- The cable is plugged in: CTS, DSR and DCD are asserted.

And one is settled for drivers that never read IIR, as xv6's until 2025, which a level-triggered
line would interrupt for ever: until IIR is read for the first time, who reads from LSR that the
transmitter is empty needs no interrupt to say so.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum, IntFlag

from rvemu.devices.device import InterruptLine, NoLine, UnsupportedAccess

FIFO_SIZE = 16


class Register(IntEnum):
    """Register offsets. The first two reach the baud rate divisor while LCR.DLAB is set."""

    RBR_THR = 0
    IER = 1
    IIR_FCR = 2
    LCR = 3
    MCR = 4
    LSR = 5
    MSR = 6
    SCR = 7


class Ier(IntFlag):
    """Interrupt enable register."""

    RECEIVED = 1 << 0
    TRANSMITTER_EMPTY = 1 << 1
    LINE_STATUS = 1 << 2
    MODEM_STATUS = 1 << 3


# Interrupt identification, highest priority first; bit 0 clear means that one is pending.
IIR_LINE_STATUS = 0x06
IIR_RECEIVED = 0x04
IIR_TIMEOUT = 0x0C
IIR_TRANSMITTER_EMPTY = 0x02
IIR_MODEM_STATUS = 0x00
IIR_NONE = 0x01
IIR_FIFOS_ENABLED = 0xC0

FCR_ENABLE = 0x01
FCR_CLEAR_RECEIVER = 0x02
_TRIGGER_LEVELS = (1, 4, 8, 14)

LCR_DLAB = 0x80


class Mcr(IntFlag):
    """Modem control register."""

    DTR = 1 << 0
    RTS = 1 << 1
    OUT1 = 1 << 2
    OUT2 = 1 << 3
    LOOP = 1 << 4


class Lsr(IntFlag):
    """Line status register."""

    DATA_READY = 1 << 0
    OVERRUN = 1 << 1
    PARITY = 1 << 2
    FRAMING = 1 << 3
    BREAK = 1 << 4
    THR_EMPTY = 1 << 5
    TRANSMITTER_EMPTY = 1 << 6
    FIFO_ERROR = 1 << 7


_ERRORS = Lsr.OVERRUN | Lsr.PARITY | Lsr.FRAMING | Lsr.BREAK

# For what is done with each character: operators of enumerations are slow.
_NOTHING_TO_SEND = int(Lsr.THR_EMPTY | Lsr.TRANSMITTER_EMPTY)
_LSR = int(Register.LSR)
_TRANSMITTER_EMPTY = int(Ier.TRANSMITTER_EMPTY)
_LOOP = int(Mcr.LOOP)


class Msr(IntFlag):
    """Modem status register: the lines, and which of them changed."""

    DELTA_CTS = 1 << 0
    DELTA_DSR = 1 << 1
    TRAILING_RI = 1 << 2
    DELTA_DCD = 1 << 3
    CTS = 1 << 4
    DSR = 1 << 5
    RI = 1 << 6
    DCD = 1 << 7


class Uart:
    """The UART, with bytes for its wire.

    Each of the eight registers is a byte. A wider access reaches the register at its address
    alone, as on QEMU's board: the rest reads as zero and is ignored when written.
    """

    name = "uart"
    size = 0x100

    def __init__(
        self,
        line: InterruptLine | None = None,
        on_output: Callable[[bytes], None] | None = None,
    ) -> None:
        self.line: InterruptLine = line or NoLine()
        #: Takes what the guest sends. Without one it is lost, as on a cable with no other end.
        self.on_output = on_output
        self.reset()

    def reset(self) -> None:
        """Return to the state after power-on; what was received and not yet read is lost."""
        #: Received characters, oldest first: the byte, and its `Lsr` error bits above it.
        self.received: list[int] = []
        self.ier = 0
        self.fifo_enabled = False
        self.trigger = 1
        self.lcr = 0
        self.mcr = 0
        self.scratch = 0
        self.divisor = 0
        #: Error bits that reading LSR shows and clears.
        self.line_errors = 0
        self.modem_deltas = 0
        #: Set when the transmitter becomes empty, cleared when IIR has told so.
        self.transmitter_interrupt = False
        #: The driver has read IIR: it is one that does.
        self.identifies = False
        self.update()

    # The host's side of the wire.

    def receive(self, data: bytes) -> int:
        """Take bytes from the wire and return how many fitted.

        The rest is for the caller to keep and to offer again after the guest has read some, so
        that pasted text is not lost. In loopback mode the wire is disconnected: 0.
        """
        if self.mcr & Mcr.LOOP:
            return 0
        accepted = data[: self.room]
        self.received += accepted
        self.update()
        return len(accepted)

    def receive_break(self) -> None:
        """Take a break condition from the wire: a zero byte with a mark on it."""
        if self.mcr & Mcr.LOOP or not self.room:
            return
        self.received.append(int(Lsr.BREAK) << 8)
        self._show_errors()
        self.update()

    @property
    def room(self) -> int:
        """How many bytes `receive` would take."""
        capacity = FIFO_SIZE if self.fifo_enabled else 1
        return max(0, capacity - len(self.received))

    # The guest's side.

    def read(self, offset: int, width: int) -> int:
        """Read the register at `offset`; several registers change when they are read."""
        del width
        value = self._read_register(offset)
        self.update()
        return value

    def write(self, offset: int, width: int, value: int) -> None:
        """Write the register at `offset` with the low byte of `value`."""
        del width
        self._write_register(offset, value & 0xFF)
        self.update()

    def update(self) -> None:
        """Drive the interrupt line: high while IIR has something to tell.

        OUT2 gates the interrupt on a PC's board, not in the chip, and not here.
        """
        self.line.set(self._identify() != IIR_NONE)

    def _read_register(self, offset: int) -> int:
        if offset == _LSR:  # what drivers read before each byte that they send
            return self._read_line_status()
        match offset:
            case Register.RBR_THR if self.lcr & LCR_DLAB:
                return self.divisor & 0xFF
            case Register.IER if self.lcr & LCR_DLAB:
                return self.divisor >> 8
            case Register.RBR_THR:
                return self._read_received()
            case Register.IER:
                return self.ier
            case Register.IIR_FCR:
                return self._read_identification()
            case Register.LCR:
                return self.lcr
            case Register.MCR:
                return self.mcr
            case Register.MSR:
                value = self._modem_lines() | self.modem_deltas
                self.modem_deltas = 0
                return value
            case Register.SCR:
                return self.scratch
        raise UnsupportedAccess

    def _write_register(self, offset: int, value: int) -> None:
        match offset:
            case Register.RBR_THR if self.lcr & LCR_DLAB:
                self.divisor = self.divisor & 0xFF00 | value
            case Register.IER if self.lcr & LCR_DLAB:
                self.divisor = value << 8 | self.divisor & 0xFF
            case Register.RBR_THR:
                self._send(value)
            case Register.IER:
                self._write_enable(value & 0x0F)
            case Register.IIR_FCR:
                self._write_fifo_control(value)
            case Register.LCR:
                self.lcr = value
            case Register.MCR:
                self._write_modem_control(value & 0x1F)
            case Register.LSR | Register.MSR:
                pass  # The data sheet leaves writes to the status registers to factory tests.
            case Register.SCR:
                self.scratch = value
            case _:
                raise UnsupportedAccess

    def _read_received(self) -> int:
        if not self.received:
            return 0
        value = self.received.pop(0) & 0xFF
        self._show_errors()
        return value

    def _send(self, value: int) -> None:
        if self.mcr & _LOOP:
            if self.room:
                self.received.append(value)
            else:
                self.line_errors |= Lsr.OVERRUN
        elif self.on_output is not None:
            self.on_output(bytes((value,)))
        # The byte has left at once, so the transmitter is newly empty.
        self.transmitter_interrupt = True

    def _write_enable(self, value: int) -> None:
        if value & ~self.ier & Ier.TRANSMITTER_EMPTY:
            # Enabling this interrupt while the transmitter is empty raises it, even if reading
            # IIR had cleared it before. Linux starts sending that way and tests for it.
            self.transmitter_interrupt = True
        self.ier = value

    def _write_fifo_control(self, value: int) -> None:
        enable = bool(value & FCR_ENABLE)
        if enable != self.fifo_enabled or value & FCR_CLEAR_RECEIVER:
            self.received.clear()
        self.fifo_enabled = enable
        # The other bits are not programmed unless the enable bit is written as 1.
        self.trigger = _TRIGGER_LEVELS[value >> 6] if enable else 1

    def _write_modem_control(self, value: int) -> None:
        before = self._modem_lines()
        self.mcr = value
        after = self._modem_lines()
        changed = before ^ after
        self.modem_deltas |= changed >> 4 & (Msr.DELTA_CTS | Msr.DELTA_DSR | Msr.DELTA_DCD)
        if before & ~after & Msr.RI:
            self.modem_deltas |= Msr.TRAILING_RI

    def _modem_lines(self) -> int:
        if not self.mcr & Mcr.LOOP:
            return int(Msr.CTS | Msr.DSR | Msr.DCD)
        lines = 0
        for output, looped in (
            (Mcr.RTS, Msr.CTS),
            (Mcr.DTR, Msr.DSR),
            (Mcr.OUT1, Msr.RI),
            (Mcr.OUT2, Msr.DCD),
        ):
            if self.mcr & output:
                lines |= looped
        return lines

    def _read_line_status(self) -> int:
        value = _NOTHING_TO_SEND | self.line_errors
        if self.received:
            value |= Lsr.DATA_READY
            if self.fifo_enabled and any(character >> 8 for character in self.received):
                value |= Lsr.FIFO_ERROR
            self.received[0] &= 0xFF
        self.line_errors = 0
        if not self.identifies:
            self.transmitter_interrupt = False
        return value

    def _show_errors(self) -> None:
        """A character's errors appear in LSR when it becomes the next one to be read."""
        if self.received:
            self.line_errors |= self.received[0] >> 8 & _ERRORS

    def _identify(self) -> int:
        """What IIR tells: the enabled interrupt of the highest priority."""
        # Every access comes here: what is seldom the case is asked first.
        if self.line_errors and self.ier & Ier.LINE_STATUS:
            return IIR_LINE_STATUS
        if self.received and self.ier & Ier.RECEIVED:
            return IIR_RECEIVED if len(self.received) >= self.trigger else IIR_TIMEOUT
        if self.transmitter_interrupt and self.ier & _TRANSMITTER_EMPTY:
            return IIR_TRANSMITTER_EMPTY
        if self.modem_deltas and self.ier & Ier.MODEM_STATUS:
            return IIR_MODEM_STATUS
        return IIR_NONE

    def _read_identification(self) -> int:
        self.identifies = True
        identification = self._identify()
        if identification == IIR_TRANSMITTER_EMPTY:
            self.transmitter_interrupt = False
        return identification | (IIR_FIFOS_ENABLED if self.fifo_enabled else 0)
