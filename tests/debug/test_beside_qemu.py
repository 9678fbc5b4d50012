"""The table of docs/gdb.md, row by row: the same is asked of both stubs, and the answers are what
it says. Each row names one such test, and others that go deeper."""

import contextlib
import random
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rvemu.guests import find_guest
from rvemu.machine import Machine
from tests.assembler import T0, T1, T5, Assembler
from tests.debug import test_debug_cli, test_gdb_speed
from tests.debug.fuzz import fuzz
from tests.debug.gdb import Gdb, attached, needs_gdb, served
from tests.debug.qemu import QEMU, Qemu, needs_qemu
from tests.gdbstub.fuzz import on_the_wire

ROOT = Path(__file__).parents[2]
BASE = 0x8000_0000
UART, MTIMECMP, MTIME = 0x1000_0000, 0x0200_4000, 0x0200_BFF8
WORD = BASE + 0x2000


# --- The table -----------------------------------------------------------------------------------


def rows() -> dict[str, tuple[str, str, str]]:
    """The cells for QEMU and rvemu, and the tests, by the rows' names."""
    text = (ROOT / "docs" / "gdb.md").read_text(encoding="utf-8").split("## Beside QEMU's stub")[1]
    table = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return {name: (qemu, ours, tests) for name, qemu, ours, tests in cells if name}


def test_each_row_names_its_tests() -> None:
    here = {name for name in globals() if name.startswith("test_") and callable(globals()[name])}
    here -= {"test_each_row_names_its_tests"}
    beside = here | {name for name in vars(test_gdb_speed) if name.endswith("qemus")}
    files = list((ROOT / "tests").rglob("test_*.py"))
    everything = "".join(path.read_text(encoding="utf-8") for path in files)
    named: list[str] = []
    for row, (qemu, rvemu, tests) in rows().items():
        names = re.findall(r"test_\w+", tests)
        assert qemu and rvemu and len(beside.intersection(names)) == 1, row
        named += beside.intersection(names)
        for name in names:
            assert f"def {name}(" in everything or name in {path.stem for path in files}, name
    assert sorted(named) == sorted(beside)


def says(row: str, *, qemu: bool, rvemu: bool) -> None:
    """Asserts that a row's cells say so: `no`, or something else."""
    cells = rows()[row]
    assert (cells[0] != "no", cells[1] != "no") == (qemu, rvemu)


# --- Both, with the same guest -------------------------------------------------------------------


class Beside:
    """A gdb attached to QEMU and one attached to rvemu, with the same guest halted in both."""

    def __init__(self, guest: Path, qemu: Gdb, rvemu: Gdb) -> None:
        self.guest = guest
        self.qemu = qemu
        self.rvemu = rvemu
        self._stack = contextlib.ExitStack()

    def __iter__(self) -> Iterator[Gdb]:
        return iter((self.qemu, self.rvemu))

    def restart(self) -> "Beside":
        """The guest is about to start. (A reset leaves QEMU 7.2 in V=1.)"""
        for gdb in self:
            gdb.command("delete")
        self.qemu.command("disconnect", error=True)
        self._stack.close()
        process = self._stack.enter_context(Qemu(self.guest))
        self.qemu.command(f"target extended-remote {process.address}")
        self.rvemu.command("monitor reset")
        self.rvemu.command("maintenance flush register-cache")
        return self

    def close(self) -> None:
        self.qemu.close()
        self._stack.close()

    def answers(self, packet: str) -> tuple[str, str]:
        """What each says to a packet."""
        found = []
        for gdb in self:
            answer = re.search(r'received: "(.*)"', gdb.command(f"maint packet {packet}"))
            found.append(answer[1] if answer is not None else "")
        return found[0], found[1]

    def have(self, part: str, packet: str = "qSupported") -> tuple[bool, bool]:
        """Whether each answer to a packet has a part."""
        theirs, ours = self.answers(packet)
        return part in theirs, part in ours


@contextlib.contextmanager
def beside(guest: Path) -> Iterator[Beside]:
    machine = Machine(memory=128 << 20, output=lambda _: None)
    machine.load(guest)
    with served(machine, guest) as running, attached(running) as ours:
        both = Beside(guest, Gdb(), ours)
        try:
            yield both.restart()
        finally:
            both.close()


