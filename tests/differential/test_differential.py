"""The comparison with Spike: the log's lines, programs, and what is done about differences."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from rvemu.cli.differential import ISA
from rvemu.cli.main import main
from rvemu.differential import tables
from rvemu.differential.assembler import Code, encode
from rvemu.differential.cases import Generator
from rvemu.differential.elf import write_elf
from rvemu.differential.follow import Follower
from rvemu.differential.known import KNOWN, Seen, explain
from rvemu.differential.layout import HANDLERS, HOST, RAM_BASE, RAM_MIB, SCRIPT
from rvemu.errors import RvemuError
from rvemu.hart.csr_table import BY_NAME
from rvemu.loader import load_elf
from rvemu.machine import Machine
from rvemu.spike import Commit, Spike, SpikeTrap, read_log

needs_spike = pytest.mark.skipif(shutil.which("spike") is None, reason="there is no Spike on PATH")

LOG = """\
core   0: 0x0000000000001000 (0x00000297) auipc   t0, 0x0
core   0: 3 0x0000000000001000 (0x00000297) x5  0x0000000000001000
core   0: 3 0x0000000080000008 (0x30529073) c773_mtvec 0x0000000080400000
core   0: 3 0x000000008000000c (0x0002b503) x10 0x0000000000000007 mem 0x0000000080005d78
core   0: 1 0x0000000080000010 (0x00d7b023) mem 0x0000000080005d80 0x0000000000000009
core   0: exception trap_load_guest_page_fault, epc 0x0000000080410180
core   0:           tval 0x0000004000004258
core   0: exception interrupt #7, epc 0x0000000080410184
core   0: 3 0x0000000080400000 (0x0800) x31 0x00000000000000ff f1  0x0000000000000001
"""


def test_reading_a_log() -> None:
    assert list(read_log(LOG.splitlines(keepends=True))) == [
        Commit(3, 0x8000_0008, 0x3052_9073, [("c", 773, 0x8040_0000)]),
        Commit(3, 0x8000_000C, 0x0002_B503, [("x", 10, 7)]),
        Commit(1, 0x8000_0010, 0x00D7_B023, []),
        SpikeTrap(21, 0x8041_0180, 0x40_0000_4258),
        SpikeTrap(1 << 63 | 7, 0x8041_0184, 0),
        Commit(3, 0x8040_0000, 0x0800, [("x", 31, 0xFF), ("f", 1, 1)]),
    ]


def test_no_spike(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RvemuError, match="no `spike` on PATH"):
        Spike()
    with pytest.raises(RvemuError, match="no Spike at"):
        Spike(str(tmp_path / "spike"))


# --- Programs ------------------------------------------------------------------------------------


def test_elf_files_can_be_loaded() -> None:
    elf = write_elf(0x8000_1000, {0x8000_1000: b"abcd", 0x8000_3000: b"e"}, {"tohost": 0x8000_3000})
    image = load_elf(elf)
    assert image.entry == 0x8000_1000 and image.tohost == 0x8000_3000


def test_code_with_labels_and_constants() -> None:
    code = Code(RAM_BASE)
    big = 0x1234_5678_9ABC_DEF0
    code.constant(10, big)
    code.constant(11, -1)
    code.constant(12, big)
    code.jump("end")
    code.op("ebreak")
    code.label("end")
    code.address(13, "end")
    machine = Machine(memory=1 << 20, engine="reference")
    machine.load(write_elf(RAM_BASE, {RAM_BASE: code.finish()}, {}))
    machine.run(budget=8)
    hart = machine.hart
    assert (hart["a0"], hart["a1"], hart["a2"]) == (big, (1 << 64) - 1, big)
    assert hart["a3"] == RAM_BASE + 28 and hart["pc"] == RAM_BASE + 36


def test_a_program_depends_on_seed_and_number_alone() -> None:
    again = Generator(3, 4)
    again.make(7)
    assert again.make(8).elf == Generator(3, 4).make(8).elf
    assert again.make(8).elf != again.make(9).elf
    assert again.make(8).elf != Generator(4, 4).make(8).elf


@pytest.mark.parametrize("number", range(4))
def test_programs_come_to_their_end(number: int, engine: str) -> None:
    machine = Machine(memory=RAM_MIB << 20, isa=ISA, engine=engine)
    machine.load(Generator(0, 8).make(number).elf)
    outcome = machine.run(budget=20_000)
    assert outcome.code == 0 and machine.now > 1000
    assert HANDLERS > SCRIPT and HOST > HANDLERS


@pytest.mark.parametrize("regime", tables.REGIMES)
def test_tables_translate(regime: str) -> None:
    machine = Machine(memory=RAM_MIB << 20, isa=ISA, engine="reference")
    machine.write_physical(tables.TABLES, tables.build())
    hart = machine.hart
    hart["pmpaddr0"], hart["pmpcfg0"] = (1 << 54) - 1, 0x1F
    entry = tables.last_table(regime)
    flags = tables.RWX | tables.U
    machine.write_physical(entry, tables.pte(RAM_BASE + 0x5000, flags).to_bytes(8, "little"))
    for mode in tables.MODES:
        hart[regime] = tables.root(regime, mode)
        hart.mode = "U" if regime == "satp" else "VU"
        assert hart.translate(tables.pages_of(regime) + 8) == RAM_BASE + 0x5008
        if regime != "hgatp":
            hart.mode = hart.mode.replace("U", "S")
        assert hart.translate(RAM_BASE + 8) == RAM_BASE + 8


# --- Following -----------------------------------------------------------------------------------

ADDI, CSRR = (
    encode("addi", rd=10, rs1=0, imm=5),
    encode("csrrs", rd=11, csr=BY_NAME["cycle"].number),
)
ADDI_BITS, CSRR_BITS = (int.from_bytes(code, "little") for code in (ADDI, CSRR))


def follower() -> Follower:
    program = ADDI + CSRR + bytes(4)
    return Follower(write_elf(RAM_BASE, {RAM_BASE: program}, {}), ISA, "reference")


def start() -> list[Commit | SpikeTrap]:
    return [Commit(3, RAM_BASE, ADDI_BITS, [("x", 10, 5), ("x", 11, 0)])]


def first(events: list[Commit | SpikeTrap]) -> str:
    difference = follower().follow(events, 100)
    assert difference is not None
    return str(difference)


def test_what_is_alike() -> None:
    one = follower()
    # a1, which holds the device tree's address, is as the log has it from then on.
    one.state.x[11] = 0
    assert one.follow(start(), 100) is None and one.executed == 1


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Commit(3, RAM_BASE, ADDI_BITS, [("x", 10, 6)]), "x10: Spike 0x6, rvemu 0x5"),
        (Commit(3, RAM_BASE, ADDI_BITS, []), "x10: Spike 0x0, rvemu 0x5"),
        (Commit(1, RAM_BASE, ADDI_BITS, [("x", 10, 5)]), "privilege: Spike 1, rvemu M"),
        (Commit(3, RAM_BASE + 4, ADDI_BITS, [("x", 10, 5)]), "pc: Spike 0x80000004, rvemu 0x80000"),
        (
            Commit(3, RAM_BASE, ADDI_BITS, [("x", 10, 5), ("c", 0x300, 0)]),
            "mstatus: Spike 0x0, rvemu 0x",
        ),
        (SpikeTrap(2, RAM_BASE), "traps: Spike illegal instruction; rvemu none"),
    ],
)
def test_what_differs(event: Commit | SpikeTrap, text: str) -> None:
    events: list[Commit | SpikeTrap] = [event]
    if isinstance(event, SpikeTrap):
        events += start()
    assert text in first(events)


def test_what_a_trap_differs_in() -> None:
    one = follower()
    one.state.x[11] = 0
    illegal = RAM_BASE + 8
    one.machine.hart["pc"] = illegal
    difference = one.follow([SpikeTrap(3, illegal), Commit(3, 0, 0)], 100)
    assert "trap: Spike breakpoint, tval 0x0; rvemu illegal instruction" in str(difference)


def test_an_explained_difference_is_counted_and_adopted() -> None:
    one = follower()
    one.state.x[11] = 0
    events = [*start(), Commit(3, RAM_BASE + 4, CSRR_BITS, [("x", 11, 999)])]
    assert one.follow(events, 100) is None
    assert one.explained == {"time-passes-differently": 1}
    assert one.state.x[11] == 999


def test_explanations_cite_rules() -> None:
    assert all(known.rule.startswith("norm:") and known.explanation for known in KNOWN)
    assert len({known.name for known in KNOWN}) == len(KNOWN)


def test_pseudoinstructions_are_never_explained_away() -> None:
    assert explain(Seen("register", "csrr a0, htinst", "htinst", 0, 0x0005_3003)) is not None
    assert explain(Seen("register", "csrr a0, htinst", "htinst", 0, 0x3000)) is None
    assert explain(Seen("register", "csrr a0, htinst", "htinst", 0x3000, 0)) is None


def test_gva_is_explained_for_some_instructions_only() -> None:
    gva = 1 << 38
    seen = Seen("csr", "csrc mstatus, t0", "mstatus", 0xA_0000, 0xA_0000 | gva, "cbo.inval (a7)")
    assert explain(seen) is not None
    assert explain(replace(seen, trapped="ld a0, 0(a1)")) is None
    assert explain(replace(seen, spike=seen.ours, ours=seen.spike)) is None


@needs_spike
def test_nothing_differs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["differential", "--count", "6", "--steps", "16"]) == 0
    assert "no difference" in capsys.readouterr().out
