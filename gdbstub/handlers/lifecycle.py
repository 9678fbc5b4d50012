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
    """`D` and `D;pid`: the points are taken out, and the guest runs on. In extended mode the client
    stays, and may attach again."""
    process = _process(rest[1:]) if rest else None
    attached = state.processes()
    if process is not None and process not in attached:
        raise TargetError(f"there is no process {process}")
    if process is not None and attached != [process]:
        points.remove_all(state, process)
        _run(state, process)
        state.detached.add(process)
        return b"OK"
    points.remove_all(state)
    _run(state)
    if state.client.extended:
        state.detached |= state.following.union(attached)
        state.following.clear()
    else:
        state.move(Cause.DETACH)
    return b"OK"


def leave(state: State, *, resume: bool) -> None:
    """The connection is lost: nothing that this client did may stay behind in the guest."""
    points.remove_all(state, lost=True)
    state.move(Cause.LOSE)
    if resume:
        _run(state)


def attach(state: State, rest: bytes) -> bytes:
    """`vAttach;pid`: takes hold of a process, and halts it; in non-stop mode the client asks for
    that itself, and hears of it then."""
    process = _process(rest[1:])
    if process not in state.detached | state.following:
        raise TargetError(f"process {process} is not there to be attached to")
    if state.status is Status.RUNNING:
        raise TargetError("the target is running")
    state.detached.discard(process)
    state.following.discard(process)
    threads = [thread for thread in state.threads() if thread.process == process]
    if not threads:
        raise TargetError(f"process {process} has no thread")
    state.general = threads[0]
    if state.status is Status.NON_STOP:
        return b"OK"
    execution.halt(state, threads)
    return stops.stop_reply(state, state.stops[threads[0]], registers=False)


def kill(state: State, _rest: bytes) -> None:
    """`k`: kills what the client is attached to, without a reply. A target that cannot be killed is
    let go."""
    lifecycle = state.target.lifecycle
    processes = state.processes()
    points.remove_all(state)
    if lifecycle is not None:
        for process in processes:
            lifecycle.kill(process)
            stops.forget(state, process)
    _leave_killed(state)


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
        _leave_killed(state)
    return b"OK"


def _leave_killed(state: State) -> None:
    """The client has nothing left. Whatever else there is goes on."""
    if state.target.threads():
        _run(state)
        state.move(Cause.DETACH)
    else:
        state.move(Cause.KILL)


def run(state: State, rest: bytes) -> bytes | None:
    """`vRun;file;arguments...`: a process that has ended starts again; the others stay as they are.
    The file is one that the target has. The reply is of its first thread; in non-stop mode the
    client is told of the rest as well: it takes them for running else."""
    lifecycle = state.target.lifecycle
    if lifecycle is None:
        return b""
    if state.status is Status.RUNNING:
        raise TargetError("the target is running")
    file, _, _arguments = rest[1:].partition(b";")
    process = lifecycle.run(fields.string(file))
    threads = [thread for thread in state.target.threads() if thread.process == process]
    execution.halt(state, threads)
    state.general = threads[0]
    if state.status is not Status.NON_STOP:
        return execution.why(state, b"")
    first, *others = (stops.stop_reply(state, state.stops[thread]) for thread in threads)
    state.wire.send(first)
    for reply in others:
        stops.tell(state, reply)
    return None


def restart(state: State, _rest: bytes) -> None:
    """`R XX`: starts again, without a reply."""
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


def _run(state: State, process: int | None = None) -> None:
    """Resumes whatever stands still, of one process or of all."""
    standing = [
        thread
        for thread in state.threads()
        if process in (None, thread.process) and thread in state.stops
    ]
    for thread in standing:
        del state.stops[thread]
    if process is None:
        standing += state.followers()
    if standing:
        state.target.resume(dict.fromkeys(standing, CONTINUE))


def _process(text: bytes) -> int:
    process = fields.number(text)
    if process == 0:
        raise PacketError("there is no process 0")
    return process
