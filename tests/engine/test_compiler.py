"""The compiler's rules: what it compiles means the same as in CPython."""

import inspect
import pkgutil
from collections.abc import Callable
from importlib import import_module
from random import Random
from typing import Any

import pytest

import rvemu.hart
import rvemu.isa
from rvemu.engine.compiler.builder import Builder
from rvemu.engine.compiler.callable import NativeFunction, compile_functions
from rvemu.engine.compiler.frames import FastPath
from rvemu.engine.compiler.program import Program
from rvemu.engine.compiler.signature import STATIC, signature, signature_or_none
from rvemu.engine.compiler.statements import Compiler
from rvemu.engine.compiler.values import U64_RANGE, CompileError, Object, Value, Word
from rvemu.engine.lockstep import differences
from rvemu.hart.state import Hart, Shared
from rvemu.lang import Range, Stop, Trap
from tests.engine import compiler_refused as refused
from tests.engine import compiler_samples as samples
from tests.engine.random_values import any_value

Case = tuple[Callable[..., Any], tuple[Any, ...]]

_STATICS: dict[str, list[tuple[Any, ...]]] = {
    "power": [(0,), (1,), (13,)],
    "with_functions": [(samples.exact_or, 5), (samples.exact_and, 0)],
    "inlined": [(7,)],
    "by_name": [("mepc",), ("satp",)],
    "_case": [(3,)],
}


def _samples() -> list[Case]:
    functions = [
        f for f in vars(samples).values() if getattr(f, "__module__", "") == samples.__name__
    ]
    plain = [f for f in functions if inspect.isfunction(f)]
    return [(f, statics) for f in plain for statics in _STATICS.get(f.__name__, [()])]


SAMPLES = _samples()


def _name(case: Case) -> str:
    shown = [getattr(s, "__name__", str(s)) for s in case[1]]
    return "-".join([case[0].__name__, *shown])


# --- Constructs --------------------------------------------------------------------------------


def _harts() -> tuple[Hart, Hart]:
    return Hart(Shared()), Hart(Shared())


def _randomize(rng: Random, harts: tuple[Hart, Hart]) -> None:
    values = [rng.getrandbits(64) for _ in range(33)]
    for h in harts:
        for n, value in enumerate(values):
            h.x[n] = value
        h.mscratch, h.mepc, h.satp = values[:3]
        h.budget = values[3] >> 1
        h.shared.time_offset = values[4]


