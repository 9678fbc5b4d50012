"""Writes handlers: functions in LLVM IR that end by jumping to one another."""

from collections.abc import Callable
from typing import Any

from rvemu.engine.compiler.builder import Builder
from rvemu.engine.compiler.program import Compiled, Program
from rvemu.hart.state import Hart

# A handler's parameters. All are the same, for each jumps to any other.
PARAMETERS = "ptr noundef %h, ptr noundef %slot, i64 noundef %budget"


def field_offset(name: str) -> int:
    """Where a field is in the hart, in bytes."""
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
        pointer = self.b.value(f"getelementptr i8, ptr %h, i64 {field_offset(field)}")
        text = self.b.value(f"load {kind}, ptr {pointer}")
        return text if kind == "i64" else self.b.value(f"zext {kind} {text} to i64")

    def store(self, field: str, text: str, kind: str = "i64") -> None:
        """Write a field of the hart."""
        pointer = self.b.value(f"getelementptr i8, ptr %h, i64 {field_offset(field)}")
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
