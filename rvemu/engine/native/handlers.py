"""The threaded interpreter: a handler for each instruction, as LLVM IR.

A handler executes one instruction and jumps to the next one's handler, with what it needs in
registers: the hart, the instruction's slot, and the budget. In the calling convention
`preserve_none` nothing is saved around such a jump, and `musttail` makes it a jump.

    fast_N_L   instruction N, L bytes long: its model function inlined. Whatever is rare starts the
               instruction over in
    slow_N_L   which saves pc and budget in the hart, calls the compiled model function, and
               delivers its trap.
    undecoded  decodes its slot, and starts over
    straddling decodes an instruction that lies in two pages, or may have a breakpoint
    page_end   goes on in the next page
    resume     goes on at h.pc, wherever that is
    leave      saves where it is, and polls
    poll       asks the model whether to take an interrupt or to return to the host
    trapped    delivers a trap, or returns to the host to have something done

The program counter is not kept: a slot is 16 bytes for 2 bytes of code, so
pc = slot / 8 + h.page_bias.
"""

from collections.abc import Callable
from typing import Any

from rvemu.engine.compiler import intrinsics
from rvemu.engine.compiler.builder import Builder
from rvemu.engine.compiler.frames import FastPath
from rvemu.engine.compiler.function import until_ranges_settle
from rvemu.engine.compiler.program import Compiled, Program
from rvemu.engine.compiler.signature import signature
from rvemu.engine.compiler.statements import Compiler
from rvemu.engine.compiler.values import (
    U64_RANGE,
    CompileError,
    Object,
    Value,
    Word,
)
from rvemu.engine.native import slots
from rvemu.hart.decoded import SLOT_BYTES
from rvemu.hart.interrupts import poll
from rvemu.hart.state import DEVICE_NONE, FETCH_ENTRIES, Hart
from rvemu.hart.traps import take_trap
from rvemu.isa import INSTRUCTIONS, Instruction
from rvemu.isa.compressed import COMPRESSED
from rvemu.lang import Range

# A handler's parameters. All are the same, for each jumps to any other.
PARAMETERS = "ptr noundef %h, ptr noundef %slot, i64 noundef %budget"
PAGE_BYTES_OF_SLOTS = 4096 // 2 * SLOT_BYTES

_PLACES = {
    "rd": (slots.SLOT_RD, 8),
    "rs1": (slots.SLOT_RS1, 8),
    "rs2": (slots.SLOT_RS2, 8),
    "rs3": (slots.SLOT_RS3, 8),
    "imm": (slots.SLOT_IMM, 32),
}

# Handlers of no instruction.
_HANDLERS = (
    *("undecoded", "straddling", "page_end", "resume", "enter", "execute_alone"),
    *("leave", "poll", "trapped", "begin"),
)

# State that is in registers on the fast path, and stale in the hart.
_STALE = ("insn", "insn_length", "budget", "retire_end", "clock_end")


def lengths(instruction: Instruction) -> tuple[int, ...]:
    """The lengths that an instruction's encodings have, in bytes."""
    short = any(row.instruction is instruction for row in COMPRESSED)
    return (2, 4) if short or instruction is INSTRUCTIONS[0] else (4,)


def _field(name: str) -> int:
    return int(getattr(Hart, name).offset)


