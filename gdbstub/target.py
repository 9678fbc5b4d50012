"""What a target offers to the stub: a required core, and capabilities that are absent by default.

A target derives from `Target` and implements its abstract methods. A capability is an attribute
that is None until the target puts an object there; the stub announces to the client exactly what
is there. The objects are small and structural (`Protocol`), so that each may live in its own
file.

Everything is called from the thread that pumps the server, between two slices of the guest, and
may raise TargetError (the client is told and the session goes on) or TargetFatalError (it ends).

Registers are opaque bytes in the target's byte order, numbered as the target description says.
Addresses and lengths are in bytes; what an address means to a thread (translation, privilege) is
the target's business.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import ClassVar, Literal, NamedTuple, Protocol


class ThreadId(NamedTuple):
    """A thread (hart, vCPU) of a process (machine, virtual machine). Both count from 1."""

    process: int
    thread: int


class Move(Enum):
    """How a thread is to run."""

    CONTINUE = "continue"
    STEP = "step"  # one instruction
    RANGE = "range"  # steps until pc leaves [start, end), at least one


class Resume(NamedTuple):
    """What one thread is to do (GDB manual, `vCont`)."""

    move: Move
    signal: int = 0  # GDB's number of a signal to deliver; 0: none
    start: int = 0  # of RANGE: the first address of the range
    end: int = 0  # of RANGE: the address after the last
    address: int | None = None  # set pc to this first (the old `c ADDR` and `s ADDR`)


CONTINUE = Resume(Move.CONTINUE)
STEP = Resume(Move.STEP)


class Reason(Enum):
    """Why a thread stopped, where GDB wants more than a signal ("Stop Reply Packets")."""

    SOFTWARE_BREAKPOINT = "swbreak"
    HARDWARE_BREAKPOINT = "hwbreak"
    WRITE = "watch"
    READ = "rwatch"
    ACCESS = "awatch"
    CREATED = "create"  # the thread has just appeared (only with QThreadEvents)


class Sig(IntEnum):
    """The signal numbers of the protocol that a machine needs (include/gdb/signals.def)."""

    NONE = 0
    INT = 2
    ILL = 4
    TRAP = 5
    ABRT = 6
    FPE = 8
    KILL = 9
    BUS = 10
    SEGV = 11


@dataclass(frozen=True, slots=True)
class Stopped:
    """A thread has stopped; in all-stop mode, every other thread with it."""

    thread: ThreadId
    signal: int = Sig.TRAP
    reason: Reason | None = None
    address: int = 0  # the data address that was touched, for a watchpoint


@dataclass(frozen=True, slots=True)
class ThreadExited:
    """A thread is gone (a hart was stopped for good); told only if the client asked."""

    thread: ThreadId
    code: int = 0


@dataclass(frozen=True, slots=True)
class Exited:
    """A process ended by itself with an exit code (0-255), and its threads are gone."""

    process: int
    code: int = 0


@dataclass(frozen=True, slots=True)
class Terminated:
    """A process was ended by a signal, and its threads are gone."""

    process: int
    signal: int = Sig.KILL


@dataclass(frozen=True, slots=True)
class Output:
    """Text for the debugger's console while the guest runs (dprintf, traces)."""

    text: bytes


Event = Stopped | ThreadExited | Exited | Terminated | Output


class Kind(IntEnum):
    """The kind of a breakpoint or watchpoint: the digit of `Z0`-`Z4`."""

    SOFTWARE = 0
    HARDWARE = 1
    WRITE = 2
    READ = 3
    ACCESS = 4


@dataclass(frozen=True, slots=True)
class Point:
    """One breakpoint or watchpoint in the addresses of one process.

    `length` is the number of bytes watched, or for a breakpoint the architecture's breakpoint
    kind (RISC-V: 2 or 4). Conditions and commands are agent expressions (`gdbstub.agent`): the
    target stops if any condition holds or there are none, and runs the commands then;
    `agent.hit` decides both.
    """

    process: int
    kind: Kind
    address: int
    length: int
    conditions: tuple[bytes, ...] = ()
    commands: tuple[bytes, ...] = ()
    persistent: bool = False  # the commands outlive the connection (`set disconnected-dprintf`)


class Breakpoints(Protocol):
    """Breakpoints and watchpoints (`Z`, `z`). A point equal in all but its expressions to one
    that is there replaces it; removing one that is not there does nothing."""

    kinds: frozenset[Kind]

    def insert(self, point: Point) -> None:
        """Raises TargetError when there is no room or the place cannot be watched."""

    def remove(self, point: Point) -> None:
        """Takes the point out; its expressions do not matter."""


