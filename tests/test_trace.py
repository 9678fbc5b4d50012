"""Traces of commits, traps, translations and faults, on both engines."""

import pytest

from rvemu import Machine
from rvemu.hart.exceptions import STORE
from rvemu.trace import CommitTrace, FaultTrace, TranslationTrace, TrapTrace
from rvemu.traps import explain_fault, last_trap
from tests.small_programs import BASE, SPIN, UART, csrw, exit_with, la, li, op, put
from tests.test_machine import MTVEC, machine_with, map_one_page, timer_program

C_NOP = b"\x01\0"


def commits(machine: Machine, count: int) -> list[str]:
    lines: list[str] = []
    tracer = CommitTrace(machine, lines.append)
    machine.run(count)
    tracer.detach()
    return lines


def test_the_format(engine: str) -> None:
    code = op("addi", rd="a0", rs1="zero", imm=-1) + C_NOP + C_NOP + SPIN
    assert commits(machine_with(engine, code, start=0), 3) == [
        "0 M  0000000080000000 fff00513  li a0,-1                         "
        "a0=0xffffffffffffffff @start+0x0",
        "0 M  0000000080000004 0001      nop                              @start+0x4",
        "0 M  0000000080000006 0001      nop                              @start+0x6",
    ]


def effects(machine: Machine, count: int) -> list[str]:
    return [" ".join(line[32:].split()) for line in commits(machine, count)]


def test_effects_on_memory(engine: str) -> None:
    code = la("t0", 0, 1024) + li("t1", 0x1234)
    code += op("sh", rs1="t0", rs2="t1", imm=2) + op("lw", rd="a0", rs1="t0", imm=0)
    code += op("amoadd.w", rd="a1", rs1="t0", rs2="t1") + op("lr.w", rd="a2", rs1="t0")
    code += op("sc.w", rd="a3", rs1="t0", rs2="zero") + op("sc.w", rd="a3", rs1="t0", rs2="zero")
    code += op("cbo.zero", rs1="t0")
    lines = effects(machine_with(engine, code + SPIN), 11)
    assert lines[4:] == [
        "sh t1,2(t0) [0x80000402]=0x1234",
        "lw a0,0(t0) a0=0x0000000012340000 [0x80000400]",
        "amoadd.w a1,t1,(t0) a1=0x0000000012340000 [0x80000400]=0x12341234",
        "lr.w a2,(t0) a2=0x0000000012341234 [0x80000400]",
        "sc.w a3,zero,(t0) a3=0x0000000000000000 [0x80000400]=0x00000000",
        "sc.w a3,zero,(t0) a3=0x0000000000000001 [0x80000400]",
        "cbo.zero (t0) [0x80000400]=0*64",
    ]


def test_effects_on_devices(engine: str) -> None:
    lines = effects(machine_with(engine, put("A") + op("lbu", rd="a0", rs1="t5", imm=5) + SPIN), 5)
    assert lines[3:] == [
        f"sb t6,0(t5) [{UART:#x}]=0x41",
        f"lbu a0,5(t5) a0=0x0000000000000060 [{UART + 5:#x}]",
    ]


def test_effects_on_csrs(engine: str) -> None:
    code = op("csrrsi", rd="a0", csr=0x300, zimm=8) + li("t0", 0x2000)
    code += op("csrrs", rd="zero", csr=0x300, rs1="t0") + op("fmv.d.x", fd=10, rs1="t0")
    code += op("csrrwi", rd="zero", csr=0x3B0, zimm=5) + op("csrrwi", rd="zero", csr=0x3A0, zimm=15)
    lines = effects(machine_with(engine, code + SPIN), 7)
    assert lines[0] == "csrrsi a0,mstatus,8 a0=0x0000000a00000000 mstatus=0xa00000008"
    assert lines[3:] == [
        "csrs mstatus,t0 mstatus=0xa00002008",
        "fmv.d.x fa0,t0 fa0=0x0000000000002000 mstatus=0x8000000a00006008",
        "csrwi pmpaddr0,5 pmpaddr0=0x5",
        "csrwi pmpcfg0,15 pmp0cfg=0xf",
    ]


def test_traps_stand_between_the_instructions(engine: str) -> None:
    code = la("t0", 0, 16) + csrw(MTVEC, "t0") + op("ecall") + SPIN
    lines = commits(machine_with(engine, code, start=0, handler=16), 6)
    assert lines[3] == (
        "0 trap M->M ecall from m epc=0x8000000c <start+0xc> tval=0x0 handler=0x80000010 <handler>"
    )
    assert [line.split()[2] for line in lines[4:]] == ["0000000080000010"] * 2


def test_an_interrupt_comes_between_two_instructions(engine: str) -> None:
    lines = commits(machine_with(engine, timer_program(1)), 115)
    at = next(n for n, line in enumerate(lines) if "trap" in line)
    assert lines[at].startswith("0 trap M->M machine timer interrupt epc=0x80000030")
    assert lines[at - 1].split()[2] == "000000008000002c"  # the WFI
    assert lines[at + 1].split()[2] == "0000000080000040"  # the handler
    assert "mstatus" not in lines[at - 1]


