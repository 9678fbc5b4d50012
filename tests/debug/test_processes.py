"""Several machines as processes of one target, asked in the protocol."""

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import pytest

from gdbstub import CONTINUE, Session, ThreadId
from gdbstub.packet import frame
from rvemu.debug.process import Process
from rvemu.debug.target import DebugTarget
from tests.debug.fuzz import Turn
from tests.debug.small import BASE, small_machine

LONG = 60.0  # seconds

FEATURES = b"qSupported:multiprocess+;swbreak+;error-message+"


class Client:
    """Asks a session about two machines that run the same program, and lets them run."""

    def __init__(self, folder: Path) -> None:
        self.paths = [folder / "one.elf", folder / "two.elf"]
        self.machines = [small_machine("native") for _ in self.paths]
        for path in self.paths:
            path.write_bytes(path.name.encode())
        pairs = enumerate(zip(self.machines, self.paths, strict=True), 1)
        processes = [Process(machine, path, number=number) for number, (machine, path) in pairs]
        self.target = DebugTarget(*processes, turns=cycle([Turn(0, 300), Turn(1, 100)]))
        self._session = Session(self.target)
        for packet in (b"QStartNoAckMode", FEATURES, b"!", b"vAttach;2", b"Hgp1.1"):
            self.ask(packet)

    def ask(self, packet: bytes) -> bytes:
        self._session.receive(frame(packet))
        return self.reply()

    def reply(self) -> bytes:
        """What was said last."""
        return self._session.take().rpartition(b"$")[2].partition(b"#")[0]

    def go(self, packet: bytes) -> bytes:
        """A packet that has machines run, until one stops."""
        assert not self.ask(packet)
        while self._session.running:
            for event in self.target.run_slice():
                self._session.report(event)
        return self.reply()


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    found = Client(tmp_path)
    yield found
    found.target.close()


def test_each_has_registers_memory_and_a_file(client: Client) -> None:
    client.machines[0].hart["t0"], client.machines[1].hart["t0"] = 17, 18
    client.machines[1].write_physical(BASE, b"\x55")
    assert (client.ask(b"p5")[:2], client.ask(b"m80000000,1")) == (b"11", b"93")
    client.ask(b"Hgp2.1")
    assert (client.ask(b"p5")[:2], client.ask(b"m80000000,1")) == (b"12", b"55")
    for number, path in enumerate(client.paths, 1):
        answer = client.ask(b"qXfer:exec-file:read:%d:0,fff" % number)
        assert answer == b"l" + str(path).encode()
        opened = client.ask(b"vFile:open:%b,0,0" % str(path).encode().hex().encode())
        assert path.name.encode() in client.ask(b"vFile:pread:%b,100,0" % opened[1:])
    assert client.ask(b"qXfer:exec-file:read:3:0,fff").startswith(b"E.")


def test_a_point_is_of_one_process(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rvemu.debug.target.SLICE", LONG)  # no turn is cut short
    client.ask(b"Hgp2.1")
    client.ask(b"Z0,%x,4" % (BASE + 8))
    assert client.go(b"vCont;c").startswith(b"T05thread:p2.1;swbreak:;")
    assert (client.machines[1].hart.pc, client.machines[1].now) == (BASE + 8, 2)
    assert client.machines[0].now == 300  # its turn
    assert client.go(b"vCont;s:p2.1").startswith(b"T05thread:p2.1;")
    assert (client.machines[1].now, client.machines[0].now) == (3, 300)


def test_they_take_turns(client: Client) -> None:
    client.target.resume(dict.fromkeys(client.target.threads(), CONTINUE))
    client.target.run_slice()
    first, second = (machine.now for machine in client.machines)
    assert second > 0 and 0 <= first - 3 * second <= 300


def test_those_that_ended_begin_anew(client: Client) -> None:
    """The latest, or the one whose file is named; and there must be one."""
    name = [str(path).encode().hex().encode() for path in client.paths]
    assert client.ask(b"vRun;").startswith(b"E.")
    for number in (1, 2):
        client.ask(b"vKill;%d" % number)
    assert client.target.threads() == []
    assert client.ask(b"vRun;" + name[0]).startswith(b"T05thread:p1.1;")
    assert client.target.threads() == [ThreadId(1, 1)]
    assert client.ask(b"vRun;").startswith(b"T05thread:p2.1;")
    assert client.ask(b"vRun;" + name[1]).startswith(b"E.")
