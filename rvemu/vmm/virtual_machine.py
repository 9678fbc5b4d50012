"""A guest, the mode it runs in, and what its run came to."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rvemu.devices.uart import FCR_ENABLE, Register
from rvemu.devices.virtio.block import Block
from rvemu.drives import Drive
from rvemu.errors import RvemuError
from rvemu.hart.extensions import DEFAULT_ISA, Ext, isa_string, parse_isa
from rvemu.hart.state import U_MODE, Hart, Shared
from rvemu.hart.tlb import flush_all
from rvemu.loader import Image, load_elf
from rvemu.machine import Machine, Outcome, Reason
from rvemu.vmm.accounting import ANSWER_CLOCKS, EXIT_CLOCKS, Accounting
from rvemu.vmm.exits import Exit, ExitReason
from rvemu.vmm.hardware import Hardware
from rvemu.vmm.host import MOST_HARTS, Host
from rvemu.vmm.hypercalls import EXTENSION, NOTE_NAME, NOTE_TYPE, VERSION
from rvemu.vmm.monitor import Monitor
from rvemu.vmm.paravirt import Paravirt
from rvemu.vmm.patch import Patcher
from rvemu.vmm.sbi import Firmware, UnhandledExitError
from rvemu.vmm.trap_and_emulate import TrapAndEmulate

EMULATE = "emulate"
_MONITORS: dict[str, type[Monitor]] = {
    "trap-and-emulate": TrapAndEmulate,
    "paravirt": Paravirt,
    "hardware": Hardware,
}
MODES = (EMULATE, *_MONITORS)
PARAVIRT = Paravirt.name
#: Modes whose guests need not know of it.
TRANSPARENT = tuple(mode for mode in MODES if mode != PARAVIRT)


@dataclass(frozen=True)
class Run:
    """What a guest's run came to. failure: what ended it, if the VMM had no answer."""

    outcome: Outcome | None
    failure: str = ""

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to run."""
        return self.outcome is None or self.outcome.reason not in (
            Reason.BUDGET,
            Reason.CONDITION,
            Reason.INTERRUPTED,
        )

    @property
    def passed(self) -> bool:
        """Whether the guest ended by itself, with status 0."""
        return self.outcome == Outcome(Reason.EXITED, 0)

    def __str__(self) -> str:
        if self.outcome is None:
            return self.failure
        if self.outcome.reason is Reason.EXITED:
            return f"exited with status {self.outcome.code}"
        return ": ".join(filter(None, (str(self.outcome.reason), self.outcome.detail)))


class VirtualMachine:
    """A machine of virtual harts, without H, in a mode of MODES.

    host: what it runs on; guests that share one get a bank of its memory each. memory: bytes of
    guest-physical RAM. harts: 1 to 8 (1 in mode paravirt), all on the host's one. sbi: the guest
    starts in S-mode, and the VMM is its firmware (as it always does in mode paravirt).
    quirks: QUIRK_* of the hart (rvemu.hart.state). patch: scan and patch the guest's kernel, so
    that these do not matter. bootargs: a kernel's command line. Raises `RvemuError` where these
    can't be had.
    """

    def __init__(
        self,
        mode: str,
        host: Host | None = None,
        *,
        name: str = "guest",
        memory: int = 128 << 20,
        harts: int = 1,
        isa: str = DEFAULT_ISA,
        pmp: int = 16,
        engine: str = "native",
        sbi: bool = False,
        quirks: int = 0,
        patch: bool = False,
        bootargs: str = "",
        output: Callable[[bytes], None] | None = None,
    ) -> None:
        if mode not in MODES:
            raise RvemuError(f"no mode {mode!r}; there are: {', '.join(MODES)}")
        if not 1 <= harts <= MOST_HARTS:
            raise RvemuError(f"{harts} harts: a virtual machine has 1 to {MOST_HARTS}")
        if harts > 1 and mode == PARAVIRT:
            raise RvemuError(
                f"{harts} harts: a paravirtual guest has one, by the interface of its hypercalls; "
                "choose another mode"
            )
        self.mode = mode
        self.name = name
        extensions = parse_isa(isa)
        self.host = host
        self.monitor: Monitor | None = None
        if mode != EMULATE:
            self.host = host or Host(extensions, engine)
        self.machine = Machine(
            memory=memory,
            harts=harts,
            isa=isa_string(extensions & ~Ext.H),
            pmp=pmp,
            engine=engine if mode == EMULATE else self._make_monitor,
            bootargs=bootargs,
            output=output,
        )
        for hart in self.machine.harts:
            hart.state.quirks = quirks
        if self.host is not None:
            self.host.hart.quirks = quirks
        if patch:
            if mode != TrapAndEmulate.name or not isinstance(self.monitor, TrapAndEmulate):
                raise RvemuError(f"patching is a variant of trap-and-emulate, not of {mode}")
            self.monitor.shadows.patcher = Patcher(self.monitor)
        #: What its exits were, and cost.
        self.accounting = self.monitor.accounting if self.monitor is not None else Accounting()
        self.machine.stuck.effort = lambda: self.cost
        #: Told of each exit.
        self._trace: Callable[[Exit], None] | None = None
        paravirtual = isinstance(self.monitor, Paravirt)
        self.firmware = None
        if sbi or paravirtual:
            self.firmware = Firmware(self.machine, self._called, self._fence)
        if isinstance(self.monitor, Paravirt):
            self._connect(self.monitor)
        self.machine.board.ram.on_write = self._chain(self.machine.board.ram.on_write)

    def _make_monitor(self, shared: Shared, harts: Sequence[Hart]) -> Monitor:
        assert self.host is not None
        self.monitor = _MONITORS[self.mode](self.host, shared, harts)
        return self.monitor

    def _connect(self, monitor: Paravirt) -> None:
        """Let a paravirtual guest find its interface, and the console behind its ring."""
        assert self.firmware is not None
        self.firmware.offered.add(EXTENSION)
        uart = self.machine.board.uart
        uart.write(Register.IIR_FCR, 1, FCR_ENABLE)

        def receive(room: int) -> bytes:
            return bytes(
                uart.read(Register.RBR_THR, 1) for _ in range(min(room, len(uart.received)))
            )

        monitor.send, monitor.receive = self.firmware.send, receive
        monitor.worked = self.machine.worked
        self.machine.guest_physical = monitor.guest_physical
        self.machine.translated_as = U_MODE
        self.machine.changes_by_itself = monitor.is_shared
        self.machine.hooks.between.append(monitor.take_input)

    def _chain(self, first: Callable[[int, int], None] | None) -> Callable[[int, int], None] | None:
        """Have the monitor told of what the host writes to guest memory."""
        monitor = self.monitor
        if monitor is None:
            return first

        def written(address: int, length: int) -> None:
            if first is not None:
                first(address, length)
            monitor.memory_written(address, length)

        return written

    def plug(self, drive: Drive) -> None:
        """Give the guest a disk, before it is loaded: a virtio device, or in mode paravirt what is
        behind the block ring. Raises `RvemuError` if there is no place for it."""
        if not isinstance(self.monitor, Paravirt):
            self.machine.plug(Block(drive))
        elif self.monitor.drive is None:
            self.monitor.drive = drive
        else:
            raise RvemuError(f"{self.name}: a paravirtual guest has one disk")

    @property
    def trace(self) -> Callable[[Exit], None] | None:
        """Told of each exit. It can be set."""
        return self._trace

    @trace.setter
    def trace(self, trace: Callable[[Exit], None] | None) -> None:
        self._trace = trace
        if self.monitor is not None:
            self.monitor.trace = trace

    @property
    def instructions(self) -> int:
        """That the guest has executed, on all its harts."""
        return sum(hart.instret for hart in self.machine.harts)

    @property
    def cost(self) -> int:
        """What it has had of the host, in clocks."""
        answered = self.accounting.answered
        work = self.accounting.total - answered + self.machine.host_work
        return self.machine.now + EXIT_CLOCKS * work + ANSWER_CLOCKS * answered

    def load(self, source: Path | str | bytes) -> None:
        """Load an ELF file, and make it ready to start: in M-mode, or in S-mode on the VMM's
        firmware. Raises `RvemuError`, with nothing changed, if it can't be."""
        if isinstance(self.monitor, Paravirt):
            _check_note(source)
        self.machine.load(source)
        self._start()

    def boot(self, kernel: Path | str, initrd: Path | str | None = None) -> None:
        """Load an operating system's kernel (ELF or Linux `Image`) and its initial RAM disk, to be
        started in S-mode on the VMM's firmware. Raises as `load` does."""
        assert self.firmware is not None, "a kernel starts on firmware: sbi=True"
        if isinstance(self.monitor, Paravirt):
            _check_note(kernel)
        self.machine.boot(kernel, initrd=initrd)
        self._start()

    def _start(self) -> None:
        """The guest was loaded: do what comes before its first instruction."""
        if isinstance(self.monitor, Paravirt):
            self.monitor.begin()
        if self.firmware is not None:
            self.firmware.start()

    def reboot(self) -> None:
        """Have the loaded guest begin anew."""
        self.machine.reboot()
        if self.monitor is not None:
            self.monitor.reset()
        self._start()

    @contextmanager
    def accounted(self) -> Iterator[None]:
        """While the machine runs: its time is accounted for, and an exit that nobody has an answer
        to names the guest and its state."""
        accounting = self.accounting
        seconds = self.host.guest_seconds if self.host is not None else 0.0
        accounting.begin()
        try:
            yield
        except UnhandledExitError as unhandled:
            raise UnhandledExitError(f"{self.name}: {unhandled} ({self._where()})") from None
        finally:
            accounting.end()
            if self.host is not None:
                accounting.guest_seconds += self.host.guest_seconds - seconds
            else:
                accounting.guest_seconds = accounting.total_seconds

    def run(
        self,
        budget: int | None = None,
        *,
        runner: Callable[[int | None], Outcome | None] | None = None,
    ) -> Run:
        """Run for so many clocks of guest time at most. runner: what runs the machine, if not its
        own `run` (a session at a terminal; None from it means that the user quits)."""
        try:
            with self.accounted():
                return Run(self.machine.run(budget) if runner is None else runner(budget))
        except UnhandledExitError as unhandled:
            return Run(None, str(unhandled))

    def _where(self) -> str:
        """The state of the hart that has run last."""
        hart = self.machine.harts[self.machine.scheduler.turn]
        which = f"hart {self.machine.scheduler.turn}, " if len(self.machine.harts) > 1 else ""
        names = ("pc", "ra", "sp", "mcause", "satp", "scause", "sepc")
        return f"{which}{hart.mode}-mode, " + ", ".join(f"{n} {hart[n]:#x}" for n in names)

    def _fence(self, h: Hart) -> None:
        """Have a virtual hart forget its translations: its own, and the physical hart's."""
        flush_all(h)
        if self.host is not None:
            self.host.stale = True

    def _called(self, h: Hart, extension: int, function: int) -> None:
        """Firmware is called. (A monitor has counted that already, where it saw the call.)"""
        if self.monitor is not None:
            return
        self.accounting.exits[ExitReason.SBI] += 1
        if self._trace is not None:
            pc = int(h.mepc)
            action = f"extension {extension:#x}, function {function}: answered by the VMM"
            hart = int(h.hartid) if len(self.machine.harts) > 1 else None
            self._trace(Exit(ExitReason.SBI, pc, "S", "ecall", extension, action, hart))


def is_paravirtual(source: Path | str | bytes) -> bool:
    """Whether a guest was built for mode paravirt too. Raises `RvemuError` if it is no guest."""
    return bool(_versions(load_elf(source)))


def _versions(image: Image) -> list[int]:
    """The versions of the paravirtual interface that a guest knows."""
    return [
        int.from_bytes(note.description[:4], "little")
        for note in image.notes
        if note[:2] == (NOTE_NAME, NOTE_TYPE)
    ]


def _check_note(source: Path | str | bytes) -> None:
    """Raise `RvemuError` if a guest does not know the paravirtual interface."""
    image = load_elf(source)
    versions = _versions(image)
    if not versions:
        raise RvemuError(
            f"{image.name}: was not built to make hypercalls (it has no note that says so), as "
            "mode paravirt wants; see docs/vmm.md, or choose another mode"
        )
    if VERSION not in versions:
        raise RvemuError(
            f"{image.name}: wants version {versions[0]} of the hypercalls; there is {VERSION}"
        )