def program() -> Assembler:
    """Has the UART interrupt when it can transmit; calls; waits for the timer; stores two values
    in a word; spins."""
    p = Assembler(BASE).la(T5, "handler").csrw("mtvec", T5)
    p.li(T5, UART).li(T0, 2).op("sb", rs1=T5, rs2=T0, imm=1)
    p.label("call").op("ecall").label("called")
    p.csr_set("mie", 1 << 7).li(T5, MTIME).op("ld", rd=T0, rs1=T5, imm=0)
    p.li(T1, 20_000).op("add", rd=T0, rs1=T0, rs2=T1)
    p.li(T5, MTIMECMP).op("sd", rs1=T5, rs2=T0, imm=0)
    p.label("wait").op("wfi").label("waited").li(T5, WORD)
    p.label("stores").op("sd", rs1=T5, rs2=T0, imm=0).op("sd", rs1=T5, rs2=T5, imm=0)
    p.label("loop").op("addi", rd=T0, rs1=T0, imm=1).jal(0, "loop")
    p.align(4).label("handler").csrr(T1, "mepc").op("addi", rd=T1, rs1=T1, imm=4)
    return p.csrw("mepc", T1).op("mret")


PLACES = (lambda p: (p.assemble(), p.symbols)[1])(program())


@pytest.fixture(scope="module")
def small_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small") / "small.elf"
    path.write_bytes(program().elf())
    return path


@pytest.fixture(scope="module")
def stubs(small_image: Path) -> Iterator[Beside]:
    """For questions that have nothing to do with where the guest is."""
    with beside(small_image) as both:
        yield both


@pytest.fixture
def small(stubs: Beside) -> Beside:
    return stubs.restart()


@pytest.fixture(scope="module")
def started_tinyos() -> Iterator[Beside]:
    with beside(find_guest("tinyos")) as both:
        both.qemu.command(f"file {find_guest('tinyos')}")
        yield both


@pytest.fixture
def tinyos(started_tinyos: Beside) -> Beside:
    return started_tinyos.restart()


@pytest.fixture(scope="module")
def started_tinyvisor() -> Iterator[Beside]:
    with beside(find_guest("tinyvisor")) as both:
        both.qemu.command(f"file {find_guest('tinyvisor')}")
        for gdb in both:
            gdb.command(f"add-symbol-file {find_guest('tinyos-s')} -o 0")
        yield both


@pytest.fixture
def tinyvisor(started_tinyvisor: Beside) -> Beside:
    return started_tinyvisor.restart()


pytestmark = [needs_gdb, needs_qemu]


def go_to(gdb: Gdb, place: int | str) -> None:
    gdb.command(f"tbreak *{place:#x}" if isinstance(place, int) else f"tbreak {place}")
    gdb.go("continue")


# --- What there is of the guest ------------------------------------------------------------------


def test_symbols(stubs: Beside) -> None:
    """Without a file named to gdb."""
    theirs, ours = (gdb.command("info inferiors") for gdb in stubs)
    assert stubs.guest.name not in theirs and stubs.guest.name in ours
    says("symbols without naming a file to gdb", qemu=False, rvemu=True)


def registers(gdb: Gdb) -> set[str]:
    return set(re.findall(r"^(\w+)\s", gdb.command("info all-registers"), re.MULTILINE))


def test_csrs(stubs: Beside) -> None:
    theirs, ours = (registers(gdb) for gdb in stubs)
    only_of_rv32 = {"pmpcfg1", "pmpcfg3"}
    assert only_of_rv32 < theirs and theirs - only_of_rv32 < ours
    counters = {"cycle", "time", "instret", "hpmcounter3"}
    assert not counters & theirs and counters < ours


def test_csr_fields(stubs: Beside) -> None:
    for gdb in stubs:
        assert "MPP" in gdb.command("info registers mstatus")
    assert "MODE" not in stubs.qemu.command("info registers satp")
    assert "MODE=Bare" in stubs.rvemu.command("info registers satp")


