"""Every packet that asks or changes something while the target stands still."""

import pytest

from gdbstub import ThreadId
from gdbstub.commands import COMMANDS
from gdbstub.packet import escape, frame, unescape
from tests.gdbstub.client import Client
from tests.gdbstub.fake import CODE, DATA, EXTRA, PC, SIZE, Bare, FakeTarget


@pytest.fixture
def client() -> Client:
    client = Client(FakeTarget(threads=4))
    client.announce()
    return client


def hex64(value: int) -> bytes:
    return value.to_bytes(8, "little").hex().encode()


def test_supported_features() -> None:
    features = Client(FakeTarget()).announce().split(b";")
    for feature in (
        b"PacketSize=1000", b"QStartNoAckMode+", b"QNonStop+", b"multiprocess+", b"swbreak+",
        b"hwbreak+", b"vContSupported+", b"ConditionalBreakpoints+", b"BreakpointCommands+",
        b"qXfer:features:read+", b"qXfer:memory-map:read+", b"qXfer:threads:read+",
        b"qXfer:exec-file:read+", b"error-message+", b"binary-upload+", b"QThreadEvents+",
        b"QPassSignals+",
    ):  # fmt: skip
        assert feature in features


def test_absent_capabilities_are_not_announced() -> None:
    client = Client(Bare())
    features = client.announce(b"swbreak+")
    for name in (b"swbreak", b"features", b"memory-map", b"exec-file", b"multi", b"error-message",
                 b"Conditional", b"QPassSignals"):  # fmt: skip
        assert name not in features
    for packet in (
        b"Z0,80000000,4", b"z0,80000000,4", b"qXfer:features:read:target.xml:0,100", b"!",
        b"qXfer:memory-map:read::0,100", b"qXfer:exec-file:read::0,100", b"qRcmd,61",
        b"qThreadExtraInfo,1", b"vFile:open:61,0,0", b"vKill;1", b"vRun;", b"QPassSignals:",
    ):  # fmt: skip
        assert client.ask(packet) == b"", packet
    assert client.ask(b"vCont?") == b"vCont;c;C;s;S;t"
    assert (client.ask(b"vCont;r80000000,80000010") or b"")[:1] == b"E"


@pytest.mark.parametrize(
    "packet",
    [b"vMustReplyEmpty", b"", b"qFoo", b"qTStatus", b"QTnothing", b"vUnknown;1", b"b", b"i", b"q",
     b"v", b"Q", b"\x80", b"qXfer:auxv:read::0,10", b"qSymbol::", b"qOffsets",
     b"qXfer:features:write:a:0:b"],
)  # fmt: skip
def test_unknown_packets_have_an_empty_reply(client: Client, packet: bytes) -> None:
    assert client.ask(packet) == b""


def test_every_packet_refuses_garbage(client: Client) -> None:
    for name in COMMANDS:
        for rest in (b"", b":", b"zz", b",,,", b";;", b":::::", b"-5", b" 1", b"1" * 500):
            client.ask(name + rest)
            if not client.session.open or client.session.running:
                client = Client(FakeTarget(4))
                client.announce()
    assert client.ask(b"qC")


def test_error_numbers_and_text() -> None:
    client = Client(FakeTarget())
    assert client.ask(b"m0,4") == b"E0e"
    client.announce()
    assert client.ask(b"m0,4") == b"E.no memory at 0x0"
    assert client.ask(b"p999") == b"E.there is no register 2457"
    assert (client.ask(b"mzz,4") or b"").startswith(b"E.")


def test_registers(client: Client) -> None:
    everything = client.ask(b"g")
    assert everything is not None and len(everything) == 33 * 16
    assert everything.endswith(hex64(CODE))
    assert client.ask(b"p20") == hex64(CODE)
    assert client.ask(b"P5=" + hex64(0x1122)) == b"OK"
    assert client.ask(b"p5") == hex64(0x1122)
    assert client.ask(b"p%x" % EXTRA) == b"xx"
    assert client.ask(b"G" + hex64(0) + hex64(7)) == b"OK"
    assert client.ask(b"p1") == hex64(7)
    for bad in (b"P5=11", b"P5", b"Pzz=00", b"G", b"G0", b"p", b"p-1", b"pffffffffff"):
        assert (client.ask(bad) or b"")[:2] == b"E.", bad


def test_registers_of_another_thread(client: Client) -> None:
    assert client.ask(b"Hgp1.3") == b"OK"
    assert client.ask(b"P5=" + hex64(3)) == b"OK"
    assert client.ask(b"Hgp1.1") == b"OK"
    assert client.ask(b"p5") == hex64(0)
    assert (client.ask(b"Hgp1.9") or b"")[:2] == b"E."


