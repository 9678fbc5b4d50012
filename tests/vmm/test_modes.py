"""The same guest in every mode: it prints the same, ends the same, and its hart is the same."""

import pytest

from rvemu.guests import expected_output
from rvemu.hart.extensions import DEFAULT_ISA, parse_isa
from rvemu.machine import Machine
from rvemu.vmm.exits import Exit, ExitReason
from rvemu.vmm.host import Host
from rvemu.vmm.rounds import run_in_turns
from rvemu.vmm.virtual_machine import EMULATE, MODES, PARAVIRT, TRANSPARENT, VirtualMachine
from tests.assembler import Assembler, encode
from tests.vmm.programs import DIRECT, bundled, virtual_machine, visible

GUESTS = ("hello", "traps", "atomics", "tinyos", "tinyos-s")


@pytest.mark.parametrize("mode", TRANSPARENT)
@pytest.mark.parametrize("guest", GUESTS)
def test_a_guest_prints_what_it_must(guest: str, mode: str) -> None:
    path, sbi = bundled(guest)
    machine, output = virtual_machine(mode, path, sbi=sbi)
    assert machine.run(100_000_000).passed
    assert bytes(output) == expected_output(guest)


@pytest.mark.parametrize("mode", MODES)
def test_a_guest_begins_anew(mode: str) -> None:
    """In the middle: nothing is left of what was."""
    path, sbi = bundled("tinyos-pv" if mode == PARAVIRT else "tinyos-s")
    machine, output = virtual_machine(mode, path, sbi=sbi)
    machine.run(500_000)
    machine.reboot()
    output.clear()
    assert machine.run(100_000_000).passed
    assert bytes(output) == expected_output("tinyos-s")


@pytest.mark.parametrize("mode", DIRECT)
@pytest.mark.parametrize("guest", ["tinyos", "tinyos-s", "traps", "pager", "timeslice", "faults"])
def test_the_virtual_hart_ends_in_the_state_of_a_real_one(guest: str, mode: str) -> None:
    """Equivalence, to the bit: registers, CSRs, time and counts of instructions, and memory."""
    path, sbi = bundled(guest)
    states, memories = [], []
    for each in (EMULATE, mode):
        machine, _ = virtual_machine(each, path, sbi=sbi)
        machine.run(100_000_000)
        states.append(visible(machine.machine.hart.state))
        ram = machine.machine.board.ram
        memories.append(ram.read(ram.base, 8 << 20))
    assert states[0] == states[1]
    assert memories[0] == memories[1]


@pytest.mark.parametrize("mode", DIRECT)
def test_it_is_the_same_in_the_middle(mode: str) -> None:
    """At any instruction: here after numbers of them that mean nothing."""
    path, sbi = bundled("tinyos-s")
    real, _ = virtual_machine(EMULATE, path, sbi=sbi)
    virtual, _ = virtual_machine(mode, path, sbi=sbi)
    for clocks in (1, 12_345, 99_991, 1, 500_009):
        real.run(clocks)
        virtual.run(clocks)
        assert visible(real.machine.hart.state) == visible(virtual.machine.hart.state)


def exits_of(guest: str, mode: str) -> dict[ExitReason, int]:
    path, sbi = bundled(guest)
    machine, _ = virtual_machine(mode, path, sbi=sbi)
    machine.run(100_000_000)
    return machine.accounting.exits


def test_what_exits_in_each_mode() -> None:
    """Deprivileged, a kernel exits for its CSRs, tables and system calls; with hardware support it
    exits for firmware, devices and memory that was never touched."""
    deprivileged, assisted = (exits_of("tinyos-s", mode) for mode in DIRECT)
    for reason in (ExitReason.ECALL, ExitReason.SHADOW_FILL, ExitReason.PAGE_TABLE_WRITE):
        assert deprivileged[reason] > 0
    assert deprivileged[ExitReason.CSR] > 1000
    for reason in (ExitReason.ECALL, ExitReason.PAGE_TABLE_WRITE, ExitReason.GUEST_FAULT):
        assert assisted[reason] == 0
    assert assisted[ExitReason.CSR] < 10
    assert assisted[ExitReason.G_STAGE_FAULT] > 0
    assert deprivileged[ExitReason.SBI] == assisted[ExitReason.SBI] == 102
    assert sum(assisted.values()) < sum(deprivileged.values()) / 2


@pytest.mark.parametrize("mode", DIRECT)
def test_exits_can_be_followed(mode: str) -> None:
    path, sbi = bundled("tinyos-s")
    machine, _ = virtual_machine(mode, path, sbi=sbi)
    seen: list[Exit] = []
    machine.trace = seen.append
    machine.run(100_000)
    assert len(seen) == machine.accounting.total > 10
    lines = [str(e) for e in seen]
    assert any("ecall" in line and "SBI call: answered by the VMM" in line for line in lines)
    if mode == "trap-and-emulate":
        assert any("csrw satp,t0" in line and line.startswith("S ") for line in lines)


