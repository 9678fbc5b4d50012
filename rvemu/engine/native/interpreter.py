"""The threaded interpreter, as LLVM IR: what there is beside the handlers of instructions.

A handler executes one instruction and jumps to the next one's handler, with what it needs in
registers: the hart, the instruction's slot, and the budget. In the calling convention
`preserve_none` nothing is saved around such a jump, and `musttail` makes it a jump.

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

from typing import Any

from rvemu.engine.compiler import intrinsics
from rvemu.engine.compiler.builder import Builder
from rvemu.engine.compiler.program import Program
from rvemu.engine.compiler.values import U64_RANGE, Value, Word
from rvemu.engine.native import slots
from rvemu.engine.native.emitter import Emitter, field_offset
from rvemu.engine.native.instructions import add_handlers, lengths
from rvemu.hart.interrupts import poll
from rvemu.hart.state import DEVICE_NONE, FETCH_ENTRIES
from rvemu.hart.traps import take_trap
from rvemu.isa import INSTRUCTIONS

# Handlers of no instruction.
_HANDLERS = (
    *("undecoded", "straddling", "page_end", "resume", "enter", "execute_alone"),
    *("leave", "poll", "trapped", "begin", "step", "execute"),
)


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
    entries = b.value(f"getelementptr i8, ptr %h, i64 {field_offset('_ftlb')}")
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
    _single_steps(program)
    for name in ("undecoded", "straddling", "page_end"):
        program.add(
            f"define i64 @rvemu_{name}() nounwind {{\n  ret i64 ptrtoint (ptr @{name} to i64)\n}}"
        )


def _single_steps(program: Program) -> None:
    """What the host calls to have one instruction executed: the one at pc, or h.insn."""
    for name, decode in (("step", slots.decode_next), ("execute", slots.decode_insn)):
        e = Emitter(program, name)
        e.model(slots.begin_step)
        result, compiled = e.model(decode)
        e.b.branch(e.raised(result, compiled), "raised", "decoded", likely=False)
        e.b.label("decoded")
        slot = e.b.value(f"inttoptr i64 {e.load('lone_slots')} to ptr")
        e.next_handler(slot, "0")
        e.b.label("raised")
        e.tail("@trapped")
        e.finish()

    end = program.function(slots.end_step)
    for name in ("step", "execute"):
        program.add(
            f"define void @rvemu_{name}(ptr %h) nounwind {{\n"
            f"  call preserve_nonecc void @{name}(ptr noundef %h, ptr noundef null, i64 noundef 0)"
            f"\n  call void @{end.name}(ptr %h)\n  ret void\n}}"
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
    add_handlers(program)
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