def _outcome(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        result = function(*arguments)
    except (Trap, Stop):
        return "raised"
    return (
        tuple(map(int, result))
        if isinstance(result, tuple)
        else result
        if result is None
        else int(result)
    )


def _called(case: Case) -> Callable[..., Any]:
    """The function in CPython, with its static arguments in their places."""
    function, statics = case
    parameters = signature(function).parameters

    def call(*arguments: Any) -> Any:
        passed, fixed = iter(arguments), iter(statics)
        return function(*(next(fixed if p.kind == STATIC else passed) for p in parameters))

    return call


@pytest.fixture(scope="module")
def compiled() -> dict[str, NativeFunction]:
    return {_name(c): f for c, f in zip(SAMPLES, compile_functions(SAMPLES), strict=True)}


def test_nothing_is_left_out() -> None:
    assert len(SAMPLES) >= 65
    assert len(REFUSED) >= 48


@pytest.mark.parametrize("case", SAMPLES, ids=_name)
def test_constructs(case: Case, compiled: dict[str, NativeFunction]) -> None:
    rng = Random(_name(case))
    native, python = compiled[_name(case)], _called(case)
    kinds = [p.kind for p in signature(case[0]).parameters if p.kind != STATIC]
    harts = _harts()
    uses_hart = any(isinstance(k, type) for k in kinds)
    for _ in range(300 if uses_hart else 1500):
        values = [any_value(rng, k) if isinstance(k, Range) else None for k in kinds]
        if uses_hart:
            _randomize(rng, harts)
        left = [harts[0] if v is None else v for v in values]
        right = [harts[1] if v is None else v for v in values]
        assert _outcome(native, *left) == _outcome(python, *right), values
        if uses_hart:
            assert not differences(*harts), values
            assert harts[0].shared.time_offset == harts[1].shared.time_offset
            assert harts[0].stop_reason == harts[1].stop_reason


# --- The model -----------------------------------------------------------------------------------

# Not part of the model: for hosts (rvemu.hart.reset...), or called when the model is compiled.
_FOR_HOSTS = ("reset", "explain", "csr_view", "disassembler", "points")


def _model_functions() -> list[Callable[..., Any]]:
    """The functions of the model that take a hart and nothing static."""
    found = []
    for package in (rvemu.hart, rvemu.isa):
        for info in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            if info.name.rpartition(".")[2] in _FOR_HOSTS:
                continue
            module = import_module(info.name)
            for function in vars(module).values():
                if getattr(function, "__module__", None) != info.name:
                    continue
                if not inspect.isfunction(function) or not (sig := signature_or_none(function)):
                    continue
                if sig.takes_object and not any(p.kind == STATIC for p in sig.parameters):
                    found.append(function)
    return found


def test_the_whole_model_compiles() -> None:
    functions = _model_functions()
    assert len(functions) > 350
    program = Program()
    for function in functions:
        program.function(function)
    assert program.text().count("define ") >= len(functions)


# --- Refusals ------------------------------------------------------------------------------------

REFUSED = [
    name
    for name, function in vars(refused).items()
    if inspect.isfunction(function) and (function.__doc__ or "").startswith("refused:")
]


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    """Each says in which function, in which line, and what the rule is."""
    function = getattr(refused, name)
    rule = function.__doc__.removeprefix("refused:").strip()
    with pytest.raises(CompileError) as caught:
        Program().function(function)
    said = str(caught.value)
    assert rule in said
    assert name in said
    lines, start = inspect.getsourcelines(function)
    marked = [start + n for n, line in enumerate(lines) if "# here" in line]
    if marked:
        assert said.startswith(f"{refused.__name__}:{marked[0]}, {name}: ")


def test_the_function_at_fault_is_named_not_its_caller() -> None:
    with pytest.raises(CompileError, match=r"compiler_refused:\d+, too_wide: the result may be"):
        Program().function(refused.calls_too_wide)


# --- The fast path -------------------------------------------------------------------------------


def _compile_fast(function: Callable[..., Any]) -> str:
    """Compile a function as the body of a fast handler; the text."""

    def stale(_: Builder) -> Word:
        raise CompileError("this is not up to date on the fast path: mark it slow=True")

    fields: dict[str, Any] = {
        "pc": lambda b: Word(b.value("add i64 %pc, 0"), U64_RANGE),
        "next_pc": lambda b: Word(b.value("add i64 %pc, 4"), U64_RANGE),
        "budget": stale,
    }

    def jump(b: Builder, word: Word) -> None:
        b.emit(f"store i64 {word.text}, ptr %target")

    compiler = Compiler(Program(), {}, FastPath("bail", fields, jump))
    arguments: dict[str, Value] = {}
    for p in signature(function).parameters:
        is_word = isinstance(p.kind, Range)
        arguments[p.name] = Word(f"%{p.name}", p.kind) if is_word else Object(Hart, f"%{p.name}")
    compiler.inline(function, arguments)
    return compiler.b.body()


def test_fast_path_bails_out_where_it_gets_cold() -> None:
    text = _compile_fast(samples.fast_load)
    assert "label %bail" in text
    assert "call" not in text
    assert "add i64 %pc, 0" in text


def test_fast_path_keeps_the_target_of_a_jump() -> None:
    assert "store i64 %a, ptr %target" in _compile_fast(samples.fast_jump)


@pytest.mark.parametrize("name", [n for n in vars(refused) if n.startswith("fast_")])
def test_refusals_on_the_fast_path(name: str) -> None:
    function = getattr(refused, name)
    lines, start = inspect.getsourcelines(function)
    (marked,) = (start + n for n, line in enumerate(lines) if "# here" in line)
    with pytest.raises(CompileError) as caught:
        _compile_fast(function)
    assert str(caught.value).startswith(f"{refused.__name__}:{marked}, {name}: ")
    assert function.__doc__.removeprefix("fast: ") in str(caught.value)