def test_privilege_and_v(stubs: Beside) -> None:
    for gdb in stubs:
        gdb.command("set $priv = 1")
        assert gdb.value("$priv") == 1
        gdb.command("set $priv = 3")
    assert "void" in stubs.qemu.command("p $virt")
    assert stubs.rvemu.value("$virt") == 0


def test_info_threads(stubs: Beside) -> None:
    assert "(CPU#0 [running])" in stubs.qemu.command("info threads")
    assert '"hart 0" (M-mode, running)' in stubs.rvemu.command("info threads")


# --- Breakpoints and steps -----------------------------------------------------------------------


def test_conditions_in_the_stub(stubs: Beside) -> None:
    assert stubs.have("ConditionalBreakpoints+") == (False, True)


def test_dprintf_in_the_stub(stubs: Beside) -> None:
    for gdb, runs in zip(stubs, (False, True), strict=True):
        gdb.command("set dprintf-style agent")
        text = gdb.command(f'dprintf *{PLACES["call"]:#x},"called\\n"')
        assert ("Target cannot run dprintf commands" not in text) == runs
        gdb.command("set dprintf-style gdb")
    says("`dprintf` in the stub", qemu=False, rvemu=True)


def test_breakpoint_where_nothing_is_mapped(tinyos: Beside) -> None:
    for gdb in tinyos:
        assert gdb.value("$satp") == 0
        go_to(gdb, "kernel_main")
        assert "kernel_main" in gdb.command("bt 1")
    says("breakpoint in memory that is not mapped yet", qemu=True, rvemu=True)


def test_a_step_across_a_trap(small: Beside) -> None:
    places = []
    for gdb in small:
        go_to(gdb, PLACES["call"])
        gdb.go("stepi")
        places.append(gdb.pc())
    assert places == [PLACES["called"], PLACES["handler"]]


def test_a_step_of_wfi(small: Beside) -> None:
    """The timer's interrupt is enabled in mie alone: it wakes, and is not taken."""
    for gdb in small:
        go_to(gdb, PLACES["wait"])
        gdb.go("stepi")
        assert gdb.pc() == PLACES["waited"]
        assert gdb.value("$mip & $mie") == 1 << 7


def test_two_stores_in_a_row(small: Beside) -> None:
    """gdb has a hart step that has met a watchpoint: both stubs stop it before the access."""
    for gdb in small:
        go_to(gdb, PLACES["stores"])
        gdb.command(f"watch *(long *){WORD:#x}")
        for after in (4, 8):
            gdb.go("continue")
            assert gdb.pc() == PLACES["stores"] + after


def test_range_stepping(stubs: Beside) -> None:
    qemu, rvemu = stubs.have(";r", "vCont?")
    assert (qemu, rvemu) == (False, True)
    says("range stepping (`vCont;r`)", qemu=qemu, rvemu=rvemu)


def test_non_stop_mode(stubs: Beside) -> None:
    qemu, rvemu = stubs.have("QNonStop+")
    assert (qemu, rvemu) == (False, True)
    says("non-stop", qemu=qemu, rvemu=rvemu)


def test_writing_to_read_only_pages(tinyos: Beside) -> None:
    """What is written is executed."""
    for gdb in tinyos:
        go_to(gdb, "process_fork")
        at = gdb.value("(unsigned long)&process_reap")
        gdb.command(f"set {{short}}{at:#x} = 0x8082")  # ret
        assert gdb.value("(int)process_reap(0, 0, 0)") == 0
    says("read-only pages can be written", qemu=True, rvemu=True)


# --- Guests of a hypervisor ----------------------------------------------------------------------


def test_addresses_of_a_guest(tinyvisor: Beside) -> None:
    """In VS-mode with both stages on."""
    for gdb in tinyvisor:
        go_to(gdb, "vm_init")
        assert gdb.value("$priv") == 1 and gdb.value("$hgatp >> 60 & 15") == 8
        go_to(gdb, "process_fork")
        assert gdb.value("processes[0].pid") == 1
    says("guest addresses at V=1, both stages", qemu=True, rvemu=True)


