"""Resuming, stopping, leaving: all-stop and non-stop."""

import pytest

from gdbstub import (
    Exited,
    Output,
    Reason,
    Status,
    Stopped,
    TargetError,
    TargetFatalError,
    Terminated,
    ThreadExited,
    ThreadId,
)
from gdbstub.packet import frame
from tests.gdbstub.client import Client
from tests.gdbstub.fake import CODE, DATA, HALT_AT, PC, Bare, FakeTarget
from tests.gdbstub.test_agent import printf

ONE, TWO = ThreadId(1, 1), ThreadId(1, 2)


def attach(threads: int = 1, processes: int = 1) -> Client:
    """A client that is attached to all processes, and means the first."""
    client = Client(FakeTarget(threads, processes))
    client.announce()
    for process in range(2, processes + 1):
        client.ask(b"vAttach;%x" % process)
    client.ask(b"Hgp1.1")
    return client


def pc_of(reply: bytes) -> int:
    value = reply.partition(b";20:")[2][:16]
    return int.from_bytes(bytes.fromhex(value.decode()), "little")


def test_why() -> None:
    client = attach(2)
    reply = client.ask(b"?")
    assert reply is not None and reply.startswith(b"T05thread:p1.1;20:00000080")


def test_thread_ids_without_multiprocess() -> None:
    client = Client(FakeTarget(2))
    assert (client.ask(b"?") or b"").startswith(b"T05thread:1;20:")
    assert client.go(b"vCont;s:2").startswith(b"T05thread:2;")


def test_stop_reply_leaves_out_what_cannot_be_read() -> None:
    client = attach()
    client.target.expedited = (PC, 99, 65, 2)
    reply = client.ask(b"?")
    assert reply is not None and reply.count(b":") == 3


@pytest.mark.parametrize("packet", [b"s", b"vCont;s", b"vCont;s:p1.1;c", b"S05", b"vCont;S05:p1.1"])
def test_step(packet: bytes) -> None:
    client = attach()
    for turn in range(1, 4):
        reply = client.go(packet)
        assert reply.startswith(b"T05thread:p1.1;20:")
        assert pc_of(reply) == CODE + 4 * turn


def test_step_leaves_others_as_told() -> None:
    client = attach(2)
    client.go(b"vCont;s:p1.2")
    assert client.target.harts[TWO].x[PC] == CODE + 4
    assert client.target.harts[ONE].x[PC] == CODE
    client.go(b"vCont;s:p1.2;c:p1.-1")
    assert client.target.harts[TWO].x[PC] == CODE + 8
    assert client.target.harts[ONE].x[10] > 1


def test_old_packets_follow_the_selection() -> None:
    client = attach(2)
    client.ask(b"Hgp1.2")
    client.ask(b"Hcp1.2")
    client.go(b"s")
    assert client.target.harts[ONE].x[PC] == CODE
    client.ask(b"Hc-1")
    client.go(b"s")
    assert client.target.harts[ONE].x[10] > 1
    assert pc_of(client.go(b"s%x" % (CODE + 4))) == CODE + 8


def test_range_step() -> None:
    client = attach()
    reply = client.go(b"vCont;r%x,%x:p1.1;c" % (CODE, CODE + 12))
    assert pc_of(reply) == CODE + 12
    assert client.ask(b"vCont?") == b"vCont;c;C;s;S;t;r"


def test_breakpoint() -> None:
    client = attach(2)
    client.ask(b"Z0,%x,4" % (CODE + 8))
    reply = client.go(b"vCont;c")
    assert reply.startswith(b"T05thread:p1.1;swbreak:;20:")
    assert pc_of(reply) == CODE + 8
    assert client.target.running() == []
    assert client.ask(b"?") == reply
    client.ask(b"Z1,%x,4" % (CODE + 4))
    reply = client.go(b"c")
    assert b"hwbreak:;" in reply or b"swbreak:;" in reply


def test_reasons_are_for_clients_that_asked() -> None:
    client = Client(FakeTarget())
    client.ask(b"Z0,%x,4" % (CODE + 8))
    assert client.go(b"vCont;c").startswith(b"T05thread:1;20:")


