"""The guest's console: its UART (and HTIF) on one side, stdin and stdout on the other.

Input comes from a terminal, where Ctrl-A begins commands for rvemu itself, or from a pipe or file.
The UART takes only what fits; the rest waits here, so nothing is lost, not even where a guest's
driver clears the FIFO when it starts.
"""

import contextlib
import errno
import os
import select
import time
from collections.abc import Callable, Iterator
from enum import Enum
from typing import NoReturn

from rvemu.board import TIMEBASE_FREQUENCY, UART_BASE
from rvemu.devices.uart import FIFO_SIZE, Lsr, Register
from rvemu.devices.virtio.console import MAX_INPUT
from rvemu.errors import RvemuError
from rvemu.machine import Machine
from rvemu.outside import wait_outside

ESCAPE = 0x01  # Ctrl-A

HELP = (
    "Ctrl-A h  this help\n"
    "Ctrl-A x  quit rvemu\n"
    "Ctrl-A c  the monitor: registers, memory, page walks...\n"
    "Ctrl-A Ctrl-A  send Ctrl-A to the guest\n"
)

_READ_SIZE = 4096
# A guest that has asked its UART so many times in a row whether there is input gets no more of the
# host's time for a while, in seconds, or until there is.
_POLLS = 100
_NAP = 0.01
# Numbers, and no members of enumerations: every access of the UART asks for them.
_LSR, _DATA_READY = int(Register.LSR), int(Lsr.DATA_READY)
# How many bytes a user may type, or paste, ahead of the guest. The terminal is read on meanwhile,
# for Ctrl-A commands.
_MAX_PENDING = 1 << 24


class Command(Enum):
    """What the user asks of rvemu itself, with Ctrl-A."""

    QUIT = "x"
    MONITOR = "c"
    HELP = "h"


class EscapeParser:
    """Divides what is typed into input for the guest and commands."""

    def __init__(self) -> None:
        self._escaped = False

    def feed(self, data: bytes) -> list[bytes | Command]:
        """The next bytes from the terminal: what they are, in order."""
        found: list[bytes | Command] = []
        plain = bytearray()
        for byte in data:
            if not self._escaped:
                if byte == ESCAPE:
                    self._escaped = True
                else:
                    plain.append(byte)
                continue
            self._escaped = False
            letter = "h" if byte == ord("?") else chr(byte).lower()
            if byte == ESCAPE:
                plain.append(byte)
            elif letter in Command._value2member_map_:
                if plain:
                    found.append(bytes(plain))
                    plain.clear()
                found.append(Command(letter))
        if plain:
            found.append(bytes(plain))
        return found