class Emitter:
    """A function in which handlers, and what they share, are written."""

    def __init__(self, program: Program, name: str, attributes: str = "nounwind") -> None:
        self.program = program
        self.name = name
        self.attributes = attributes
        self.b = Builder()

    def load(self, field: str, kind: str = "i64") -> str:
        """A field of the hart."""
        pointer = self.b.value(f"getelementptr i8, ptr %h, i64 {_field(field)}")
        text = self.b.value(f"load {kind}, ptr {pointer}")
        return text if kind == "i64" else self.b.value(f"zext {kind} {text} to i64")

    def store(self, field: str, text: str, kind: str = "i64") -> None:
        """Write a field of the hart."""
        pointer = self.b.value(f"getelementptr i8, ptr %h, i64 {_field(field)}")
        self.b.emit(f"store {kind} {text}, ptr {pointer}")

    def pc(self) -> str:
        """The program counter, from the slot."""
        slot = self.b.value("ptrtoint ptr %slot to i64")
        short = self.b.value(f"lshr i64 {slot}, 3")
        return self.b.value(f"add i64 {short}, {self.load('page_bias')}")

    def model(self, function: Callable[..., Any], *arguments: str) -> tuple[str, Compiled]:
        """Call a model function on the hart; its raw result."""
        compiled = self.program.function(function)
        passed = ", ".join(["ptr %h", *arguments])
        call = f"call {compiled.return_type} @{compiled.name}({passed})"
        if compiled.return_type == "void":
            self.b.emit(call)
            return "", compiled
        return self.b.value(call), compiled

    def raised(self, result: str, compiled: Compiled) -> str:
        """Whether a call raised, as an i1."""
        if not compiled.raises:
            return "false"
        last = len(compiled.result_types) - 1
        if last == 0:
            return result
        return self.b.value(f"extractvalue {compiled.return_type} {result}, {last}")

    def tail(self, target: str, slot: str = "%slot", budget: str = "%budget") -> None:
        """Jump to another handler."""
        self.b.emit(
            f"musttail call preserve_nonecc void {target}(ptr noundef %h, ptr noundef {slot}, "
            f"i64 noundef {budget})"
        )
        self.b.terminate("ret void")

    def next_handler(self, slot: str, budget: str) -> None:
        """Jump to the handler of a slot."""
        self.tail(self.b.value(f"load ptr, ptr {slot}"), slot, budget)

    def negative(self, budget: str, yes: str, no: str) -> None:
        """Branch on a budget that is used up."""
        self.b.branch(self.b.value(f"icmp slt i64 {budget}, 0"), yes, no, likely=False)

    def finish(self) -> None:
        """Add the function to the module."""
        self.program.add(
            f"define internal preserve_nonecc void @{self.name}({PARAMETERS}) "
            f"{self.attributes} {{\n{self.b.body()}\n}}"
        )


def _operands(e: Emitter, instruction: Instruction) -> dict[str, Value]:
    """An instruction's operands, loaded from its slot."""
    found: dict[str, Value] = {}
    for p in signature(instruction.function).parameters[1:]:
        operand = instruction.encoding.operand(p.name)
        if operand is None or operand.place is None or not isinstance(p.kind, Range):
            raise CompileError(f"{instruction.name}: no operand {p.name} in its encoding")
        offset, bits = _PLACES[operand.place]
        pointer = e.b.value(f"getelementptr i8, ptr %slot, i64 {offset}")
        text = e.b.value(f"load i{bits}, ptr {pointer}")
        extend = "sext" if bits == 32 else "zext"
        found[p.name] = Word(e.b.value(f"{extend} i{bits} {text} to i64"), p.kind)
    return found


