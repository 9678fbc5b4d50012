"""A small command language to look at a machine with, while it stands still.

    monitor = Monitor(machine)
    print(monitor.execute("csr mstatus"))

`execute` returns the text to show. `quit` and `continue` set `wish`, for whoever reads commands.
"""

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from rvemu import trace
from rvemu.errors import RvemuError
from rvemu.hart.csr_view import decode, find, implemented, peek
from rvemu.hart.exceptions import FETCH, LOAD, STORE
from rvemu.hart.explain import describe_space
from rvemu.hart.fields import PMPCFG
from rvemu.hart.registers import FLOAT_REGISTERS, INTEGER_REGISTERS
from rvemu.hart.state import (
    CONTEXTS,
    DATA_ENTRIES,
    DATA_WORDS,
    FETCH_ENTRIES,
    FETCH_TAG,
    FETCH_WORDS,
    LOAD_TAG,
    NO_PAGE,
)
from rvemu.harts import HartView
from rvemu.isa.disassembler import disassemble
from rvemu.lang import M64, get
from rvemu.machine import Machine, Reason
from rvemu.observe import fetch_bits

_MAX_BYTES = 1 << 16
_MAX_LINES = 10_000
_PMP_KINDS = ("OFF", "TOR", "NA4", "NAPOT")
_ACCESSES = {"load": LOAD, "store": STORE, "fetch": FETCH}
_CONTEXT_NAMES = ("M", "S", "S (SUM)", "U", "VS", "VS (SUM)", "VU", "-")


class Wish(Enum):
    """What the user wants of whoever reads the commands."""

    NOTHING = 0
    CONTINUE = 1
    QUIT = 2


@dataclass(frozen=True)
class _Command:
    """A command: how it is written, what it does, and what does it."""

    names: tuple[str, ...]
    arguments: str
    help: str
    run: Callable[["Monitor", list[str]], str]

    @property
    def usage(self) -> str:
        """How it is written, abbreviations included."""
        return f"{', '.join(self.names)} {self.arguments}".rstrip()


_COMMANDS: dict[str, _Command] = {}
_Handler = Callable[["Monitor", list[str]], str]


def _command(*names: str, usage: str = "") -> Callable[[_Handler], _Handler]:
    """Make a function a command, under its name and abbreviations of it."""

    def mark(function: _Handler) -> _Handler:
        text = (function.__doc__ or "").strip()
        command = _Command(names, usage, text, function)
        for name in names:
            _COMMANDS[name] = command
        return function

    return mark


class Monitor:
    """Answers commands on a machine."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        #: The hart that commands are about.
        self.current = 0
        #: What the last command wants.
        self.wish = Wish.NOTHING

    @property
    def hart(self) -> HartView:
        """The hart that commands are about."""
        return self.machine.harts[self.current]

    def execute(self, line: str) -> str:
        """Do a command; the text to show, which for a mistake says what was wrong."""
        self.wish = Wish.NOTHING
        try:
            words = shlex.split(line)
            if not words:
                return ""
            command = _COMMANDS.get(words[0])
            if command is None:
                raise RvemuError(f"no command {words[0]!r}; `help` lists them")
            if words[1:] and not command.arguments:
                raise RvemuError(f"{words[0]} takes no arguments")
            return command.run(self, words[1:])
        except (RvemuError, ValueError) as error:
            return f"error: {error}"

    def value(self, text: str) -> int:
        """What an expression means: numbers, registers, CSRs and symbols, with + and -."""
        total, sign = 0, 1
        for part in re.findall(r"[+-]|[^+-]+", text):
            if part in "+-":
                sign = -sign if part == "-" else sign
            else:
                total += sign * self._atom(part.strip())
                sign = 1
        return total & M64

    def _atom(self, text: str) -> int:
        if re.fullmatch(r"0[xX][0-9a-fA-F_]+|\d[\d_]*", text):
            number = int(text, 0) if text[:2].lower() == "0x" else int(text)
            if number > M64:
                raise RvemuError(f"{text} has more than 64 bits")
            return number
        image = self.machine.image
        if image is not None and image.has_symbol(text):
            return image.symbols[text]
        try:
            return self.hart[text.removeprefix("$")]  # as gdb writes registers
        except RvemuError:
            raise RvemuError(f"{text!r} is no number, register, CSR or symbol") from None

    def _count(self, words: list[str], default: int, most: int) -> int:
        count = self.value(words[0]) if words else default
        if not 1 <= count <= most:
            raise RvemuError(f"{count}: must be 1 to {most}")
        return count


def _need(words: list[str], least: int, most: int, usage: str) -> None:
    if not least <= len(words) <= most:
        raise RvemuError(f"usage: {usage}")


# --- Commands ----------------------------------------------------------------------------------


@_command("help", "h", "?", usage="[COMMAND]")
def _help(monitor: Monitor, words: list[str]) -> str:
    """this list, or a command's line of it"""
    del monitor
    commands = list(dict.fromkeys(_COMMANDS.values()))
    width = max(len(command.usage) for command in commands)
    lines = [
        f"{command.usage:<{width}}  {command.help}"
        for command in commands
        if not words or words[0] in command.names
    ]
    if words:
        return "\n".join(lines) or f"no command {words[0]!r}"
    return "\n".join([*lines, "", "ADDR and N may be numbers, registers, CSRs, symbols: sp+16"])


