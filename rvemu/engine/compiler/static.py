"""Expressions that are known when compiled, found without emitting anything."""

import ast

from rvemu.engine.compiler.core import Core
from rvemu.engine.compiler.frames import Variable
from rvemu.engine.compiler.syntax import BINARY, COMPARE, UNARY, is_pure
from rvemu.engine.compiler.values import Static, Value


class StaticParts(Core):
    """Looks ahead for what is known."""

    def _static_truth(self, node: ast.expr) -> bool | None:
        """Whether a condition holds, if that is known when compiled. Emits nothing."""
        match node:
            case ast.UnaryOp(ast.Not(), operand):
                known = self._static_truth(operand)
                return None if known is None else not known
            case ast.BoolOp(op, values):
                decisive = isinstance(op, ast.Or)
                truths = [self._static_truth(v) for v in values]
                if decisive in truths and None not in truths[: truths.index(decisive)]:
                    return decisive
                if decisive in truths and all(is_pure(v) for v in values):
                    return decisive
                return None if None in truths else not decisive
            case _:
                value = self._static(node)
                return None if value is None else bool(value.value)

    def _static(self, node: ast.expr) -> Static | None:
        """The value of an expression made of static parts only; None for others."""
        match node:
            case ast.Constant(value):
                return Static(value)
            case ast.Name(name):
                found = self._name_or_none(name)
                return found if isinstance(found, Static) else None
            case ast.Attribute(base, name):
                owner = self._static(base)
                return None if owner is None else Static(getattr(owner.value, name))
            case ast.Compare(left, ops, comparators):
                values = [self._static(n) for n in (left, *comparators)]
                if any(v is None for v in values):
                    return None
                items = [v.value for v in values if v is not None]
                return Static(
                    all(
                        COMPARE[type(op)](x, y)
                        for op, x, y in zip(ops, items[:-1], items[1:], strict=True)
                    )
                )
            case ast.BinOp(left, op, right):
                x, y = self._static(left), self._static(right)
                if x is None or y is None:
                    return None
                return Static(BINARY[type(op)](x.value, y.value))
            case ast.UnaryOp(unary, operand):
                inner = self._static(operand)
                return None if inner is None else Static(UNARY[type(unary)](inner.value))
            case ast.Tuple(items):
                parts = [self._static(item) for item in items]
                if any(p is None for p in parts):
                    return None
                return Static(tuple(p.value for p in parts if p is not None))
            case ast.Subscript(base, index):
                x, y = self._static(base), self._static(index)
                return None if x is None or y is None else Static(x.value[y.value])
            case ast.Call(func, args, []):
                callee = self._static(func)
                parts = [self._static(a) for a in args]
                if callee is None or any(p is None for p in parts):
                    return None
                return Static(callee.value(*(p.value for p in parts if p is not None)))
            case _:
                return None

    def _name_or_none(self, name: str) -> Value | None:
        found = self.frame.locals.get(name)
        if isinstance(found, Variable):
            return None
        return found if found is not None else self._name(name)
