"""What a session remembers between packets, shared by all handlers.

The connection's life is a small table of transitions; the rest is plain data.
"""

from collections import deque
from dataclasses import dataclass, field
from enum import Enum

from gdbstub import fields
from gdbstub.errors import TargetError
from gdbstub.target import Kind, Point, Stopped, Target, ThreadId
from gdbstub.wire import Wire


class Status(Enum):
    """Where the connection stands."""

    STOPPED = "stopped"  # all-stop: the client may ask anything
    RUNNING = "running"  # all-stop: the client waits for a stop reply
    NON_STOP = "non-stop"  # each thread runs or stands by itself
    DETACHED = "detached"  # the client has left in good order
    KILLED = "killed"  # the client has killed what it debugged
    FAILED = "failed"  # the target, or the client, is beyond use
    LOST = "lost"  # the connection is gone


class Cause(Enum):
    """What moves a connection from one status to another."""

    RESUME = "resume"
    STOP = "stop"
    ALL_STOP = "all-stop"
    NON_STOP = "non-stop"
    DETACH = "detach"
    KILL = "kill"
    FAIL = "fail"
    LOSE = "lose"


OPEN = frozenset({Status.STOPPED, Status.RUNNING, Status.NON_STOP})

TRANSITIONS: dict[tuple[Status, Cause], Status] = {
    (Status.STOPPED, Cause.RESUME): Status.RUNNING,
    (Status.STOPPED, Cause.STOP): Status.STOPPED,
    (Status.RUNNING, Cause.STOP): Status.STOPPED,
    (Status.NON_STOP, Cause.RESUME): Status.NON_STOP,
    (Status.NON_STOP, Cause.STOP): Status.NON_STOP,
    (Status.STOPPED, Cause.NON_STOP): Status.NON_STOP,
    (Status.NON_STOP, Cause.NON_STOP): Status.NON_STOP,
    (Status.NON_STOP, Cause.ALL_STOP): Status.STOPPED,
    (Status.STOPPED, Cause.ALL_STOP): Status.STOPPED,
    **{(status, Cause.DETACH): Status.DETACHED for status in OPEN},
    **{(status, Cause.KILL): Status.KILLED for status in OPEN},
    **{(status, Cause.FAIL): Status.FAILED for status in OPEN},
    **{(status, Cause.LOSE): Status.LOST for status in OPEN},
}


@dataclass(slots=True)
class Client:
    """What the client announced in qSupported, or asked for later."""

    multiprocess: bool = False
    error_messages: bool = False
    software_breaks: bool = False
    hardware_breaks: bool = False
    thread_events: bool = False
    extended: bool = False


@dataclass(slots=True)
class State:
    """The memory of one session."""

    target: Target
    packet_size: int  # longest payload in bytes, both ways
    wire: Wire = field(default_factory=Wire)
    client: Client = field(default_factory=Client)
    status: Status = Status.STOPPED
    general: ThreadId | None = None  # of `Hg`: for registers, memory, monitor
    resuming: tuple[int | None, int] = (None, fields.ALL)  # of `Hc`: for the old `c` and `s`
    stops: dict[ThreadId, Stopped] = field(default_factory=dict)  # why each thread stands still
    # Processes that the client is not attached to: those that it has let go, which run by
    # themselves, and those that it never took hold of, which stand still and go on with the others.
    detached: set[int] = field(default_factory=set)
    following: set[int] = field(default_factory=set)
    queue: deque[bytes] = field(default_factory=deque)  # non-stop: stop replies not yet taken
    deferred: list[bytes] = field(default_factory=list)  # of the answer to `?`; see stops.requeue
    points: dict[tuple[int, Kind, int, int], Point] = field(default_factory=dict)
    open_files: dict[int, bytes | memoryview] = field(default_factory=dict)
    documents: dict[tuple[bytes, bytes], bytes] = field(default_factory=dict)  # being read
    thread_list: list[ThreadId] = field(default_factory=list)  # rest of qfThreadInfo's answer

    def move(self, cause: Cause) -> None:
        """Takes the transition; raises TargetError when there is none."""
        status = TRANSITIONS.get((self.status, cause))
        if status is None:
            raise TargetError(f"cannot {cause.value} while {self.status.value}")
        self.status = status

    @property
    def running(self) -> bool:
        """Whether some thread may run."""
        if any(thread.process in self.detached for thread in self.target.threads()):
            return True
        if self.status is Status.NON_STOP:
            return any(thread not in self.stops for thread in self.threads())
        return self.status is Status.RUNNING

    def threads(self) -> list[ThreadId]:
        """The threads that the client is attached to."""
        elsewhere = self.detached | self.following
        return [t for t in self.target.threads() if t.process not in elsewhere]

    def followers(self) -> list[ThreadId]:
        """The threads that stand still and go on with those that the client is attached to."""
        return [t for t in self.target.threads() if t.process in self.following]

    def processes(self) -> list[int]:
        """The processes that the client is attached to, in ascending order."""
        return sorted({thread.process for thread in self.threads()})

    def matching(self, pattern: tuple[int | None, int]) -> list[ThreadId]:
        """The attached threads that a thread-id means.

        Without multiprocess extensions a number alone is looked up in the first process.
        """
        threads = self.threads()
        if pattern[0] is None and pattern[1] > 0 and threads:
            pattern = (threads[0].process, pattern[1])
        return [thread for thread in threads if fields.matches(pattern, thread)]

    def one(self, text: bytes) -> ThreadId:
        """The attached thread that `text` names. If it means several, the selected one, or else the
        first: gdb says "any" after it has attached to a process, and expects a thread of that."""
        found = self.matching(fields.thread_pattern(text))
        if not found:
            raise TargetError("no such thread")
        return self.general if self.general in found else found[0]

    def current(self) -> ThreadId:
        """The thread whose registers and memory are meant; raises TargetError without one."""
        if self.general is not None and self.general.process not in self.detached:
            return self.general
        threads = self.threads()
        if not threads:
            raise TargetError("there is no thread")
        self.general = threads[0]
        return threads[0]

    def name(self, thread: ThreadId) -> bytes:
        """The thread-id as this client writes it."""
        if self.client.multiprocess:
            return b"p%x.%x" % thread
        return b"%x" % thread.thread

    def first_process(self) -> int:
        """The process that is meant when the client names none."""
        return self.current().process
