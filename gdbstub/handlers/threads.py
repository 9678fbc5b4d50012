"""Which threads there are, and which is selected: `H`, `T`, `qC`, `qfThreadInfo`, ...

Source: GDB manual, "Packets" and "General Query Packets".
"""

from binascii import hexlify

from gdbstub import fields
from gdbstub.errors import PacketError, TargetError
from gdbstub.state import State
from gdbstub.target import ThreadInfo


def select(state: State, rest: bytes) -> bytes:
    """`H op thread-id`: `g` for registers and memory, `c` for the old `c` and `s`."""
    operation, who = rest[:1], rest[1:]
    pattern = fields.thread_pattern(who)
    if operation == b"g":
        state.general = state.one(who)
    elif operation == b"c":
        if not state.matching(pattern):
            raise TargetError("no such thread")
        state.resuming = pattern
    else:
        raise PacketError("H selects for g or c")
    return b"OK"


def alive(state: State, rest: bytes) -> bytes:
    """`T thread-id`."""
    state.one(rest)
    return b"OK"


def current(state: State, _rest: bytes) -> bytes:
    """`qC`."""
    return b"QC" + state.name(state.current())


def first(state: State, rest: bytes) -> bytes:
    """`qfThreadInfo`: the list begins anew."""
    state.thread_list = state.threads()
    return following(state, rest)


def following(state: State, _rest: bytes) -> bytes:
    """`qsThreadInfo`: as many more as fit; `l` at the end."""
    room = max(1, (state.packet_size - 1) // 20)
    taken, state.thread_list = state.thread_list[:room], state.thread_list[room:]
    return b"m" + b",".join(map(state.name, taken)) if taken else b"l"


def extra(state: State, rest: bytes) -> bytes:
    """`qThreadExtraInfo,thread-id`: what `info threads` says of a thread."""
    names = state.target.thread_names
    if names is None:
        return b""
    info: ThreadInfo = names.info(state.one(rest[1:]))
    text = " ".join(part for part in (info.name, info.extra) if part)
    return hexlify(text.encode("utf-8", "replace")[: state.packet_size // 2]) or b"20"


def attached(state: State, rest: bytes) -> bytes:
    """`qAttached[:pid]`: 1 lets a gdb that quits detach, 0 lets it kill."""
    if rest and fields.number(rest[1:]) not in state.processes():
        raise TargetError("no such process")
    return b"1" if state.target.existed else b"0"


def events(state: State, rest: bytes) -> bytes:
    """`QThreadEvents:0` and `:1`: whether threads that come and go are reported."""
    if rest not in (b":0", b":1"):
        raise PacketError("QThreadEvents takes 0 or 1")
    state.client.thread_events = rest == b":1"
    return b"OK"


def pass_signals(state: State, rest: bytes) -> bytes:
    """`QPassSignals: signal[;signal]...`."""
    signals = state.target.signals
    if signals is None:
        return b""
    texts = [text for text in rest[1:].split(b";") if text]
    signals.pass_through(frozenset(map(fields.number, texts)))
    return b"OK"
