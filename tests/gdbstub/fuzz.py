"""Feeds a session broken, mutated and random input: `python -m tests.gdbstub.fuzz [N] [SEED]`.

N is the number of packets. Every so often it asks `?`, to see that the session still answers.
Any exception that escapes, and any reply that is not well framed, ends it with a traceback.
"""

from __future__ import annotations

import random
import re
import sys
import time
from collections.abc import Callable

from gdbstub import Session
from gdbstub.commands import COMMANDS
from gdbstub.packet import frame
from tests.gdbstub.fake import CODE, DATA, FakeTarget

VALID = [
    b"?", b"g", b"G" + b"00" * 64, b"p20", b"P5=1122334455667788", b"m80000000,40",
    b"M80001000,4:01020304", b"X80001000,4:ab}\x03d", b"x80000000,20", b"c", b"s", b"C05", b"S05",
    b"vCont?", b"vCont;c", b"vCont;s:p1.1;c", b"vCont;r80000000,80000010:p1.1", b"vCont;t:p1.-1",
    b"vCtrlC", b"vStopped", b"Hgp1.1", b"Hc-1", b"Tp1.1", b"qC", b"qfThreadInfo", b"qsThreadInfo",
    b"qThreadExtraInfo,p1.1", b"Z0,80000004,4", b"Z1,80000008,4;X3,220127", b"z1,80000008,4",
    b"Z0,80000008,4;X7,26000a22051327;cmds:0,X3,220127", b"Z2,80001000,8", b"z2,80001000,8",
    b"Z3,80001000,8", b"Z4,80001000,1", b"z0,80000004,4", b"D", b"D;1", b"k", b"vKill;1", b"R00",
    b"vRun;", b"vAttach;2", b"!", b"qSupported:multiprocess+;swbreak+;error-message+",
    b"QStartNoAckMode", b"QNonStop:1", b"QNonStop:0", b"qXfer:features:read:target.xml:0,fff",
    b"qXfer:threads:read::0,fff", b"qXfer:memory-map:read::0,fff", b"qXfer:exec-file:read:1:0,fff",
    b"qRcmd,68656c70", b"qSearch:memory:80000000;1000;ab", b"qCRC:80000000,100",
    b"vFile:open:2f6775657374312e656c66,0,0", b"vFile:pread:3,10,0", b"vFile:fstat:3",
    b"vFile:close:3", b"vFile:setfs:0", b"vMustReplyEmpty", b"QThreadEvents:1", b"QPassSignals:e",
    b"qAttached:1", b"\x03",
]  # fmt: skip

PIECES = [
    b"", b"0", b"-1", b"p", b"p-1.-1", b".", b",", b";", b":", b"=", b"}", b"#", b"$", b"*", b"X",
    b"ffffffffffffffff", b"10000000000000000", b"7fffffff", b"80000000", b"80001000", b"\x00",
    b"\xff\xff", b"ff" * 20, b"X7,", b"cmds:", b"read", b"\x03", b"+", b"-", b"%x" % CODE,
    b"%x" % DATA,
]  # fmt: skip

_PACKET = re.compile(rb"[$%][^#$]*#[0-9a-f]{2}|[+-]")
NAMES = sorted(COMMANDS)


def mutated(rng: random.Random) -> bytes:
    """The bytes of one packet, or of something like one."""
    kind = rng.random()
    if kind < 0.15:
        return rng.choice(NAMES) + rng.randbytes(rng.randrange(12))
    if kind < 0.25:
        return rng.choice(NAMES) + b"".join(rng.choices(PIECES, k=rng.randrange(6)))
    packet = bytearray(rng.choice(VALID))
    for _ in range(rng.choice((0, 1, 1, 1, 2, 4))):
        at = rng.randrange(len(packet) + 1)
        change = rng.random()
        if change < 0.4:
            packet[at : at + rng.randrange(3)] = rng.choice(PIECES)
        elif change < 0.7:
            packet[at : at + 1] = bytes([rng.randrange(256)])
        elif change < 0.85:
            del packet[at : at + rng.randrange(1, 4)]
        else:
            packet[at:at] = packet[rng.randrange(len(packet) + 1) :][:8]
        if not packet:
            break
    return bytes(packet)


def on_the_wire(rng: random.Random) -> bytes:
    """A packet framed well, badly, or not at all."""
    packet = mutated(rng)
    kind = rng.random()
    if kind < 0.85:
        return frame(packet)
    if kind < 0.9:
        return b"$" + packet + b"#00"
    if kind < 0.95:
        return rng.randbytes(rng.randrange(40))
    return frame(packet)[: rng.randrange(len(packet) + 5)]


def fuzz(packets: int, seed: int, *, check_every: int = 100) -> int:
    """Feeds so many packets; the number of sessions it took. Asserts that all is well."""
    rng = random.Random(seed)
    sessions = 0
    target, session = FakeTarget(), None
    for turn in range(packets):
        if session is None or not session.open or not target.threads():
            target = FakeTarget(threads=rng.randrange(1, 4), processes=rng.randrange(1, 3))
            session = Session(target, 4096)
            sessions += 1
        session.receive(on_the_wire(rng))
        if session.running:
            for event in target.run_slice(6):
                session.report(event)
        if turn % check_every == 0:
            check(session, target)
        assert session.backlog < 1 << 16, "more output than one packet can ask for"
        assert not _PACKET.sub(b"", session.take())
    return sessions


def check(session: Session, target: FakeTarget) -> None:
    """A session that is open answers `?`, whatever it was sent before."""
    if not session.open:
        return
    session.receive(b"#00" + b"\x03")  # ends a packet that was begun
    while session.busy:
        session.receive()
    session.take()
    session.receive(frame(b"?"))
    answer = session.take()
    assert re.search(rb"\$(?:T[0-9a-f]{2}|W00|X[0-9a-f]{2}|OK)[^$]*#[0-9a-f]{2}$", answer), answer
    assert session.running or not target.running() or session.status.value == "non-stop"


def main(fuzz: Callable[[int, int], int]) -> None:
    """The command line: how many packets, and the seed."""
    packets = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    begun = time.monotonic()
    sessions = fuzz(packets, seed)
    taken = time.monotonic() - begun
    print(f"{packets:,} packets in {sessions:,} sessions (seed {seed}): {taken:.1f} s")


if __name__ == "__main__":
    main(fuzz)