@_command("registers", "r", usage="[NAME...]")
def _registers(monitor: Monitor, words: list[str]) -> str:
    """integer registers and pc of the current hart, or those named; `f`: all of floating point"""
    hart = monitor.hart
    if words == ["f"]:
        return _table([(name, hart[name]) for name in FLOAT_REGISTERS])
    if words:
        return "\n".join(f"{name} = {hart[name]:#x}" for name in words)
    head = f"hart {monitor.current}, {hart.mode}-mode, pc {monitor.machine.lookup(hart.pc)}"
    return f"{head}\n{_table([(name, hart[name]) for name in INTEGER_REGISTERS])}"


def _table(values: list[tuple[str, int]], columns: int = 4) -> str:
    """Names and 64-bit values in columns, read downwards."""
    rows = -(-len(values) // columns)
    lines = []
    for row in range(rows):
        cells = (f"{name:<5}{value:016x}" for name, value in values[row::rows])
        lines.append("  ".join(cells))
    return "\n".join(lines)


@_command("csr", usage="NAME[.FIELD]")
def _csr(monitor: Monitor, words: list[str]) -> str:
    """a CSR's value, and its fields"""
    _need(words, 1, 1, "csr NAME[.FIELD]")
    if "." in words[0]:
        return f"{words[0]} = {monitor.hart[words[0]]:#x}"
    row = find(int(words[0], 0) if words[0][:1].isdigit() else words[0])
    state = monitor.hart.state
    if row.requires & ~state.extensions:
        raise RvemuError(f"the hart has no CSR {row.name}")
    value = peek(state, row.name)
    fields = decode(row.name, value)
    lines = [f"{row.name} = {value:#x}"]
    return "\n".join(lines + [f"  {name:<8} {field:#x}" for name, field in fields])


@_command("csrs")
def _csrs(monitor: Monitor, words: list[str]) -> str:
    """all CSRs that are not zero"""
    del words
    state = monitor.hart.state
    values = ((csr.name, peek(state, csr.name)) for csr in implemented(state))
    return "\n".join(f"{name:<14} {value:#x}" for name, value in values if value)


@_command("x", usage="ADDR [N]")
def _examine(monitor: Monitor, words: list[str]) -> str:
    """N bytes of memory at a virtual address, as the hart would load them now"""
    _need(words, 1, 2, "x ADDR [N]")
    address = monitor.value(words[0])
    return _dump(
        address, monitor.hart.read_memory(address, monitor._count(words[1:], 64, _MAX_BYTES))
    )


@_command("xp", usage="ADDR [N]")
def _examine_physical(monitor: Monitor, words: list[str]) -> str:
    """N bytes of memory at a physical address"""
    _need(words, 1, 2, "xp ADDR [N]")
    address = monitor.value(words[0])
    count = monitor._count(words[1:], 64, _MAX_BYTES)
    return _dump(address, monitor.machine.read_physical(address, count))


def _dump(address: int, content: bytes) -> str:
    lines = []
    for start in range(0, len(content), 16):
        part = content[start : start + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{(address + start) & M64:016x}  {part.hex(' '):<47}  {text}")
    return "\n".join(lines)


@_command("walk", "w", usage="ADDR [load|store|fetch]")
def _walk(monitor: Monitor, words: list[str]) -> str:
    """the page walk of an access: each table entry, and what refuses it"""
    _need(words, 1, 2, "walk ADDR [load|store|fetch]")
    access = words[1] if len(words) > 1 else "load"
    if access not in _ACCESSES:
        raise RvemuError(f"{access!r} is no access; there are: {', '.join(_ACCESSES)}")
    return str(monitor.hart.explain(monitor.value(words[0]), _ACCESSES[access]))


@_command("disas", "d", usage="[ADDR [N]]")
def _disassemble(monitor: Monitor, words: list[str]) -> str:
    """N instructions at a virtual address, from pc where none is given"""
    _need(words, 0, 2, "disas [ADDR [N]]")
    hart, machine = monitor.hart, monitor.machine
    address = monitor.value(words[0]) if words else hart.pc
    lines = []
    for _ in range(monitor._count(words[1:], 8, _MAX_LINES)):
        raw = fetch_bits(hart.state, address, machine.translated_as)
        mark = "=>" if address == hart.pc else "  "
        if raw is None:
            lines.append(f"{mark} {machine.lookup(address)}: can't be fetched")
            break
        length = 4 if raw & 3 == 3 else 2
        text = disassemble(raw, address, machine.image)
        lines.append(f"{mark} {machine.lookup(address)}: {raw:0{2 * length}x}  {text}")
        address = (address + length) & M64
    return "\n".join(lines)


@_command("harts")
def _harts(monitor: Monitor, words: list[str]) -> str:
    """all harts: where they are, in which mode and address space"""
    del words
    lines = []
    for n, hart in enumerate(monitor.machine.harts):
        mark = "*" if n == monitor.current else " "
        place = monitor.machine.lookup(hart.pc)
        lines.append(f"{mark} hart {n}: {hart.mode}-mode, {hart.activity}, pc {place}")
        lines += [f"    {stage}" for stage in describe_space(hart.state)]
    return "\n".join(lines)


@_command("hart", usage="N")
def _hart(monitor: Monitor, words: list[str]) -> str:
    """make another hart the one that commands are about"""
    _need(words, 1, 1, "hart N")
    number = monitor.value(words[0])
    if number >= len(monitor.machine.harts):
        raise RvemuError(f"no hart {number}; there are 0 to {len(monitor.machine.harts) - 1}")
    monitor.current = number
    return _harts(monitor, [])


@_command("devices")
def _devices(monitor: Monitor, words: list[str]) -> str:
    """the physical memory map, and the time"""
    del words
    machine = monitor.machine
    lines = [f"{r.base:012x}..{r.end - 1:012x}  {r.name}" for r in machine.board.bus.regions()]
    lines.append(f"mtime {machine.board.aclint.clock.time()}, clock {machine.now}")
    lines += [f"hart {n} mtimecmp {hart.mtimecmp:#x}" for n, hart in enumerate(machine.harts)]
    return "\n".join(lines)


@_command("pmp")
def _pmp(monitor: Monitor, words: list[str]) -> str:
    """the PMP entries that are on"""
    del words
    h = monitor.hart.state
    lines = []
    for n in range(h.pmp_count):
        config = h.pmpcfg[n]
        kind = get(config, PMPCFG.A)
        if not kind:
            continue
        rights = "".join(
            letter if config & field.mask else "-"
            for letter, field in (
                ("R", PMPCFG.R),
                ("W", PMPCFG.W),
                ("X", PMPCFG.X),
                ("L", PMPCFG.L),
            )
        )
        where = f"{h.pmp_low[n]:#x}..{h.pmp_high[n]:#x}"
        if h.pmp_low[n] > h.pmp_high[n]:
            where = "matches nothing"
        lines.append(f"{n:2} {_PMP_KINDS[kind]:<5} {rights} {where}")
    return "\n".join(lines) or f"all {h.pmp_count} entries are off"


@_command("tlb")
def _tlb(monitor: Monitor, words: list[str]) -> str:
    """how many pages the soft TLBs hold, for each kind of address"""
    del words
    h = monitor.hart.state
    lines = []
    for context in range(CONTEXTS):
        data, fetch = context * DATA_WORDS, context * FETCH_WORDS
        held = sum(h.dtlb[data + 4 * n + LOAD_TAG] != NO_PAGE for n in range(DATA_ENTRIES))
        code = sum(h.ftlb[fetch + 4 * n + FETCH_TAG] != NO_PAGE for n in range(FETCH_ENTRIES))
        if held or code:
            lines.append(f"{_CONTEXT_NAMES[context]:<8} {held} pages of data, {code} of code")
    return "\n".join(lines) or "all are empty"


@_command("step", "s", usage="[N]")
def _step(monitor: Monitor, words: list[str]) -> str:
    """run N instructions, over all harts, and show them"""
    _need(words, 0, 1, "step [N]")
    count = monitor._count(words, 1, _MAX_LINES)
    lines: list[str] = []
    tracer = trace.CommitTrace(monitor.machine, lines.append)
    idle, monitor.machine.hooks.idle = monitor.machine.hooks.idle, None
    try:
        outcome = monitor.machine.run(count)
    finally:
        tracer.detach()
        monitor.machine.hooks.idle = idle
    if outcome.reason is not Reason.BUDGET:
        code = f" with code {outcome.code}" if outcome.reason is Reason.EXITED else ""
        lines.append(f"({outcome.reason}{code}{': ' * bool(outcome.detail)}{outcome.detail})")
    return "\n".join(lines)


@_command("reset")
def _reset(monitor: Monitor, words: list[str]) -> str:
    """reset the machine and load the guest again"""
    del words
    monitor.machine.reboot()
    return f"pc {monitor.machine.lookup(monitor.hart.pc)}"


@_command("continue", "c")
def _continue(monitor: Monitor, words: list[str]) -> str:
    """let the guest go on"""
    del words
    monitor.wish = Wish.CONTINUE
    return ""


@_command("quit", "q")
def _quit(monitor: Monitor, words: list[str]) -> str:
    """end rvemu"""
    del words
    monitor.wish = Wish.QUIT
    return ""
