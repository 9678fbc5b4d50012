"""Running and stopping: `?`, `c`, `s`, `C`, `S`, `vCont`, `vCtrlC`, `vStopped`, `QNonStop`.

Source: GDB manual, "Packets", "Remote Non-Stop", "Interrupts".
"""

from collections.abc import Sequence

from gdbstub import fields, stops
from gdbstub.errors import PacketError, TargetError
from gdbstub.state import Cause, State, Status
from gdbstub.target import CONTINUE, STEP, Move, Resume, Sig, Stopped, ThreadId


def begin(state: State) -> None:
    """A client has come: all stands still, and the first process is the one that it is attached to.
    (A gdb that hears of others has no description of their registers until it attaches to them.)"""
    threads = state.target.threads()
    if threads:
        state.following = {thread.process for thread in threads} - {threads[0].process}
    state.target.halt(threads)
    state.stops = {thread: Stopped(thread, Sig.NONE) for thread in state.threads()}


def why(state: State, _rest: bytes) -> bytes:
    """`?`: why the target stands still. A running one (all-stop) is halted by the question."""
    if state.status is Status.NON_STOP:
        return stops.requeue(state)
    threads = state.threads()
    if state.status is Status.RUNNING:
        state.move(Cause.STOP)
        halt(state, threads)
        state.target.halt(state.followers())
    if not threads:
        return b"W00"
    if state.general not in threads:
        state.general = threads[0]
    thread = state.current()
    stop = state.stops.get(thread)
    return stops.stop_reply(state, stop if stop and stop.signal else Stopped(thread))


def halt(state: State, threads: Sequence[ThreadId]) -> None:
    """Makes `threads` stand still, for no reason of their own."""
    state.target.halt(threads)
    for thread in threads:
        state.stops.setdefault(thread, Stopped(thread, Sig.NONE))


def interrupt(state: State) -> None:
    """Ctrl-C: all-stop stops everything, non-stop one thread; with SIGINT."""
    running = [thread for thread in state.threads() if thread not in state.stops]
    if not running or not state.running:
        return
    chosen = state.general if state.general in running else running[0]
    assert chosen is not None
    state.target.halt([chosen] if state.status is Status.NON_STOP else running)
    stops.report(state, Stopped(chosen, Sig.INT))


def ctrl_c(state: State, _rest: bytes) -> bytes:
    """`vCtrlC`."""
    interrupt(state)
    return b"OK"


def stopped(state: State, _rest: bytes) -> bytes | None:
    """`vStopped`: the client has taken in the last stop of non-stop mode."""
    return stops.next_queued(state)


def non_stop(state: State, rest: bytes) -> bytes:
    """`QNonStop:0` and `:1`. Going back to all-stop halts every thread."""
    if rest == b":1":
        state.move(Cause.NON_STOP)
    elif rest == b":0":
        state.move(Cause.ALL_STOP)
        state.queue.clear()
        state.deferred.clear()
        halt(state, state.threads())
    else:
        raise PacketError("QNonStop takes 0 or 1")
    return b"OK"


def go(state: State, rest: bytes) -> bytes | None:
    """`c [addr]`."""
    return _old(state, Resume(Move.CONTINUE, address=_address(rest)))


def step(state: State, rest: bytes) -> bytes | None:
    """`s [addr]`."""
    return _old(state, Resume(Move.STEP, address=_address(rest)))


def go_with_signal(state: State, rest: bytes) -> bytes | None:
    """`C sig[;addr]`."""
    signal, _, address = rest.partition(b";")
    return _old(state, Resume(Move.CONTINUE, _signal(signal), address=_address(address)))


def step_with_signal(state: State, rest: bytes) -> bytes | None:
    """`S sig[;addr]`."""
    signal, _, address = rest.partition(b";")
    return _old(state, Resume(Move.STEP, _signal(signal), address=_address(address)))


def resume_actions(state: State) -> bytes:
    """The answer to `vCont?`."""
    return b"vCont;c;C;s;S;t" + (b";r" if state.target.range_stepping else b"")


def v_cont(state: State, rest: bytes) -> bytes | None:
    """`vCont;action[:thread-id]...`: each thread takes the first action that fits it."""
    if not rest.startswith(b";"):
        raise PacketError("vCont lacks an action")
    chosen: dict[ThreadId, Resume] = {}
    halted: list[ThreadId] = []
    threads = state.threads()
    seen: set[ThreadId] = set()
    for entry in rest[1:].split(b";"):
        text, found, who = entry.partition(b":")
        action = _action(state, text)
        matched = state.matching(fields.thread_pattern(who)) if found else threads
        for thread in matched:
            if thread in seen:
                continue
            seen.add(thread)
            if action is None:
                halted.append(thread)
            else:
                chosen[thread] = action
    if halted:
        _stop_some(state, halted)
    if chosen or not halted:
        return _resume(state, chosen)
    return b"OK"


def _action(state: State, text: bytes) -> Resume | None:
    """One action of vCont; None means `t`, stop."""
    letter, rest = text[:1], text[1:]
    if text == b"s":
        return STEP
    if text == b"c":
        return CONTINUE
    if text == b"t":
        return None
    if letter == b"r" and state.target.range_stepping:
        start, end = fields.numbers(rest, b",", 2)
        return Resume(Move.RANGE, start=start, end=end)
    if letter in (b"C", b"S") and rest:
        return Resume(Move.CONTINUE if letter == b"C" else Move.STEP, _signal(rest))
    raise PacketError("vCont does not know that action")


def _stop_some(state: State, threads: list[ThreadId]) -> None:
    """`vCont;t`: stop replies with signal 0 follow, for those that ran."""
    if state.status is not Status.NON_STOP:
        raise TargetError("threads are stopped one by one in non-stop mode only")
    state.target.halt(threads)
    for thread in threads:
        stops.report(state, Stopped(thread, Sig.NONE))


def _old(state: State, action: Resume) -> bytes | None:
    """`c` and `s` are for the selected thread; all others that `Hc` means just continue."""
    threads = state.matching(state.resuming)
    chosen = dict.fromkeys(threads, CONTINUE)
    if threads:
        current = state.current()
        chosen[current if current in chosen else threads[0]] = action
    return _resume(state, chosen)


def _resume(state: State, actions: dict[ThreadId, Resume]) -> bytes | None:
    """Lets threads run: no reply until something stops, or OK in non-stop mode."""
    if state.status is Status.RUNNING:
        raise TargetError("the target is running already")
    if not actions:
        if state.status is Status.NON_STOP:
            return b"OK"
        raise TargetError("there is no thread to resume")
    if state.status is Status.NON_STOP:
        actions = {thread: action for thread, action in actions.items() if thread in state.stops}
    if actions:
        state.target.resume(actions | dict.fromkeys(state.followers(), CONTINUE))
    state.move(Cause.RESUME)
    if state.status is Status.NON_STOP:
        # Here nothing stands still because another does.
        state.detached |= state.following
        state.following.clear()
        for thread in actions:
            del state.stops[thread]
        return b"OK"
    state.stops.clear()
    return None


def _address(text: bytes) -> int | None:
    return fields.number(text) if text else None


def _signal(text: bytes) -> int:
    signal = fields.number(text)
    if signal > 0xFF:
        raise PacketError(f"{signal:#x} is no signal")
    return signal