class Console:
    """Joins a machine's console to file descriptors.

    source, sink: what to read and to write; without a source there is no input. interactive:
    whether the source is a terminal, where commands are typed and time passes as on a clock while
    the guest is idle. on_command: takes the commands.

    `RvemuError` comes out of the machine's `run` where the other side is gone, `BrokenPipeError`
    where a pipe's reader is.
    """

    def __init__(
        self,
        machine: Machine,
        source: int | None,
        sink: int,
        *,
        interactive: bool = False,
        on_command: Callable[[Command], None] | None = None,
    ) -> None:
        self.machine = machine
        self.source = source
        self.sink = sink
        self.interactive = interactive
        self.on_command = on_command
        #: Whether a signal may have to interrupt: set while it blocks.
        self.blocking = False
        #: Set when the terminal may have another size than the guest knows.
        self.resized = interactive
        #: While set, the machine runs without its console's input (the monitor steps it).
        self.paused = False
        self._parser = EscapeParser()
        self._pending = bytearray()  # not yet offered to the guest, or refused
        self._commands: list[Command] = []  # typed, and not yet obeyed
        self._uses_htif = False
        self._polls = 0  # of the UART for input, in vain, since anything else was done with it
        self._in_flight = bytearray()  # in the UART, and not yet read
        machine.output = self.write
        machine.hooks.between.append(self.poll)
        machine.hooks.device.append(self._device_accessed)
        machine.hooks.idle = self.idle
        machine.hooks.input_open = lambda: self.open
        if machine.htif is not None:
            machine.htif.read_input = self._next_byte

    @property
    def open(self) -> bool:
        """Whether the guest may still get input."""
        return self.source is not None or bool(self._pending)

    # --- Output --------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Write what the guest has printed, unchanged."""
        view = memoryview(data)
        self.blocking = True
        try:
            while view:
                try:
                    view = view[os.write(self.sink, view) :]
                except BlockingIOError:  # somebody else has made it non-blocking
                    select.select([], [self.sink], [])
        except BrokenPipeError:
            raise
        except OSError as error:
            self._gone(error, "cannot write the guest's output")
        finally:
            self.blocking = False

    def _gone(self, error: OSError, what: str) -> NoReturn:
        if error.errno == errno.EIO:
            raise RvemuError("the terminal is gone") from error
        raise RvemuError(f"{what}: {error.strerror}") from error

    # --- Input ---------------------------------------------------------------------------------

    def poll(self) -> None:
        """Take what input there is, and give the guest what it takes. Never blocks."""
        if self.paused:
            return
        if self.resized:
            self._measure()
        # A pipe's writer can wait, but a user may want to type Ctrl-A x.
        if self.source is not None and (self.interactive or not self._pending):
            self._read(_NAP if self._polls >= _POLLS else 0)
            self._polls = 0
        self._offer()
        while self._commands:
            command = self._commands.pop(0)
            if self.on_command is not None:
                self.on_command(command)

    def idle(self, ticks: int | None) -> int | None:
        """All harts wait, for so many ticks of mtime (None: for ever). Returns how many to let
        pass, 0 if there is input; None if there is nothing to wait for."""
        if self._offer() or self._commands:
            return 0
        sleeps = self.machine.wall_clock is not None and (ticks is not None or self._listens)
        if self.machine.hooks.outside or sleeps:
            return self._wait_outside(ticks)
        if self.source is None or (self._pending and not self.interactive):
            return ticks
        if ticks is not None and not self.interactive:
            return ticks
        started = time.monotonic()
        self._read(None if ticks is None else ticks / TIMEBASE_FREQUENCY)
        if ticks is None or self._commands:
            return 0
        return min(ticks, int((time.monotonic() - started) * TIMEBASE_FREQUENCY) + 1)

    @property
    def _listens(self) -> bool:
        """Whether there may be input that can be taken now."""
        return self.source is not None and (self.interactive or not self._pending)

    def _wait_outside(self, ticks: int | None) -> int:
        """Wait for input or for somebody else outside, for so many ticks. How many have passed."""
        source = self.source if self._listens else None
        with self._interruptible():
            passed = wait_outside(self.machine.hooks.outside, ticks, source)
        if source is not None:
            self._read(0)
        return 0 if self._commands else passed

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """While it blocks, a signal may have to interrupt."""
        self.blocking = True
        try:
            yield
        finally:
            self.blocking = False

    def _read(self, timeout: float | None) -> None:
        """Read what there is, or wait for it: seconds, None for ever."""
        assert self.source is not None
        try:
            if timeout != 0:
                self.blocking = True
            try:
                ready, _, _ = select.select([self.source], [], [], timeout)
            finally:
                self.blocking = False
            if not ready:
                return
            data = os.read(self.source, _READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self._gone(error, "cannot read the guest's input")
        if not data:
            if self.interactive:
                raise RvemuError("the terminal is gone")
            self.source = None
        elif not self.interactive:
            self._pending += data
        else:
            for part in self._parser.feed(data):
                if isinstance(part, Command):
                    self._commands.append(part)
                else:
                    self._pending += part
            del self._pending[_MAX_PENDING:]

    def _offer(self) -> bool:
        """Give the guest what it takes. Whether it took any."""
        before = len(self._pending)
        htif = self.machine.htif
        if htif is not None and htif.pending_reads:
            htif.poll()
        virtio = self.machine.virtio_console
        if self._pending and virtio is not None:
            del self._pending[: virtio.receive(bytes(self._pending[:MAX_INPUT]))]
        elif self._pending and not self._uses_htif:
            count = self.machine.board.uart.receive(bytes(self._pending[:FIFO_SIZE]))
            self._in_flight += self._pending[:count]
            del self._pending[:count]
        return len(self._pending) < before

    def _measure(self) -> None:
        """Tell the guest how large its terminal is, if it has a console that can be told."""
        self.resized = False
        if self.machine.virtio_console is not None and self.source is not None:
            with contextlib.suppress(OSError):
                size = os.get_terminal_size(self.source)
                self.machine.virtio_console.resize(size.columns, size.lines)

    def _next_byte(self) -> int | None:
        """The next byte for HTIF's console. A guest that asks there does not read its UART, and
        what that holds is taken back."""
        self._uses_htif = True
        if self._in_flight:
            uart = self.machine.board.uart
            del uart.received[: len(self._in_flight)]
            uart.update()
            self._pending[:0] = self._in_flight
            self._in_flight.clear()
        return self._pending.pop(0) if self._pending else None

    def _device_accessed(
        self, hart: int, address: int, width: int, value: int, write: bool
    ) -> None:
        """See what the guest does to its UART: read a byte, so that another fits; or clear the
        FIFO, so that what was in it has to be sent again."""
        del hart, width
        offset = address - UART_BASE
        if offset == _LSR and not write and not value & _DATA_READY:
            self._polls += 1
        else:
            self._polls = 0
        if not self._in_flight or not 0 <= offset <= Register.SCR:
            return
        left = min(len(self.machine.board.uart.received), len(self._in_flight))
        if write:
            if offset == Register.IIR_FCR and left < len(self._in_flight):
                self._pending[:0] = self._in_flight[: len(self._in_flight) - left]
                del self._in_flight[: len(self._in_flight) - left]
        elif left < len(self._in_flight):
            del self._in_flight[: len(self._in_flight) - left]
            self._offer()

    def detach(self) -> None:
        """Leave the machine."""
        hooks = self.machine.hooks
        self.machine.output = None
        hooks.between.remove(self.poll)
        hooks.device.remove(self._device_accessed)
        hooks.idle = hooks.input_open = None