def test_csrs_of_a_guest(tinyvisor: Beside) -> None:
    """The guest has just switched paging on."""
    roots = []
    for gdb in tinyvisor:
        go_to(gdb, "high")
        roots.append(gdb.value("$vsatp >> 60 & 15"))
    assert roots == [0, 8]


def test_a_guest_from_its_hypervisor(stubs: Beside) -> None:
    theirs, ours = (gdb.command("monitor guest on", error=True) for gdb in stubs)
    assert "unknown command" in theirs and "addresses are the guest's" in ours
    stubs.rvemu.command("monitor guest off")
    says("a guest's addresses from HS-mode", qemu=False, rvemu=True)


def test_a_guest_by_its_source(tinyvisor: Beside) -> None:
    for gdb in tinyvisor:
        go_to(gdb, "kernel_main")
        assert gdb.value("$priv") == 1 and "main.c" in gdb.command("bt 1")
        go_to(gdb, "user_main")
        assert gdb.value("$priv") == 0 and gdb.value("answer") == 42
        assert "user_programs.c" in gdb.command("bt 1")
    # Of what VU-mode may not read:
    assert "Cannot access memory" in tinyvisor.qemu.command("p processes[0].pid", error=True)
    assert tinyvisor.rvemu.value("processes[0].pid") == 1


def test_a_step_out_of_a_guest(tinyvisor: Beside) -> None:
    """Of an ecall of a guest's kernel."""
    calls, ends = [], []
    for gdb in tinyvisor:
        go_to(gdb, "kernel_main")
        for call in re.findall(
            r"^0x\w+", gdb.command("find /w &__kernel_start, &__text_end, 0x73"), re.MULTILINE
        ):
            gdb.command(f"break *{call}")
        gdb.go("continue")
        calls.append(gdb.pc())
        gdb.command("delete")
        gdb.go("stepi")
        ends.append(gdb.pc())
    assert calls[0] == calls[1]
    assert ends[0] == calls[0] + 4
    assert "vcpu_exit" in tinyvisor.rvemu.command("info symbol $pc")


def test_one_of_two_guests(tinyvisor: Beside) -> None:
    for gdb in tinyvisor:
        gdb.command("tbreak process_exit if ($hgatp >> 44 & 0x3fff) == 2")
        gdb.go("continue")
        assert gdb.value("$hgatp >> 44 & 0x3fff") == 2
    assert tinyvisor.have("ConditionalBreakpoints+") == (False, True)


def test_a_watchpoint_in_a_guest(tinyvisor: Beside) -> None:
    for gdb in tinyvisor:
        go_to(gdb, "own_memory")
        gdb.command("watch answer")
        text = gdb.go("continue")
        assert "Old value = 42" in text and "New value = 43" in text
        assert gdb.value("$priv") == 0
    says("watchpoints in a guest", qemu=True, rvemu=True)


def test_two_virtual_machines(stubs: Beside) -> None:
    """QEMU has one machine of one cluster. Of rvemu: test_gdb_virtual."""
    assert stubs.answers("vAttach;2")[0] == "E22"
    says("several virtual machines as inferiors, their harts as threads", qemu=False, rvemu=True)


# --- Memory and the machine ----------------------------------------------------------------------


def test_physical_addresses(tinyos: Beside) -> None:
    switches = ("maint packet Qqemu.PhyMemMode:%d", "monitor phys %s")
    for gdb, switch, states in zip(tinyos, switches, ((0, 1), ("off", "on")), strict=True):
        go_to(gdb, "process_fork")
        assert "Cannot access" in gdb.command("x/wx 0x80200000", error=True)
        gdb.command(switch % states[1])
        assert "Cannot" not in gdb.command("x/wx 0x80200000")
        gdb.command(switch % states[0])


def test_reading_a_device(small: Beside) -> None:
    """The UART's interrupt identification: reading takes away what it says."""
    theirs, ours = small
    for gdb in small:
        go_to(gdb, PLACES["call"])
    look = f"x/bx {UART + 2:#x}"
    assert [theirs.command(look).split()[-1] for _ in range(2)] == ["0x02", "0x01"]
    assert "Cannot access" in ours.command(look, error=True)
    ours.command("monitor devices on")
    assert int(ours.command(look).split()[-1], 16) & 0xF == 2
    ours.command("monitor devices off")


