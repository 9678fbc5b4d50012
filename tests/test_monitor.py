"""The monitor's commands, on both engines."""

import pytest

from rvemu import Machine
from rvemu.hart.csr_view import poke
from rvemu.hart.privilege import set_privilege
from rvemu.hart.state import S_MODE
from rvemu.monitor import Monitor, Wish
from tests.small_programs import BASE, SPIN, exit_with, op, put
from tests.test_machine import machine_with, map_one_page

CODE = op("addi", rd="a0", rs1="zero", imm=5) + op("addi", rd="a1", rs1="a0", imm=1) + SPIN


@pytest.fixture
def monitor(engine: str) -> Monitor:
    return Monitor(machine_with(engine, CODE, harts=2, start=0, second=4))


def test_help_lists_all(monitor: Monitor) -> None:
    text = monitor.execute("help")
    for command in (
        "registers",
        "csr",
        "x",
        "xp",
        "walk",
        "disas",
        "harts",
        "tlb",
        "step",
        "reset",
    ):
        assert f"\n{command}" in text
    (line,) = monitor.execute("help w").splitlines()
    assert line.startswith("walk, w ADDR") and line in text


def test_registers(monitor: Monitor) -> None:
    monitor.hart["sp"], monitor.hart["fa0"] = 0x1234, 7
    text = monitor.execute("registers")
    assert text.startswith("hart 0, M-mode, pc 0x80000000 <start>")
    assert "sp   0000000000001234" in text and "t6 " in text
    assert monitor.execute("r sp fa0 mhartid") == "sp = 0x1234\nfa0 = 0x7\nmhartid = 0x0"
    assert "fa0  0000000000000007" in monitor.execute("r f")


def test_csr(monitor: Monitor) -> None:
    monitor.hart["mstatus.MPP"] = 1
    lines = monitor.execute("csr mstatus").splitlines()
    assert lines[0] == "mstatus = 0xa00000800"
    assert "  MPP      0x1" in lines
    assert monitor.execute("csr mstatus.MPP") == "mstatus.MPP = 0x1"
    assert monitor.execute("csr 0x300") == "\n".join(lines)
    assert any(line.split() == ["mstatus", "0xa00000800"] for line in
               monitor.execute("csrs").splitlines())  # fmt: skip


def test_memory(monitor: Monitor) -> None:
    monitor.machine.write_physical(BASE + 0x100, b"some text\0")
    expected = "0000000080000100  73 6f 6d 65 20 74 65 78 74 00                    some text."
    assert monitor.execute("x start+0x100 10") == expected
    assert monitor.execute("xp 0x80000100 10") == expected
    assert len(monitor.execute("x start 33").splitlines()) == 3


def test_walk(monitor: Monitor) -> None:
    map_one_page(monitor.machine, 0xC7)
    assert "REFUSED: V=0" in monitor.execute("walk 0x6000")
    assert "=> physical 0x80001010" in monitor.execute("walk 0x7010 store")
    assert "X=0" in monitor.execute("walk 0x7010 fetch")
    assert monitor.execute("x 0x7000 1").startswith("0000000000007000  00")


def test_disassembly(monitor: Monitor) -> None:
    assert monitor.execute("disas start 2") == (
        "=> 0x80000000 <start>: 00500513  li a0,5\n   0x80000004 <second>: 00150593  addi a1,a0,1"
    )
    assert monitor.execute("d 0 1") == "   0x0: can't be fetched"


def test_harts(monitor: Monitor) -> None:
    assert monitor.execute("hart 1").splitlines()[1].startswith("* hart 1: M-mode, running")
    assert monitor.execute("r a0") == "a0 = 0x1"


