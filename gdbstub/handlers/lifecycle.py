"""Leaving, killing, restarting, attaching: `D`, `k`, `vKill`, `R`, `vRun`, `vAttach`, `!`.

Source: GDB manual, "Packets" and "Multiprocess extensions".
"""

from gdbstub import fields, stops
from gdbstub.errors import PacketError, TargetError
from gdbstub.handlers import execution, points
from gdbstub.state import Cause, State, Status
from gdbstub.target import CONTINUE


def extended(state: State, _rest: bytes) -> bytes:
    """`!`: extended mode, in which a program can be run again."""
    if state.target.lifecycle is None:
        return b""
    state.client.extended = True
    return b"OK"


def detach(state: State, rest: bytes) -> bytes:
    """`D` and `D;pid`: the points are taken out, and the guest runs on."""
    process = _process(rest[1:]) if rest else None
    attached = state.processes()
    if process is not None and process not in attached:
        raise TargetError(f"there is no process {process}")
    _let_go(state, process)
    if process is None or attached == [process]:
        state.move(Cause.DETACH)
    else:
        state.detached.add(process)
    return b"OK"


def leave(state: State, *, resume: bool) -> None:
    """The connection is lost: nothing that this client did may stay behind in the guest."""
    points.remove_all(state, lost=True)
    state.move(Cause.LOSE)
    if resume:
        _run(state, None)


def attach(state: State, rest: bytes) -> bytes:
    """`vAttach;pid`: takes hold of a process that was let go, and halts it."""
    process = _process(rest[1:])
    if process not in state.detached:
        raise TargetError(f"process {process} is not there to be attached to")
    if state.status is Status.RUNNING:
        raise TargetError("the target is running")
    state.detached.discard(process)
    threads = [thread for thread in state.threads() if thread.process == process]
    if not threads:
        raise TargetError(f"process {process} has no thread")
    execution.halt(state, threads)
    state.general = threads[0]
    if state.status is Status.NON_STOP:
        return b"OK"
    return stops.stop_reply(state, state.stops[threads[0]])


def kill(state: State, _rest: bytes) -> None:
    """`k`: kills everything, without a reply. A target that cannot be killed is let go."""
    lifecycle = state.target.lifecycle
    processes = state.processes()
    points.remove_all(state)
    if lifecycle is None:
        _run(state, None)
        state.move(Cause.DETACH)
        return
    for process in processes:
        lifecycle.kill(process)
        stops.forget(state, process)
    state.move(Cause.KILL)


def kill_one(state: State, rest: bytes) -> bytes:
    """`vKill;pid`."""
    lifecycle = state.target.lifecycle
    if lifecycle is None:
        return b""
    process = _process(rest[1:])
    if process not in state.processes():
        raise TargetError(f"there is no process {process}")
    points.remove_all(state, process)
    lifecycle.kill(process)
    stops.forget(state, process)
    if not state.threads() and not state.client.extended:
        state.move(Cause.KILL)
    return b"OK"


def restart(state: State, _rest: bytes) -> None:
    """`R XX`: starts again, without a reply."""
    _restart(state)


def run(state: State, _rest: bytes) -> bytes:
    """`vRun;file;arguments...`: starts again; the file is the one that the target has."""
    if state.target.lifecycle is None:
        return b""
    _restart(state)
    return execution.why(state, b"")


def _restart(state: State) -> None:
    lifecycle = state.target.lifecycle
    if lifecycle is None:
        raise TargetError("the target cannot be restarted")
    state.target.halt(state.threads())
    if state.status is Status.RUNNING:
        state.move(Cause.STOP)
    lifecycle.restart()
    state.queue.clear()
    state.deferred.clear()
    state.stops.clear()
    state.general = None
    execution.halt(state, state.threads())


def _let_go(state: State, process: int | None) -> None:
    points.remove_all(state, process)
    _run(state, process)


def _run(state: State, process: int | None) -> None:
    """Resumes whatever stands still, of one process or of all."""
    actions = {
        thread: CONTINUE
        for thread in state.threads()
        if process in (None, thread.process) and thread in state.stops
    }
    if actions:
        state.target.resume(actions)
    for thread in actions:
        del state.stops[thread]


def _process(text: bytes) -> int:
    process = fields.number(text)
    if process == 0:
        raise PacketError("there is no process 0")
    return process
