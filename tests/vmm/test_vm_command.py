"""`rvemu vm` as a user has it."""

import json
import re
from pathlib import Path
from typing import NoReturn

import pytest
from pytest import MonkeyPatch

from rvemu.cli.main import main
from rvemu.cli.vm import LONGEST_LINE
from rvemu.guests import expected_output
from tests.assembler import A0, A7, Assembler
from tests.small_programs import SPIN, elf, exit_with, op

Captured = pytest.CaptureFixture[bytes]


@pytest.fixture
def failing(tmp_path: Path) -> str:
    """A guest that exits with status 3."""
    path = tmp_path / "failing.elf"
    path.write_bytes(elf(exit_with(3)))
    return str(path)


def test_all_modes_are_compared(capfdbinary: Captured) -> None:
    assert main(["vm", "--guest", "hello", "--mode", "all"]) == 0
    captured = capfdbinary.readouterr()
    assert captured.out == expected_output("hello")
    text = captured.err.decode()
    assert "emulate  trap-and-emulate  hardware" in text
    assert "the same" in text.splitlines()[-1]


@pytest.mark.parametrize("guest", ["pager", "timeslice", "faults", "processes"])
def test_guests_that_know_of_hypercalls_are_compared_in_all_modes(
    guest: str, capfdbinary: Captured
) -> None:
    assert main(["vm", "--guest", guest, "--mode", "all"]) == 0
    captured = capfdbinary.readouterr()
    assert captured.out == expected_output(guest)
    assert "paravirt" in captured.err.decode().splitlines()[0]


@pytest.mark.parametrize(
    ("guest", "why"),
    [("traps", "was not built to make hypercalls"), ("tinyos", "prints in M-mode too")],
)
def test_it_is_said_why_mode_paravirt_is_left_out(
    guest: str, why: str, capfdbinary: Captured
) -> None:
    assert main(["vm", "--guest", guest, "--mode", "all"]) == 0
    shown = capfdbinary.readouterr().err.decode()
    assert f"mode paravirt is left out: {guest} {why}" in shown


def test_several_harts_are_compared(capfdbinary: Captured) -> None:
    words = ["vm", "--guest", "tinyos-s", "--smp", "2", "--mode", "all"]
    assert main(words) == 0
    captured = capfdbinary.readouterr()
    assert captured.out == expected_output("tinyos-s")
    text = captured.err.decode()
    assert (
        "mode paravirt is left out: tinyos-s has 2 harts, and a paravirtual guest has one" in text
    )
    assert "the same" in text.splitlines()[-1]


@pytest.mark.parametrize(("words", "harts"), [([], 4), (["--smp", "2"], 2)])
def test_a_guest_has_the_harts_that_show_it_best(
    words: list[str], harts: int, capfdbinary: Captured
) -> None:
    """Unless told otherwise. All of them exit."""
    words = ["vm", "--guest", "atomics", "--mode", "trap-and-emulate", "--trace-exits", *words]
    assert main(words) == 0
    lines = capfdbinary.readouterr().err.decode().splitlines()
    numbered = {line.split(":")[0] for line in lines if " device access: " in line}
    assert numbered <= {str(n) for n in range(harts)}
    assert {line.split(": M ")[0] for line in lines if ": M " in line} == {
        str(n) for n in range(harts)
    }


def test_json(capfdbinary: Captured) -> None:
    assert main(["vm", "--guest", "syscalls", "--mode", "all", "--json"]) == 0
    report = json.loads(capfdbinary.readouterr().out)
    assert report["equal"]
    emulated, deprivileged, paravirtual, assisted = report["modes"]
    # Ordered as the theory says: for each call seven exits, or two, or none.
    assert deprivileged["exits"]["system call"] == paravirtual["exits"]["system call"] == 10_001
    assert 7 * 10_000 < deprivileged["exits_total"] < 7 * 10_000 + 200
    assert 2 * 10_000 < paravirtual["exits_total"] < 2 * 10_000 + 200
    assert emulated["exits_total"] <= assisted["exits_total"] < 100
    assert deprivileged["guest_instructions"] == assisted["guest_instructions"]
    assert deprivileged["exits_per_second"] > 5_000, "on any machine that runs these tests"


def test_json_of_one_mode(capfdbinary: Captured) -> None:
    assert main(["vm", "--guest", "hello", "--mode", "emulate", "--json"]) == 0
    report = json.loads(capfdbinary.readouterr().out)
    assert report["mode"] == "emulate"
    assert report["output_bytes"] == len(expected_output("hello"))


@pytest.mark.parametrize("mode", ["emulate", "trap-and-emulate", "hardware", "all"])
def test_the_exit_status_is_the_guest_s(failing: str, mode: str) -> None:
    assert main(["vm", failing, "--mode", mode]) == 3


