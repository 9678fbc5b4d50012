"""The table of docs/gdb.md: each row names tests that are there, and QEMU's protocol lacks what the
table says."""

import re
from pathlib import Path

import pytest

from tests.debug.gdb import Gdb, attached, needs_gdb, needs_qemu, served
from tests.debug.small import small_machine

ROOT = Path(__file__).parents[2]


def rows() -> list[list[str]]:
    text = (ROOT / "docs" / "gdb.md").read_text(encoding="utf-8")
    table = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table][1:]


@pytest.mark.parametrize("row", rows(), ids=lambda row: str(row[0]))
def test_each_row_names_a_test(row: list[str]) -> None:
    tests = "".join(p.read_text(encoding="utf-8") for p in Path(__file__).parent.glob("*.py"))
    files = {path.stem for path in Path(__file__).parent.glob("*.py")}
    names = re.findall(r"test_\w+", row[-1])
    assert names
    for name in names:
        assert f"def {name}(" in tests or name in files, name


def answers(gdb: Gdb) -> dict[str, bool]:
    """Which parts of the protocol a stub has."""

    def answer(packet: str) -> str:
        found = re.search(r'received: "(.*)"', gdb.command(f"maint packet {packet}"))
        return found[1] if found is not None else ""

    supported = answer("qSupported")
    return {
        "range": ";r" in answer("vCont?"),
        "non-stop": "QNonStop+" in supported,
        "memory map": "qXfer:memory-map:read+" in supported,
        "exec file": "qXfer:exec-file:read+" in supported,
        "conditions": "ConditionalBreakpoints+" in supported,
        "commands": "BreakpointCommands+" in supported,
        "threads": "qXfer:threads:read+" in supported,
    }


@needs_gdb
def test_our_protocol() -> None:
    with served(small_machine("native"), ROOT / "README.md") as running, attached(running) as gdb:
        assert all(answers(gdb).values())


@needs_gdb
@needs_qemu
def test_qemus_protocol(qemu: str) -> None:
    gdb = Gdb()
    try:
        gdb.command(f"target extended-remote {qemu}")
        assert not any(answers(gdb).values())
    finally:
        gdb.close()
