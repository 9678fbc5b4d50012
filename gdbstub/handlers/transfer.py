"""`qXfer:OBJECT:read:ANNEX:OFFSET,LENGTH`: documents in pieces.

Source: GDB manual, "General Query Packets" (qXfer).
"""

from collections.abc import Callable

from gdbstub import documents, fields
from gdbstub.errors import PacketError, TargetError
from gdbstub.packet import escape
from gdbstub.state import State
from gdbstub.target import ThreadInfo


def transfer(state: State, rest: bytes) -> bytes:
    """A piece of a document: `m` and more follows, or `l` and it was the last.

    A document is made when its beginning is read, so that all its pieces fit together.
    """
    try:
        _, name, operation, annex, place = rest.split(b":", 4)
    except ValueError:
        raise PacketError("qXfer takes an object, an operation, an annex and a place") from None
    maker = _OBJECTS.get(name)
    if maker is None or not offered(state, name) or operation != b"read":
        return b""
    offset, length = fields.numbers(place, b",", 2)
    if offset == 0 or (name, annex) not in state.documents:
        state.documents.clear()
        state.documents[name, annex] = maker(state, annex).encode()
    document = state.documents[name, annex]
    # Half the packet, so that escapes cannot make it too long.
    piece = document[offset : offset + min(length, (state.packet_size - 1) // 2)]
    last = offset + len(piece) >= len(document)
    return (b"l" if last else b"m") + escape(piece)


def offered(state: State, name: bytes) -> bool:
    """Whether the target has what the object `name` is made of."""
    target = state.target
    return {
        b"features": target.description is not None,
        b"memory-map": target.memory_map is not None,
        b"threads": True,
        b"exec-file": target.exec_file is not None,
    }[name]


def _features(state: State, annex: bytes) -> str:
    assert state.target.description is not None
    name = annex.decode("utf-8", "replace")
    document = state.target.description.document(state.first_process(), name)
    if document is None:
        raise TargetError(f"there is no document {name!r}")
    return document


def _memory_map(state: State, annex: bytes) -> str:
    assert state.target.memory_map is not None
    _no_annex(annex)
    return documents.memory_map(state.target.memory_map.regions(state.first_process()))


def _threads(state: State, annex: bytes) -> str:
    _no_annex(annex)
    names = state.target.thread_names
    return documents.threads(
        (state.name(thread).decode(), names.info(thread) if names else ThreadInfo())
        for thread in state.threads()
    )


def _exec_file(state: State, annex: bytes) -> str:
    assert state.target.exec_file is not None
    process = fields.number(annex) if annex else state.first_process()
    if process not in state.processes():
        raise TargetError(f"there is no process {process}")
    path = state.target.exec_file.path(process)
    if path is None:
        raise TargetError(f"process {process} has no executable file")
    return path


def _no_annex(annex: bytes) -> None:
    if annex:
        raise PacketError("this object has no annex")


_OBJECTS: dict[bytes, Callable[[State, bytes], str]] = {
    b"features": _features,
    b"memory-map": _memory_map,
    b"threads": _threads,
    b"exec-file": _exec_file,
}
OBJECTS = tuple(_OBJECTS)
