"""Firmware for guests that start in S-mode: the Supervisor Binary Interface, answered by the VMM.

The virtual hart's M-mode is the host's (`owned_levels`), in all modes alike: a call of the guest's
kernel is taken as a trap into M-mode, answered here, and returned from with an `mret`. Base, timer,
console and reset extensions, the legacy console, and what rvemu.vmm.sbi_harts answers (SBI 3.0).
"""

from collections.abc import Callable

from rvemu.board import FINISHER_BASE, UART_BASE
from rvemu.devices.syscon import FAIL, PASS, RESET
from rvemu.errors import RvemuError
from rvemu.hart.counters import request_poll
from rvemu.hart.csr_view import poke
from rvemu.hart.exceptions import Cause
from rvemu.hart.fields import MENVCFG, MIP
from rvemu.hart.privilege import set_privilege
from rvemu.hart.state import S_MODE, Hart
from rvemu.hart.traps import return_from_m
from rvemu.lang import M32, M64
from rvemu.machine import Machine
from rvemu.traps import cause_name
from rvemu.vmm.host import LEVEL_M
from rvemu.vmm.hypercalls import IMPLEMENTATION
from rvemu.vmm.sbi_harts import HSM, IPI, RFENCE, HartCalls
from rvemu.vmm.sbi_results import INVALID_PARAM, NOT_SUPPORTED, SUCCESS, Result

# Extensions, by their numbers.
PUTCHAR, SHUTDOWN, BASE = 0x01, 0x08, 0x10
TIME, RESET_EXTENSION, CONSOLE = 0x54494D45, 0x53525354, 0x4442434E

_VERSION = 3 << 24  # 3.0

_A0, _A1, _A2, _A6, _A7 = 10, 11, 12, 16, 17
_LONGEST_WRITE = 4096  # bytes of one console write; a guest may ask for more, and gets so many

# What a kernel handles itself: all but its own calls of firmware, and what only M-mode knows of.
_DELEGATED = M64 & ~(1 << Cause.ECALL_FROM_S | 1 << Cause.ECALL_FROM_M)
_OPEN_PMP = 0x1F  # NAPOT, R, W, X


class UnhandledExitError(RvemuError):
    """A guest did what the VMM has no answer to: says what, and where."""


class Firmware:
    """Answers the calls of one machine's guest. on_call: told of each, by hart, extension and
    function. fence: has a hart forget its translations."""

    def __init__(
        self,
        machine: Machine,
        on_call: Callable[[Hart, int, int], None],
        fence: Callable[[Hart], None],
    ) -> None:
        self._machine = machine
        self._on_call = on_call
        self._harts = HartCalls(machine, fence)
        self._extensions: dict[int, Callable[[Hart, int], Result]] = {
            BASE: self._base,
            TIME: self._time,
            RESET_EXTENSION: self._reset,
            CONSOLE: self._console,
            HSM: self._harts.manage,
            IPI: self._harts.interrupt,
            RFENCE: self._harts.have_fence,
        }
        #: Extensions that somebody else answers, before calls of them get here.
        self.offered: set[int] = set()
        machine.hooks.owner = self._trapped

    def start(self) -> None:
        """Do what firmware does before it enters the kernel: delegate, open memory, and go down to
        S-mode, on the first hart at the entry of the loaded image. The others are stopped."""
        for hart in self._machine.harts:
            self._prepare(hart.state)
        self._harts.start()

    @staticmethod
    def _prepare(h: Hart) -> None:
        poke(h, "medeleg", _DELEGATED)
        poke(h, "mideleg", MIP.SSIP.mask | MIP.STIP.mask | MIP.SEIP.mask)
        poke(h, "mcounteren", M64)
        poke(h, "menvcfg", M64 & ~MENVCFG.ADUE.mask)
        if h.pmp_count:
            poke(h, "pmpaddr0", M64)
            poke(h, "pmpcfg0", _OPEN_PMP)
        h.owned_levels |= LEVEL_M
        set_privilege(h, S_MODE, 0)

    def _trapped(self, number: int) -> None:
        h = self._machine.harts[number].state
        if h.mcause != Cause.ECALL_FROM_S:
            raise UnhandledExitError(
                f"the guest traps into firmware, which has no answer: {cause_name(int(h.mcause))} "
                f"at {self._machine.lookup(int(h.mepc))}, value {int(h.mtval):#x}"
            )
        extension, function = int(h.x[_A7]), int(h.x[_A6])
        self._on_call(h, extension, function)
        h.mepc += 4
        self._answer(h, extension, function)
        return_from_m(h)
        h.pc = h.next_pc

    def _answer(self, h: Hart, extension: int, function: int) -> None:
        if extension == PUTCHAR:
            self.send(bytes([h.x[_A0] & 0xFF]))
            h.x[_A0] = 0  # legacy calls return one value
            return
        if extension == SHUTDOWN:
            self._finish(PASS)
            return
        answer = self._extensions.get(extension)
        error, value = answer(h, function) if answer is not None else (NOT_SUPPORTED, 0)
        h.x[_A0] = error & M64
        h.x[_A1] = value & M64

    # --- Extensions --------------------------------------------------------------------------

    def _base(self, h: Hart, function: int) -> Result:
        known = h.x[_A0] in self._extensions or h.x[_A0] in (PUTCHAR, SHUTDOWN, *self.offered)
        values = (_VERSION, IMPLEMENTATION, 1, int(known), 0, 0, 0)
        if function >= len(values):
            return NOT_SUPPORTED, 0
        return SUCCESS, values[function]

    def _time(self, h: Hart, function: int) -> Result:
        if function != 0:
            return NOT_SUPPORTED, 0
        h.stimecmp = h.x[_A0]
        request_poll(h)
        return SUCCESS, 0

    def _reset(self, h: Hart, function: int) -> Result:
        if function != 0:
            return NOT_SUPPORTED, 0
        kind, reason = h.x[_A0] & M32, h.x[_A1] & M32
        if kind > 2 or reason > 1:  # reserved
            return INVALID_PARAM, 0
        failed = FAIL | 1 << 16
        self._finish(RESET if kind else failed if reason else PASS)
        return SUCCESS, 0

    def _console(self, h: Hart, function: int) -> Result:
        if function == 2:
            self.send(bytes([h.x[_A0] & 0xFF]))
            return SUCCESS, 0
        if function == 1:
            return SUCCESS, 0  # no input by this way
        if function != 0:
            return NOT_SUPPORTED, 0
        length, address = min(int(h.x[_A0]), _LONGEST_WRITE), int(h.x[_A1])
        ram = self._machine.board.ram
        if h.x[_A2] or not ram.contains(address, length):
            return INVALID_PARAM, 0
        self.send(ram.read(address, length))
        return SUCCESS, length

    # --- The machine -------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Print something of the guest's."""
        for byte in data:
            self._machine.board.bus.write(UART_BASE, 1, byte)
        self._machine.worked(len(data))

    def _finish(self, command: int) -> None:
        self._machine.board.bus.write(FINISHER_BASE, 4, command)
