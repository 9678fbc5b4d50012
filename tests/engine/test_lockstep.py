"""Two machines side by side: what is compared, and how the first difference is found."""

from collections.abc import Callable

import pytest

from rvemu.cli.main import main
from rvemu.engine.lockstep import differences, memory_differences
from rvemu.engine.native.library import library
from rvemu.fuzz.assembly import assemble, code
from rvemu.guests import find_guest
from rvemu.hart.extensions import DEFAULT_ISA, parse_isa
from rvemu.hart.reset import reset
from rvemu.hart.state import Hart, Shared
from rvemu.hart.tlb import fill_data
from rvemu.lockstep import Lockstep
from rvemu.machine import Machine, Reason

BASE = 0x8000_0000


def _hart() -> Hart:
    hart = Hart(Shared())
    hart.shared.clock_per_tick = 1
    reset(hart, 0, parse_isa(DEFAULT_ISA))
    return hart


def _names(left: Hart, right: Hart) -> list[str]:
    return [d.name for d in differences(left, right)]


# --- What is compared --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [("pc", 8), ("priv", 0), ("mstatus", 8), ("satp", 1), ("reservation_size", 4), ("waiting", 1)],
)
def test_scalars(field: str, value: int) -> None:
    left, right = _hart(), _hart()
    assert not differences(left, right)
    setattr(right, field, value)
    found = differences(left, right)
    assert [(d.name, d.right) for d in found] == [(field, value)]


def test_arrays() -> None:
    left, right = _hart(), _hart()
    left.x[10] = 5
    right.f[8] = 7
    right.pmpaddr[3] = 1
    assert _names(left, right) == ["x10/a0", "f8/fs0", "pmpaddr[3]"]


def test_what_is_written_to_x0_is_nothing() -> None:
    left, right = _hart(), _hart()
    left.x[32] = 5
    assert not differences(left, right)


def test_counters_and_not_how_they_are_kept() -> None:
    left, right = _hart(), _hart()
    for field in ("budget", "retire_end", "clock_end"):
        setattr(right, field, getattr(right, field) + 100 & (1 << 63) - 1)
    right.retire_end = left.retire_end + 100 & (1 << 64) - 1
    right.clock_end = left.clock_end + 100 & (1 << 64) - 1
    right.budget = left.budget + 100
    assert not differences(left, right)
    right.budget -= 1
    assert _names(left, right) == ["instret", "clock"]


def test_tlbs() -> None:
    left, right = _hart(), _hart()
    fill_data(left, 0x5000, 0x7000_0000, 0, 12)
    assert _names(left, right) == ["dtlb[0][5].load"]
    fill_data(right, 0x5000, 0x7000_0000, 0, 12)
    assert not differences(left, right)
    left.ftlb[4 * 9] = 0x9000
    left.ftlb_filled[0] = 1000
    assert _names(left, right) == ["ftlb[0][9].tag"]


def test_memory() -> None:
    left, right = bytearray(1 << 20), bytearray(1 << 20)
    assert not memory_differences(BASE, memoryview(left), memoryview(right))
    right[0x12345] = 1
    left[0x80000] = 2
    found = memory_differences(BASE, memoryview(left), memoryview(right))
    assert [d.name for d in found] == ["[0x80012340]", "[0x80080000]"]
    assert found[0].right == 1 << 40


# --- Guests --------------------------------------------------------------------------------------


def _builder(program: bytes) -> Callable[[str, Callable[[bytes], None]], Machine]:
    def build(engine: str, output: Callable[[bytes], None]) -> Machine:
        machine = Machine(memory=1 << 20, engine=engine, output=output)
        machine.write_physical(BASE, program)
        machine.hart["pc"] = BASE
        return machine

    return build


LOOP = code(
    assemble("addi", rd=10, rs1=10, imm=1),
    assemble("mul", rd=11, rs1=10, rs2=10),
    assemble("addi", rd=12, rs1=0, imm=1500),
    assemble("bltu", rs1=10, rs2=12, imm=-12),
    assemble("cpop", rd=13, rs1=11),
    assemble("jal", imm=-4),
)


def test_equal_to_the_limit() -> None:
    shown: list[int] = []
    report = Lockstep(_builder(LOOP)).run(7000, 1000, shown.append)
    assert report.equal
    assert report.instructions == report.retired == 7000
    assert shown == list(range(1000, 7001, 1000))


@pytest.mark.parametrize("every", [10_000, 777])
def test_the_instruction_that_differs_is_found(every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    library()
    monkeypatch.setattr("rvemu.isa.zbb.count_ones", lambda _: 99)
    report = Lockstep(_builder(LOOP)).run(10_000, every)
    assert report.instructions == 4 * 1500
    assert [d.split()[0] for d in report.differences] == ["x13/a3"]
    assert "cpop a3,a1" in report.listing[-1]
    assert report.listing[-1].split()[0] == "6001"


def test_console_is_compared() -> None:
    uart = code(
        assemble("lui", rd=10, imm=0x1000_0000),
        assemble("sb", rs1=10, rs2=10),
        assemble("jal", imm=-4),
    )
    build = _builder(uart)
    machines: list[Machine] = []

    def lossy(engine: str, output: Callable[[bytes], None]) -> Machine:
        machine = build(engine, output if engine == "native" else lambda _: None)
        machines.append(machine)
        return machine

    report = Lockstep(lossy).run(100, 50)
    assert any(d.startswith("console, from byte 0: b'' and b'\\x00") for d in report.differences)


def test_guest_runs_to_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lockstep", "--guest", "hello"]) == 0
    assert "the guest exited" in capsys.readouterr().out


def test_command_shows_the_difference(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    library()
    monkeypatch.setattr("rvemu.hart.csr_table.BY_NAME", {})  # not used by engines: no difference
    monkeypatch.setattr("rvemu.isa.rv64i.jump", lambda h, target: setattr(h, "next_pc", target + 8))
    assert main(["lockstep", "--guest", "hello", "-m", "4M"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("the engines differ after")
    assert "reference          native" in out
    assert "\npc " in out


def test_mistakes(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (
        ["lockstep"],
        ["lockstep", "a.elf", "--guest", "hello"],
        ["lockstep", "--fuzz", "1", "a"],
        ["lockstep", "--fuzz", "1", "--isa", "rv64i"],
    ):
        assert main(words) == 2
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
def test_tinyos() -> None:
    elf = find_guest("tinyos")

    def build(engine: str, output: Callable[[bytes], None]) -> Machine:
        machine = Machine(memory=16 << 20, engine=engine, output=output)
        machine.load(elf)
        return machine

    report = Lockstep(build).run()
    assert report.equal, "\n".join((*report.listing, *report.differences))
    assert report.outcome is not None and report.outcome.reason is Reason.EXITED
    assert report.retired > 500_000
