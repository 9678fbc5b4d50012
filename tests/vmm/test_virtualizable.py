"""The premise of Popek and Goldberg's theorem, by experiment."""

import json

import pytest

from rvemu.cli.main import main
from rvemu.virtualizable import QUIRKS, SUBTLETIES, Finding, Laboratory, examine


@pytest.fixture(scope="module")
def findings() -> dict[str, Finding]:
    return {f.name: f for f in Laboratory().survey()}


@pytest.mark.parametrize(
    "name, classes",
    [
        ("addi", ["innocuous"]),
        ("ld", ["innocuous"]),
        ("sd", ["innocuous"]),
        ("auipc", ["innocuous"]),
        ("amoadd.d", ["innocuous"]),
        ("fadd.d", ["innocuous"]),
        ("ecall", ["innocuous"]),
        ("write fcsr", ["innocuous"]),
        ("sret", ["privileged", "control-sensitive", "behaviour-sensitive"]),
        ("mret", ["privileged", "control-sensitive", "behaviour-sensitive"]),
        ("wfi", ["privileged", "control-sensitive"]),
        ("sfence.vma", ["privileged", "control-sensitive"]),
        ("read sstatus", ["privileged", "behaviour-sensitive"]),
        ("read mhartid", ["privileged", "behaviour-sensitive"]),
        ("read time", ["privileged", "behaviour-sensitive"]),
        ("write satp", ["privileged", "control-sensitive"]),
        ("write mstatus", ["privileged", "control-sensitive"]),
        ("write pmpaddr0", ["privileged", "control-sensitive"]),
        ("read pmpcfg0", ["privileged", "behaviour-sensitive"]),
        ("read misa", ["privileged", "behaviour-sensitive"]),
        ("read mip", ["privileged", "behaviour-sensitive"]),
        ("read scounteren", ["privileged", "behaviour-sensitive"]),
        ("read mcounteren", ["privileged", "behaviour-sensitive"]),
        ("read hstatus", ["privileged", "behaviour-sensitive"]),
        ("read vsie", ["privileged", "behaviour-sensitive"]),
        ("write vsie", ["privileged", "control-sensitive"]),
        ("read mvendorid", ["privileged", "innocuous"]),  # a constant
        ("hlv.d", ["privileged", "behaviour-sensitive"]),
        ("hlvx.wu", ["privileged", "behaviour-sensitive"]),
        ("hsv.w", ["privileged", "behaviour-sensitive"]),
        ("hfence.vvma", ["privileged", "control-sensitive"]),
        ("hinval.gvma", ["privileged", "control-sensitive"]),
        ("sfence.w.inval", ["privileged", "innocuous"]),  # nothing is left to do
        ("fence.i", ["innocuous"]),
        ("wrs.nto", ["innocuous"]),
    ],
)
def test_classes(findings: dict[str, Finding], name: str, classes: list[str]) -> None:
    assert findings[name].classes == classes


def test_risc_v_is_virtualizable(findings: dict[str, Finding]) -> None:
    assert [f.name for f in findings.values() if f.offends] == []
    assert len(findings) > 600


@pytest.mark.parametrize("subtlety", SUBTLETIES, ids=lambda s: s.names[0])
def test_what_is_subtle_is_shown_by_experiment(subtlety) -> None:
    found = examine(subtlety)
    assert [f.name for f in found if f.offends] == list(subtlety.names)


@pytest.mark.parametrize(
    "quirk, offenders",
    [
        ("status", {"read mstatus", "read sstatus"}),
        ("xret", {"mret", "sret"}),
        ("fence", {"sfence.vma", "sinval.vma"}),
    ],
)
def test_a_quirk_makes_it_non_virtualizable(
    quirk: str, offenders: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = Laboratory(quirks=QUIRKS[quirk]).survey()
    names = {f.name for f in found if f.offends}
    assert offenders <= names <= offenders | {"write mstatus", "write sstatus"}
    assert main(["virtualizable", "--quirk", quirk]) == 1
    output = capsys.readouterr().out
    assert "NOT VIRTUALIZABLE" in output
    assert all(f"  {name}: " in output for name in offenders)


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["virtualizable", "--table"]) == 0
    output = capsys.readouterr().out
    assert "\nVIRTUALIZABLE: every sensitive instruction is privileged" in output
    assert "read cycle, read time, read instret: if mcounteren" in output.replace("\n    ", " ")
    assert main(["virtualizable", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["virtualizable"] is True