def test_page_walks(tinyos: Beside) -> None:
    for gdb in tinyos:
        go_to(gdb, "process_fork")
    assert "r-xu" in tinyos.qemu.command("monitor info mem")
    for command in ("walk $pc", "pmp", "tlb"):
        assert "unknown command" in tinyos.qemu.command(f"monitor {command}", error=True)
    assert "level 0" in tinyos.rvemu.command("monitor walk pc fetch")
    assert "NAPOT" in tinyos.rvemu.command("monitor pmp")
    assert "pages of data" in tinyos.rvemu.command("monitor tlb")


def test_stops_at_traps(small: Beside) -> None:
    theirs, ours = (gdb.command("monitor stop-on trap", error=True) for gdb in small)
    assert "unknown command" in theirs and "stops on: trap" in ours
    assert "stopped by a trap" in small.rvemu.go("continue")
    small.rvemu.command("monitor stop-on off")
    says("stop at traps, modes", qemu=False, rvemu=True)


def test_the_memory_map(stubs: Beside) -> None:
    qemu, rvemu = stubs.have("qXfer:memory-map:read+")
    assert (qemu, rvemu) == (False, True)
    says("memory map (`info mem`)", qemu=qemu, rvemu=rvemu)


def test_running_again(stubs: Beside) -> None:
    """QEMU knows no vRun; rvemu says why not, while the guest is there."""
    theirs, ours = stubs.answers("vRun;")
    assert (theirs, ours[:1]) == ("", "E")
    says("restart (`run`)", qemu=False, rvemu=True)


def test_a_limit_of_instructions() -> None:
    assert QEMU is not None
    text = subprocess.run([QEMU, "--help"], capture_output=True, text=True, check=True).stdout
    assert "max-instructions" not in text and not re.search(r"instructions? to execute", text)
    says("a limit of instructions", qemu=False, rvemu=True)


def test_the_end_by_a_reset(tmp_path: Path) -> None:
    image = Assembler(BASE)
    for word in test_debug_cli.RESET:
        image.word(word)
    (tmp_path / "reset.elf").write_bytes(image.elf())
    with Qemu(tmp_path / "reset.elf", "-no-reboot") as qemu:
        text = test_debug_cli.gdb(qemu.address, "continue")
        assert qemu.process.wait(20) == 0
    assert re.search("Target disconnected|connection closed", text)


# --- What may go wrong ---------------------------------------------------------------------------


def test_broken_packets(small_image: Path) -> None:
    """The same that rvemu gets (`fuzz`): within some thousands QEMU is gone."""
    assert any(_harms(small_image, random.Random(seed)) for seed in (1, 3, 5))
    assert fuzz(2_000, seed=1) > 0


def _harms(guest: Path, rng: random.Random) -> bool:
    """Whether broken packets end a QEMU. (Not those that are meant to.)"""
    with Qemu(guest) as qemu, qemu.connect() as client:
        client.settimeout(0.01)
        for _ in range(4_000):
            data = on_the_wire(rng)
            if re.match(rb"[$+\x03-]*[DkR]", data) or b"vKill" in data or b"vDetach" in data:
                continue
            try:
                client.sendall(data)
                with contextlib.suppress(TimeoutError):
                    client.recv(1 << 16)
            except OSError:
                break
        with contextlib.suppress(subprocess.TimeoutExpired):
            qemu.process.wait(1)
        return qemu.process.poll() is not None


def test_a_gdb_that_is_gone(small_image: Path) -> None:
    """While the guest stood at a breakpoint: in QEMU there it stays."""
    with Qemu(small_image) as qemu:
        counts = []
        for vanish in (True, False):
            gdb = Gdb()
            gdb.command(f"target extended-remote {qemu.address}")
            if vanish:
                gdb.command(f"break *{PLACES['loop']:#x}")
                gdb.go("continue")
            counts.append((gdb.value("$t0"), gdb.pc()))
            if vanish:
                gdb.vanish()
                time.sleep(0.2)
            else:
                gdb.close()
        assert counts[0] == counts[1]