def test_memory(client: Client) -> None:
    assert client.ask(b"M%x,4:01020304" % DATA) == b"OK"
    assert client.ask(b"m%x,4" % DATA) == b"01020304"
    assert client.ask(b"x%x,4" % DATA) == b"b\x01\x02\x03\x04"
    assert client.ask(b"x%x,0" % DATA) == b"b"
    special = b"#$}*\x03" * 3
    assert client.ask(b"X%x,%x:%b" % (DATA, len(special), escape(special))) == b"OK"
    reply = client.ask(b"x%x,%x" % (DATA, len(special)))
    assert reply is not None and unescape(reply) == b"b" + special
    assert client.ask(b"X%x,0:" % DATA) == b"OK"


def test_memory_that_ends(client: Client) -> None:
    assert client.ask(b"m%x,10" % (CODE + SIZE - 2)) == b"0000"
    assert client.ask(b"m%x,ffffffffffffffff" % CODE) is not None
    for bad in (
        b"m%x,4" % (CODE + SIZE), b"mffffffffffffffff,ffff", b"m%x,0" % CODE, b"m", b"m1",
        b"M%x,4:00" % DATA, b"M%x,4:0" % DATA, b"Mffffffffffffffff,2:0000", b"m0x0,4",
        b"X%x,2:a" % DATA, b"m12345678123456789,1", b"m 0,4", b"m-1,4", b"m1_0,1",
    ):  # fmt: skip
        assert (client.ask(bad) or b"")[:2] == b"E.", bad


def test_long_reads_are_cut_to_the_packet(client: Client) -> None:
    client.target.memory[1][0x1000:0x3000] = b"#" * 0x2000
    assert client.ask(b"m%x,2000" % DATA) == b"23" * 0x800
    reply = client.ask(b"x%x,2000" % DATA)
    assert reply is not None and 1000 < len(reply) <= 4096


def test_zeros_are_sent_as_runs(client: Client) -> None:
    client.send(frame(b"m%x,800" % DATA))
    assert client.replies() == [b"00" * 0x800]
    assert len(client.raw) < 250


def test_search(client: Client) -> None:
    client.target.memory[1][0x1FFE:0x2003] = b"hello"
    assert client.ask(b"qSearch:memory:%x;%x;hello" % (CODE, SIZE)) == b"1,%x" % (CODE + 0x1FFE)
    assert client.ask(b"qSearch:memory:%x;100;hello" % CODE) == b"0"
    assert client.ask(b"qSearch:memory:%x;2002;hello" % CODE) == b"0"
    for bad in (b"%x;100;" % CODE, b"0;100;a", b"%x;ffffffffff;a" % CODE, b"1", b"1;2"):
        assert (client.ask(b"qSearch:memory:" + bad) or b"")[:2] == b"E.", bad


def slow_crc(data: bytes) -> int:
    """As gdb computes it (xcrc32), bit by bit."""
    crc = 0xFFFF_FFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C1_1DB7 if crc >> 31 else 0)) & 0xFFFF_FFFF
    return crc


def test_crc(client: Client) -> None:
    data = bytes(client.target.memory[1][:1000])
    assert client.ask(b"qCRC:%x,3e8" % CODE) == b"C%x" % slow_crc(data)
    assert client.ask(b"qCRC:%x,0" % CODE) == b"Cffffffff"
    assert (client.ask(b"qCRC:0,4") or b"")[:2] == b"E."


def test_threads() -> None:
    client = Client(FakeTarget(threads=2, processes=2))
    assert client.ask(b"qC") == b"QC1"
    client.announce()
    assert client.ask(b"qC") == b"QCp1.1"
    assert client.ask(b"qfThreadInfo") == b"mp1.1,p1.2"
    client.ask(b"vAttach;2")
    assert client.ask(b"qfThreadInfo") == b"mp1.1,p1.2,p2.1,p2.2"
    assert client.ask(b"qsThreadInfo") == b"l"
    assert client.ask(b"Tp2.2") == b"OK"
    assert (client.ask(b"Tp2.3") or b"")[:1] == b"E"
    for good in (b"Hc-1", b"Hc0", b"Hg0", b"Hgp2.-1", b"Hgp1.2", b"Hcp-1.-1", b"Hgp2"):
        assert client.ask(good) == b"OK", good
    for bad in (b"Hx1", b"H", b"Hg", b"Hg1.2", b"Hgp-1.3", b"Hgp3.1", b"Hcp3.-1", b"T", b"Tp"):
        assert (client.ask(bad) or b"")[:2] == b"E.", bad
    client.ask(b"Hgp2.1")
    assert client.ask(b"qC") == b"QCp2.1"


