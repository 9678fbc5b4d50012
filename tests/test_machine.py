"""The Python API, on both engines."""

from itertools import pairwise

import pytest

from rvemu import Machine, Outcome, Reason
from rvemu.errors import RvemuError
from rvemu.hart.exceptions import STORE
from rvemu.lang import M64
from rvemu.traps import last_trap
from tests.small_programs import BASE, SPIN, UART, WFI, csrw, elf, exit_with, la, li, op, put

MTVEC, MSTATUS, MIE, MEPC = 0x305, 0x300, 0x304, 0x341


class Output(bytearray):
    """Collects what a guest prints."""

    def __call__(self, data: bytes) -> None:
        self += data


def machine_with(engine: str, code: bytes, harts: int = 1, **symbols: int) -> Machine:
    machine = Machine(engine=engine, memory=16 << 20, harts=harts, output=Output())
    machine.load(elf(code, **symbols))
    return machine


def test_the_guest_starts_as_firmware_would_start_it(engine: str) -> None:
    machine = machine_with(engine, SPIN, harts=3)
    for number, hart in enumerate(machine.harts):
        assert (hart.pc, hart.mode, hart["a0"]) == (BASE, "M", number)
    tree = machine.read_physical(machine.hart["a1"], 4)
    assert tree == bytes.fromhex("d00dfeed")


@pytest.mark.parametrize("code", [0, 1, 255, 256, 0xFFFF])
def test_the_test_finisher_ends_the_run(engine: str, code: int) -> None:
    machine = machine_with(engine, exit_with(code))
    assert machine.run() == Outcome(Reason.EXITED, code)
    assert machine.run() == Outcome(Reason.EXITED, code)  # and it stays ended


def test_output(engine: str) -> None:
    machine = machine_with(engine, put("hello\n") + exit_with(0))
    machine.run()
    assert machine.output == b"hello\n"


def test_a_budget_is_exact_and_the_same_in_parts(engine: str) -> None:
    loop = op("addi", rd="a0", rs1="a0", imm=1) + op("jal", rd="zero", imm=-4)
    machine = machine_with(engine, loop)
    for part in (1, 2, 3, 1000, 77):
        before = machine.now
        assert machine.run(part) == Outcome(Reason.BUDGET)
        assert machine.now == before + part == machine.hart.instret
    assert machine.hart["a0"] == (1083 + 1) // 2
    assert machine.run(0) == Outcome(Reason.BUDGET)
    assert machine.now == 1083


def test_both_engines_run_the_same() -> None:
    code = (
        put("ab") + op("csrrs", rd="a2", csr=0xC00, rs1="zero") + WFI + op("jal", rd="zero", imm=-4)
    )
    states = []
    for engine in ("native", "reference"):
        machine = machine_with(engine, code)
        trail = []
        for _ in range(12):
            machine.run(1)
            trail.append((machine.hart.pc, machine.hart["a2"], machine.hart["t6"], machine.now))
        states.append(trail)
    assert states[0] == states[1]


def test_until_and_stop(engine: str) -> None:
    machine = machine_with(engine, put("x") + SPIN)
    outcome = machine.run(until=lambda: b"x" in machine.output)
    assert outcome.reason is Reason.CONDITION
    machine.hooks.between.append(machine.stop)
    assert machine.run().reason is Reason.INTERRUPTED
    machine.hooks.between.clear()
    assert machine.run(10).reason is Reason.BUDGET


def test_registers_and_csrs_by_name(engine: str) -> None:
    machine = machine_with(engine, op("add", rd="a2", rs1="a0", rs2="a1") + SPIN)
    hart = machine.hart
    hart["a0"], hart["x11"] = M64, 5
    hart["mstatus.MPP"] = 1
    hart["ft0"] = 7
    hart["zero"] = 9
    machine.run(1)
    assert (hart["a2"], hart["x12"], hart["mstatus.MPP"], hart["f0"]) == (4, 4, 1, 7)
    assert hart["zero"] == 0
    hart["mscratch"] = 1 << 63
    assert hart["mscratch"] == 1 << 63
    with pytest.raises(RvemuError, match="nonsense"):
        hart["nonsense"]
    with pytest.raises(RvemuError, match="MPX"):
        hart["mstatus.MPX"]
    with pytest.raises(RvemuError, match="read-only"):
        hart["mhartid"] = 1