@pytest.mark.parametrize(("kind", "name"), [(2, b"watch"), (3, b"rwatch"), (4, b"awatch")])
def test_watchpoints(kind: int, name: bytes) -> None:
    client = attach()
    assert client.ask(b"Z%d,%x,2" % (kind, DATA + 2)) == b"OK"
    assert b";%b:%x;" % (name, DATA + 2) in client.go(b"vCont;c")
    client.ask(b"z%d,%x,2" % (kind, DATA + 2))
    assert client.ask(b"vCont;c") is None
    assert client.run(5) == []


def test_condition_and_commands_on_the_target() -> None:
    client = attach()
    equal = b"\x26\x00\x0a\x22\x05\x13\x27".hex().encode()  # a0 == 5
    client.ask(b"Z0,%x,4;X7,%b" % (CODE + 4, equal))
    code = printf(rb"a0=%d\n", 77)
    client.ask(b"Z0,%x,4;cmds:0,X%x,%b" % (CODE + 8, len(code), code.hex().encode()))
    assert client.ask(b"vCont;c") is None
    replies = client.run()
    assert replies[-1].startswith(b"T05")
    assert replies[:-1] == [b"O" + b"a0=77\n".hex().encode()] * 4
    assert client.target.harts[ONE].x[10] == 5


def test_interrupt() -> None:
    client = attach(3)
    assert client.ask(b"vCont;c") is None
    assert client.run(3) == []
    client.send(b"\x03")
    (reply,) = client.replies()
    assert reply.startswith(b"T02thread:p1.1;")
    assert client.target.running() == []
    client.send(b"\x03\x03")
    assert client.replies() == [], "an interrupt of what stands still has no reply"
    client.ask(b"vCont;c")
    client.run(1)
    client.send(frame(b"vCtrlC"))
    assert [reply[:3] for reply in client.replies()] == [b"T02", b"OK"]


def test_questions_while_running() -> None:
    client = attach()
    client.ask(b"vCont;c")
    client.run(1)
    assert (client.ask(b"vCont;c") or b"").startswith(b"E.")
    assert client.ask(b"qC") == b"QCp1.1"
    assert (client.ask(b"?") or b"").startswith(b"T05")
    assert not client.session.running
    assert client.target.running() == []


@pytest.mark.parametrize(
    "packet",
    [b"vCont;", b"vCont;x", b"vCont", b"vCont;C", b"vCont;c:p9.1", b"vCont;r1:1", b"vCont;Cfff",
     b"vCont;s:zz", b"vCont;t", b"C", b"Sxx", b"cxx", b"vCont;c:p1.1:2"],
)  # fmt: skip
def test_bad_resumptions(packet: bytes) -> None:
    client = attach()
    assert (client.ask(packet) or b"").startswith(b"E."), packet
    assert not client.session.running
    assert client.target.running() == []


def test_target_that_refuses_to_resume() -> None:
    class Stubborn(FakeTarget):
        def resume(self, actions: object) -> None:  # noqa: ARG002
            raise TargetError("not now")

    client = Client(Stubborn())
    client.announce()
    assert client.ask(b"vCont;c") == b"E.not now"
    assert not client.session.running


def test_exit() -> None:
    client = attach()
    client.ask(b"vCont;s")
    client.run()
    client.target.harts[ONE].x[10] = 42
    client.target.harts[ONE].x[PC] = HALT_AT
    assert client.go(b"vCont;c") == b"W2a;process:1"
    assert client.ask(b"?") == b"W00"
    assert client.ask(b"qfThreadInfo") == b"l"
    for packet in (b"g", b"m80000000,4", b"vCont;c", b"c", b"qC"):
        assert (client.ask(packet) or b"").startswith(b"E."), packet


def test_ends_by_signal() -> None:
    client = attach(1, 2)
    client.ask(b"vCont;c")
    client.target.remove(2)
    client.session.report(Terminated(2, 9))
    assert client.replies() == [b"X09;process:2"]
    assert client.target.running() == []


def test_late_events_are_ignored() -> None:
    client = attach(2)
    for event in (Stopped(ONE), Output(b"x"), ThreadExited(TWO), Exited(3), Exited(1)):
        client.session.report(event)
    assert client.replies() == []