def test_devices_and_pmp_and_tlb(monitor: Monitor) -> None:
    devices = monitor.execute("devices")
    assert "000010000000..0000100000ff  uart" in devices and "mtime 0" in devices
    assert monitor.execute("pmp") == "all 16 entries are off"
    monitor.hart["pmpaddr1"], monitor.hart["pmpcfg0"] = (1 << 54) - 1, 0x9F00
    assert monitor.execute("pmp") == " 1 NAPOT RWXL 0x0..0x1ffffffffffffff"
    assert monitor.execute("tlb") == "all are empty"
    monitor.machine.run(3)
    assert monitor.execute("tlb") == "M        0 pages of data, 1 of code"


def test_step(monitor: Monitor) -> None:
    lines = monitor.execute("step 2").splitlines()
    assert [line.split()[4] for line in lines] == ["li", "addi"]
    assert monitor.machine.now == 2
    assert monitor.machine.hooks.before == []


def test_step_over_the_end(engine: str) -> None:
    monitor = Monitor(machine_with(engine, exit_with(3)))
    assert monitor.execute("step 10").splitlines()[-1] == "(exited with code 3)"


def test_reset(engine: str) -> None:
    monitor = Monitor(machine_with(engine, put("x") + SPIN))
    monitor.execute("step 4")
    assert monitor.execute("reset") == "pc 0x80000000"
    assert monitor.machine.now == 0


def test_wishes(monitor: Monitor) -> None:
    for line, wish in (("continue", Wish.CONTINUE), ("q", Wish.QUIT), ("harts", Wish.NOTHING)):
        monitor.execute(line)
        assert monitor.wish is wish


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("nonsense", "error: no command 'nonsense'; `help` lists them"),
        ("x", "error: usage: x ADDR [N]"),
        ("x nowhere", "error: 'nowhere' is no number, register, CSR or symbol"),
        ("x 0x10 4", "error: 4 bytes at physical address 0x10 are not in memory"),
        ("x start 0", "error: 0: must be 1 to 65536"),
        ("csr mnothing", "error: no CSR 'mnothing'"),
        ("walk 0 jump", "error: 'jump' is no access; there are: load, store, fetch"),
        ("hart 2", "error: no hart 2; there are 0 to 1"),
        ('x "', "error: No closing quotation"),
        ("harts 1", "error: harts takes no arguments"),
        ("reset now", "error: reset takes no arguments"),
        ("walk 0x10000000000000000", "error: 0x10000000000000000 has more than 64 bits"),
        ("csr satp.NO", "error: CSR satp has no field NO; it has PPN, ASID, MODE"),
        ("help nonsense", "no command 'nonsense'"),
        ("r nope", "error: no CSR 'nope'"),
    ],
)
def test_mistakes(monitor: Monitor, line: str, complaint: str) -> None:
    assert monitor.execute(line) == complaint


def test_expressions(monitor: Monitor) -> None:
    monitor.hart["sp"] = 100
    for text, value in (
        ("sp+0x10-4", 112),
        ("$sp-4", 96),
        ("second-start", 4),
        ("-1", (1 << 64) - 1),
        ("1_0", 10),
    ):
        assert monitor.value(text) == value


def test_a_csr_of_an_extension_that_the_hart_lacks() -> None:
    monitor = Monitor(Machine(engine="reference", memory=1 << 20, isa="rv64i_zicsr"))
    assert monitor.execute("csr fcsr") == "error: the hart has no CSR fcsr"


def test_harts_show_their_address_spaces() -> None:
    machine = Machine(engine="reference", output=lambda _: None)
    state = machine.hart.state
    monitor = Monitor(machine)
    assert monitor.execute("harts").splitlines()[1:] == []
    poke(state, "hgatp", 8 << 60 | 3 << 44 | 0x80400)
    poke(state, "vsatp", 8 << 60 | 5 << 44 | 0x80500)
    set_privilege(state, S_MODE, 1)
    assert monitor.execute("harts").splitlines()[1:] == [
        "    vsatp: Sv39, ASID 5, root table 0x80500000",
        "    hgatp: Sv39x4, VMID 3, root table 0x80400000",
    ]
    set_privilege(state, S_MODE, 0)
    assert monitor.execute("harts").splitlines()[1:] == ["    satp: Bare, not translated"]