def test_setting_pc_and_mode(engine: str) -> None:
    machine = machine_with(engine, SPIN + op("addi", rd="a0", rs1="zero", imm=3) + SPIN)
    machine.hart["pc"] = BASE + 4
    machine.run(1)
    assert machine.hart["a0"] == 3
    machine.hart.mode = "U"
    assert machine.hart.mode == "U"
    machine.run(1)  # PMP refuses all to U-mode
    assert (machine.hart.mode, machine.hart["mcause"]) == ("M", 1)
    with pytest.raises(RvemuError, match="X"):
        machine.hart.mode = "X"


def test_physical_memory(engine: str) -> None:
    machine = machine_with(engine, SPIN)
    machine.run(5)
    machine.write_physical(BASE, op("addi", rd="a0", rs1="zero", imm=9))
    assert machine.read_physical(BASE, 4) == op("addi", rd="a0", rs1="zero", imm=9)
    machine.run(1)  # what was decoded is dropped
    assert machine.hart["a0"] == 9
    with pytest.raises(RvemuError, match="not in memory"):
        machine.read_physical(UART, 1)


def map_one_page(machine: Machine, flags: int) -> None:
    """Sv39 tables that map page 0x7000 to BASE + 0x1000."""
    tables = [BASE + 0x10_0000, BASE + 0x10_1000, BASE + 0x10_2000]
    for table, below in pairwise(tables):
        machine.write_physical(table, ((below >> 12) << 10 | 1).to_bytes(8, "little"))
    entry = ((BASE + 0x1000) >> 12) << 10 | flags
    machine.write_physical(tables[2] + 7 * 8, entry.to_bytes(8, "little"))
    machine.hart["pmpaddr0"], machine.hart["pmpcfg0"] = (1 << 54) - 1, 0x1F
    machine.hart["satp"] = 8 << 60 | tables[0] >> 12
    machine.hart.mode = "S"


def test_virtual_memory(engine: str) -> None:
    machine = machine_with(engine, SPIN)
    hart = machine.hart
    assert hart.translate(0x1234) == 0x1234  # M-mode
    map_one_page(machine, flags=0xC7)  # D A W R V
    hart.write_memory(0x7FF8, b"12345678")
    assert machine.read_physical(BASE + 0x1FF8, 8) == b"12345678"
    assert hart.read_memory(0x7FFC, 4) == b"5678"
    assert hart.translate(0x7004, STORE) == BASE + 0x1004
    with pytest.raises(RvemuError, match="0x8000 is not writable"):
        hart.write_memory(0x7FF8, b"0123456789abcdef")
    assert hart.read_memory(0x7FF8, 8) == b"12345678"  # nothing was written
    with pytest.raises(RvemuError, match="0x6000 is not readable in S-mode"):
        hart.read_memory(0x6000, 1)
    assert "V=0" in str(hart.explain(0x6000))


def test_trap_hooks(engine: str) -> None:
    code = la("t0", 0, 0) + csrw(MTVEC, "t0") + op("ecall")
    machine = machine_with(engine, code)
    seen = []
    machine.hooks.trap.append(lambda n: seen.append((n, last_trap(machine.hart.state))))
    machine.run(4 * 5)
    assert len(seen) == 5
    number, trap = seen[0]
    assert (number, trap.name, trap.modes) == (0, "ecall from m", "M->M")
    assert (trap.epc, trap.handler, machine.hart["mcause"]) == (BASE + 12, BASE, 11)


def timer_program(ticks: int) -> bytes:
    """Has the timer interrupt after some ticks, with a handler (at offset 64) that spins."""
    code = la("t0", 0, 64) + csrw(MTVEC, "t0")
    code += li("t0", 0x200_4000) + li("t1", ticks) + op("sd", rs1="t0", rs2="t1", imm=0)
    code += op("addi", rd="t0", rs1="zero", imm=128) + csrw(MIE, "t0")
    code += op("csrrsi", rd="zero", csr=MSTATUS, zimm=8) + WFI + op("jal", rd="zero", imm=-4)
    assert len(code) <= 64
    return code.ljust(64, b"\0") + SPIN


def test_an_interrupt_is_seen_once_however_the_run_is_cut(engine: str) -> None:
    for part in (1, 7, 10_000):
        machine = machine_with(engine, timer_program(50))
        seen: list[tuple[str, int, int]] = []

        def note(n: int, machine: Machine = machine, seen: list = seen) -> None:
            seen.append((last_trap(machine.harts[n].state).name, machine.now, machine.hart["mepc"]))

        machine.hooks.trap.append(note)
        while machine.now < 6000:
            machine.run(min(part, 6000 - machine.now))
        assert seen == [("machine timer interrupt", 5000, BASE + 48)]


