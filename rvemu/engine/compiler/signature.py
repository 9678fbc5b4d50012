"""What a model function's annotations say about its parameters and results."""

import ctypes
import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import NoneType
from typing import Any, NoReturn

from rvemu.engine.compiler.values import BOOL_RANGE, CompileError
from rvemu.lang import Range, Stop, Trap

STATIC = "static"


@dataclass(frozen=True)
class Parameter:
    """One parameter: its kind is a structure type, a range of integers, or STATIC."""

    name: str
    kind: Any
    default: Any = inspect.Parameter.empty


@dataclass(frozen=True)
class Signature:
    """Parameters, and the ranges of the results (none, one or several)."""

    parameters: tuple[Parameter, ...]
    results: tuple[Range, ...]

    @property
    def takes_object(self) -> bool:
        """Whether it works on a hart; if not, it is a function of its arguments alone."""
        return any(isinstance(p.kind, type) for p in self.parameters)


def _kind(annotation: Any, where: str) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, ctypes.Structure):
        return annotation
    for note in getattr(annotation, "__metadata__", ()):
        if isinstance(note, Range):
            return note
        if note == STATIC:
            return STATIC
    if annotation is bool:
        return BOOL_RANGE
    raise CompileError(f"{where}: annotate it with a width (U64...), Static[...] or Hart")


@cache
def signature(function: Callable[..., Any]) -> Signature:
    """The signature of a model function."""
    where = f"{function.__module__}.{function.__qualname__}"
    hints = typing.get_type_hints(function, include_extras=True)
    parameters = tuple(
        Parameter(p.name, _kind(hints.get(p.name), f"{where}, parameter {p.name}"), p.default)
        for p in inspect.signature(function).parameters.values()
    )
    returned = hints.get("return", NoneType)
    results: tuple[Range, ...]
    if returned in (NoneType, NoReturn, Trap, Stop) or typing.get_origin(returned) is type:
        results = ()
    elif typing.get_origin(returned) is tuple:
        results = tuple(_kind(item, f"{where}, result") for item in typing.get_args(returned))
    elif isinstance(returned, typing.Hashable) and returned == (Trap | Stop):
        results = ()
    else:
        results = (_kind(returned, f"{where}, result"),)
    return Signature(parameters, results)


def signature_or_none(function: Any) -> Signature | None:
    """The signature of a function that is annotated as the model's are."""
    try:
        return signature(function)
    except (CompileError, NameError, TypeError, ValueError):
        return None
