"""`Z` and `z`: breakpoints and watchpoints, with conditions and commands.

Source: GDB manual, "Packets" (`z type,addr,kind`), "ConditionalBreakpoints" and
"BreakpointCommands" features.
"""

from gdbstub import fields
from gdbstub.errors import PacketError, TargetError
from gdbstub.state import State
from gdbstub.target import Breakpoints, Kind, Point

_MAX_LENGTH = 1 << 32


def insert(state: State, rest: bytes) -> bytes:
    """`Z type,addr,kind[;X len,expr]...[;cmds:persist,X len,expr...]`."""
    place, _, extras = rest.partition(b";")
    point = _place(state, place)
    breakpoints = _offered(state, point.kind)
    if breakpoints is None:
        return b""
    if extras:
        conditions, persistent, commands = _expressions(extras)
        point = Point(
            point.process, point.kind, point.address, point.length,
            conditions, commands, persistent,
        )  # fmt: skip
    breakpoints.insert(point)
    state.points[_key(point)] = point
    return b"OK"


def remove(state: State, rest: bytes) -> bytes:
    """`z type,addr,kind`."""
    point = _place(state, rest.partition(b";")[0])
    breakpoints = _offered(state, point.kind)
    if breakpoints is None:
        return b""
    breakpoints.remove(point)
    state.points.pop(_key(point), None)
    return b"OK"


def remove_all(state: State, process: int | None = None, *, lost: bool = False) -> None:
    """Takes out what this client put in: of one process, or of all.

    When the connection was lost, points whose commands are to outlive it stay.
    """
    breakpoints = state.target.breakpoints
    for key, point in list(state.points.items()):
        if process in (None, point.process) and not (lost and point.persistent):
            del state.points[key]
            if breakpoints is not None:
                try:
                    breakpoints.remove(point)
                except TargetError:
                    continue  # its place is gone, and the point with it


def _place(state: State, text: bytes) -> Point:
    kind, address, length = fields.numbers(text, b",", 3)
    if kind > max(Kind):
        raise PacketError(f"there is no breakpoint type {kind}")
    if length > _MAX_LENGTH:
        raise PacketError(f"{length:#x} bytes are too many to watch")
    return Point(state.first_process(), Kind(kind), address, length)


def _offered(state: State, kind: Kind) -> Breakpoints | None:
    breakpoints = state.target.breakpoints
    return breakpoints if breakpoints is not None and kind in breakpoints.kinds else None


def _key(point: Point) -> tuple[int, Kind, int, int]:
    return point.process, point.kind, point.address, point.length


def _expressions(text: bytes) -> tuple[tuple[bytes, ...], bool, tuple[bytes, ...]]:
    """(conditions, persistent, commands). GDB writes the expressions one after the other."""
    conditions, found, commands = text.partition(b"cmds:")
    if not found:
        return _list(conditions), False, ()
    persist, commands = fields.split(commands, b",")
    return _list(conditions), fields.number(persist) != 0, _list(commands)


def _list(text: bytes) -> tuple[bytes, ...]:
    """`X len,expr` any number of times, with or without separators."""
    expressions = []
    while text := text.lstrip(b";"):
        if text[:1] != b"X":
            raise PacketError("an agent expression must begin with X")
        length, text = fields.split(text[1:], b",")
        digits = 2 * fields.number(length)
        if len(text) < digits:
            raise PacketError("an agent expression ends early")
        expressions.append(fields.data(text[:digits]))
        text = text[digits:]
    return tuple(expressions)
