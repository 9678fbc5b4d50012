"""Python's syntax tree: small questions about it, and what its operators do to constants."""

import ast
import operator
from collections.abc import Callable
from typing import Any

from rvemu.engine.compiler.values import CompileError
from rvemu.lang import Range

UNARY: dict[Any, Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.Invert: operator.invert,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
}

BINARY: dict[Any, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.Pow: operator.pow,
}

COMPARE: dict[Any, Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}

# What `x op limit`, being true or false, says of x: the lowest and the highest value.
BOUNDS: dict[Any, Callable[[int, Range], tuple[int, int]]] = {
    (ast.Lt, True): lambda limit, r: (r.low, limit - 1),
    (ast.Lt, False): lambda limit, r: (limit, r.high),
    (ast.LtE, True): lambda limit, r: (r.low, limit),
    (ast.LtE, False): lambda limit, r: (limit + 1, r.high),
    (ast.Gt, True): lambda limit, r: (limit + 1, r.high),
    (ast.Gt, False): lambda limit, r: (r.low, limit),
    (ast.GtE, True): lambda limit, r: (limit, r.high),
    (ast.GtE, False): lambda limit, r: (r.low, limit - 1),
    (ast.Eq, True): lambda limit, _: (limit, limit),
    (ast.NotEq, False): lambda limit, _: (limit, limit),
}


def names(target: ast.expr) -> list[str]:
    """The variables that an assignment's target names."""
    return [n.id for n in ast.walk(target) if isinstance(n, ast.Name)]


def count_assigned(definition: ast.FunctionDef) -> dict[str, int]:
    """How many statements assign each variable of a function; in a loop, `x += 1` counts more."""
    counts: dict[str, int] = {}
    for node in ast.walk(definition):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AugAssign):
            targets = [node.target, node.target]
        elif isinstance(node, ast.AnnAssign | ast.For):
            targets = [node.target]
        for target in targets:
            assigned = (
                [target.id]
                if isinstance(target, ast.Name)
                else [t.id for t in getattr(target, "elts", []) if isinstance(t, ast.Name)]
            )
            for name in assigned:
                counts[name] = counts.get(name, 0) + 1
    # What is assigned in a loop has many values, even if one statement assigns it.
    for loop in ast.walk(definition):
        if isinstance(loop, ast.While):
            for node in ast.walk(loop):
                if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                    counts[node.target.id] += 1
    return counts


def as_load(target: ast.expr) -> ast.expr:
    """The expression that reads what an assignment's target writes."""
    match target:
        case ast.Name(name):
            return ast.Name(name, ast.Load())
        case ast.Attribute(base, name):
            return ast.Attribute(base, name, ast.Load())
        case ast.Subscript(base, index):
            return ast.Subscript(base, index, ast.Load())
    raise CompileError("assignment to this")


def is_pure(node: ast.expr) -> bool:
    """Whether an expression surely changes nothing."""
    return not any(isinstance(n, ast.Call) for n in ast.walk(node))
