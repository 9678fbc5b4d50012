"""Cases: a memory image, the states of harts, and a schedule, made from a seed and a number."""

import ctypes
from dataclasses import dataclass
from random import Random

from rvemu.engine.lockstep import HEAD_BYTES
from rvemu.fuzz.layout import (
    CODE_PAGES,
    DATA_PAGES,
    M_HANDLER_PAGE,
    PAGE,
    POINTER_PAGE,
    RAM_BASE,
    RAM_SIZE,
    S_HANDLER_PAGE,
)
from rvemu.fuzz.programs import handler
from rvemu.fuzz.roles import CODE_POINTERS, POINTERS
from rvemu.fuzz.states import address, choose_mode, code_offset, pointer_table, randomize
from rvemu.fuzz.tables import Tables
from rvemu.fuzz.words import Words
from rvemu.hart.extensions import Ext
from rvemu.hart.fields import SATP
from rvemu.hart.reset import reset
from rvemu.hart.state import FILL_LOG, Hart, Shared
from rvemu.lang import put

# Cases that draw their programs from one pool of instructions.
POOL_CASES = 1000

_PMP_COUNTS = (16, 16, 16, 0, 8, 64)


@dataclass(frozen=True)
class Event:
    """Something that the host does to a hart, between two of its turns."""

    kind: str  # a field of the hart, or "memory"
    value: int
    data: bytes = b""


@dataclass(frozen=True)
class Turn:
    """A hart runs some instructions, after an event."""

    hart: int
    count: int
    event: Event | None


@dataclass(frozen=True)
class Resumption:
    """Where the host lets a hart go on after a trap: a mode (if there is one so), an offset in the
    code, and the new values of some registers, as offsets in RAM."""

    priv: int
    v: int
    offset: int
    registers: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Case:
    """What a case starts from. `heads` are the harts' states without TLBs, which are empty."""

    seed: int
    number: int
    isa: str
    ram: bytes
    heads: tuple[bytes, ...]
    turns: tuple[Turn, ...]
    clock_per_tick: int
    time_offset: int
    salt: int  # what devices answer
    logged: int  # entries that the logs of the TLBs name at the start (they are empty all the same)
    pool_pages: int  # decoded pages that the native engine may have
    #: Where to go on after traps; None to leave a trap to its handler. Empty: the host does not
    #: look at traps at all.
    resumptions: tuple[Resumption | None, ...]

    @property
    def length(self) -> int:
        """Instructions attempted, by all harts."""
        return sum(turn.count for turn in self.turns)