def test_thread_events() -> None:
    client = attach(2)
    client.ask(b"QThreadEvents:1")
    client.ask(b"vCont;c")
    client.target.harts[ThreadId(1, 3)] = type(client.target.harts[ONE])()
    client.session.report(Stopped(ThreadId(1, 3), 0, Reason.CREATED))
    (reply,) = client.replies()
    assert reply.startswith(b"T00thread:p1.3;create:;")
    client.ask(b"vCont;c")
    del client.target.harts[TWO]
    client.session.report(ThreadExited(TWO, 3))
    assert client.replies() == [b"w03;p1.2"]
    assert client.target.running() == []


# Non-stop.


def non_stop(threads: int = 2) -> Client:
    client = attach(threads)
    assert client.ask(b"QNonStop:1") == b"OK"
    return client


def test_non_stop_why() -> None:
    client = non_stop(3)
    assert (client.ask(b"?") or b"").startswith(b"T00thread:p1.1;")
    assert (client.ask(b"vStopped") or b"").startswith(b"T00thread:p1.2;")
    assert (client.ask(b"vStopped") or b"").startswith(b"T00thread:p1.3;")
    assert client.ask(b"vStopped") == b"OK"
    assert client.ask(b"vStopped") == b"OK"


def test_non_stop_why_for_gdb_13() -> None:
    client = Client(FakeTarget(3))
    client.announce(b"multiprocess+")
    client.ask(b"QNonStop:1")
    assert (client.ask(b"?") or b"").startswith(b"T00thread:p1.1;")
    assert client.notes == []
    assert client.ask(b"vStopped") == b"OK"
    assert client.notes.pop().startswith(b"Stop:T00thread:p1.2;")
    assert (client.ask(b"vStopped") or b"").startswith(b"T00thread:p1.3;")
    assert client.ask(b"vStopped") == b"OK"
    assert client.notes == []


def test_non_stop_runs_threads_one_by_one() -> None:
    client = non_stop()
    assert not client.session.running
    assert client.ask(b"vCont;c:p1.1") == b"OK"
    assert client.session.running
    client.ask(b"Z0,%x,4" % (CODE + 4))
    assert client.ask(b"vCont;s:p1.2") == b"OK"
    client.run()
    assert len(client.notes) == 1
    assert client.notes[0].startswith(b"Stop:T05thread:p1.1;swbreak:;")
    assert (client.ask(b"vStopped") or b"").startswith(b"T05thread:p1.2;")
    assert client.ask(b"vStopped") == b"OK"
    assert not client.session.running


def test_non_stop_stop_and_interrupt() -> None:
    client = non_stop()
    client.ask(b"vCont;c")
    assert client.target.running() == [ONE, TWO]
    assert client.ask(b"vCont;t:p1.2") == b"OK"
    assert client.target.running() == [ONE]
    assert client.notes.pop().startswith(b"Stop:T00thread:p1.2;")
    assert client.ask(b"vCont;t:p1.2") == b"OK", "what stands still already says nothing"
    assert client.ask(b"vStopped") == b"OK"
    assert client.ask(b"vCtrlC") == b"OK"
    assert client.notes.pop().startswith(b"Stop:T02thread:p1.1;")
    assert client.target.running() == []


def test_non_stop_resumes_only_what_stands_still() -> None:
    client = non_stop()
    client.ask(b"vCont;c:p1.1")
    client.target.harts[ONE].past = True
    client.ask(b"vCont;c")
    assert client.target.harts[ONE].past, "it was not resumed a second time"
    assert client.ask(b"vCont;c") == b"OK"


def test_non_stop_run() -> None:
    """The first thread's stop is the reply, the others' are notifications; and so it goes on."""
    client = non_stop()
    client.ask(b"!")
    client.ask(b"vKill;1")
    assert (client.ask(b"vRun;") or b"").startswith(b"T00thread:p1.1;")
    assert client.notes.pop().startswith(b"Stop:T00thread:p1.2;")
    assert client.ask(b"vStopped") == b"OK"
    client.ask(b"vCont;c")
    assert client.ask(b"vCont;t:p1.1") == b"OK"
    assert client.notes.pop().startswith(b"Stop:T00thread:p1.1;")