def test_many_threads_in_pieces() -> None:
    client = Client(FakeTarget(threads=100), packet_size=512)
    client.announce()
    found, packet = [], b"qfThreadInfo"
    while (reply := client.ask(packet)) != b"l":
        assert reply is not None and len(reply) <= 512
        found += reply[1:].split(b",")
        packet = b"qsThreadInfo"
    assert found == [b"p1.%x" % n for n in range(1, 101)]


def test_thread_names(client: Client) -> None:
    assert client.ask(b"qThreadExtraInfo,p1.2") == b"hart <1> M-mode & running".hex().encode()
    document = whole(client, b"threads", b"")
    assert b'<thread id="p1.2" core="1" name="hart &lt;1&gt;">M-mode &amp; running' in document


def whole(client: Client, name: bytes, annex: bytes, length: int = 0x37) -> bytes:
    """A document, read in small pieces."""
    document = b""
    while True:
        reply = client.ask(b"qXfer:%b:read:%b:%x,%x" % (name, annex, len(document), length))
        assert reply is not None and reply[:1] in b"ml", reply
        document += unescape(reply[1:])
        if reply[:1] == b"l":
            return document


def test_documents(client: Client) -> None:
    assert b"riscv:rv64" in whole(client, b"features", b"target.xml")
    assert b'name="pc"' in whole(client, b"features", b"cpu.xml", 0x1000)
    regions = whole(client, b"memory-map", b"")
    assert b'<memory type="ram" start="0x80000000" length="0x10000"/>' in regions
    assert whole(client, b"exec-file", b"1") == b"/guest1.elf"
    assert whole(client, b"exec-file", b"") == b"/guest1.elf"
    assert client.ask(b"qXfer:threads:read::ffffff,10") == b"l"
    for bad in (
        b"features:read:none.xml:0,10", b"features:read:target.xml:0", b"exec-file:read:9:0,10",
        b"memory-map:read:annex:0,10", b"features:read:target.xml:x,y", b"threads",
    ):  # fmt: skip
        assert (client.ask(b"qXfer:" + bad) or b"")[:2] == b"E.", bad


def test_monitor(client: Client) -> None:
    client.ask(b"Hgp1.2")
    client.send(frame(b"qRcmd," + b"csr".hex().encode()))
    assert client.replies() == [b"O" + b"csr on 1.2\n".hex().encode(), b"OK"]
    assert client.ask(b"qRcmd,%b" % b"fail".hex().encode()) == b"E.it failed"
    assert (client.ask(b"qRcmd,6") or b"")[:2] == b"E."
    assert (client.ask(b"qRcmd") or b"")[:2] == b"E."


def test_monitor_output_in_pieces(client: Client) -> None:
    client.send(frame(b"qRcmd," + b"flood 5000".hex().encode()))
    *output, done = client.replies()
    assert done == b"OK" and len(output) > 1
    assert b"".join(bytes.fromhex(part[1:].decode()) for part in output) == b"x" * 5000


def test_fatal_error_ends_the_session(client: Client) -> None:
    reply = client.ask(b"qRcmd,%b" % b"die".hex().encode())
    assert reply == b"E.the machine is broken"
    assert not client.session.open
    assert client.session.status.value == "failed"


def test_files(client: Client) -> None:
    name = b"/guest1.elf".hex().encode()
    assert client.ask(b"vFile:setfs:0") == b"F0"
    assert client.ask(b"vFile:open:%b,0,0" % name) == b"F3"
    reply = client.ask(b"vFile:pread:3,10,2")
    assert reply == b"F10;" + escape(b"LF" + bytes(range(14)))
    reply = client.ask(b"vFile:pread:3,100000,0")
    assert reply is not None
    count, _, data = reply.partition(b";")
    assert int(count[1:], 16) == len(unescape(data)) == 1028
    assert client.ask(b"vFile:pread:3,10,ffffff") == b"F0;"
    for packet in (b"vFile:fstat:3", b"vFile:stat:" + name):
        reply = client.ask(packet)
        assert reply is not None and reply.startswith(b"F40;")
        status = unescape(reply[4:])
        assert len(status) == 64 and int.from_bytes(status[28:36], "big") == 1028
    assert client.ask(b"vFile:readlink:" + name) == b"F-1,16"
    assert client.ask(b"vFile:close:3") == b"F0"
    assert client.ask(b"vFile:close:3") == b"F-1,9"
    assert client.ask(b"vFile:pread:3,10,0") == b"F-1,9"
    assert client.ask(b"vFile:open:%b,0,0" % b"/etc/passwd".hex().encode()) == b"F-1,2"
    assert client.ask(b"vFile:open:%b,1,0" % name) == b"F-1,1e"
    assert client.ask(b"vFile:unlink:" + name) == b"F-1,1e"
    assert client.ask(b"vFile:pwrite:3,0,a") == b"F-1,1e"
    assert client.ask(b"vFile:chmod:1") == b""
    for bad in (b"open:61", b"open:6,0,0", b"pread:3", b"fstat:", b"setfs:x"):
        assert (client.ask(b"vFile:" + bad) or b"")[:2] == b"E.", bad