class Description(Protocol):
    """The target description (GDB manual, "Target Descriptions")."""

    def document(self, process: int, name: str) -> str | None:
        """The XML document of that name, "target.xml" first; None when there is none."""


class Region(NamedTuple):
    """One range of the memory map ("Memory Map Format"). Ranges must not overlap."""

    start: int
    length: int
    type: Literal["ram", "rom"] = "ram"


class MemoryMap(Protocol):
    """Which addresses exist. The client refuses every address that is not listed."""

    def regions(self, process: int) -> Sequence[Region]:
        """In ascending order."""


class ThreadInfo(NamedTuple):
    """What `info threads` shows beside the number."""

    name: str | None = None
    extra: str | None = None  # state, mode... in a few words
    core: int | None = None


class Threads(Protocol):
    """Names and states of threads."""

    def info(self, thread: ThreadId) -> ThreadInfo:
        """Called for every `info threads`: should be quick."""


class Monitor(Protocol):
    """The `monitor` commands of the target."""

    def command(self, line: str, thread: ThreadId, write: Callable[[str], None]) -> None:
        """Runs one line for the selected thread. Text given to `write` appears at once."""


class Lifecycle(Protocol):
    """Ends and restarts what is debugged."""

    def kill(self, process: int) -> None:
        """Ends a process: its threads are gone from `threads()` when this returns."""

    def run(self, name: str) -> int:
        """Puts a process that has ended back to its beginning, stopped; which. name: of its
        executable, or empty. Raises TargetError where none has ended."""

    def restart(self) -> None:
        """Puts everything back to its beginning, stopped."""


class ExecFile(Protocol):
    """The path of the executable of a process, for a client that was given none."""

    def path(self, process: int) -> str | None:
        """A path on this machine, or a name that `Files` offers."""


class Files(Protocol):
    """Files that the client may read (`vFile`): those that the target offers and no others."""

    def contents(self, name: str) -> bytes | memoryview | None:
        """The whole contents (an mmap's memoryview for large ones); None: not offered."""


class Signals(Protocol):
    """`QPassSignals`, for a target that has signals (a bare machine has none)."""

    def pass_through(self, signals: frozenset[int]) -> None:
        """Do not stop for these signals, but deliver them."""


class Target(ABC):
    """The required core, and the capabilities."""

    byte_order: ClassVar[Literal["little", "big"]] = "little"
    # Registers that every stop reply carries (pc first), so that a step needs no second question.
    expedited: Sequence[int] = ()
    # Whether the process was there before the debugger: if so, a gdb that quits detaches from it,
    # otherwise it kills it.
    existed: bool = True
    # Whether Move.RANGE is understood.
    range_stepping: bool = False

    breakpoints: Breakpoints | None = None
    description: Description | None = None
    exec_file: ExecFile | None = None
    files: Files | None = None
    lifecycle: Lifecycle | None = None
    memory_map: MemoryMap | None = None
    monitor: Monitor | None = None
    signals: Signals | None = None
    thread_names: Threads | None = None

    @abstractmethod
    def threads(self) -> Sequence[ThreadId]:
        """All threads of all processes, in ascending order; empty when everything has ended."""

    @abstractmethod
    def read_registers(self, thread: ThreadId) -> bytes:
        """The general registers in the order of the description, without gaps (`g`).

        It may end early: the client asks for the others one by one.
        """

    @abstractmethod
    def write_registers(self, thread: ThreadId, data: bytes) -> None:
        """The inverse of `read_registers`; `data` may be shorter."""

    @abstractmethod
    def read_register(self, thread: ThreadId, number: int) -> bytes | None:
        """One register (`p`). None: it exists but has no value now ("unavailable" in gdb)."""

    @abstractmethod
    def write_register(self, thread: ThreadId, number: int, data: bytes) -> None:
        """Sets one register (`P`); raises TargetError for a wrong number or size."""

    @abstractmethod
    def read_memory(self, thread: ThreadId, address: int, length: int) -> bytes:
        """Up to `length` bytes: as many as can be read without a gap, at least one.

        Raises TargetError when the first byte cannot be read.
        """

    @abstractmethod
    def write_memory(self, thread: ThreadId, address: int, data: bytes) -> None:
        """Writes all of `data`, or raises TargetError."""

    @abstractmethod
    def resume(self, actions: Mapping[ThreadId, Resume]) -> None:
        """Lets these threads run, from the next slice on; returns at once.

        Threads that are not named stay as they are. Whatever happens to the threads is told
        later through `Session.report`. When it raises TargetError, nothing has been resumed.
        """

    @abstractmethod
    def halt(self, threads: Sequence[ThreadId]) -> None:
        """Makes these threads stand still before it returns, without an event of its own.

        Nothing happens to threads that stand still already. An unfinished step is forgotten.
        """