def test_the_store_that_ends_the_machine_is_there(engine: str) -> None:
    assert "[0x100000]=0x00005555" in commits(machine_with(engine, exit_with(0)), 100)[-1]


def test_both_engines_trace_the_same() -> None:
    code = put("x") + timer_program(3)
    traces = [commits(machine_with(engine, code), 400) for engine in ("native", "reference")]
    assert traces[0] == traces[1]


def test_traps_alone(engine: str) -> None:
    machine = machine_with(engine, timer_program(1))
    lines: list[str] = []
    TrapTrace(machine, lines.append)
    machine.run(300)
    assert lines == [
        "0 trap M->M machine timer interrupt epc=0x80000030 handler=0x80000040",
    ]


def in_supervisor_mode(engine: str, code: bytes, flags: int) -> Machine:
    """A machine in S-mode on the page at 0x7000, which holds the code."""
    machine = machine_with(engine, SPIN)
    map_one_page(machine, flags)
    machine.write_physical(BASE + 0x1000, code)
    machine.hart["pc"], machine.hart["mtvec"] = 0x7000, BASE
    return machine


def test_translations(engine: str) -> None:
    load = op("lui", rd="t0", imm=0x7000) + op("ld", rd="a0", rs1="t0", imm=0)
    machine = in_supervisor_mode(engine, load + op("sd", rs1="t0", rs2="t0", imm=0), 0xCB)
    lines: list[str] = []
    TranslationTrace(machine, lines.append)
    machine.run(4)
    assert lines == [
        "0 mmu S fetch 0x7000 -> 0x80001000",
        "0 mmu S load 0x7000 -> 0x80001000",
        "0 mmu S store 0x7000 refused: page fault",
    ]


def test_a_fault_is_explained_in_the_mode_that_it_came_from(engine: str) -> None:
    machine = in_supervisor_mode(engine, op("sd", rs1="zero", rs2="zero", imm=16), 0xCF)
    lines: list[str] = []
    FaultTrace(machine, lines.append)
    machine.run(1)
    assert machine.hart.mode == "M"
    assert lines[0] == "0 fault store page fault at 0x7000"
    assert lines[1] == "  store at 0x10 in S-mode"
    assert any("REFUSED: V=0" in line for line in lines)
    assert lines[-1] == "  => store/AMO page fault, xtval 0x10"


def test_a_user_pages_fault(engine: str) -> None:
    machine = in_supervisor_mode(engine, SPIN, 0xDF)  # U=1: S-mode does not execute it
    lines: list[str] = []
    FaultTrace(machine, lines.append)
    machine.run(1)
    assert "fetch at 0x7000 in S-mode" in lines[1]
    assert any("U=1" in line for line in lines)


def test_a_change_of_address_space_has_a_line(engine: str) -> None:
    code = op("addi", rd="a0", rs1="zero", imm=1) * 2
    machine = in_supervisor_mode(engine, code + SPIN, 0xCF)
    lines: list[str] = []
    CommitTrace(machine, lines.append)
    machine.run(2)
    root = machine.hart["satp.PPN"] << 12
    assert lines[0] == f"0 space satp: Sv39, ASID 0, root table {root:#x}"
    assert [line.split()[1] for line in lines] == ["space", "S", "S"]


@pytest.mark.parametrize("previous", [0, 1])
def test_a_fault_of_an_access_with_mprv(engine: str, previous: int) -> None:
    """M-mode stores as another mode, to a page that only the other one may write: the trap has
    overwritten mstatus.MPP, and the walk is the right one all the same."""
    flags = 0xD7 if previous else 0xC7
    machine = machine_with(engine, op("sd", rs1="t0", rs2="t0", imm=0))
    map_one_page(machine, flags)
    machine.hart.mode = "M"
    machine.hart["t0"] = 0x7000
    machine.hart["mtvec"] = BASE
    machine.hart["mstatus.MPP"] = previous
    machine.hart["mstatus.MPRV"] = 1
    machine.hooks.trap.append(lambda _: machine.stop())
    machine.run(1)
    assert machine.hart["mcause"] == 15
    (walk,) = explain_fault(machine.hart.state, last_trap(machine.hart.state))
    assert (walk.access, walk.priv) == (STORE, previous)
    assert walk.refused is not None


def test_an_absent_device(engine: str) -> None:
    machine = machine_with(
        engine, op("lui", rd="t0", imm=0x4000_0000) + op("lb", rd="a0", rs1="t0", imm=0)
    )
    lines: list[str] = []
    FaultTrace(machine, lines.append)
    machine.run(2)
    assert lines[0].startswith("0 fault load access fault at 0x80000004")
    assert lines[-1] == "  => nothing there answers such a load"