def _fast(program: Program, number: int, length: int) -> None:
    instruction = INSTRUCTIONS[number]

    def attempt(widths: dict[Any, Range]) -> Emitter:
        e = Emitter(program, f"fast_{number}_{length}")
        b = e.b
        jumped, target = b.slot("i1", "jumped"), b.slot("i64", "target")

        def following(_: Builder) -> Word:
            return Word(b.value(f"add i64 {e.pc()}, {length}"), U64_RANGE)

        def refuse(_: Builder) -> Word:
            raise CompileError("this is not up to date on the fast path: mark it slow=True")

        def jump(_: Builder, word: Word) -> None:
            b.emit(f"store i1 true, ptr {jumped}")
            b.emit(f"store i64 {word.text}, ptr {target}")

        fields: dict[str, Callable[[Builder], Word]] = dict.fromkeys(_STALE, refuse)
        fields["pc"] = lambda _: Word(e.pc(), U64_RANGE)
        fields["next_pc"] = following
        b.emit(f"store i1 false, ptr {jumped}")
        compiler = Compiler(program, widths, FastPath("bail", fields, jump))
        compiler.b = b
        arguments: dict[str, Value] = {"h": Object(Hart, "%h"), **_operands(e, instruction)}
        compiler.inline(instruction.function, arguments)
        b.branch(b.value(f"load i1, ptr {jumped}"), "jump", "next")

        b.label("next")
        budget = b.value("add i64 %budget, -1")
        after = b.value(f"getelementptr i8, ptr %slot, i64 {length // 2 * SLOT_BYTES}")
        e.negative(budget, "out", "on")
        b.label("on")
        e.next_handler(after, budget)
        b.label("out")
        e.tail("@leave", after, budget)

        b.label("jump")
        budget = b.value("add i64 %budget, -1")
        where = b.value(f"load i64, ptr {target}")
        _jump(e, where, budget)
        b.label("bail")
        e.tail(f"@slow_{number}_{length}")
        return e

    result: Emitter = until_ranges_settle(attempt)
    result.finish()


def _jump(e: Emitter, where: str, budget: str) -> None:
    """Go on at a program counter: quickly if it is in the current page."""
    b = e.b
    inside, outside = "inside", "outside"
    distance = b.value(f"sub i64 {where}, {e.load('page_bias')}")
    address = b.value(f"shl i64 {distance}, 3")
    offset = b.value(f"sub i64 {address}, {e.load('page_slots')}")
    b.branch(b.value(f"icmp ult i64 {offset}, {PAGE_BYTES_OF_SLOTS}"), inside, outside, likely=True)
    b.label(inside)
    slot = b.value(f"inttoptr i64 {address} to ptr")
    e.negative(budget, "jumped_out", "go")
    b.label("go")
    e.next_handler(slot, budget)
    b.label("jumped_out")
    e.tail("@leave", slot, budget)
    b.label(outside)
    e.store("pc", where)
    e.tail("@resume", "%slot", budget)


def _slow(program: Program, number: int, length: int) -> None:
    instruction = INSTRUCTIONS[number]
    e = Emitter(program, f"slow_{number}_{length}", "nounwind cold")
    b = e.b
    pc = e.pc()
    e.store("pc", pc)
    e.store("next_pc", b.value(f"add i64 {pc}, {length}"))
    e.store("budget", "%budget")
    e.store("insn_length", str(length), "i8")
    e.model(slots.load_insn, f"i64 {length}")
    words = _operands(e, instruction)
    passed = [f"i64 {w.text}" for w in words.values() if isinstance(w, Word)]
    result, compiled = e.model(instruction.function, *passed)
    b.branch(e.raised(result, compiled), "raised", "done", likely=False)
    b.label("done")
    e.store("pc", e.load("next_pc"))
    budget = b.value(f"add i64 {e.load('budget')}, -1")
    e.tail("@resume", "%slot", budget)
    b.label("raised")
    e.tail("@trapped")
    e.finish()