def test_files_are_limited(client: Client) -> None:
    packet = b"vFile:open:%b,0,0" % b"/guest1.elf".hex().encode()
    replies = [client.ask(packet) for _ in range(70)]
    assert replies[-1] == b"F-1,18"
    assert len(set(replies)) == 65


def test_breakpoints(client: Client) -> None:
    points = client.target.breaks.points
    for kind in range(5):
        assert client.ask(b"Z%d,80000004,4" % kind) == b"OK"
        assert client.ask(b"Z%d,80000004,4" % kind) == b"OK"
    assert len(points) == 5
    for kind in range(5):
        assert client.ask(b"z%d,80000004,4" % kind) == b"OK"
        assert client.ask(b"z%d,80000004,4" % kind) == b"OK"
    assert not points
    for bad in (
        b"Z5,0,4", b"Z0,0", b"Z", b"Z0,8000000000000000,4", b"Z2,0,ffffffffff", b"Z0,0,4;X5,22",
        b"Z0,0,4;Y", b"Z0,0,4;cmds:", b"z0,0", b"Z0,0,4;X1,zz",
    ):  # fmt: skip
        assert (client.ask(bad) or b"")[:2] == b"E.", bad
    assert not points


def test_breakpoint_expressions(client: Client) -> None:
    packet = b"Z0,80000004,4;X3,220127X3,220027;cmds:1,X1,27;X2,2227"
    assert client.ask(packet) == b"OK"
    (point,) = client.target.breaks.points.values()
    assert point.conditions == (b"\x22\x01\x27", b"\x22\x00\x27")
    assert point.commands == (b"\x27", b"\x22\x27")
    assert point.persistent


def test_attached_and_extended(client: Client) -> None:
    assert client.ask(b"qAttached") == b"1"
    assert client.ask(b"qAttached:1") == b"1"
    assert (client.ask(b"qAttached:7") or b"")[:1] == b"E"
    client.target.existed = False
    assert client.ask(b"qAttached:1") == b"0"
    assert client.ask(b"!") == b"OK"


def test_pass_signals_and_thread_events(client: Client) -> None:
    assert client.ask(b"QPassSignals:e;14;") == b"OK"
    assert client.target.signals.passed == {0xE, 0x14}
    assert client.ask(b"QThreadEvents:1") == b"OK"
    assert client.ask(b"QThreadEvents:0") == b"OK"
    assert (client.ask(b"QThreadEvents:2") or b"")[:1] == b"E"


def test_acknowledgements() -> None:
    client = Client(FakeTarget(), acks=True)
    session = client.session
    session.receive(b"$qC#b4")
    reply = session.take()
    assert reply == b"+$QC1#c5"
    session.receive(b"-")
    assert session.take() == b"$QC1#c5"
    session.receive(b"+")
    session.receive(b"-")
    assert session.take() == b""
    session.receive(b"$qC#b5")
    assert session.take() == b"-"
    session.receive(b"$QStartNoAckMode#b0")
    assert session.take() == b"+$OK#9a"
    session.receive(b"+$qC#b4-")
    assert session.take() == b"$QC1#c5"
    session.receive(b"$qC#b5")
    assert session.take() == b""


def test_oversize_packets(client: Client) -> None:
    assert (client.ask(b"m" * 5000) or b"").startswith(b"E.the packet is longer")
    assert client.ask(b"qC") == b"QCp1.1"


def test_a_burst_of_commands_is_taken_in_portions() -> None:
    client = Client(FakeTarget())
    client.session.receive(b"$qC#b4" * 100)
    assert client.session.busy
    assert len(client.replies()) == 64
    client.session.receive()
    assert len(client.replies()) == 36
    assert not client.session.busy


def test_attaching_halts() -> None:
    target = FakeTarget(threads=2)
    Client(target)
    assert target.halts == [[ThreadId(1, 1), ThreadId(1, 2)]]
    assert target.harts[ThreadId(1, 1)].x[PC] == CODE
