"""The handlers of instructions, as LLVM IR: two for each, made from its model function.

fast_N_L   instruction N, L bytes long: its function inlined. Whatever is rare starts the
           instruction over in
slow_N_L   which saves pc and budget in the hart, calls the compiled function, and delivers its
           trap.
"""

from collections.abc import Callable
from typing import Any

from rvemu.engine.compiler.builder import Builder
from rvemu.engine.compiler.frames import FastPath
from rvemu.engine.compiler.function import until_ranges_settle
from rvemu.engine.compiler.program import Program
from rvemu.engine.compiler.signature import signature
from rvemu.engine.compiler.statements import Compiler
from rvemu.engine.compiler.values import U64_RANGE, CompileError, Object, Value, Word
from rvemu.engine.native import slots
from rvemu.engine.native.emitter import Emitter
from rvemu.hart.decoded import SLOT_BYTES
from rvemu.hart.state import Hart
from rvemu.isa import INSTRUCTIONS, Instruction
from rvemu.isa.compressed import COMPRESSED
from rvemu.lang import Range

PAGE_BYTES_OF_SLOTS = 4096 // 2 * SLOT_BYTES

_PLACES = {
    "rd": (slots.SLOT_RD, 8),
    "rs1": (slots.SLOT_RS1, 8),
    "rs2": (slots.SLOT_RS2, 8),
    "rs3": (slots.SLOT_RS3, 8),
    "imm": (slots.SLOT_IMM, 32),
}

# State that is in registers on the fast path, and stale in the hart.
_STALE = ("insn", "insn_length", "budget", "retire_end", "clock_end")


def lengths(instruction: Instruction) -> tuple[int, ...]:
    """The lengths that an instruction's encodings have, in bytes."""
    short = any(row.instruction is instruction for row in COMPRESSED)
    return (2, 4) if short or instruction is INSTRUCTIONS[0] else (4,)


def add_handlers(program: Program) -> None:
    """Add the handlers of all instructions to a module."""
    for number, instruction in enumerate(INSTRUCTIONS):
        for length in lengths(instruction):
            if not instruction.slow:
                _fast(program, number, length)
            _slow(program, number, length)


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