def test_idle_time_is_skipped(engine: str) -> None:
    machine = machine_with(engine, timer_program(1_000_000_000))
    machine.run(until=lambda: machine.hart["mcause"] != 0)
    assert machine.board.aclint.clock.time() >= 1_000_000_000
    assert machine.hart.instret < 10_000_000


def test_the_idle_hook_decides_how_much_time_passes(engine: str) -> None:
    machine = machine_with(engine, timer_program(100))
    asked: list[int | None] = []

    def idle(ticks: int | None) -> int:
        asked.append(ticks)
        return min(ticks or 0, 30)

    machine.hooks.idle = idle
    machine.run(until=lambda: machine.hart["mcause"] != 0)
    assert asked == [100, 70, 40, 10]


def test_a_machine_in_which_nothing_will_happen_is_idle(engine: str) -> None:
    machine = machine_with(engine, WFI + SPIN, park=0)
    outcome = machine.run()
    assert outcome.reason is Reason.IDLE
    assert outcome.detail == (
        "hart 0 waits (WFI) at 0x80000000 <park> in M-mode, and no interrupt is enabled in mie"
    )


def test_a_timer_that_is_set_to_never_is_none(engine: str) -> None:
    code = op("addi", rd="t0", rs1="zero", imm=128) + csrw(MIE, "t0") + WFI + SPIN
    outcome = machine_with(engine, code).run()
    assert outcome.reason is Reason.IDLE
    assert "MTIE" in outcome.detail


def test_device_hooks(engine: str) -> None:
    machine = machine_with(engine, put("A") + op("lbu", rd="a0", rs1="t5", imm=5) + SPIN)
    seen: list[tuple[int, ...]] = []
    machine.hooks.device.append(lambda *access: seen.append(access))
    machine.run(6)
    assert seen == [(0, UART, 1, 0x41, True), (0, UART + 5, 1, 0x60, False)]
    assert machine.device_accesses == 2


def test_instruction_hooks_do_not_change_the_run(engine: str) -> None:
    machine = machine_with(engine, timer_program(50))
    stepped = machine_with(engine, timer_program(50))
    addresses: list[int] = []
    stepped.hooks.before.append(lambda n: addresses.append(stepped.harts[n].pc))
    machine.run(6000)
    stepped.run(6000)
    assert len(addresses) == stepped.hart.instret
    for name in ("pc", "mepc", "mcause", "minstret", "mcycle"):
        assert stepped.hart[name] == machine.hart[name]


def test_translation_hooks(engine: str) -> None:
    machine = machine_with(engine, SPIN)
    map_one_page(machine, flags=0xCF)
    machine.write_physical(BASE + 0x1000, op("ld", rd="a0", rs1="zero", imm=8) + SPIN)
    machine.hart["pc"] = 0x7000
    seen: list[tuple[int, int]] = []

    def note(number: int) -> None:
        state = machine.harts[number].state
        seen.extend((state.seen_address[n], state.seen_refused[n]) for n in range(state.seen_count))

    machine.hooks.translation.append(note)
    machine.run(1)
    assert seen == [(0x7000, 0), (8, 1)]


def test_loading_again_and_rebooting(engine: str) -> None:
    store = la("t0", 0, 0x700) + op("ld", rd="a0", rs1="t0", imm=0)
    store += op("sd", rs1="t0", rs2="t0", imm=0) + exit_with(5)
    machine = machine_with(engine, store)
    assert machine.run().code == 5
    machine.reboot()
    assert (machine.now, machine.hart.pc) == (0, BASE)
    assert machine.run().code == 5
    assert machine.hart["a0"] == 0  # .bss was cleared again


def test_a_reset_is_reported(engine: str) -> None:
    code = li("t0", 0x10_0000) + li("t1", 0x7777) + op("sw", rs1="t0", rs2="t1", imm=0)
    assert machine_with(engine, code).run().reason is Reason.RESET


def test_a_load_that_fails_changes_nothing(engine: str) -> None:
    machine = machine_with(engine, SPIN)
    image = machine.image
    for bad in (b"", b"\x7fELF", b"nonsense"):
        with pytest.raises(RvemuError):
            machine.load(bad)
    assert machine.image is image
    assert machine.read_physical(BASE, 4) == SPIN


