"""A toy machine as a target: enough RISC-V to count, loop, load and store; several threads.

One program is loaded at `CODE`; every thread of a process runs it with its own registers.
"""

# ruff: noqa: ARG002 - a fake need not look at everything it is asked

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar

from gdbstub import (
    Event,
    Exited,
    Kind,
    Move,
    Output,
    Point,
    Reason,
    Region,
    Resume,
    Sig,
    Stopped,
    Target,
    TargetError,
    TargetFatalError,
    ThreadId,
    ThreadInfo,
)
from gdbstub.agent import TargetEnvironment, hit

CODE = 0x8000_0000
DATA = 0x8000_1000
SIZE = 0x10000
PC = 32
EXTRA = 65  # a register that exists without a value

_MASK = (1 << 64) - 1
_NAMES = ["zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "fp", "s1"]
_NAMES += [f"a{n}" for n in range(8)] + [f"s{n}" for n in range(2, 12)]
_NAMES += [f"t{n}" for n in range(3, 7)]


def addi(rd: int, rs: int, value: int) -> int:
    return (value & 0xFFF) << 20 | rs << 15 | rd << 7 | 0x13


def ld(rd: int, rs: int) -> int:
    return rs << 15 | 3 << 12 | rd << 7 | 0x03


def sd(rs2: int, rs1: int) -> int:
    return rs2 << 20 | rs1 << 15 | 3 << 12 | 0x23


def jump(offset: int) -> int:
    bits = offset & 0x1FFFFF
    return (
        (bits >> 20) << 31 | (bits >> 1 & 0x3FF) << 21 | (bits >> 11 & 1) << 20
        | (bits >> 12 & 0xFF) << 12 | 0x6F
    )  # fmt: skip


HALT = 0  # ends the process with the exit code in a0

# a0 counts; each turn stores it at s1 (DATA) and loads it into a1.
PROGRAM = [addi(10, 10, 1), sd(10, 9), ld(11, 9), addi(12, 12, 3), jump(-16), HALT]
HALT_AT = CODE + 20


class Thread:
    def __init__(self) -> None:
        self.x = [0] * 33
        self.x[9] = DATA
        self.x[PC] = CODE
        self.resume: Resume | None = None
        self.past = False  # the first instruction after a resume


class FakeBreakpoints:
    kinds = frozenset(Kind)

    def __init__(self) -> None:
        self.points: dict[tuple[int, Kind, int, int], Point] = {}

    def insert(self, point: Point) -> None:
        if point.address >= 1 << 63:
            raise TargetError("no breakpoint fits there", 28)
        self.points[point.process, point.kind, point.address, point.length] = point

    def remove(self, point: Point) -> None:
        self.points.pop((point.process, point.kind, point.address, point.length), None)

    def at(self, process: int, address: int) -> Iterator[Point]:
        for point in self.points.values():
            if point.kind <= Kind.HARDWARE and (point.process, point.address) == (process, address):
                yield point

    def watching(self, process: int, address: int, write: bool) -> Iterator[Point]:
        kinds = (Kind.WRITE if write else Kind.READ, Kind.ACCESS)
        for point in self.points.values():
            if (
                point.process == process
                and point.kind in kinds
                and address < point.address + point.length
                and point.address < address + 8
            ):
                yield point


class FakeDescription:
    def document(self, process: int, name: str) -> str | None:
        if name == "target.xml":
            return (
                '<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd"><target>'
                "<architecture>riscv:rv64</architecture>"
                '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="cpu.xml"/></target>'
            )
        if name == "cpu.xml":
            registers = "".join(f'<reg name="{n}" bitsize="64" type="int"/>' for n in _NAMES)
            return (
                '<?xml version="1.0"?><!DOCTYPE feature SYSTEM "gdb-target.dtd">'
                f'<feature name="org.gnu.gdb.riscv.cpu">{registers}'
                '<reg name="pc" bitsize="64" type="code_ptr"/></feature>'
            )
        return None


class FakeMemoryMap:
    def regions(self, process: int) -> Sequence[Region]:
        return [Region(0x1000, 0x1000, "rom"), Region(CODE, SIZE)]


class FakeThreads:
    def info(self, thread: ThreadId) -> ThreadInfo:
        return ThreadInfo(f"hart <{thread.thread - 1}>", "M-mode & running", thread.thread - 1)


class FakeMonitor:
    def command(self, line: str, thread: ThreadId, write: Callable[[str], None]) -> None:
        if line == "fail":
            raise TargetError("it failed")
        if line == "die":
            raise TargetFatalError("the machine is broken")
        if line.startswith("flood"):
            write("x" * int(line.split()[1]))
        else:
            write(f"{line} on {thread.process}.{thread.thread}\n")


class FakeLifecycle:
    def __init__(self, target: FakeTarget) -> None:
        self.target = target
        self.killed: list[int] = []
        self.threads: dict[int, int] = {}  # how many a process had
        self.restarts = 0
        self.names: list[str] = []  # of what was to be run

    def kill(self, process: int) -> None:
        self.killed.append(process)
        self.threads[process] = sum(t.process == process for t in self.target.threads())
        self.target.remove(process)

    def run(self, name: str) -> int:
        if not self.killed:
            raise TargetError("no process has ended")
        self.names.append(name)
        process = self.killed.pop()
        for number in range(self.threads[process]):
            self.target.harts[ThreadId(process, number + 1)] = Thread()
        return process

    def restart(self) -> None:
        self.restarts += 1
        self.target.reset()


class FakeExecFile:
    def path(self, process: int) -> str | None:
        return f"/guest{process}.elf" if process == 1 else None


class FakeFiles:
    files: ClassVar = {"/guest1.elf": b"\x7fELF" + bytes(range(256)) * 4}

    def contents(self, name: str) -> bytes | memoryview | None:
        return self.files.get(name)


class FakeSignals:
    passed: frozenset[int] = frozenset()

    def pass_through(self, signals: frozenset[int]) -> None:
        self.passed = signals


class Bare(Target):
    """The required core only."""

    def __init__(self, threads: int = 1, processes: int = 1) -> None:
        self._shape = (threads, processes)
        self.reset()

    def reset(self) -> None:
        threads, processes = self._shape
        self.harts = {
            ThreadId(process, thread): Thread()
            for process in range(1, processes + 1)
            for thread in range(1, threads + 1)
        }
        code = b"".join(word.to_bytes(4, "little") for word in PROGRAM)
        self.memory = {
            process: bytearray(code.ljust(SIZE, b"\0")) for process in range(1, processes + 1)
        }
        self.halts: list[list[ThreadId]] = []

    def remove(self, process: int) -> None:
        for thread in [t for t in self.harts if t.process == process]:
            del self.harts[thread]

    # The core of a target.

    def threads(self) -> Sequence[ThreadId]:
        return list(self.harts)

    def read_registers(self, thread: ThreadId) -> bytes:
        return b"".join(value.to_bytes(8, "little") for value in self._hart(thread).x)

    def write_registers(self, thread: ThreadId, data: bytes) -> None:
        if len(data) % 8 or len(data) > 33 * 8:
            raise TargetError("registers have 8 bytes each")
        for index in range(len(data) // 8):
            value = int.from_bytes(data[8 * index : 8 * index + 8], "little")
            self._hart(thread).x[index] = value if index else 0

    def read_register(self, thread: ThreadId, number: int) -> bytes | None:
        if number == EXTRA:
            return None
        return self._hart(thread).x[self._known(number)].to_bytes(8, "little")

    def write_register(self, thread: ThreadId, number: int, data: bytes) -> None:
        if len(data) != 8:
            raise TargetError("a register has 8 bytes")
        self._hart(thread).x[self._known(number)] = int.from_bytes(data, "little")

    def read_memory(self, thread: ThreadId, address: int, length: int) -> bytes:
        memory = self.memory[thread.process]
        if not CODE <= address < CODE + SIZE:
            raise TargetError(f"no memory at {address:#x}", 14)
        return bytes(memory[address - CODE : address - CODE + length])

    def write_memory(self, thread: ThreadId, address: int, data: bytes) -> None:
        if address < CODE or address + len(data) > CODE + SIZE:
            raise TargetError(f"no memory at {address:#x}", 14)
        self.memory[thread.process][address - CODE : address - CODE + len(data)] = data

    def resume(self, actions: Mapping[ThreadId, Resume]) -> None:
        for thread, action in actions.items():
            hart = self._hart(thread)
            hart.resume = action
            hart.past = False
            if action.address is not None:
                hart.x[PC] = action.address

    def halt(self, threads: Sequence[ThreadId]) -> None:
        self.halts.append(list(threads))
        for thread in threads:
            self._hart(thread).resume = None

    def _hart(self, thread: ThreadId) -> Thread:
        if thread not in self.harts:
            raise TargetError("no such thread")
        return self.harts[thread]

    @staticmethod
    def _known(number: int) -> int:
        if number > PC:
            raise TargetError(f"there is no register {number}")
        return number

    # The machine.

    def running(self) -> list[ThreadId]:
        return [thread for thread, hart in self.harts.items() if hart.resume]

    def run_slice(self, instructions: int = 200) -> list[Event]:
        """Runs every running thread for so many instructions, or until something happens."""
        events: list[Event] = []
        for thread in self.running():
            hart = self.harts.get(thread)
            for _ in range(instructions):
                if hart is None or hart.resume is None:
                    break
                try:
                    self._step(thread, hart, events)
                except TargetError:
                    hart.resume = None
                    events.append(Stopped(thread, Sig.SEGV))
        return events

    def _step(self, thread: ThreadId, hart: Thread, events: list[Event]) -> None:
        x, action = hart.x, hart.resume
        assert action is not None
        stop = self._breakpoint(thread, x[PC], events)
        if stop and hart.past:
            hart.resume = None
            events.append(stop)
            return
        hart.past = True
        word = int.from_bytes(self.read_memory(thread, x[PC], 4), "little")
        rd, rs1, rs2 = word >> 7 & 31, word >> 15 & 31, word >> 20 & 31
        watched = None
        if word == HALT:
            events.append(Exited(thread.process, x[10] & 0xFF))
            self.remove(thread.process)
            return
        if word & 0x7F == 0x13:
            x[rd] = x[rs1] + (word >> 20 ^ 0x800) - 0x800 & _MASK if rd else 0
        elif word & 0x7F == 0x6F:
            x[PC] = x[PC] - 20  # the only jump that there is
        elif word & 0x7F == 0x23:
            self.write_memory(thread, x[rs1], x[rs2].to_bytes(8, "little"))
            watched = self._watch(thread, x[rs1], True)
        else:
            x[rd] = int.from_bytes(self.read_memory(thread, x[rs1], 8), "little")
            watched = self._watch(thread, x[rs1], False)
        x[PC] = x[PC] + 4 & _MASK
        if watched:
            hart.resume = None
            events.append(watched)
        elif action.move is Move.STEP or (
            action.move is Move.RANGE and not action.start <= x[PC] < action.end
        ):
            hart.resume = None
            events.append(Stopped(thread, Sig.TRAP))

    def _breakpoint(self, thread: ThreadId, pc: int, events: list[Event]) -> Stopped | None:
        return None

    def _watch(self, thread: ThreadId, address: int, write: bool) -> Stopped | None:
        return None


class FakeTarget(Bare):
    """Every capability."""

    expedited = (PC, 2)
    range_stepping = True

    def __init__(self, threads: int = 1, processes: int = 1) -> None:
        self.breaks = FakeBreakpoints()
        super().__init__(threads, processes)
        self.breakpoints = self.breaks
        self.description = FakeDescription()
        self.exec_file = FakeExecFile()
        self.files = FakeFiles()
        self.life = FakeLifecycle(self)
        self.lifecycle = self.life
        self.memory_map = FakeMemoryMap()
        self.monitor = FakeMonitor()
        self.signals = FakeSignals()
        self.thread_names = FakeThreads()

    def _breakpoint(self, thread: ThreadId, pc: int, events: list[Event]) -> Stopped | None:
        environment = TargetEnvironment(self, thread, lambda text: events.append(Output(text)))
        for point in self.breaks.at(thread.process, pc):
            if hit(point, environment) and self.harts[thread].past:
                software = point.kind is Kind.SOFTWARE
                return Stopped(
                    thread,
                    Sig.TRAP,
                    Reason.SOFTWARE_BREAKPOINT if software else Reason.HARDWARE_BREAKPOINT,
                )
        return None

    def _watch(self, thread: ThreadId, address: int, write: bool) -> Stopped | None:
        names = {Kind.WRITE: Reason.WRITE, Kind.READ: Reason.READ, Kind.ACCESS: Reason.ACCESS}
        for point in self.breaks.watching(thread.process, address, write):
            return Stopped(thread, Sig.TRAP, names[point.kind], point.address)
        return None