def _resume(program: Program) -> None:
    e = Emitter(program, "resume")
    b = e.b
    e.negative("%budget", "used_up", "look")
    b.label("used_up")
    e.store("budget", "%budget")
    e.tail("@poll")
    b.label("look")
    pc = e.load("pc")
    number = b.value(f"and i64 {b.value(f'lshr i64 {pc}, 12')}, {FETCH_ENTRIES - 1}")
    index = b.value(f"add i64 {b.value(f'shl i64 {number}, 2')}, {e.load('ftlb_base', 'i32')}")
    entries = b.value(f"getelementptr i8, ptr %h, i64 {_field('_ftlb')}")
    entry = b.value(f"getelementptr i64, ptr {entries}, i64 {index}")
    page = b.value(f"and i64 {pc}, -4096")
    tag = b.value(f"load i64, ptr {entry}")
    b.branch(b.value(f"icmp eq i64 {tag}, {page}"), "known", "enter", likely=True)
    b.label("known")
    addend = b.value(f"load i64, ptr {b.value(f'getelementptr i64, ptr {entry}, i64 1')}")
    row = b.value(f"load i64, ptr {b.value(f'getelementptr i64, ptr {entry}, i64 2')}")
    b.branch(b.value(f"icmp ne i64 {row}, 0"), "decoded", "enter", likely=True)
    b.label("decoded")
    e.store("page_slots", row)
    e.store("page_bias", b.value(f"sub i64 {page}, {b.value(f'lshr i64 {row}, 3')}"))
    e.store("page_addend", addend)
    offset = b.value(f"shl i64 {b.value(f'and i64 {pc}, 4095')}, 3")
    slot = b.value(f"inttoptr i64 {b.value(f'add i64 {row}, {offset}')} to ptr")
    e.next_handler(slot, "%budget")
    b.label("enter")
    e.tail("@enter")
    e.finish()


def _enter(program: Program) -> None:
    """Execution comes to a page that is not yet known to be executable."""
    e = Emitter(program, "enter", "nounwind cold noinline")
    b = e.b
    e.store("budget", "%budget")
    result, compiled = e.model(slots.enter_page)
    b.branch(e.raised(result, compiled), "raised", "entered", likely=False)
    b.label("entered")
    alone = (
        b.value(f"extractvalue {compiled.return_type} {result}, 0") if compiled.raises else result
    )
    stopped = b.value(f"icmp ne i64 {e.load('stop_reason', 'i8')}, 0")
    b.branch(stopped, "stop", "proceed", likely=False)
    b.label("proceed")
    b.branch(b.value(f"icmp ne i64 {alone}, 0"), "alone", "again", likely=False)
    b.label("again")
    e.tail("@resume")
    b.label("alone")
    e.tail("@execute_alone")
    b.label("raised")
    e.tail("@trapped")
    b.label("stop")
    b.terminate("ret void")
    e.finish()


def _execute_alone(program: Program) -> None:
    e = Emitter(program, "execute_alone", "nounwind cold noinline")
    b = e.b
    e.store("budget", "%budget")
    result, compiled = e.model(slots.decode_alone)
    b.branch(e.raised(result, compiled), "raised", "decoded", likely=False)
    b.label("decoded")
    slot = b.value(f"inttoptr i64 {e.load('lone_slots')} to ptr")
    e.next_handler(slot, "%budget")
    b.label("raised")
    e.tail("@trapped")
    e.finish()


def _special_slots(program: Program) -> None:
    """The handlers of slots that hold no instruction."""
    e = Emitter(program, "undecoded", "nounwind cold")
    e.store("pc", e.pc())
    e.model(slots.decode_in_page, f"i64 {e.b.value('ptrtoint ptr %slot to i64')}")
    e.next_handler("%slot", "%budget")
    e.finish()

    e = Emitter(program, "straddling", "nounwind")
    e.store("pc", e.pc())
    e.tail("@execute_alone")
    e.finish()

    e = Emitter(program, "page_end", "nounwind")
    e.store("pc", e.pc())
    e.tail("@resume")
    e.finish()

    e = Emitter(program, "leave", "nounwind")
    e.store("pc", e.pc())
    e.store("budget", "%budget")
    e.tail("@poll")
    e.finish()


def _poll(program: Program) -> None:
    e = Emitter(program, "poll", "nounwind cold")
    b = e.b
    b.branch(b.value(f"icmp ne i64 {e.load('stop_reason', 'i8')}, 0"), "stop", "ask", likely=False)
    b.label("ask")
    result, compiled = e.model(poll)
    assert not compiled.raises, result
    b.branch(b.value(f"icmp ne i64 {e.load('stop_reason', 'i8')}, 0"), "stop", "go", likely=False)
    b.label("go")
    e.tail("@resume", "%slot", e.load("budget"))
    b.label("stop")
    b.terminate("ret void")
    e.finish()