@pytest.mark.parametrize(
    "options",
    [{"harts": 0}, {"harts": 65}, {"pmp": 65}, {"memory": 5}, {"isa": "rv64iq"}, {"engine": "x"}],
)
def test_machines_that_can_not_be(options: dict[str, object]) -> None:
    with pytest.raises(RvemuError):
        Machine(**{"engine": "reference", "memory": 1 << 20, **options})  # type: ignore[arg-type]


def test_harts_take_turns(engine: str) -> None:
    count = op("addi", rd="s0", rs1="s0", imm=1) + op("jal", rd="zero", imm=-4)
    machine = machine_with(engine, count, harts=3)
    machine.run(75_000)
    assert [hart.instret for hart in machine.harts] == [30_000, 25_000, 20_000]
    parts = machine_with(engine, count, harts=3)
    for part in (1, 9_999, 12_345, 2_655, 50_000):
        parts.run(part)
    assert [hart["s0"] for hart in parts.harts] == [hart["s0"] for hart in machine.harts]
    assert [hart.pc for hart in parts.harts] == [hart.pc for hart in machine.harts]


def test_symbols(engine: str) -> None:
    machine = machine_with(engine, SPIN + SPIN, start=0, other=4)
    assert machine.symbol("other") == BASE + 4
    assert machine.lookup(BASE + 6) == "0x80000006 <other+0x2>"
    assert machine.lookup(0x1234) == "0x1234"
    with pytest.raises(RvemuError, match="no symbol nowhere"):
        machine.symbol("nowhere")


def test_a_device_that_is_due_gets_its_time(engine: str) -> None:
    """The RTC's alarm, 20 us ahead, interrupts a guest that only waits, at the right time."""
    code = li("t0", 0x10_1000) + op("lwu", rd="t1", rs1="t0", imm=0)  # time, in ns
    code += (
        op("lwu", rd="t2", rs1="t0", imm=4)
        + li("t3", 20_000)
        + op("add", rd="t1", rs1="t1", rs2="t3")
    )
    code += op("sw", rs1="t0", rs2="t2", imm=12) + op("sw", rs1="t0", rs2="t1", imm=8)  # alarm
    code += op("addi", rd="t3", rs1="zero", imm=1) + op("sw", rs1="t0", rs2="t3", imm=16)
    code += li("t0", 0xC00_0000 + 4 * 11) + op("sw", rs1="t0", rs2="t3", imm=0)
    code += li("t0", 0xC00_2000) + li("t3", 1 << 11) + op("sw", rs1="t0", rs2="t3", imm=0)
    code += li("t3", 0x800) + csrw(MIE, "t3")
    spin = op("csrrs", rd="a0", csr=0x344, rs1="zero") + op("andi", rd="a1", rs1="a0", imm=-2048)
    spin += op("beq", rs1="a1", rs2="zero", imm=-8)
    for wait in (WFI, spin):
        machine = machine_with(engine, code + wait + exit_with(1))
        assert machine.run().reason is Reason.EXITED
        assert 20_000 <= machine.now <= 20_400


def test_a_slice_ends_after_some_device_accesses(engine: str) -> None:
    poll = li("t0", UART) + op("lbu", rd="a0", rs1="t0", imm=5) + op("jal", rd="zero", imm=-4)
    machine = machine_with(engine, poll)
    machine.hooks.between.append(lambda: machine.device_accesses and machine.stop())
    machine.run()
    assert 0 < machine.device_accesses < 1000


def test_an_image_outside_memory_is_said_to_be_before_its_symbols() -> None:
    program = elf(bytes(0x3000), tohost=0x2000)
    with pytest.raises(RvemuError, match="is outside RAM"):
        Machine(memory=0x2000, engine="reference").load(program)


def test_the_program_counter_is_aligned(engine: str) -> None:
    machine = machine_with(engine, SPIN)
    for odd in (BASE + 1, -1):
        with pytest.raises(RvemuError, match="is not where an instruction can be"):
            machine.hart["pc"] = odd
    machine.hart["misa.C"] = 0
    with pytest.raises(RvemuError, match="is not where"):
        machine.hart["pc"] = BASE + 2
    machine.hart["pc"] = BASE + 4
    assert machine.hart.pc == BASE + 4


def test_random_numbers_repeat_where_runs_do() -> None:
    def seed(clock: str) -> bytes:
        chosen = Machine(clock=clock).board.device_tree().find("/chosen")
        assert chosen is not None
        return chosen.props["rng-seed"]

    assert seed("instructions") == seed("instructions")
    assert seed("wall") != seed("wall")
    assert len(seed("instructions")) == len(seed("wall")) == 32