class Generator:
    """Makes cases for one ISA. A case depends on the seed, the ISA, and its number alone."""

    def __init__(self, seed: int, isa: str, extensions: int, length: int = 400) -> None:
        self.seed = seed
        self.isa = isa
        self.extensions = extensions
        self.length = length
        self._hart = Hart(Shared())
        self._hart.shared.clock_per_tick = 1
        self._hart.shared_host = 0  # cases name nothing of this process
        self._template: dict[int, bytes] = {}
        self._pool: tuple[int, Words] | None = None

    def case(self, number: int) -> Case:
        """Make a case."""
        words = self._words(number // POOL_CASES)
        rng = Random(f"{self.seed} {self.isa} {number}")
        image = bytearray(RAM_SIZE)
        _fill(rng, words, image)
        roots = self._roots(rng, image)
        harts = 2 if rng.random() < 0.15 else 1
        pmp_count = rng.choice(_PMP_COUNTS)
        heads = []
        for n in range(harts):
            self._reset(pmp_count)
            self._hart.hartid = n
            randomize(rng, self._hart, roots)
            heads.append(ctypes.string_at(ctypes.addressof(self._hart), HEAD_BYTES))
        return Case(
            self.seed,
            number,
            self.isa,
            bytes(image),
            tuple(heads),
            tuple(self._turns(rng, harts)),
            rng.choice((1, 3, 10, 100)),
            rng.choice((0, 5, rng.getrandbits(64))),
            rng.getrandbits(32),
            rng.choice((*(0,) * 24, *(FILL_LOG + 1,) * 6, FILL_LOG - 2)),
            rng.choice((*(1000,) * 30, 8, 5)),
            tuple(_resumption(rng) for _ in range(32)) if number % 4 else (),
        )

    def _words(self, epoch: int) -> Words:
        if self._pool is None or self._pool[0] != epoch:
            rng = Random(f"{self.seed} {self.isa} words {epoch}")
            self._pool = (epoch, Words(rng, self.extensions))
        return self._pool[1]

    def _reset(self, pmp_count: int) -> None:
        if pmp_count not in self._template:
            reset(self._hart, 0, self.extensions, pmp_count)
            head = ctypes.string_at(ctypes.addressof(self._hart), HEAD_BYTES)
            self._template[pmp_count] = head
        ctypes.memmove(ctypes.addressof(self._hart), self._template[pmp_count], HEAD_BYTES)

    def _roots(self, rng: Random, image: bytearray) -> dict[str, int]:
        """Page tables, and what the registers that point to them hold."""
        modes = [
            n for n, bit in ((8, Ext.SV39), (9, Ext.SV48), (10, Ext.SV57)) if self.extensions & bit
        ]
        tables = Tables(rng, image)
        roots = {}
        for name in ("satp", "vsatp", "hgatp"):
            if modes and rng.random() < 0.8 and (name == "satp" or self.extensions & Ext.H):
                mode = rng.choice(modes)
                root = tables.stage(mode, name == "hgatp")
                value = put(put(0, SATP.MODE, mode), SATP.PPN, root)
                roots[name] = put(value, SATP.ASID, rng.choice((0, 1)))
        return roots

    def _turns(self, rng: Random, harts: int) -> list[Turn]:
        turns: list[Turn] = []
        left = self.length
        hart = 0
        while left > 0:
            count = min(left, rng.choice((30, 100, 100, 200)))
            event = _event(rng) if turns and rng.random() < 0.5 else None
            turns.append(Turn(hart, count, event))
            left -= count
            hart = (hart + 1) % harts
        return turns


def _fill(rng: Random, words: Words, image: bytearray) -> None:
    """Programs, handlers and data."""
    image[: len(CODE_PAGES) * PAGE] = words.program(rng, len(CODE_PAGES) * PAGE)
    for page, level in ((M_HANDLER_PAGE, "m"), (S_HANDLER_PAGE, "s")):
        code = handler(rng, words, level)
        image[page * PAGE : page * PAGE + len(code)] = code
    image[POINTER_PAGE * PAGE : (POINTER_PAGE + 1) * PAGE] = pointer_table(rng)
    start, end = DATA_PAGES.start * PAGE, DATA_PAGES.stop * PAGE
    image[start:end] = rng.randbytes(2 * PAGE) * (len(DATA_PAGES) // 2) + bytes(
        len(DATA_PAGES) % 2 * PAGE
    )


def _resumption(rng: Random) -> Resumption | None:
    if rng.random() < 0.2:
        return None
    registers = tuple((n, address(rng, 0)) for n in rng.sample((*POINTERS, *CODE_POINTERS), 3))
    return Resumption(*choose_mode(rng), code_offset(rng), registers)


def _event(rng: Random) -> Event:
    kind = rng.choice(("interrupt_lines", "mtimecmp", "hgeip", "memory", "memory"))
    if kind == "interrupt_lines":
        return Event(kind, rng.getrandbits(12) & 0xA88)
    if kind == "mtimecmp":
        return Event(kind, rng.choice((0, rng.randrange(600), (1 << 64) - 1)))
    if kind == "hgeip":
        return Event(kind, rng.getrandbits(8) & 0xFE)
    size = rng.choice((1, 4, 8, 64))
    return Event(kind, RAM_BASE + rng.randrange(RAM_SIZE // 2 - size), rng.randbytes(size))
