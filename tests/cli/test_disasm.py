"""`rvemu disasm` and `rvemu dts`, end to end."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rvemu.guests import find_guest
from tests.cli.command import Run
from tests.small_programs import SPIN, exit_with, op

Guest = Callable[..., str]
CODE = op("addi", rd="a0", rs1="zero", imm=5) + b"\x01\0" + SPIN


def test_words(rvemu: Run) -> None:
    done = rvemu("disasm", "--hex", "00a50513", "0x8082", "FFFFFFFF")
    assert done.stdout.splitlines() == [
        "00a50513  addi a0,a0,10",
        "8082  ret",
        "ffffffff  .insn 4,0xffffffff",
    ]
    assert rvemu("disasm", "--no-aliases", "--hex", "8082").stdout == "8082  c.jr ra\n"


def test_an_elf_file(rvemu: Run, guest: Guest) -> None:
    done = rvemu("disasm", "--start", "start", "--count", "3", guest(CODE, start=0, end=6))
    assert done.stdout.splitlines()[4:] == [
        "        80000000:  00500513  li a0,5",
        "        80000004:  0001      nop",
        "",
        "0000000080000006 <end>:",
        "        80000006:  0000006f  j 80000006 <end>",
    ]
    assert done.stdout.splitlines()[3] == "0000000080000000 <start>:"


def test_sections_that_hold_code(rvemu: Run) -> None:
    path = str(find_guest("hello"))
    text = rvemu("disasm", path).stdout
    assert "<_start>:" in text and ".rodata" not in text
    assert rvemu("disasm", "--section", ".rodata", path).stdout.startswith("\n.rodata:")


def test_a_raw_image(rvemu: Run, tmp_path: Path) -> None:
    (tmp_path / "image.bin").write_bytes(exit_with(0))
    done = rvemu("disasm", "--load-address", "0x1000", "--count", "1", "image.bin")
    assert done.stdout.splitlines()[-1] == "            1000:  00100f37  lui t5,0x100"


def test_a_device_tree(rvemu: Run) -> None:
    done = rvemu("dts", "--smp", "2", "-m", "256M", "--isa", "rv64imac", "--append", "quiet")
    assert done.returncode == 0
    for words in ("cpu@1", "reg = <0x0 0x80000000 0x0 0x10000000>", '"rv64imac', '"quiet"'):
        assert words in done.stdout


@pytest.mark.skipif(shutil.which("dtc") is None, reason="dtc is not installed")
def test_dtc_accepts_it(rvemu: Run) -> None:
    text = rvemu("dts").stdout
    done = subprocess.run(["dtc", "-I", "dts", "-O", "dtb"], input=text.encode(),
                          capture_output=True, check=False)  # fmt: skip
    assert done.returncode == 0
    assert done.stdout[:4] == bytes.fromhex("d00dfeed")