def _trapped(program: Program) -> None:
    """An instruction, or its fetch, raised: it has a trap to deliver, or needs the host first and
    is then started over."""
    e = Emitter(program, "trapped", "nounwind cold")
    b = e.b
    b.branch(b.value(f"icmp ne i64 {e.load('restart', 'i8')}, 0"), "host", "trap", likely=False)
    b.label("host")
    e.store("restart", "0", "i8")
    b.terminate("ret void")
    b.label("trap")
    _, compiled = e.model(take_trap)
    assert not compiled.raises
    budget = b.value(f"add i64 {e.load('budget')}, -1")
    e.store("budget", budget)
    b.branch(b.value(f"icmp ne i64 {e.load('stop_reason', 'i8')}, 0"), "stop", "go", likely=False)
    b.label("go")
    e.tail("@resume", "%slot", budget)
    b.label("stop")
    b.terminate("ret void")
    e.finish()


def _entry_points(program: Program) -> None:
    """What the host calls."""
    e = Emitter(program, "begin")
    b = e.b
    # A device access that the host has made belongs to the instruction at hand: no interrupt may
    # come between them.
    answered = b.value(f"icmp ne i64 {e.load('device_state', 'i8')}, {DEVICE_NONE}")
    b.branch(answered, "restart", "ask", likely=False)
    b.label("restart")
    e.tail("@resume", "%slot", e.load("budget"))
    b.label("ask")
    e.tail("@poll")
    e.finish()
    program.add(
        "define void @rvemu_run(ptr %h) nounwind {\n"
        "  call preserve_nonecc void @begin(ptr noundef %h, ptr noundef null, i64 noundef 0)\n"
        "  ret void\n}"
    )
    for name in ("undecoded", "straddling", "page_end"):
        program.add(
            f"define i64 @rvemu_{name}() nounwind {{\n  ret i64 ptrtoint (ptr @{name} to i64)\n}}"
        )


def _handler_table(program: Program) -> None:
    """Where the handlers are: for each instruction, that of two bytes, then that of four."""
    names = []
    for number, instruction in enumerate(INSTRUCTIONS):
        kind = "slow" if instruction.slow else "fast"
        available = lengths(instruction)
        for length in (2, 4):
            names.append(f"ptr @{kind}_{number}_{length if length in available else 4}")
    program.add(
        f"@handlers = internal unnamed_addr constant [{len(names)} x ptr] [{', '.join(names)}]"
    )


def _handler_address(b: Builder, arguments: list[Value]) -> Word:
    index, length = arguments
    assert isinstance(index, Word) and isinstance(length, Word)
    long = b.value(f"lshr i64 {length.text}, 2")
    entry = b.value(f"add i64 {b.value(f'shl i64 {index.text}, 1')}, {long}")
    pointer = b.value(f"getelementptr ptr, ptr @handlers, i64 {entry}")
    return Word(b.value(f"load i64, ptr {pointer}"), U64_RANGE)


def interpreter() -> str:
    """The whole module: the model, and the interpreter around it."""
    emit: dict[Any, intrinsics.Emit] = {slots.handler_address: _handler_address}
    program = Program(extra_intrinsics=emit)
    program.reserve("handlers", *_HANDLERS)
    for number, instruction in enumerate(INSTRUCTIONS):
        for length in lengths(instruction):
            if not instruction.slow:
                _fast(program, number, length)
            _slow(program, number, length)
    for part in (
        _resume,
        _enter,
        _execute_alone,
        _special_slots,
        _poll,
        _trapped,
        _handler_table,
        _entry_points,
    ):
        part(program)
    return program.text()