def test_non_stop_exit_and_output() -> None:
    client = non_stop(1)
    client.ask(b"vCont;c")
    client.session.report(Output(b"no packet for this"))
    client.target.remove(1)
    client.session.report(Exited(1, 0))
    assert client.replies() == []
    assert client.notes == [b"Stop:W00;process:1"]
    assert client.ask(b"vStopped") == b"OK"


def test_back_to_all_stop() -> None:
    client = non_stop()
    client.ask(b"vCont;c")
    assert client.ask(b"QNonStop:0") == b"OK"
    assert client.target.running() == []
    assert (client.ask(b"QNonStop:2") or b"").startswith(b"E.")
    assert client.go(b"vCont;s:p1.1").startswith(b"T05")


# Leaving.


def test_detach() -> None:
    client = attach(2)
    client.ask(b"Z0,%x,4" % CODE)
    assert client.ask(b"D") == b"OK"
    assert client.session.status is Status.DETACHED
    assert client.session.running
    assert not client.target.breaks.points
    assert client.target.running() == [ONE, TWO]


def test_detach_in_extended_mode() -> None:
    """The client stays, and may attach again."""
    client = attach(2)
    client.ask(b"!")
    client.ask(b"Z0,%x,4" % CODE)
    assert client.ask(b"D;1") == b"OK"
    assert client.session.open and client.session.running and client.session.processes == []
    assert not client.target.breaks.points
    assert client.target.running() == [ONE, TWO]
    assert (client.ask(b"vCont;s:p1.1") or b"").startswith(b"E.")
    client.session.report(Stopped(ONE))  # nobody is told
    assert client.replies() == []
    assert (client.ask(b"vAttach;1") or b"").startswith(b"T00thread:p1.1;")
    assert client.target.running() == [] and not client.session.running
    assert client.go(b"vCont;s:p1.1").startswith(b"T05")


def test_detach_in_extended_mode_lets_those_go_that_followed() -> None:
    client = Client(FakeTarget(1, 2))
    client.announce()
    client.ask(b"!")
    assert client.ask(b"D;1") == b"OK"
    assert client.session.open and client.session.running
    assert client.target.running() == [ONE, ThreadId(2, 1)]


def test_detach_and_attach_one_process() -> None:
    client = attach(1, 2)
    client.ask(b"Hgp2.1")
    client.ask(b"Z0,%x,4" % CODE)
    assert client.ask(b"D;2") == b"OK"
    assert client.session.open and client.session.running
    assert not client.target.breaks.points
    assert client.target.running() == [ThreadId(2, 1)]
    assert client.ask(b"qfThreadInfo") == b"mp1.1"
    assert client.ask(b"?") is not None
    assert (client.ask(b"D;2") or b"").startswith(b"E.")
    assert (client.ask(b"vAttach;3") or b"").startswith(b"E.")
    assert (client.ask(b"vAttach;2") or b"").startswith(b"T00thread:p2.1;")
    assert client.target.running() == []
    assert client.ask(b"D;1") == b"OK"
    assert client.ask(b"D;2") == b"OK"
    assert not client.session.open


def test_a_process_that_is_not_attached_to_follows_the_others() -> None:
    """It stands still with them and goes on with them, and the client hears nothing of it."""
    client = Client(FakeTarget(1, 3))
    client.announce()
    other, third = ThreadId(2, 1), ThreadId(3, 1)
    client.ask(b"vCont;c:p1.-1")
    assert client.target.running() == [ONE, other, third]
    client.send(b"\x03")
    assert b"thread:p1.1;" in client.replies()[0]
    assert client.target.running() == []
    client.ask(b"vCont;c:p1.-1")
    client.session.report(Exited(3))
    client.target.remove(3)
    assert client.replies() == []
    client.send(b"\x03")
    client.replies()
    assert (client.ask(b"vAttach;2") or b"").startswith(b"T00thread:p2.1;")
    client.ask(b"vCont;c:p1.-1")
    assert client.target.running() == [ONE]


def test_a_process_that_is_not_attached_to_goes_on_when_the_client_leaves() -> None:
    for leave in (b"D;1", b"k", b"vKill;1"):
        client = Client(FakeTarget(1, 2))
        client.announce()
        client.ask(leave)
        assert client.session.status is Status.DETACHED and client.session.running
        assert ThreadId(2, 1) in client.target.running()
    client = Client(FakeTarget(1, 2))
    client.session.lose(resume=True)
    assert client.target.running() == [ONE, ThreadId(2, 1)]


