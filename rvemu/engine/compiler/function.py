"""A model function as an LLVM function."""

from collections.abc import Callable
from typing import Any

from rvemu.engine.compiler.builder import Builder
from rvemu.engine.compiler.frames import WidenError
from rvemu.engine.compiler.program import Compiled, Program, is_wide
from rvemu.engine.compiler.signature import STATIC, signature
from rvemu.engine.compiler.statements import Compiler
from rvemu.engine.compiler.values import Object, Static, Value, Word
from rvemu.lang import Range


def until_ranges_settle(attempt: Callable[[dict[Any, Range]], Any]) -> Any:
    """Compile, again and again while a variable turns out to need a wider range."""
    widths: dict[Any, Range] = {}
    while True:
        try:
            return attempt(widths)
        except WidenError:
            continue


def compile_function(
    program: Program, function: Callable[..., Any], statics: tuple[Any, ...], name: str
) -> tuple[Compiled, str]:
    """A function's copy for given static arguments, and its text."""

    def attempt(widths: dict[Any, Range]) -> tuple[Compiled, str]:
        return _attempt(program, function, statics, name, widths)

    result: tuple[Compiled, str] = until_ranges_settle(attempt)
    return result


def _attempt(
    program: Program,
    function: Callable[..., Any],
    statics: tuple[Any, ...],
    name: str,
    widths: dict[Any, Range],
) -> tuple[Compiled, str]:
    sig = signature(function)
    c = Compiler(program, widths)
    arguments: dict[str, Value] = {}
    declared = []
    remaining = list(statics)
    for p in sig.parameters:
        if p.kind == STATIC:
            arguments[p.name] = Static(remaining.pop(0))
        elif isinstance(p.kind, Range):
            wide = is_wide(p.kind)
            arguments[p.name] = Word(f"%a.{p.name}", p.kind, wide)
            declared.append(f"{'i128' if wide else 'i64'} %a.{p.name}")
        else:
            arguments[p.name] = Object(p.kind, f"%a.{p.name}")
            declared.append(f"ptr noundef %a.{p.name}")
    results = c.inline(function, arguments)
    compiled = Compiled(name, sig, c.raises)
    values = [(r.type, r.text) for r in results]
    _emit_return(c.b, compiled, values + ([("i1", "false")] if c.raises else []))
    if c.raises:
        c.b.label(c.raise_label)
        poison = [(r.type, "poison") for r in results]
        _emit_return(c.b, compiled, [*poison, ("i1", "true")])
    attributes = "nounwind"
    if getattr(function, "cold", False):
        attributes += " noinline cold"
    elif getattr(function, "inline", False):
        attributes += " alwaysinline"
    text = (
        f"define internal {compiled.return_type} @{name}({', '.join(declared)}) {attributes} {{\n"
        f"{c.b.body()}\n}}"
    )
    return compiled, text


def _emit_return(b: Builder, compiled: Compiled, values: list[tuple[str, str]]) -> None:
    if not values:
        b.terminate("ret void")
    elif len(values) == 1:
        b.terminate(f"ret {values[0][0]} {values[0][1]}")
    else:
        whole = "poison"
        for i, (kind, text) in enumerate(values):
            whole = b.value(f"insertvalue {compiled.return_type} {whole}, {kind} {text}, {i}")
        b.terminate(f"ret {compiled.return_type} {whole}")
