"""The paravirtual console and disk: rings in memory of the guest's, which is not trusted."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rvemu.drives import SECTOR
from rvemu.errors import RvemuError
from rvemu.hart.extensions import DEFAULT_ISA, parse_isa
from rvemu.machine import Reason
from rvemu.vmm.host import Host
from rvemu.vmm.hypercalls import (
    BLOCK_COUNTS,
    BLOCK_REQUEST,
    BLOCK_RING,
    BLOCK_SLOTS,
    CONSOLE_INPUT,
    CONSOLE_OUTPUT,
    CONSOLE_RING,
    RING_BLOCK,
    RING_CONSOLE,
    BlockStatus,
    Call,
    Operation,
    What,
)
from rvemu.vmm.paravirt import Paravirt
from rvemu.vmm.rings import LONGEST_REQUEST, BlockRing, ConsoleRing
from rvemu.vmm.virtual_machine import PARAVIRT, VirtualMachine
from tests.assembler import A0, A2, A3, A4, S0, S1, T0, T1, ZERO
from tests.vmm.paravirtual_programs import (
    BASE,
    END,
    MEMORY,
    PAGE,
    RING,
    SHARED,
    WORD,
    Kernel,
    answers,
    traps,
)

EXTERNAL = 1 << 63 | 9
TABLE = PAGE + 0x8000
DISK = 16 * SECTOR
M64 = (1 << 64) - 1
READ, WRITE, FLUSH, CLEAR, DISCARD = Operation
DONE, FAILED, REFUSED = BlockStatus


class Disk:
    """A disk in memory, which minds its borders. broken: it can't do anything."""

    name = "disk"
    size = DISK

    def __init__(self) -> None:
        self.data = bytearray(range(256)) * (DISK // 256)
        self.read_only = self.broken = False
        self.flushed = 0
        self.discarded: list[tuple[int, int]] = []

    def _check(self, offset: int, length: int) -> None:
        if self.broken:
            raise OSError("broken")
        assert 0 <= offset <= offset + length <= DISK

    def read(self, offset: int, length: int) -> bytes:
        self._check(offset, length)
        return bytes(self.data[offset : offset + length])

    def write(self, offset: int, data: bytes) -> None:
        self._check(offset, len(data))
        assert not self.read_only
        self.data[offset : offset + len(data)] = data

    def zero(self, offset: int, length: int, *, unmap: bool = False) -> None:
        assert not unmap
        self.write(offset, bytes(length))

    def discard(self, offset: int, length: int) -> None:
        self._check(offset, length)
        self.discarded.append((offset, length))

    def flush(self) -> None:
        self._check(0, 0)
        self.flushed += 1

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def machine() -> VirtualMachine:
    return VirtualMachine(PARAVIRT, memory=MEMORY, output=lambda _: None)


@pytest.fixture
def monitor(machine: VirtualMachine) -> Paravirt:
    """All memory is ordinary, but a table and a ring."""
    assert isinstance(machine.monitor, Paravirt)
    machine.monitor.begin()
    machine.monitor.paging.store(BASE, bytes(MEMORY))
    machine.monitor.paging.update(What.PIN_TABLE, TABLE, 0)
    machine.monitor.paging.share(RING)
    return machine.monitor


# --- The disk ------------------------------------------------------------------------------------

Request = tuple[int, int, int, int]  # operation, sector, address, length


def ask(monitor: Paravirt, disk: Disk, *requests: Request) -> list[int]:
    """Put requests into a fresh ring; what they came to."""
    slots = [
        {"operation": o, "status": 99, "sector": s, "address": a, "length": n}
        for o, s, a, n in requests
    ]
    slots += [{"operation": 0, "status": 0, "sector": 0, "address": 0, "length": 0}] * (
        BLOCK_SLOTS - len(slots)
    )
    counts = {"consumed": 0, "produced": len(requests), "unused": bytes(24)}
    monitor.paging.store(RING, BLOCK_RING.build({"counts": counts, "requests": slots}))
    BlockRing(monitor.paging, RING, disk).answer()
    ring = BLOCK_RING.parse(monitor.paging.read(RING, BLOCK_RING.sizeof()))
    assert ring.counts.consumed == len(requests)
    return [ring.requests[n].status for n in range(len(requests))]


def test_sectors_are_read_and_written(monitor: Paravirt) -> None:
    disk = Disk()
    assert (
        ask(
            monitor,
            disk,
            (READ, 1, PAGE, 2 * SECTOR),
            (WRITE, 8, PAGE + 256, SECTOR),
            (CLEAR, 3, 0, SECTOR),
            (DISCARD, 4, M64, 2 * SECTOR),
            (FLUSH, M64, M64, M64),
            (READ, 15, END - SECTOR, SECTOR),
        )
        == [DONE] * 6
    )
    assert monitor.paging.read(PAGE, 2 * SECTOR) == bytes(range(256)) * 4
    assert disk.data[8 * SECTOR : 9 * SECTOR] == bytes(range(256)) * 2
    assert disk.data[3 * SECTOR : 4 * SECTOR] == bytes(SECTOR)
    assert (disk.flushed, disk.discarded) == (1, [(4 * SECTOR, 2 * SECTOR)])


REFUSED_REQUESTS: list[Request] = [
    (5, 0, PAGE, SECTOR),
    ((1 << 32) - 1, 0, PAGE, SECTOR),
    *(
        (operation, sector, PAGE, length)
        for operation in (READ, WRITE, CLEAR, DISCARD)
        for sector, length in (
            (16, SECTOR),
            (15, 2 * SECTOR),
            (0, 0),
            (0, 511),
            (0, M64),
            (0, LONGEST_REQUEST + SECTOR),
            (0, M64 - 511),
            (1 << 55, SECTOR),
            (M64, SECTOR),
            (M64, 2 * SECTOR),
        )
    ),
    *(
        (operation, 0, address, 2 * SECTOR)
        for operation in (READ, WRITE)
        for address in (
            TABLE,
            TABLE + 4088,
            TABLE - 512,
            END,
            END - 512,
            BASE - 512,
            0,
            1 << 36,
            M64 - 1023,
            M64 - 511,
        )
    ),
]


@pytest.mark.parametrize("request_", REFUSED_REQUESTS)
def test_requests_that_are_refused(monitor: Paravirt, request_: Request) -> None:
    disk = Disk()
    before, memory = bytes(disk.data), monitor.paging.read(PAGE, MEMORY // 2)
    assert ask(monitor, disk, request_) == [REFUSED]
    assert bytes(disk.data) == before
    assert disk.discarded == []
    assert monitor.paging.read(PAGE, MEMORY // 2) == memory


def test_a_disk_that_may_not_be_changed(monitor: Paravirt) -> None:
    disk = Disk()
    disk.read_only = True
    requests = [(operation, 0, PAGE, SECTOR) for operation in Operation]
    assert ask(monitor, disk, *requests) == [DONE, REFUSED, DONE, REFUSED, REFUSED]


def test_a_disk_that_fails(monitor: Paravirt) -> None:
    disk = Disk()
    disk.broken = True
    requests = [(operation, 0, PAGE, SECTOR) for operation in Operation]
    assert ask(monitor, disk, *requests) == [FAILED] * 5


def test_what_is_read_over_the_ring_itself(monitor: Paravirt) -> None:
    """Then the ring has what the disk had: counts and requests that mean what they mean."""
    disk = Disk()
    slot = BLOCK_REQUEST.build(
        {"operation": WRITE, "status": 0, "sector": 2, "address": TABLE, "length": SECTOR}
    )
    disk.data[:SECTOR] = (
        BLOCK_COUNTS.build({"consumed": 0, "produced": 64, "unused": bytes(24)}) + slot * 20
    )[:SECTOR]
    monitor.paging.store(RING, bytes(4096))
    monitor.paging.store(RING + 4, struct.pack("<I", 2))
    at = RING + BLOCK_COUNTS.sizeof()
    monitor.paging.store(at, struct.pack("<IIQQQ", READ, 0, 0, RING, SECTOR))
    assert BlockRing(monitor.paging, RING, disk).answer() == 2
    consumed, produced = struct.unpack("<II", monitor.paging.read(RING, 8))
    assert (consumed, produced) == (2, 64)
    assert struct.unpack("<I", monitor.paging.read(at + 32 + 4, 4)) == (REFUSED,)


_numbers = st.sampled_from([0, 1, 2, 511, 512, 1024, 4096, 1 << 20, M64, M64 - 511]) | (
    st.integers(0, M64)
)
_addresses = st.sampled_from(
    [PAGE, TABLE, TABLE - 512, TABLE + 4096, RING, END - 512, END, BASE, BASE - 512, 1 << 36]
)


@settings(max_examples=100, deadline=None)
@given(
    consumed=st.integers(0, (1 << 32) - 1),
    ahead=st.sampled_from([0, 1, 3, 63, 64, 65, 1 << 31, (1 << 32) - 1]),
    requests=st.lists(
        st.tuples(st.integers(0, 6), _numbers, _addresses | _numbers, _numbers),
        min_size=1,
        max_size=4,
    ),
)
def test_any_counts_and_requests(
    machine: VirtualMachine, consumed: int, ahead: int, requests: list[Request]
) -> None:
    """Nothing but sectors of the disk and ordinary frames changes, and the ring is consumed."""
    assert isinstance(machine.monitor, Paravirt)
    monitor = machine.monitor
    monitor.begin()
    monitor.paging.update(What.PIN_TABLE, TABLE, 0)
    monitor.paging.share(RING)
    disk = Disk()
    monitor.paging.store(RING, struct.pack("<II24x", consumed, (consumed + ahead) % (1 << 32)))
    for n in range(BLOCK_SLOTS):
        operation, sector, address, length = requests[n % len(requests)]
        slot = RING + 32 * (1 + n)
        monitor.paging.store(slot, struct.pack("<IIQQQ", operation, 7, sector, address, length))
    BlockRing(monitor.paging, RING, disk).answer()
    assert monitor.paging.read(TABLE, 4096) == bytes(4096)
    if not any(a == RING for _, _, a, _ in requests):
        (now,) = struct.unpack("<I", monitor.paging.read(RING, 4))
        assert now == (consumed + min(ahead, BLOCK_SLOTS)) % (1 << 32)


# --- The console ---------------------------------------------------------------------------------


def console(monitor: Paravirt, counts: tuple[int, int, int, int]) -> tuple[ConsoleRing, bytearray]:
    printed = bytearray()
    monitor.paging.store(RING, bytes(4096))
    monitor.paging.store(RING + CONSOLE_INPUT, bytes(n % 251 for n in range(CONSOLE_OUTPUT)))
    monitor.paging.store(RING + CONSOLE_INPUT + CONSOLE_OUTPUT, struct.pack("<4I", *counts))
    typed = bytearray(n % 249 for n in range(3000))

    def receive(room: int) -> bytes:
        taken = bytes(typed[:room])
        del typed[:room]
        return taken

    return ConsoleRing(monitor.paging, RING, printed.extend, receive), printed


def counts_of(monitor: Paravirt) -> tuple[int, ...]:
    ring = CONSOLE_RING.parse(monitor.paging.read(RING, CONSOLE_RING.sizeof()))
    c = ring.counts
    return c.input_consumed, c.input_produced, c.output_consumed, c.output_produced


@pytest.mark.parametrize(
    "consumed, produced, first, length",
    [
        (0, 5, 0, 5),
        (2046, 2050, 2046, 4),
        ((1 << 32) - 2, 3, 2046, 5),
        (7, 7, 7, 0),
        (7, 7 + CONSOLE_OUTPUT, 7, CONSOLE_OUTPUT),
        (7, 6, 7, CONSOLE_OUTPUT),  # nonsense: no more than there is
        (7, 1 << 31, 7, CONSOLE_OUTPUT),
    ],
)
def test_what_is_printed(
    monitor: Paravirt, consumed: int, produced: int, first: int, length: int
) -> None:
    ring, printed = console(monitor, (0, 0, consumed, produced))
    ring.print_output()
    places = ((first + n) % CONSOLE_OUTPUT for n in range(length))
    assert printed == bytes(place % 251 for place in places)
    assert counts_of(monitor)[2:] == (produced, produced)


@pytest.mark.parametrize(
    "consumed, produced, taken",
    [
        (0, 0, 1024),
        (0, 1000, 24),
        ((1 << 32) - 1, 5, 1018),
        (0, 1024, 0),
        (5, 4, 0),  # nonsense
        (0, 1 << 31, 0),
    ],
)
def test_what_is_typed(monitor: Paravirt, consumed: int, produced: int, taken: int) -> None:
    ring, _ = console(monitor, (consumed, produced, 0, 0))
    before = monitor.paging.read(RING + CONSOLE_INPUT, 4096 - CONSOLE_INPUT)
    assert ring.take_input() == bool(taken)
    assert counts_of(monitor)[:2] == (consumed, (produced + taken) % (1 << 32))
    data = monitor.paging.read(RING, CONSOLE_INPUT)
    for n in range(taken):
        assert data[(produced + n) % CONSOLE_INPUT] == n % 249
    after = monitor.paging.read(RING + CONSOLE_INPUT, 4096 - CONSOLE_INPUT)
    assert after[:CONSOLE_OUTPUT] == before[:CONSOLE_OUTPUT]


# --- In a guest ----------------------------------------------------------------------------------


def disk_kernel(wanted: int) -> Kernel:
    """Reads a sector, and then looks at it; events interrupt it if it wants them."""
    kernel = Kernel().call(Call.BLOCK, RING).shared("wanted", wanted).shared("enabled", 1)
    kernel.put(RING + 32, READ).put(RING + 40, 1).put(RING + 48, PAGE).put(RING + 56, SECTOR)
    kernel.put(RING, 1 << 32).call(Call.NOTIFY, RING_BLOCK).call(Call.NOTIFY, 0)
    return kernel.load(PAGE).load(RING).load(RING + 32).load(SHARED + WORD["events"])


@pytest.mark.parametrize("wanted, interrupts", [(RING_BLOCK, 1), (0, 0), (RING_CONSOLE, 0)])
def test_a_disk_s_event_interrupts_who_wants_it(wanted: int, interrupts: int) -> None:
    machine = VirtualMachine(PARAVIRT, memory=MEMORY, output=lambda _: None)
    machine.plug(Disk())
    machine.load(disk_kernel(wanted).elf())
    machine.run(20_000)
    found = answers(machine)
    assert found[1] == (0, 16)  # sectors
    assert found[4][0] == int.from_bytes(bytes(range(8)), "little")
    assert found[5][0] == 1 << 32 | 1
    assert found[6][0] == DONE << 32 | READ
    assert found[7][0] == (0 if interrupts else RING_BLOCK)
    assert [cause for cause, *_ in traps(machine)] == [EXTERNAL] * interrupts


def test_what_the_disk_writes_breaks_a_reservation() -> None:
    """As any device's store does. Where the VMM writes nothing, it stays."""
    kernel = Kernel().call(Call.BLOCK, RING)
    kernel.put(RING + 32, READ).put(RING + 40, 1).put(RING + 48, PAGE).put(RING + 56, SECTOR)
    kernel.put(RING, 1 << 32)
    for rings in (RING_BLOCK, 0):
        kernel.li(S0, PAGE).op("lr.d", rd=A2, rs1=S0).call(Call.NOTIFY, rings).op(
            "sc.d", rd=S1, rs1=S0, rs2=A2
        )
        kernel.op("slli", rd=A4, rs1=A4, shamt=4).op("add", rd=A4, rs1=A4, rs2=S1)
    machine = VirtualMachine(PARAVIRT, memory=MEMORY, output=lambda _: None)
    machine.plug(Disk())
    machine.load(kernel.elf())
    machine.run(20_000)
    assert machine.machine.hart["a4"] == 0x10


def test_one_disk() -> None:
    machine = VirtualMachine(PARAVIRT, memory=MEMORY)
    machine.plug(Disk())
    with pytest.raises(RvemuError, match="has one disk"):
        machine.plug(Disk())


def echo(wait: bool) -> Kernel:
    """Prints what it gets, by polling, or waiting for the event; a `q` ends it."""
    counts = RING + CONSOLE_INPUT + CONSOLE_OUTPUT
    kernel = Kernel().call(Call.CONSOLE, RING).shared("wanted", RING_CONSOLE)
    kernel.li(S0, RING).li(S1, counts).label("next")
    if wait:
        kernel.shared("events", 0)
        kernel.op("lw", rd=T0, rs1=S1, imm=0).op("lw", rd=T1, rs1=S1, imm=4)
        kernel.branch("bne", T0, T1, "typed").call(Call.WAIT).jal(ZERO, "next")
    else:
        kernel.op("lw", rd=T0, rs1=S1, imm=0).op("lw", rd=T1, rs1=S1, imm=4)
        kernel.branch("beq", T0, T1, "next")
    kernel.label("typed").op("andi", rd=A2, rs1=T0, imm=CONSOLE_INPUT - 1)
    kernel.op("add", rd=A2, rs1=A2, rs2=S0).op("lbu", rd=A3, rs1=A2, imm=0)
    kernel.op("addiw", rd=T0, rs1=T0, imm=1).op("sw", rs1=S1, rs2=T0, imm=0)
    kernel.op("lw", rd=T0, rs1=S1, imm=12).op("andi", rd=A2, rs1=T0, imm=CONSOLE_OUTPUT - 1)
    kernel.op("add", rd=A2, rs1=A2, rs2=S0).op("sb", rs1=A2, rs2=A3, imm=CONSOLE_INPUT)
    kernel.op("addiw", rd=T0, rs1=T0, imm=1).op("sw", rs1=S1, rs2=T0, imm=12)
    kernel.op("addi", rd=A4, rs1=A3, imm=0).call(Call.NOTIFY, RING_CONSOLE)
    kernel.li(A0, ord("q"))
    return kernel.branch("bne", A0, A4, "next")


@pytest.mark.parametrize("wait", [True, False])
def test_what_is_typed_is_echoed(wait: bool) -> None:
    """Typed before, while it runs, or while it waits: it wakes."""
    output = bytearray()
    machine = VirtualMachine(PARAVIRT, memory=MEMORY, output=output.extend)
    uart = machine.machine.board.uart
    machine.load(echo(wait).elf())
    pieces = [b"a line\n", b"another", b"\nq"]
    uart.receive(pieces.pop(0))

    def idle(_: int | None) -> int | None:
        if not pieces:
            return None
        uart.receive(pieces.pop(0))
        return 1

    if wait:
        machine.machine.hooks.idle = idle
    else:
        machine.machine.hooks.between.append(lambda: idle(None))
    outcome = machine.machine.run(10_000_000, lambda: output.endswith(b"q"))
    assert outcome.reason is Reason.CONDITION
    assert bytes(output) == b"a line\nanother\nq"


def test_a_console_s_event_interrupts_a_process() -> None:
    kernel = Kernel().paging().call(Call.CONSOLE, RING).shared("wanted", RING_CONSOLE)
    machine = VirtualMachine(PARAVIRT, memory=MEMORY, output=lambda _: None)
    machine.load(kernel.to_user().elf())
    machine.run(20_000)
    assert traps(machine) == []
    machine.machine.board.uart.receive(b"x")
    machine.run(20_000)
    assert [cause for cause, *_ in traps(machine)] == [EXTERNAL]


def test_two_guests_have_a_ring_each() -> None:
    host = Host(parse_isa(DEFAULT_ISA))
    disks, machines = [Disk(), Disk()], []
    for disk in disks:
        machine = VirtualMachine(PARAVIRT, host, memory=MEMORY, output=lambda _: None)
        machine.plug(disk)
        machine.load(disk_kernel(RING_BLOCK).elf())
        machines.append(machine)
    disks[1].data[SECTOR : SECTOR + 8] = bytes(8)
    for machine in machines:
        machine.run(20_000)
    assert [answers(machine)[4][0] for machine in machines] == [0x0706050403020100, 0]


def test_rings_may_be_moved() -> None:
    other, output = RING + 0x1000, bytearray()
    kernel = Kernel().call(Call.CONSOLE, RING).call(Call.CONSOLE, other)
    kernel.put(other + CONSOLE_INPUT, int.from_bytes(b"moved\n", "little"))
    kernel.put(other + CONSOLE_INPUT + CONSOLE_OUTPUT + 8, 6 << 32).call(Call.NOTIFY, RING_CONSOLE)
    machine = VirtualMachine(PARAVIRT, memory=MEMORY, output=output.extend)
    machine.load(kernel.elf())
    machine.run(20_000)
    assert bytes(output) == b"moved\n"
