"""What the compiler knows about the function it is in."""

from collections.abc import Callable
from dataclasses import dataclass, field

from rvemu.engine.compiler.builder import Builder
from rvemu.engine.compiler.signature import Signature
from rvemu.engine.compiler.values import Value, Word
from rvemu.lang import Range


class WidenError(Exception):
    """A variable's range was too small: compile again with the one now noted."""


@dataclass
class Variable:
    """A local variable on the stack."""

    slot: str
    range: Range | None
    wide: bool


@dataclass
class Frame:
    """One function being compiled, or inlined."""

    function: Callable[..., object]
    signature: Signature
    return_label: str
    results: list[str]
    assigned: dict[str, int]
    locals: dict[str, Variable | Value] = field(default_factory=dict)
    loops: list[tuple[str, str, set[str]]] = field(default_factory=list)  # (break, continue, used)


@dataclass
class FastPath:
    """What is different where an instruction's body is inlined in its fast handler."""

    bail_label: str
    fields: dict[str, Callable[[Builder], Word]]  # what h.pc, h.next_pc are here
    jump: Callable[[Builder, Word], None]  # h.next_pc = ...