def test_a_process_that_is_not_attached_to_runs_by_itself_in_non_stop() -> None:
    client = Client(FakeTarget(1, 2))
    client.announce()
    client.ask(b"QNonStop:1")
    assert client.target.running() == []
    client.ask(b"vCont;c:p1.1")
    client.ask(b"vCont;t:p1.1")
    assert client.target.running() == [ThreadId(2, 1)] and client.session.running


def test_attaching_in_non_stop() -> None:
    """The process stops when the client says so, which is told that it has."""
    client = Client(FakeTarget(1, 2))
    client.announce()
    client.ask(b"QNonStop:1")
    assert client.ask(b"vAttach;2") == b"OK"
    assert client.ask(b"vCont;t:p2.-1") == b"OK"
    assert [note[:22] for note in client.notes] == [b"Stop:T00thread:p2.1;20"]
    assert client.ask(b"vStopped") == b"OK"
    assert client.target.running() == []


def test_kill() -> None:
    client = attach(1, 2)
    assert client.ask(b"k") is None
    assert client.session.status is Status.KILLED
    assert client.target.life.killed == [1, 2]


def test_kill_without_the_ability_lets_go() -> None:
    client = Client(Bare())
    assert client.ask(b"k") is None
    assert client.session.status is Status.DETACHED
    assert client.target.running() == [ONE]


def test_kill_one_process() -> None:
    client = attach(1, 2)
    assert client.ask(b"vKill;2") == b"OK"
    assert (client.ask(b"vKill;2") or b"").startswith(b"E.")
    assert (client.ask(b"vKill;0") or b"").startswith(b"E.")
    assert client.session.open
    assert client.ask(b"vKill;1") == b"OK"
    assert client.session.status is Status.KILLED


def test_restart() -> None:
    client = attach()
    client.ask(b"!")
    client.go(b"vCont;s")
    assert client.ask(b"R00") is None
    assert client.target.life.restarts == 1
    assert pc_of(client.ask(b"?") or b"") == CODE
    client.ask(b"vCont;c")
    client.run(2)
    client.send(b"\x03")
    client.replies()
    assert (client.ask(b"vRun;") or b"").startswith(b"E."), "it has not ended"
    assert client.ask(b"vKill;1") == b"OK"
    assert client.session.open, "an extended client may run it again"
    assert (client.ask(b"vRun;61;62") or b"").startswith(b"T05")
    assert client.target.life.names == ["a"]
    assert pc_of(client.go(b"vCont;s")) == CODE + 4


def test_one_of_two_processes_is_run_again() -> None:
    client = attach(1, 2)
    client.ask(b"!")
    client.ask(b"Hgp1.1")
    client.go(b"vCont;s:p1.1")
    assert client.ask(b"vKill;2") == b"OK"
    assert b"thread:p2.1;" in (client.ask(b"vRun;") or b"")
    assert client.ask(b"qC") == b"QCp2.1"
    client.ask(b"Hgp1.1")
    assert pc_of(client.ask(b"?") or b"") == CODE + 4, "the other one stays as it is"


def test_lost_connection() -> None:
    client = attach()
    client.ask(b"Z0,%x,4" % (CODE + 4))
    client.ask(b"Z0,%x,4;cmds:1,X1,27" % (CODE + 8))
    client.session.lose(resume=True)
    assert client.session.status is Status.LOST
    assert [point.address for point in client.target.breaks.points.values()] == [CODE + 8]
    assert client.target.running() == [ONE]
    client = attach()
    client.session.lose(resume=False)
    assert client.target.running() == []


def test_fatal_error_in_an_interrupt() -> None:
    class Dying(FakeTarget):
        def halt(self, threads: object) -> None:  # noqa: ARG002
            if self.running():
                raise TargetFatalError("gone")

    client = Client(Dying())
    client.announce()
    client.ask(b"vCont;c")
    client.send(b"\x03")
    assert client.replies() == [b"E.gone"]
    assert client.session.status is Status.FAILED
