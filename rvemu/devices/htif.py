"""HTIF, the host-target interface: two 64-bit words in guest memory, `tohost` and `fromhost`.

It is how riscv-tests report, and how programs made for Spike print and exit. There is no
specification; Spike's front-end server and the programs that use it define it. A command in
`tohost` is

    device [63:56]  command [55:48]  payload [47:0]

- device 0, command 0, payload odd: exit, the code is payload >> 1.
- device 0, command 0, payload even: a system call. The payload is the physical address of eight
  64-bit words: the number and its arguments. The result replaces the first word.
- device 1, command 0: read a character of the console; answered when there is one.
- device 1, command 1: write a character to the console.

The words stay ordinary memory that loads reach directly. Stores to them have to come to `write`.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from rvemu.errors import RvemuError
from rvemu.memory import Ram

_TOHOST, _FROMHOST = 0, 8  # offsets in the window

_DEVICE_SYSTEM, _DEVICE_CONSOLE = 0, 1
_CONSOLE_READ, _CONSOLE_WRITE = 0, 1
_CHARACTER_READ = 0x100  # marks a character that was read, so that NUL is not "nothing"

_SYS_WRITE, _SYS_EXIT = 64, 93
_BLOCK_SIZE = 8 * 8
_MAX_WRITE = 1 << 16
_MAX_PENDING = 16


class Htif:
    """The two words at the physical addresses `tohost` and `fromhost` of `ram`.

    `fromhost` may be None: a program that only exits and prints needs no answers. Raises
    `RvemuError` when an address is not that of a 64-bit word in `ram`.
    """

    def __init__(
        self,
        ram: Ram,
        tohost: int,
        fromhost: int | None = None,
        *,
        on_exit: Callable[[int], None],
        on_output: Callable[[bytes], None] | None = None,
        read_input: Callable[[], int | None] | None = None,
    ) -> None:
        for name, address in (("tohost", tohost), ("fromhost", fromhost)):
            if address is not None and (address % 8 or not ram.contains(address, 8)):
                raise RvemuError(f"{name} at {address:#x} is not an aligned 64-bit word in RAM")
        self.ram = ram
        self.tohost = tohost
        self.fromhost = fromhost
        #: Called with the exit code. Like any C program's, it may be negative.
        self.on_exit = on_exit
        #: Takes what the guest prints.
        self.on_output = on_output
        #: Gives the next console character, or None while there is none.
        self.read_input = read_input
        self.reset()

    def reset(self) -> None:
        """Forget unanswered commands."""
        #: Reads of the console that have no character yet.
        self.pending_reads = 0
        #: Answers that wait for the guest to clear `fromhost`.
        self.answers: list[int] = []

    @property
    def words(self) -> tuple[int, ...]:
        """Physical addresses of the 64-bit words whose stores have to come here."""
        return (self.tohost,) if self.fromhost is None else (self.tohost, self.fromhost)

    def offset_of(self, address: int, width: int) -> int | None:
        """The offset in the window for an access of `width` bytes at a physical address: 0 to 7
        in `tohost`, 8 to 15 in `fromhost`, None if it is not wholly within one of them."""
        for offset, word in zip((_TOHOST, _FROMHOST), self.words, strict=False):
            if word <= address and address + width <= word + 8:
                return offset + address - word
        return None

    def read(self, offset: int, width: int) -> int:
        """Read from the window: what is in memory there."""
        return int.from_bytes(self.ram.read(self._address(offset), width), "little")

    def write(self, offset: int, width: int, value: int) -> None:
        """Store to the window, and obey a command that this completes.

        A command takes effect when its lowest byte is stored. So a program may store just the
        low half (an exit, or a system call), or both halves with the high one first.
        """
        self.ram.write(self._address(offset), value.to_bytes(width, "little"))
        if offset == _TOHOST:
            self.obey(self._load(self.tohost))
        elif offset >= _FROMHOST:
            self._deliver()

    def obey(self, command: int) -> None:
        """Obey a 64-bit command, as if it had just been found in `tohost`; 0 is none."""
        if not command:
            return
        # Programs wait for zero before they send the next command.
        self._store(self.tohost, 0)
        device, operation, payload = command >> 56, command >> 48 & 0xFF, command & (1 << 48) - 1
        if command >> 48 == 0xFFFF and command & 1:
            # exit(-1) in a C program fills the upper bits as well.
            self.on_exit((command - (1 << 64)) >> 1)
        elif (device, operation) == (_DEVICE_SYSTEM, 0) and payload & 1:
            self.on_exit(payload >> 1)
        elif (device, operation) == (_DEVICE_SYSTEM, 0):
            self._system_call(payload)
        elif (device, operation) == (_DEVICE_CONSOLE, _CONSOLE_WRITE):
            if self.on_output is not None:
                self.on_output(bytes((payload & 0xFF,)))
        elif (device, operation) == (_DEVICE_CONSOLE, _CONSOLE_READ):
            self.pending_reads = min(self.pending_reads + 1, _MAX_PENDING)
            self.poll()

    def poll(self) -> None:
        """Answer reads of the console, if there is input now."""
        while self.pending_reads and self.read_input is not None:
            character = self.read_input()
            if character is None:
                break
            self.pending_reads -= 1
            self._answer(_DEVICE_CONSOLE << 56 | _CHARACTER_READ | character & 0xFF)
        self._deliver()

    def _system_call(self, block: int) -> None:
        if self.ram.contains(block, _BLOCK_SIZE):
            number, *arguments = (self._load(block + 8 * i) for i in range(8))
            result = self._perform(number, arguments)
            if result is None:
                return
            self._store(block, result & (1 << 64) - 1)
        # A block outside memory has no place for a result, but a guest waits for the answer.
        self._answer(1)

    def _perform(self, number: int, arguments: list[int]) -> int | None:
        """The result of a system call, negative for an error; None if it does not return."""
        if number == _SYS_EXIT:
            self.on_exit(_signed32(arguments[0]))
            return None
        if number != _SYS_WRITE:
            return -errno.ENOSYS
        descriptor, buffer, length = arguments[:3]
        if descriptor not in (1, 2):
            return -errno.EBADF
        if not self.ram.contains(buffer, length):
            return -errno.EFAULT
        # Like any write, it may write less than it was asked to.
        length = min(length, _MAX_WRITE)
        if self.on_output is not None:
            self.on_output(self.ram.read(buffer, length))
        return length

    def _answer(self, value: int) -> None:
        if len(self.answers) < _MAX_PENDING:
            self.answers.append(value)
        self._deliver()

    def _deliver(self) -> None:
        if self.fromhost is not None and self.answers and not self._load(self.fromhost):
            self._store(self.fromhost, self.answers.pop(0))

    def _address(self, offset: int) -> int:
        if offset < _FROMHOST:
            return self.tohost + offset
        assert self.fromhost is not None
        return self.fromhost + offset - _FROMHOST

    def _load(self, address: int) -> int:
        return int.from_bytes(self.ram.read(address, 8), "little")

    def _store(self, address: int, value: int) -> None:
        self.ram.write(address, value.to_bytes(8, "little"))


def _signed32(value: int) -> int:
    """A C `int` in a 64-bit register."""
    value &= 0xFFFF_FFFF
    return value - (1 << 32) if value >> 31 else value
