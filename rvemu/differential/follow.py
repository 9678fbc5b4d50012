"""Follow a commit log on rvemu: execute the same program one instruction at a time, and compare all
that the log says, and all registers."""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass

from rvemu.differential.known import Seen, csr_of, explain
from rvemu.differential.layout import RAM_MIB
from rvemu.hart.csr_table import BY_NAME, BY_NUMBER
from rvemu.hart.csr_view import name_of, peek, poke
from rvemu.harts import MODE_NAMES
from rvemu.isa.disassembler import disassemble
from rvemu.machine import Machine, Reason
from rvemu.spike import Commit, SpikeTrap
from rvemu.traps import TrapTaken, cause_name, last_trap

# Not compared where the log says that it was written, for there is only what one of its parts got.
_MIP = BY_NAME["mip"].number

# How many instructions are shown before a difference.
TRAIL = 12


@dataclass(frozen=True)
class Difference:
    """The first difference of a program that nothing explains."""

    what: str
    trail: tuple[str, ...]  # the last instructions and traps, as Spike has them

    def __str__(self) -> str:
        return "\n".join([*(f"    {line}" for line in self.trail), f"  {self.what}"])


class DifferenceError(Exception):
    """Raised where one is found."""


class Follower:
    """rvemu, executing what Spike has executed."""

    def __init__(self, elf: bytes, isa: str, engine: str) -> None:
        self.machine = Machine(memory=RAM_MIB << 20, isa=isa, engine=engine)
        self.machine.load(elf)
        self.machine.hooks.trap.append(self._trap)
        self.state = self.machine.hart.state
        #: How often each entry of `rvemu.differential.known` explained a difference.
        self.explained: Counter[str] = Counter()
        #: How many traps of each kind there were.
        self.traps: Counter[str] = Counter()
        self.executed = 0
        #: Whether the program has come to its end.
        self.ended = False
        self._trapped = 0  # the last instruction that trapped
        self._traps: list[TrapTaken] = []
        self._trail: deque[Commit | SpikeTrap] = deque(maxlen=TRAIL)
        # The registers as Spike has them.
        self._x = bytearray(self.state.x)
        self._f = bytearray(self.state.f)

    def follow(self, events: Iterable[Commit | SpikeTrap], limit: int) -> Difference | None:
        """Execute what a log says; the first difference. At most `limit` instructions."""
        taken: list[SpikeTrap] = []
        try:
            for event in events:
                if isinstance(event, SpikeTrap):
                    taken.append(event)
                    self._trail.append(event)
                else:
                    self._commit(event, taken)
                    taken = []
                if self.ended or self.executed > limit or len(taken) > limit:
                    break
        except DifferenceError as e:
            return Difference(str(e), tuple(_line(event) for event in self._trail))
        return None

    def _trap(self, number: int) -> None:  # noqa: ARG002
        trap = last_trap(self.state)
        self._traps.append(trap)
        if not trap.is_interrupt:
            self._trapped = int(self.state.insn)
        way = f"{MODE_NAMES[trap.origin]} to {MODE_NAMES[trap.target]}"
        self.traps[f"{cause_name(trap.cause)}, {way}"] += 1
        self._pc, self._mode = int(self.state.pc), self.machine.hart.mode

    def _commit(self, event: Commit, taken: list[SpikeTrap]) -> None:
        """Execute one instruction, and the traps before it."""
        self._trail.append(event)
        hart, state = self.machine.hart, self.state
        self._traps.clear()
        self.executed += 1
        for _ in range(len(taken) + 1):
            retired = hart.instret
            self._pc, self._mode = int(state.pc), hart.mode
            outcome = self.machine.run(budget=1, detect_stuck=False)
            self.ended = outcome.reason is Reason.EXITED
            if hart.instret != retired:
                break
        self._compare_traps(taken)
        if self._pc != event.pc:
            raise DifferenceError(f"pc: Spike {event.pc:#x}, rvemu {self._pc:#x} ({self._mode})")
        priv = {"M": 3, "S": 1, "VS": 1}.get(self._mode, 0)
        if priv != event.priv:
            raise DifferenceError(f"privilege: Spike {event.priv}, rvemu {self._mode}")
        self._compare_writes(event)

    def _compare_traps(self, taken: list[SpikeTrap]) -> None:
        for theirs, ours in zip(taken, self._traps, strict=False):
            # Spike shows no tval for interrupts, and gives a guest its own names.
            if theirs.cause != ours.cause and not (ours.cause >> 63 and theirs.cause >> 63):
                raise DifferenceError(
                    f"trap: Spike {cause_name(theirs.cause)}, tval {theirs.value:#x}; "
                    f"rvemu {cause_name(ours.cause)}, tval {ours.value:#x}"
                )
            if theirs.epc != ours.epc:
                raise DifferenceError(f"epc: Spike {theirs.epc:#x}, rvemu {ours.epc:#x}")
        if len(taken) != len(self._traps):
            theirs_ = ", ".join(cause_name(t.cause) for t in taken) or "none"
            ours_ = ", ".join(cause_name(t.cause) for t in self._traps) or "none"
            raise DifferenceError(f"traps: Spike {theirs_}; rvemu {ours_}")

    def _compare_writes(self, event: Commit) -> None:
        state, csr = self.state, csr_of(event.bits)
        for kind, number, value in event.writes:
            if kind == "x":
                self._x[8 * number : 8 * number + 8] = value.to_bytes(8, "little")
                ours = int(state.x[number])
                if ours != value:
                    self._differs("register", event, csr, value, ours, f"x{number}")
                    state.x[number] = value
            elif kind == "f":
                self._f[8 * number : 8 * number + 8] = value.to_bytes(8, "little")
            elif number in BY_NUMBER and number != _MIP:
                self._compare_csr(event, number, value)
        if bytes(state.x)[:256] != self._x[:256] or bytes(state.f) != self._f:
            for n in range(32):
                theirs = int.from_bytes(self._x[8 * n : 8 * n + 8], "little")
                if state.x[n] != theirs:
                    self._differs("register", event, csr, theirs, int(state.x[n]), f"x{n}")
                    state.x[n] = theirs
                theirs = int.from_bytes(self._f[8 * n : 8 * n + 8], "little")
                if state.f[n] != theirs:
                    self._differs("register", event, csr, theirs, int(state.f[n]), f"f{n}")

    def _compare_csr(self, event: Commit, number: int, value: int) -> None:
        ours = peek(self.state, number)
        if ours != value:
            self._differs("csr", event, name_of(number), value, ours, name_of(number))

    def _differs(
        self, kind: str, event: Commit, csr: str, theirs: int, ours: int, what: str
    ) -> None:
        text = disassemble(event.bits, event.pc)
        known = explain(Seen(kind, text, csr, theirs, ours, disassemble(self._trapped)))
        if known is None:
            raise DifferenceError(f"{what}: Spike {theirs:#x}, rvemu {ours:#x}")
        self.explained[known.name] += 1
        if known.adopt:
            poke(self.state, csr, theirs)


def _line(event: Commit | SpikeTrap) -> str:
    """What Spike did, for people."""
    if isinstance(event, SpikeTrap):
        return f"trap at {event.epc:#x}: {cause_name(event.cause)}, tval {event.value:#x}"
    writes = "".join(
        f"  {name_of(n) if kind == 'c' else f'{kind}{n}'}={value:#x}"
        for kind, n, value in event.writes
    )
    return f"{event.priv} {event.pc:#x} {disassemble(event.bits, event.pc)}{writes}"
