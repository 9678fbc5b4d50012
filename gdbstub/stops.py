"""Stop replies: their text, when they are sent, and the queue of non-stop mode.

Source: GDB manual, "Stop Reply Packets" and "Notification Packets".
"""

from binascii import hexlify
from collections import deque

from gdbstub.errors import TargetError
from gdbstub.state import Cause, State, Status
from gdbstub.target import (
    Event,
    Exited,
    Output,
    Reason,
    Sig,
    Stopped,
    Terminated,
    ThreadExited,
)

_WATCHES = frozenset({Reason.WRITE, Reason.READ, Reason.ACCESS})


def stop_reply(state: State, stop: Stopped, *, registers: bool = True) -> bytes:
    """`T05thread:...;reason;register:value;...`. Without registers where the client does not know
    them yet: gdb asks for the target description of a process once it is attached to it."""
    target, client, thread = state.target, state.client, stop.thread
    parts = [b"T%02xthread:%b;" % (stop.signal & 0xFF, state.name(thread))]
    reason = stop.reason
    if reason in _WATCHES:
        parts.append(b"%b:%x;" % (reason.value.encode(), stop.address))
    elif (
        (reason is Reason.SOFTWARE_BREAKPOINT and client.software_breaks)
        or (reason is Reason.HARDWARE_BREAKPOINT and client.hardware_breaks)
        or (reason is Reason.CREATED and client.thread_events)
    ):
        parts.append(b"%b:;" % reason.value.encode())
    for number in target.expedited if registers else ():
        try:
            value = target.read_register(thread, number)
        except TargetError:
            continue  # the client will ask for it, and hear why not
        if value is not None:
            parts.append(b"%02x:%b;" % (number, hexlify(value)))
    return b"".join(parts)


def end_reply(state: State, event: Exited | Terminated) -> bytes:
    """`W` or `X`: a process is gone."""
    if isinstance(event, Exited):
        text = b"W%02x" % (event.code & 0xFF)
    else:
        text = b"X%02x" % (event.signal & 0xFF)
    if state.client.multiprocess:
        text += b";process:%x" % event.process
    return text


def report(state: State, event: Event) -> None:
    """Takes in what happened to the target, and tells the client what it must know."""
    if isinstance(event, Output):
        _print(state, event.text)
    elif isinstance(event, Stopped):
        if event.thread.process not in state.detached:
            _stopped(state, event)
    elif isinstance(event, ThreadExited):
        state.stops.pop(event.thread, None)
        if state.general == event.thread:
            state.general = None
        if state.client.thread_events and event.thread.process not in state.detached:
            tell(state, b"w%02x;%b" % (event.code & 0xFF, state.name(event.thread)))
    else:
        forget(state, event.process)
        if event.process in state.detached | state.following:
            state.detached.discard(event.process)
            state.following.discard(event.process)
        else:
            tell(state, end_reply(state, event))


def forget(state: State, process: int) -> None:
    """Drops what is remembered of a process that is gone."""
    for thread in [t for t in state.stops if t.process == process]:
        del state.stops[thread]
    for key in [key for key in state.points if key[0] == process]:
        del state.points[key]
    if state.general is not None and state.general.process == process:
        state.general = None


def _stopped(state: State, stop: Stopped) -> None:
    if stop.reason is Reason.CREATED and not state.client.thread_events:
        return  # the thread stands still only for a client that asked
    if state.status is Status.NON_STOP:
        if stop.thread not in state.stops:
            state.stops[stop.thread] = stop
            tell(state, stop_reply(state, stop))
    elif state.status is Status.RUNNING:
        halt_others(state, stop)
        tell(state, stop_reply(state, stop))
    # Otherwise the client knows already that everything stands still.


def halt_others(state: State, stop: Stopped) -> None:
    """All-stop: with one thread, all stand still; the client's selection moves to that one."""
    _halt_all(state)
    state.stops[stop.thread] = stop
    state.general = stop.thread


def _halt_all(state: State) -> None:
    threads = state.threads()
    state.target.halt([*threads, *state.followers()])
    state.stops = {thread: Stopped(thread, Sig.NONE) for thread in threads}


def tell(state: State, reply: bytes) -> None:
    """Sends a stop reply, or queues it in non-stop mode; a client that waits for none has it
    dropped."""
    if state.status is Status.NON_STOP:
        state.queue.append(reply)
        if len(state.queue) == 1:
            state.wire.notify(b"Stop:" + reply)
    elif state.status is Status.RUNNING:
        if not state.stops:
            _halt_all(state)
        state.move(Cause.STOP)
        state.wire.send(reply)


def requeue(state: State) -> bytes:
    """Non-stop's answer to `?`: the first stopped thread; the others through vStopped.

    gdb 13 aborts ("Assertion !async_event_handler_marked") if it is told of more than one in this
    way. Clients that are too old to announce error-message hear of the others in a second
    sequence, begun by a notification.
    """
    replies = [
        stop_reply(state, stop)
        for thread in state.threads()
        if (stop := state.stops.get(thread)) is not None
    ]
    together = len(replies) if state.client.error_messages else 1
    state.queue = deque(replies[:together])
    state.deferred = replies[together:]
    return state.queue[0] if state.queue else b"OK"


def next_queued(state: State) -> bytes | None:
    """The answer to vStopped: the first entry is done with; here is the next."""
    if state.queue:
        state.queue.popleft()
    if state.queue:
        return state.queue[0]
    if not state.deferred:
        return b"OK"
    state.wire.send(b"OK")
    state.queue.extend(state.deferred)
    state.deferred = []
    state.wire.notify(b"Stop:" + state.queue[0])
    return None


def _print(state: State, text: bytes) -> None:
    """An `O` packet; they are allowed only while the client waits for a stop reply."""
    if state.status is Status.RUNNING:
        print_packets(state, text)


def print_packets(state: State, text: bytes) -> None:
    """Console output, in packets that the client has room for."""
    room = (state.packet_size - 1) // 2
    for start in range(0, len(text), room):
        state.wire.send(b"O" + hexlify(text[start : start + room]))
