"""Statements."""

import ast
from collections.abc import Callable
from typing import Any

from rvemu.engine.compiler import arithmetic
from rvemu.engine.compiler.calls import Calls
from rvemu.engine.compiler.frames import Frame, Variable, WidenError
from rvemu.engine.compiler.program import is_wide, parse
from rvemu.engine.compiler.signature import signature
from rvemu.engine.compiler.syntax import BOUNDS, as_load, count_assigned, names
from rvemu.engine.compiler.values import (
    I64_RANGE,
    I128_RANGE,
    U64_RANGE,
    U128_RANGE,
    Array,
    CompileError,
    Object,
    Static,
    Value,
    Word,
    Words,
    constant,
    contains,
    join,
)
from rvemu.lang import Range


class Compiler(Calls):
    """Compiles one LLVM function."""

    def inline(self, function: Callable[..., Any], arguments: dict[str, Value]) -> list[Word]:
        """Compile a function's body in place; its results."""
        sig = signature(function)
        definition = parse(function)
        slots = [self.b.slot("i128" if is_wide(r) else "i64", "result") for r in sig.results]
        frame = Frame(function, sig, self.b.name("returned"), slots, count_assigned(definition))
        for name, value in arguments.items():
            if frame.assigned.get(name, 0) and isinstance(value, Word | Static):
                frame.assigned[name] += 1
                self.frames.append(frame)
                self._assign_name(name, value)
                self.frames.pop()
            else:
                frame.locals[name] = value
        self.frames.append(frame)
        try:
            self.block(definition.body)
        except CompileError as e:
            raise _located(e, function, None) from None
        self.frames.pop()
        self.b.label(frame.return_label)
        out = []
        for slot, r in zip(slots, sig.results, strict=True):
            kind = "i128" if is_wide(r) else "i64"
            out.append(Word(self.b.value(f"load {kind}, ptr {slot}"), r, is_wide(r)))
        return out

    def block(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            if not self.b.open:
                return
            try:
                self._statement(statement)
            except CompileError as e:
                raise _located(e, self.frame.function, statement) from None

    def _statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Expr(ast.Constant()) | ast.Pass() | ast.Assert():
                pass
            case ast.Expr(value):
                self.expression(value)
            case ast.Assign(targets, value):
                result = self.expression(value)
                for target in targets:
                    self._assign(target, result)
            case ast.AnnAssign(target, annotation, value) if value is not None:
                assert isinstance(target, ast.Name)
                self._assign_name(target.id, self.expression(value), self._annotation(annotation))
            case ast.AugAssign(target, op, value):
                load = ast.copy_location(as_load(target), node)
                combined = ast.BinOp(load, op, value)
                self._assign(target, self.expression(ast.copy_location(combined, node)))
            case ast.If(test, body, orelse):
                self._if(test, body, orelse)
            case ast.While(test, body, orelse) if not orelse:
                self._while(test, body)
            case ast.For(target, iterator, body, orelse) if not orelse:
                self._for(target, iterator, body)
            case ast.Return(value):
                self._return(value)
            case ast.Raise(exc, None) if exc is not None:
                self._raise(exc)
            case ast.Break():
                self._leave_loop(0)
            case ast.Continue():
                self._leave_loop(1)
            case _:
                raise CompileError(f"statement {type(node).__name__}")

    def _annotation(self, node: ast.expr) -> Range:
        value = self.expression(node)
        for note in getattr(getattr(value, "value", None), "__metadata__", ()):
            if isinstance(note, Range):
                return note
        raise CompileError("annotate a variable with a width (U64, I64...)")

    def _assign(self, target: ast.expr, value: Value) -> None:
        match target:
            case ast.Name(name):
                self._assign_name(name, value)
            case ast.Attribute(base, name):
                self._store_field(self.expression(base), name, self.word(value))
            case ast.Subscript(base, index):
                array = self.expression(base)
                if not isinstance(array, Array):
                    raise CompileError("only a hart's arrays may be written")
                pointer = self._element(array, self.expression(index))
                self._store(pointer, array.element, self.word(value))
            case ast.Tuple(targets):
                items: list[Value]
                if isinstance(value, Words):
                    items = list(value.items)
                elif isinstance(value, Static):
                    items = [Static(v) for v in value.value]
                else:
                    raise CompileError("only a call's several results can be unpacked")
                for t, v in zip(targets, items, strict=True):
                    self._assign(t, v)
            case _:
                raise CompileError(f"assignment to {type(target).__name__}")

    def _assign_name(self, name: str, value: Value, declared: Range | None = None) -> None:
        frame = self.frame
        if isinstance(value, Static) and not isinstance(value.value, int):
            frame.locals[name] = value
            return
        if isinstance(value, Object | Array | Words):
            frame.locals[name] = value
            return
        if frame.assigned[name] == 1 and declared is None:
            frame.locals[name] = value
            return
        word = self.word(value)
        variable = frame.locals.get(name)
        key = (frame.function, name)
        if not isinstance(variable, Variable):
            known = self.widths.get(key, declared or word.range)
            wide = word.wide or (known is not None and is_wide(known))
            variable = Variable(self.b.slot("i128" if wide else "i64", name), known, wide)
            frame.locals[name] = variable
        if variable.wide:
            word = arithmetic.widen(self.b, word)
        elif word.wide:
            self._widen(key, join(variable.range or U64_RANGE, word.range or U128_RANGE), True)
        if variable.range is not None:
            if word.range is None:
                raise CompileError(
                    f"{name} is assigned a value that may have wrapped: say u64()..."
                )
            if not contains(variable.range, word.range):
                if declared is not None:
                    raise CompileError(f"{name}: the value may not fit its annotation")
                self._widen(key, join(variable.range, word.range), variable.wide)
        self.b.emit(f"store {word.type} {word.text}, ptr {variable.slot}")

    def _widen(self, key: Any, wanted: Range, wide: bool) -> None:
        if key in self.widths:  # a second time: it may go on for ever, so go to the limit
            previous = self.widths[key]
            limits = (U128_RANGE, I128_RANGE) if wide else (U64_RANGE, I64_RANGE)
            for limit in limits:
                if contains(limit, wanted) and not contains(previous, limit):
                    wanted = limit
                    break
            else:
                raise CompileError(f"{key[1]} may wrap around: say u64()... where it is assigned")
        self.widths[key] = wanted
        raise WidenError

    def _if(self, test: ast.expr, body: list[ast.stmt], orelse: list[ast.stmt]) -> None:
        known = self._static_truth(test)
        if known is not None:
            self.block(body if known else orelse)
            return
        yes, no, end = self.b.name("then"), self.b.name("else"), self.b.name("endif")
        self.condition(test, yes, no)
        before, after, reached = self.written, False, []
        for label, statements, truth in ((yes, body, True), (no, orelse, False)):
            self.written = before
            self.b.label(label)
            narrowed = self._narrow(test, truth)
            kept = {name: self.frame.locals[name] for name in narrowed}
            self.frame.locals.update(narrowed)
            self.block(statements)
            self.frame.locals.update(kept)
            if self.b.open:
                after |= self.written
                reached.append(narrowed)
                self.b.jump(end)
        self.written = after
        if reached:
            self.b.label(end)
        if len(reached) == 1:  # the other way left, so what the test said still holds
            self.frame.locals.update(reached[0])

    def _narrow(self, test: ast.expr, truth: bool) -> dict[str, Word]:
        """What a comparison of a variable, assigned once, with a constant says of its range."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return self._narrow(test.operand, not truth)
        if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And if truth else ast.Or):
            narrowed: dict[str, Word] = {}
            for part in test.values:
                narrowed.update(self._narrow(part, truth))
            return narrowed
        match test:
            case ast.Compare(ast.Name(name), [op], [right]):
                word, limit = self.frame.locals.get(name), self._static(right)
                if isinstance(word, Word) and word.range and limit is not None:
                    bounds = BOUNDS.get((type(op), truth))
                    if bounds is not None and isinstance(limit.value, int):
                        low, high = bounds(int(limit.value), word.range)
                        low, high = max(low, word.range.low), min(high, word.range.high)
                        if low <= high:
                            return {name: Word(word.text, Range(low, high), word.wide)}
        return {}

    def _while(self, test: ast.expr, body: list[ast.stmt]) -> None:
        head, inside, end = self.b.name("while"), self.b.name("do"), self.b.name("endwhile")
        self._no_loop_on_fast_path()
        self.b.label(head)
        known = self._static_truth(test)
        if known is None:
            self.condition(test, inside, end)
        else:
            self.b.jump(inside if known else end)
        self.b.label(inside)
        self.frame.loops.append((end, head, set()))
        self.block(body)
        self.frame.loops.pop()
        self.b.jump(head)
        self.b.label(end)

    def _no_loop_on_fast_path(self) -> None:
        if self.fast:
            raise CompileError("a loop on the fast path: put it in a @cold function")

    def _for(self, target: ast.expr, iterator: ast.expr, body: list[ast.stmt]) -> None:
        if isinstance(iterator, ast.Call) and isinstance(iterator.func, ast.Name):
            callee = self.expression(iterator.func)
            if isinstance(callee, Static) and callee.value is range:
                bounds = [self.expression(a) for a in iterator.args]
                if not all(isinstance(x, Static) for x in bounds):
                    self._for_range(target, [self.word(x) for x in bounds], body)
                    return
        items = self.expression(iterator)
        if not isinstance(items, Static):
            raise CompileError("a loop over something that is not known when compiled")
        end = self.b.name("endfor")
        used: set[str] = set()
        for item in items.value:
            after = self.b.name("next")
            self.frame.assigned = {**self.frame.assigned, **dict.fromkeys(names(target), 1)}
            self._assign(target, Static(item))
            self.frame.loops.append((end, after, used))
            self.block(body)
            self.frame.loops.pop()
            if after in used:
                self.b.label(after)
            if not self.b.open:
                break
        if self.b.open or end in used:
            self.b.label(end)

    def _for_range(self, target: ast.expr, bounds: list[Word], body: list[ast.stmt]) -> None:
        self._no_loop_on_fast_path()
        if len(bounds) > 2 or not isinstance(target, ast.Name):
            raise CompileError("a run-time range has a start and an end")
        start, stop = (constant(0), bounds[0]) if len(bounds) == 1 else bounds
        low, high = arithmetic.exact(start).low, arithmetic.exact(stop).high - 1
        if low < 0:
            raise CompileError("a run-time range starts at 0 or above")
        b = self.b
        slot = b.slot("i64", target.id)
        b.emit(f"store i64 {start.text}, ptr {slot}")
        head, inside, after, end = (b.name(n) for n in ("for", "do", "next", "endfor"))
        b.label(head)
        current = b.value(f"load i64, ptr {slot}")
        b.branch(b.value(f"icmp ult i64 {current}, {stop.text}"), inside, end)
        b.label(inside)
        self.frame.locals[target.id] = Word(current, Range(low, max(high, low)))
        self.frame.loops.append((end, after, set()))
        self.block(body)
        self.frame.loops.pop()
        b.label(after)
        b.emit(f"store i64 {b.value(f'add i64 {current}, 1')}, ptr {slot}")
        b.jump(head)
        b.label(end)

    def _leave_loop(self, which: int) -> None:
        if not self.frame.loops:
            raise CompileError("break or continue outside a loop")
        loop = self.frame.loops[-1]
        label = (loop[0], loop[1])[which]
        loop[2].add(label)
        self.b.jump(label)

    def _return(self, node: ast.expr | None) -> None:
        frame = self.frame
        if frame.results:
            if node is None:
                raise CompileError("a result is missing")
            values: list[Value]
            if len(frame.results) > 1:
                if isinstance(node, ast.Tuple):
                    values = [self.expression(item) for item in node.elts]
                else:
                    whole = self.expression(node)
                    if isinstance(whole, Words):
                        values = list(whole.items)
                    elif isinstance(whole, Static):
                        values = [Static(v) for v in whole.value]
                    else:
                        raise CompileError("several results are expected")
            else:
                values = [self.expression(node)]
            for slot, value, declared in zip(
                frame.results, values, frame.signature.results, strict=True
            ):
                word = self._argument(self.word(value), declared, "the result")
                self.b.emit(f"store {word.type} {word.text}, ptr {slot}")
        elif node is not None:
            value = self.expression(node)
            if not (isinstance(value, Static) or value == Words(())):
                raise CompileError("a result is returned, but none is declared")
        self.b.jump(frame.return_label)

    def _raise(self, node: ast.expr) -> None:
        if self.fast:
            self._bail()
            return
        value = self.expression(node)
        if not (value == Words(()) or isinstance(value, Static)):
            raise CompileError("raise a function of rvemu.hart.exceptions")
        self.raises = True
        self.b.jump(self.raise_label)


def _located(
    error: CompileError, function: Callable[..., Any], node: ast.stmt | None
) -> CompileError:
    if getattr(error, "located", False):
        return error
    line = f":{node.lineno}" if node is not None else ""
    located = CompileError(f"{function.__module__}{line}, {function.__name__}: {error}")
    located.located = True  # type: ignore[attr-defined]
    return located