@pytest.mark.parametrize("mode", TRANSPARENT)
def test_firmware_s_absence_is_reported(mode: str) -> None:
    """A trap that firmware has no answer to names itself, the guest's state and where."""
    from tests.small_programs import SPIN, elf, op

    code = op("csrrs", rd="t0", csr=0x300, rs1="zero")  # mstatus, from S-mode
    machine, _ = virtual_machine(mode, elf(code + SPIN), sbi=True)
    # The guest has no handler: its illegal instruction comes to itself, at address 0, and again.
    run = machine.run(10_000)
    assert not run.passed
    machine.machine.hart["medeleg"] = 0
    machine.load(elf(code + SPIN))
    machine.machine.hart["medeleg"] = 0
    run = machine.run(10_000)
    assert run.outcome is None
    assert "illegal instruction" in run.failure
    assert "0x80000000" in run.failure


@pytest.mark.parametrize("mode", DIRECT)
def test_breakpoints_and_steps_see_the_virtual_machine(mode: str) -> None:
    """What a debugger uses works on a virtual machine as on any other."""
    path, sbi = bundled("tinyos-s")
    real, _ = virtual_machine(EMULATE, path, sbi=sbi)
    virtual, _ = virtual_machine(mode, path, sbi=sbi)

    def steps(machine: Machine) -> list[tuple[int, str]]:
        pcs: list[tuple[int, str]] = []
        machine.hooks.after.append(lambda _: pcs.append((machine.hart.pc, machine.hart.mode)))
        machine.run(budget=2_000)
        machine.hooks.after.clear()
        return pcs

    for machine in (real, virtual):
        machine.run(30_000)
    assert steps(real.machine) == steps(virtual.machine)
    assert real.machine.hart.translate(real.machine.hart.pc) == virtual.machine.hart.translate(
        virtual.machine.hart.pc
    )


@pytest.mark.parametrize("mode", DIRECT)
def test_who_looks_on_now_and_then_changes_nothing(mode: str) -> None:
    """While traps are traced, mode hardware works by shadow tables. In between it does not see how
    the guest changes its tables."""
    path, sbi = bundled("tinyos-s")
    real, _ = virtual_machine(EMULATE, path, sbi=sbi)
    virtual, _ = virtual_machine(mode, path, sbi=sbi)
    while True:
        for machine in (real, virtual):
            for hooks in ([], [lambda _: None]):
                machine.machine.hooks.trap[:] = hooks
                run = machine.run(40_000)
        assert visible(real.machine.hart.state) == visible(virtual.machine.hart.state)
        if run.finished:
            break
    assert run.passed


def test_a_virtual_hart_has_no_h() -> None:
    for mode in TRANSPARENT:
        assert VirtualMachine(mode, memory=16 << 20).machine.hart["misa.H"] == 0


def test_guests_of_different_modes_share_a_host() -> None:
    """Each mode sets up the hart for itself, whatever ran before."""
    host = Host(parse_isa(DEFAULT_ISA))
    machines, outputs = [], []
    for mode in (*DIRECT, *DIRECT):
        path, sbi = bundled("tinyos-s")
        machine, output = virtual_machine(mode, path, sbi=sbi, host=host)
        machines.append(machine)
        outputs.append(output)
    runs = run_in_turns(machines, [1, 2, 3, 4])
    assert all(run.passed for run in runs)
    assert all(bytes(output) == expected_output("tinyos-s") for output in outputs)
    states = [visible(machine.machine.hart.state) for machine in machines]
    assert states[0] == states[1] == states[2] == states[3]


@pytest.mark.parametrize("mode", DIRECT)
def test_what_the_host_writes_is_what_runs(mode: str) -> None:
    """Code that was executed, and so decoded, is written by a debugger or a device."""
    loop = Assembler(0x8000_0000).label("loop").op("addi", rd=10, rs1=10, imm=1).jal(0, "loop")
    machine, _ = virtual_machine(mode, loop.elf())
    machine.run(1000)
    assert machine.machine.hart["a0"] == 500
    before = machine.machine.hart["a2"]
    machine.machine.write_physical(
        0x8000_0000, encode("addi", rd=12, rs1=12, imm=1).to_bytes(4, "little")
    )
    machine.run(1000)
    assert (machine.machine.hart["a0"], machine.machine.hart["a2"] - before) == (500, 500)


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("mode", DIRECT)
def test_a_counter_that_counts_nothing_may_be_read(mode: str, allowed: bool) -> None:
    """By a kernel, as its firmware allows it."""
    code = Assembler(0x8000_0000).la(5, "trap").csrw("stvec", 5).csrr(10, "hpmcounter28")
    code.label("end").jal(0, "end").align(4).label("trap").jal(0, "trap")
    states = []
    for each in (EMULATE, mode):
        machine, _ = virtual_machine(each, code.elf(), sbi=True)
        if not allowed:
            machine.machine.hart["mcounteren"] = 7
        machine.run(100)
        assert machine.machine.hart["pc"] == machine.machine.symbol("end" if allowed else "trap")
        states.append(visible(machine.machine.hart.state))
    assert states[0] == states[1]
