"""Expressions and conditions."""

import ast

from rvemu.engine.compiler import arithmetic
from rvemu.engine.compiler.fields import Fields
from rvemu.engine.compiler.syntax import BINARY, COMPARE, UNARY, is_pure
from rvemu.engine.compiler.values import CompileError, Static, Value, Word, Words, fits, join
from rvemu.lang import Range


class Expressions(Fields):
    """Emits expressions."""

    def _call(self, node: ast.Call) -> Value:
        raise NotImplementedError(node)

    def expression(self, node: ast.expr) -> Value:
        match node:
            case ast.Constant():
                return Static(node.value)
            case ast.Name(name):
                return self._name(name)
            case ast.Attribute(base, name):
                return self._attribute(self.expression(base), name)
            case ast.Subscript(base, index):
                return self._subscript(self.expression(base), index)
            case ast.BinOp(left, op, right):
                return self._binary(op, self.expression(left), self.expression(right))
            case ast.UnaryOp(ast.Not(), _) | ast.Compare() | ast.BoolOp():
                return self._truth(node)
            case ast.UnaryOp(op, operand):
                value = self.expression(operand)
                if isinstance(value, Static):
                    return Static(UNARY[type(op)](value.value))
                return arithmetic.unary(self.b, op, self.word(value))
            case ast.IfExp(test, body, orelse):
                return self._choice(test, body, orelse)
            case ast.Call():
                return self._call(node)
            case ast.Tuple(items) | ast.List(items):
                values = [self.expression(item) for item in items]
                if all(isinstance(v, Static) for v in values):
                    return Static(tuple(v.value for v in values if isinstance(v, Static)))
                return Words(tuple(self.word(v) for v in values))
            case ast.JoinedStr():
                return Static("")
            case _:
                raise CompileError(f"expression {type(node).__name__}")

    def _binary(self, op: ast.operator, left: Value, right: Value) -> Value:
        if isinstance(left, Static) and isinstance(right, Static):
            return Static(BINARY[type(op)](left.value, right.value))
        return arithmetic.binary(self.b, op, self.word(left), self.word(right))

    def _choice(self, test: ast.expr, body: ast.expr, orelse: ast.expr) -> Value:
        known = self._static_truth(test)
        if known is not None:
            return self.expression(body if known else orelse)
        b = self.b
        yes, no, end = b.name("yes"), b.name("no"), b.name("chosen")
        self.condition(test, yes, no)
        b.label(yes)
        first = self.word(self.expression(body))
        slot = b.slot(first.type, "choice")
        b.emit(f"store {first.type} {first.text}, ptr {slot}")
        b.jump(end)
        b.label(no)
        second = self.word(self.expression(orelse))
        if first.wide != second.wide:
            raise CompileError("one choice has 128 bits, the other 64")
        b.emit(f"store {second.type} {second.text}, ptr {slot}")
        b.label(end)
        both = first.range is not None and second.range is not None
        result = join(first.range, second.range) if both and first.range and second.range else None
        if result is not None and not fits(result, first.wide):
            result = None
        return Word(b.value(f"load {first.type}, ptr {slot}"), result, first.wide)

    def _truth(self, node: ast.expr) -> Value:
        known = self._static_truth(node)
        if known is not None:
            return Static(known)
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            return arithmetic.truth(self.b, self._comparison(node))
        slot = self.b.slot("i64", "truth")
        yes, no, end = self.b.name("true"), self.b.name("false"), self.b.name("decided")
        self.condition(node, yes, no)
        for label, value in ((yes, 1), (no, 0)):
            self.b.label(label)
            self.b.emit(f"store i64 {value}, ptr {slot}")
            self.b.jump(end)
        self.b.label(end)
        return Word(self.b.value(f"load i64, ptr {slot}"), Range(0, 1))

    def condition(self, node: ast.expr, yes: str, no: str) -> None:
        """Jump to one label or the other."""
        known = self._static_truth(node)
        if known is not None:
            self.b.jump(yes if known else no)
            return
        match node:
            case ast.UnaryOp(ast.Not(), operand):
                self.condition(operand, no, yes)
            case ast.BoolOp(op, values):
                for value in values[:-1]:
                    more = self.b.name("and" if isinstance(op, ast.And) else "or")
                    if isinstance(op, ast.And):
                        self.condition(value, more, no)
                    else:
                        self.condition(value, yes, more)
                    self.b.label(more)
                self.condition(values[-1], yes, no)
            case ast.Compare():
                self.b.branch(self._comparison(node), yes, no)
            case _:
                word = self.word(self.expression(node))
                arithmetic.exact(word)
                self.b.branch(self.b.value(f"icmp ne {word.type} {word.text}, 0"), yes, no)

    def _comparison(self, node: ast.Compare) -> str:
        if not all(is_pure(comparator) for comparator in node.comparators[1:]):
            raise CompileError("a call in a chain of comparisons, which may not be reached")
        left = self.expression(node.left)
        tests = []
        for op, right_node in zip(node.ops, node.comparators, strict=True):
            right = self.expression(right_node)
            if isinstance(op, ast.In | ast.NotIn):
                if not isinstance(right, Static):
                    raise CompileError("`in` wants something known when compiled")
                test = "false"
                for item in right.value:
                    same = arithmetic.compare(
                        self.b, ast.Eq(), self.word(left), self.word(Static(item))
                    )
                    test = self.b.value(f"or i1 {test}, {same}")
                if isinstance(op, ast.NotIn):
                    test = self.b.value(f"xor i1 {test}, true")
            elif isinstance(left, Static) and isinstance(right, Static):
                test = "true" if COMPARE[type(op)](left.value, right.value) else "false"
            else:
                test = arithmetic.compare(self.b, op, self.word(left), self.word(right))
            tests.append(test)
            left = right
        result = tests[0]
        for test in tests[1:]:
            result = self.b.value(f"and i1 {result}, {test}")
        return result
