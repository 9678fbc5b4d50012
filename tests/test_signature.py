"""Signatures, in the form that Spike gives them."""

from pathlib import Path

import pytest

from rvemu.errors import RvemuError
from rvemu.machine import Machine
from rvemu.signature import format_signature, write_signature
from tests.elf_builder import Elf, Load

BASE = 0x8000_0000
RESULTS = bytes(range(1, 25))


def machine_with(symbols: dict[str, int]) -> Machine:
    elf = Elf(
        loads=[Load(BASE, b"\x6f\0\0\0" + bytes(60)), Load(BASE + 0x1000, RESULTS)],
        symbols=[(name, address, 0, 0x10) for name, address in symbols.items()],
    )
    machine = Machine(memory=4 << 20, engine="reference")
    machine.load(elf.build())
    return machine


def marked(size: int = len(RESULTS)) -> Machine:
    return machine_with({"begin_signature": BASE + 0x1000, "end_signature": BASE + 0x1000 + size})


@pytest.mark.parametrize(
    ("granularity", "expected"),
    [
        (4, "04030201\n08070605\n0c0b0a09\n100f0e0d\n14131211\n18171615\n"),
        (8, "0807060504030201\n100f0e0d0c0b0a09\n1817161514131211\n"),
        # The last line is filled up at its highest addresses, which stand first.
        (16, "100f0e0d0c0b0a090807060504030201\n00000000000000001817161514131211\n"),
    ],
)
def test_lines(tmp_path: Path, granularity: int, expected: str) -> None:
    file = tmp_path / "signature"
    write_signature(marked(), file, granularity)
    assert file.read_text() == expected


def test_an_empty_signature_is_an_empty_file(tmp_path: Path) -> None:
    file = tmp_path / "signature"
    write_signature(marked(0), file)
    assert file.read_text() == ""


def test_bytes_are_in_lower_case() -> None:
    assert format_signature(b"\xef\xbe\xad\xde", 4) == "deadbeef\n"


@pytest.mark.parametrize(
    ("symbols", "message"),
    [
        ({}, "has no signature"),
        ({"begin_signature": BASE}, "has no signature"),
        ({"begin_signature": BASE + 8, "end_signature": BASE}, "no signature can lie between"),
        ({"begin_signature": BASE, "end_signature": BASE + (5 << 20)}, "not in memory"),
    ],
)
def test_no_signature_is_said_and_nothing_is_written(
    tmp_path: Path, symbols: dict[str, int], message: str
) -> None:
    file = tmp_path / "signature"
    with pytest.raises(RvemuError, match=message):
        write_signature(machine_with(symbols), file)
    assert not file.exists()


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(RvemuError, match="cannot be written"):
        write_signature(marked(), tmp_path / "no such folder" / "signature")


def test_lines_have_at_least_a_byte(tmp_path: Path) -> None:
    with pytest.raises(RvemuError, match="lines of 0 bytes"):
        write_signature(marked(), tmp_path / "signature", 0)