def test_two_guests_print_under_their_names(failing: str, capfdbinary: Captured) -> None:
    assert main(["vm", "--guest", "hello", failing]) == 1
    captured = capfdbinary.readouterr()
    line = expected_output("hello").splitlines()[0]
    assert b"[2:hello] " + line in captured.out
    assert b"[1:failing] exited with status 3" in captured.err


def test_lines_that_do_not_end(tmp_path: Path, capfdbinary: Captured) -> None:
    """A guest that prints without end makes no line without end; and the last is shown."""
    path = tmp_path / "prints.elf"
    code = b"".join(
        op("addi", rd="a7", rs1="zero", imm=1)
        + op("addi", rd="t0", rs1="zero", imm=count)
        + op("addi", rd="a0", rs1="zero", imm=letter)
        + op("addi", rd="t0", rs1="t0", imm=-1)
        + op("ecall")
        + op("bne", rs1="t0", rs2="zero", imm=-12)
        for letter, count in ((0x61, 2047), (0x62, 2047), (0x63, 9))
    )
    path.write_bytes(elf(code + exit_with(0)))
    assert main(["vm", str(path), str(path), "--sbi"]) == 0
    out = capfdbinary.readouterr().out
    assert max(map(len, out.splitlines())) <= LONGEST_LINE + 20
    for name in (b"[1:prints] ", b"[2:prints] "):
        own = [line[len(name) :] for line in out.splitlines() if line.startswith(name)]
        assert b"".join(own) == b"a" * 2047 + b"b" * 2047 + b"c" * 9


def test_a_guest_does_not_print_under_another_s_name(tmp_path: Path, capfdbinary: Captured) -> None:
    """However it asks the terminal to: by carriage return, by escape sequences of ASCII and of
    Latin-1's and Unicode's C1, by what turns the direction of text. And its last line is shown
    before how it ended."""
    text = "tab\there\r\na\r[2:hello] b\n\x1b[2Jc\n\u009b2Jd\n\u202ee\n\u00e9 \u2713\nlast".encode()
    path = tmp_path / "forger.elf"
    code = Assembler(0x8000_0000).li(A7, 1)
    for byte in text + b"\x9b":
        code.li(A0, byte).op("ecall")
    path.write_bytes(code.li(A7, 8).op("ecall").elf())
    assert main(["vm", str(path), str(path), "--sbi"]) == 0
    captured = capfdbinary.readouterr()
    own = [line for line in captured.out.split(b"\n") if line.startswith(b"[1:")]
    assert own == [
        b"[1:forger] " + line
        for line in (
            *(b"tab\there", b"a\\r[2:hello] b", b"\\x1b[2Jc", b"\\x9b2Jd", b"\\u202ee"),
            *("\u00e9 \u2713".encode(), b"last\\x9b"),
        )
    ]


def test_a_kernel_for_s_mode_that_is_started_in_m_mode(
    tmp_path: Path, capfdbinary: Captured
) -> None:
    """What is missing is named."""
    path = tmp_path / "kernel.elf"
    path.write_bytes(Assembler(0x8020_0000).op("ecall").elf())
    hint = b"a kernel for S-mode wants firmware, --sbi"
    assert main(["vm", str(path)]) == 124
    assert hint in capfdbinary.readouterr().err
    assert main(["vm", "--guest", "hello"]) == 0
    assert hint not in capfdbinary.readouterr().err


def test_minidisks(tmp_path: Path, capfdbinary: Captured) -> None:
    """Two guests write patterns to slices of one image, and neither sees the other's."""
    image = tmp_path / "disk.img"
    image.write_bytes(b"x" * (192 << 10))
    words = ["vm", "--guest", "disk", "--guest", "disk"]
    for n in (1, 2):
        words += ["--drive", f"file={image},format=raw,offset={64 * n - 64}K,size=64K,vm={n}"]
    for run in (b"1", b"2"):
        assert main(words) == 0
        out = capfdbinary.readouterr().out
        for name in (b"[1:disk] ", b"[2:disk] "):
            assert name + b"a disk of 128 sectors\n" in out
            assert name + b"run " + run + b" on this disk\n" in out
            assert (name + b"the last run's pattern: 0 sectors have changed\n" in out) == (
                run == b"2"
            )
    first, second, rest = (image.read_bytes()[at << 16 :][: 1 << 16] for at in range(3))
    assert first == second
    assert set(rest) == set(b"x")


def test_a_disk_is_the_same_in_all_modes(tmp_path: Path, capfdbinary: Captured) -> None:
    """Each mode has it as it was, which it stays."""
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(64 << 10))
    assert main(["vm", "--guest", "disk", "--mode", "all", "--drive", f"file={image}"]) == 0
    assert capfdbinary.readouterr().out == expected_output("disk")
    assert image.read_bytes() == bytes(64 << 10)


