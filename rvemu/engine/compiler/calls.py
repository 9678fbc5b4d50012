"""Calls: of intrinsics, compiled functions, and functions to be inlined."""

import ast
import functools
from collections.abc import Callable
from typing import Any

from rvemu.engine.compiler import arithmetic, intrinsics
from rvemu.engine.compiler.expressions import Expressions
from rvemu.engine.compiler.program import is_wide
from rvemu.engine.compiler.signature import STATIC, Signature, signature, signature_or_none
from rvemu.engine.compiler.values import (
    CompileError,
    Object,
    Static,
    Value,
    Word,
    Words,
    constant,
    contains,
)
from rvemu.lang import Range, Switch


class Calls(Expressions):
    """Emits calls."""

    def inline(self, function: Callable[..., Any], arguments: dict[str, Value]) -> list[Word]:
        """Compile a function's body in place; its results."""
        raise NotImplementedError(function, arguments)

    def _call(self, node: ast.Call) -> Value:
        callee = self.expression(node.func)
        if not isinstance(callee, Static):
            raise CompileError("only functions can be called")
        function = callee.value
        arguments = [self.expression(a) for a in node.args]
        keywords = {k.arg: self.expression(k.value) for k in node.keywords if k.arg is not None}
        if function is getattr:
            assert isinstance(arguments[1], Static)
            return self._attribute(arguments[0], arguments[1].value)
        if function is setattr:
            assert isinstance(arguments[1], Static)
            self._store_field(arguments[0], arguments[1].value, self.word(arguments[2]))
            return Words(())
        if isinstance(function, Switch):
            return self._switch(function, arguments)
        return self.call(function, arguments, keywords)

    def call(
        self, function: Any, arguments: list[Value], keywords: dict[str, Value] | None = None
    ) -> Value:
        """Call a function, with all that inlining, static arguments and traps mean."""
        keywords = keywords or {}
        if isinstance(function, functools.partial):
            bound: list[Value] = [Static(a) for a in function.args]
            extra = {k: Static(v) for k, v in function.keywords.items()}
            return self.call(function.func, bound + arguments, {**extra, **keywords})
        everything = [*arguments, *keywords.values()]
        if all(isinstance(a, Static) for a in everything):
            plain = not hasattr(function, "__code__") or not signature_or_none(function)
            if plain or not signature(function).takes_object:
                return Static(
                    function(
                        *(a.value for a in arguments if isinstance(a, Static)),
                        **{k: a.value for k, a in keywords.items() if isinstance(a, Static)},
                    )
                )
        emit = self.program.intrinsic(function)
        if emit is not None:
            result = emit(self.b, self._intrinsic_arguments(function, arguments, keywords))
            if function in intrinsics.WRITERS:
                self.written = True
            return Words(()) if result is None else result
        if not hasattr(function, "__code__"):
            raise CompileError(f"{function} can't be called with run-time values")
        bound_arguments = self._bind(function, arguments, keywords)
        if self.fast:
            if getattr(function, "cold", False):
                self._bail()
                return self._nothing(signature(function))
            return _packed(self.inline(function, bound_arguments))
        return self._call_compiled(function, bound_arguments)

    def _intrinsic_arguments(
        self, function: Any, arguments: list[Value], keywords: dict[str, Value]
    ) -> list[Value]:
        if not keywords:
            return arguments
        names = function.__code__.co_varnames
        return arguments + [keywords[n] for n in names if n in keywords]

    def _nothing(self, sig: Signature) -> Value:
        words = [Word("poison", r, is_wide(r)) for r in sig.results]
        return _packed(words)

    def _bind(
        self, function: Any, arguments: list[Value], keywords: dict[str, Value]
    ) -> dict[str, Value]:
        sig = signature(function)
        bound: dict[str, Value] = {}
        if len(arguments) > len(sig.parameters):
            raise CompileError(f"too many arguments for {function.__name__}")
        for i, parameter in enumerate(sig.parameters):
            if i < len(arguments):
                value = arguments[i]
            elif parameter.name in keywords:
                value = keywords[parameter.name]
            else:
                value = Static(parameter.default)
            where = f"{function.__name__}'s {parameter.name}"
            if parameter.kind == STATIC:
                if not isinstance(value, Static):
                    raise CompileError(f"{where} must be known when compiled")
            elif isinstance(parameter.kind, Range):
                if isinstance(value, Static):
                    self._argument(self.word(value), parameter.kind, where)
                else:
                    value = self._argument(self.word(value), parameter.kind, where)
            elif not isinstance(value, Object):
                raise CompileError(f"{where} must be a {parameter.kind.__name__}")
            bound[parameter.name] = value
        return bound

    def _argument(self, word: Word, declared: Range, where: str) -> Word:
        if word.range is None:
            raise CompileError(f"{where} may have wrapped: say u64(), i64()...")
        if not contains(declared, word.range):
            raise CompileError(
                f"{where} may be {word.range.low}..{word.range.high}, "
                f"not only {declared.low}..{declared.high}"
            )
        if is_wide(declared):
            return arithmetic.widen(self.b, word)
        if word.wide:
            return Word(self.b.value(f"trunc i128 {word.text} to i64"), word.range)
        return word

    def _call_compiled(self, function: Any, bound: dict[str, Value]) -> Value:
        sig = signature(function)
        statics = tuple(
            v.value
            for p in sig.parameters
            if p.kind == STATIC and isinstance(v := bound[p.name], Static)
        )
        target = self.program.function(function, statics)
        passed = []
        for p in sig.parameters:
            value = bound[p.name]
            if isinstance(value, Object):
                passed.append(f"ptr {value.pointer}")
            elif p.kind != STATIC:
                word = self._argument(self.word(value), p.kind, p.name)
                passed.append(f"{word.type} {word.text}")
        call = f"call {target.return_type} @{target.name}({', '.join(passed)})"
        types = target.result_types
        self.written = True
        if not types:
            self.b.emit(call)
            return Words(())
        whole = self.b.value(call)
        parts = (
            [whole]
            if len(types) == 1
            else [
                self.b.value(f"extractvalue {target.return_type} {whole}, {i}")
                for i in range(len(types))
            ]
        )
        if target.raises:
            self.raises = True
            fine = self.b.name("fine")
            self.b.branch(parts.pop(), self.raise_label, fine, likely=False)
            self.b.label(fine)
        return _packed([Word(t, r, is_wide(r)) for t, r in zip(parts, sig.results, strict=True)])

    def _switch(self, switch: Switch, arguments: list[Value]) -> Value:
        key, rest = arguments[0], arguments[1:]
        if isinstance(key, Static):
            return self.call(switch.cases.get(key.value, switch.default), rest)
        key_word = self.word(key)
        arithmetic.exact(key_word)
        b = self.b
        sig = _switch_signature(switch.default)
        slots = [b.slot("i128" if is_wide(r) else "i64", "case") for r in sig.results]
        end, default = b.name("endswitch"), b.name("default")
        # Cases that call the same thing share a block.
        groups: dict[Any, tuple[str, Any, list[int]]] = {}
        for number, function in switch.cases.items():
            group = groups.setdefault(_case_key(function), (b.name("case"), function, []))
            group[2].append(number)
        targets = " ".join(
            f"i64 {constant(n).text}, label %{label}"
            for label, _, numbers in groups.values()
            for n in numbers
        )
        b.terminate(f"switch i64 {key_word.text}, label %{default} [ {targets} ]")
        blocks = [(label, function) for label, function, _ in groups.values()]
        for label, function in [*blocks, (default, switch.default)]:
            b.label(label)
            result = self.call(function, rest)
            if sig.results:
                items = result.items if isinstance(result, Words) else (self.word(result),)
                for slot, word, r in zip(slots, items, sig.results, strict=True):
                    word = self._argument(word, r, "a case's result")
                    b.emit(f"store {word.type} {word.text}, ptr {slot}")
            b.jump(end)
        b.label(end)
        return _packed(
            [
                Word(b.value(f"load {'i128' if is_wide(r) else 'i64'}, ptr {slot}"), r, is_wide(r))
                for slot, r in zip(slots, sig.results, strict=True)
            ]
        )


def _switch_signature(function: Any) -> Signature:
    while isinstance(function, functools.partial):
        function = function.func
    return signature(function)


def _case_key(function: Any) -> Any:
    if isinstance(function, functools.partial):
        return (function.func, function.args, tuple(sorted(function.keywords.items())))
    return function


def _packed(words: list[Word]) -> Value:
    return words[0] if len(words) == 1 else Words(tuple(words))