def test_what_one_mode_has_written_another_reads(tmp_path: Path, capfdbinary: Captured) -> None:
    """By virtio, and by a ring."""
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(64 << 10))
    for run, mode in enumerate(["paravirt", "emulate", "paravirt"], 1):
        words = ["vm", "--guest", "disk", "--mode", mode, "--drive", f"file={image},format=raw"]
        assert main(words) == 0
        out = capfdbinary.readouterr().out.decode()
        assert f"run {run} on this disk\n" in out
        assert ("the last run's pattern: 0 sectors have changed\n" in out) == (run > 1)
        assert image.read_bytes()[8:16] == run.to_bytes(8, "little")


def test_exits_and_control_structure_are_shown(capfdbinary: Captured) -> None:
    assert main(["vm", "--guest", "tinyos-s", "--trace-exits", "--control"]) == 0
    text = capfdbinary.readouterr().err.decode()
    assert "G-stage fault: store guest page fault at 0x807ff000: mapped" in text
    for expected in ("guest state:", "host state:", "controls:", "exit information:"):
        assert expected in text
    assert "hideleg     0x0000000000000444  VSSIP=1 VSTIP=1 VSEIP=1" in text
    assert "ecall from vs" in text


def test_exits_by_memory_accesses_name_instruction_cause_and_address(capfdbinary: Captured) -> None:
    words = ["vm", "--guest", "tinyos-s", "--mode", "trap-and-emulate", "--trace-exits"]
    assert main(words) == 0
    lines = capfdbinary.readouterr().err.decode().splitlines()
    for pattern in (
        r"S  0x0{8}80200000  \w+ \S+ +shadow fill: instruction page fault at 0x80200000: .*",
        r"S  0x\w{16}  sd \S+ +shadow fill: store page fault at 0x\w+: mapped as .*",
        r"S  0x\w{16}  sd \S+ +page-table write: store page fault at 0x\w+: executed by the .*",
        r"U  0x\w{16}  \w+ \S+ +guest's own fault: load page fault at 0xdead0000: delivered .*",
        r"U  0x\w{16}  ecall +system call: delivered to the guest's kernel",
    ):
        assert any(re.fullmatch(pattern, line) for line in lines), pattern


@pytest.mark.parametrize(
    "words, complaint",
    [
        (["vm"], "run what?"),
        (["vm", "--guest", "hello", "--shares", "1"], "--shares is for several guests"),
        (["vm", "--guest", "hello", "--guest", "hello", "--shares", "1"], "as many shares"),
        (["vm", "--guest", "hello", "--mode", "emulate", "--control"], "only mode hardware"),
        (["vm", "--guest", "hello", "--isa", "rv32i"], "only 64-bit harts"),
        (["vm", "--guest", "hello", "--report", "x"], "give --mode all"),
        (["vm", "--guest", "hello", "-m", "4096B"], "device tree"),
        (["vm", "--guest", "hello", "--smp", "9"], "9 harts: a virtual machine has 1 to 8"),
        (
            ["vm", "--guest", "pager", "--smp", "2", "--mode", "paravirt"],
            "2 harts: a paravirtual guest has one",
        ),
        (["vm", "--guest", "hello", "--drive", "file=x,vm=2"], "there is no guest 2; vm=1 would"),
        (["vm", "a", "b", "--drive", "file=x"], "it names no guest; vm=1 or vm=2 would do"),
        (["vm", "--guest", "hello", "--drive", "file=x"], "cannot be opened"),
    ],
)
def test_mistakes_are_one_line(words: list[str], complaint: str, capfdbinary: Captured) -> None:
    assert main(words) == 2
    text = capfdbinary.readouterr().err.decode()
    assert complaint in text
    assert text.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ["--guest", "hello", "--shares", "2"],
        ["--guest", "hello", "--guest", "hello", "--shares", "1,1,1"],
        ["--guest", "hello", "--guest", "hello", "--shares", "1,0"],
        ["--guest", "hello", "--guest", "hello", "--mode", "all"],
        ["--guest", "hello", "--guest", "hello", "--json"],
        ["--guest", "hello", "--patch"],
        ["--guest", "tinyvisor"],
    ],
    ids=" ".join,
)
def test_mistakes_are_found_before_guests(words: list[str], monkeypatch: MonkeyPatch) -> None:
    def build(name: str) -> NoReturn:
        pytest.fail(f"{name} is looked for, or built, although the command can't run it")

    monkeypatch.setattr("rvemu.guests.find_guest", build)
    assert main(["vm", *words]) == 2


def test_a_guest_that_does_not_end_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "spin.elf"
    path.write_bytes(elf(SPIN))
    assert main(["vm", str(path), "--max-instructions", "100_000"]) == 124
