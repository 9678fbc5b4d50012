"""`rvemu run`, end to end: exit status, messages, options, and what users get wrong."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rvemu.cli.qemu import in_our_spelling
from rvemu.cli.run import exit_status
from tests.cli.command import Run
from tests.elf_builder import E_CLASS, E_MACHINE, Elf, Load, patched
from tests.small_programs import (
    BASE,
    SPIN,
    UART,
    WFI,
    csrw,
    echo_guest,
    elf,
    exit_with,
    la,
    li,
    op,
    put,
    sleepy_echo_guest,
)

Guest = Callable[..., str]

# Runs the command, and tells what it has imported.
IMPORTS = """
import sys
from rvemu.cli.main import main
try:
    main()
finally:
    print(*sys.modules)
"""


def test_what_starts_quickly(rvemu: Run, guest: Guest, tmp_path: Path) -> None:
    """A run of a small guest imports neither the instructions nor what shows them."""
    name = guest(exit_with(0))
    assert rvemu("run", name).returncode == 0  # the engine is compiled
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, "run", name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    imported = done.stdout.split()
    assert "rvemu.machine" in imported
    assert not {"rvemu.isa", "rvemu.monitor", "rvemu.trace"} & set(imported)


def test_hello(rvemu: Run) -> None:
    done = rvemu("run", "--guest", "hello")
    assert (done.returncode, done.stdout) == (0, "hello from M-mode, hart 0\n")


@pytest.mark.parametrize(
    "code, status", [(0, 0), (3, 3), (255, 255), (256, 255), (257, 1), (-1, 255)]
)
def test_exit_status(code: int, status: int) -> None:
    assert exit_status(code) == status


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_the_status_is_the_guests(rvemu: Run, guest: Guest, engine: str) -> None:
    done = rvemu("run", "--engine", engine, guest(put("bye\n") + exit_with(42)))
    assert (done.returncode, done.stdout, done.stderr) == (42, "bye\n", "")


def test_tohost_gives_the_status(rvemu: Run, guest: Guest) -> None:
    code = la("t0", 0, 0x100) + op("addi", rd="t1", rs1="zero", imm=5 << 1 | 1)
    done = rvemu("run", guest(code + op("sd", rs1="t0", rs2="t1", imm=0) + SPIN, tohost=0x100))
    assert done.returncode == 5


def test_list_guests(rvemu: Run) -> None:
    done = rvemu("run", "--list-guests")
    assert done.returncode == 0
    assert any(line.startswith("tinyos ") for line in done.stdout.splitlines())


def test_input_from_a_pipe(rvemu: Run, guest: Guest) -> None:
    done = rvemu("run", guest(echo_guest()), text="some words, q")
    assert (done.returncode, done.stdout) == (0, "some words, q")


def test_a_raw_image(rvemu: Run, tmp_path: Path) -> None:
    (tmp_path / "image.bin").write_bytes(exit_with(9))
    assert rvemu("run", "--load-address", "0x80001000", "image.bin").returncode == 9


def test_memory_and_harts(rvemu: Run, guest: Guest) -> None:
    # Hart 1 loads from the last word of 64 MiB and ends; hart 0 spins.
    ending = li("t0", 0x43FF_FFFF) + op("slli", rd="t0", rs1="t0", shamt=1)
    ending += (
        op("addi", rd="t0", rs1="t0", imm=-2) + op("lw", rd="a1", rs1="t0", imm=0) + exit_with(6)
    )
    name = guest(op("bne", rs1="a0", rs2="zero", imm=8) + SPIN + ending)
    assert rvemu("run", "-m", "128M", "--smp", "2", name).returncode == 6


def test_options_as_qemu_has_them(rvemu: Run, guest: Guest) -> None:
    """With one dash, as QEMU's users type what both have."""
    name = guest(put("x") + exit_with(7))
    done = rvemu("run", "-no-reboot", "-bios", "none", "-kernel", name, "-m", "16M", "-smp", "2")
    assert (done.stdout, done.returncode) == ("x", 7)


def test_words_for_gdb_are_left_as_they_are() -> None:
    assert in_our_spelling(["debug", "-s", "--", "-d", "-kernel"])[2:] == ["--", "-d", "-kernel"]


def test_an_isa_without_what_the_guest_uses(rvemu: Run, guest: Guest) -> None:
    handler = exit_with(2)
    code = (
        la("t0", 0, 64) + csrw(0x305, "t0") + op("mul", rd="a0", rs1="a0", rs2="a0") + exit_with(1)
    )
    name = guest(code.ljust(64, b"\0") + handler)
    assert rvemu("run", name).returncode == 1
    assert rvemu("run", "--isa", "rv64i_zicsr", name).returncode == 2


def test_pmp_entries(rvemu: Run, guest: Guest) -> None:
    code = op("csrrwi", rd="zero", csr=0x3B0, zimm=5) + op("csrrs", rd="a0", csr=0x3B0, rs1="zero")
    code += la("t0", 8, 0x100) + op("sd", rs1="t0", rs2="a0", imm=0) + SPIN
    assert rvemu("run", "--pmp", "8", guest(code, tohost=0x100)).returncode == 2
    done = rvemu("run", "--pmp", "0", "--max-instructions", "100", guest(code, tohost=0x100))
    assert done.returncode == 124


def test_a_limit_of_instructions(rvemu: Run, guest: Guest) -> None:
    done = rvemu("run", "--max-instructions", "1k", guest(SPIN, start=0))
    assert done.returncode == 124
    assert done.stderr == (
        "rvemu: stopped by --max-instructions after 1000 clocks: "
        "hart 0 at 0x80000000 <start> in M-mode\n"
    )


def test_a_stuck_guest(rvemu: Run, guest: Guest) -> None:
    done = rvemu("run", guest(put("x") + SPIN, start=0))
    assert (done.returncode, done.stdout) == (124, "x")
    assert done.stderr.startswith("rvemu: the guest is stuck: hart 0 loops forever at 0x80000010")
    done = rvemu("run", guest(WFI + SPIN, start=0))
    assert done.returncode == 124
    assert "waits (WFI) at 0x80000000 <start> in M-mode" in done.stderr


def test_a_reset(rvemu: Run, tmp_path: Path, guest: Guest) -> None:
    # The first time a word outside the image is 0, the second time it is not.
    code = li("t0", 0x4010_0000) + op("slli", rd="t0", rs1="t0", shamt=1)
    code += op("lw", rd="t1", rs1="t0", imm=0) + op("sw", rs1="t0", rs2="t0", imm=0)
    code += op("beq", rs1="t1", rs2="zero", imm=4 + len(exit_with(4))) + exit_with(4)
    code += li("t5", 0x10_0000) + li("t6", 0x7777) + op("sw", rs1="t5", rs2="t6", imm=0)
    (tmp_path / "guest.elf").write_bytes(Elf([Load(BASE, code)]).build())
    done = rvemu("run", "guest.elf")
    assert done.stderr == "rvemu: the guest resets the machine\n"
    assert done.returncode == 0 or done.returncode == 4
    assert rvemu("run", "--no-reboot", "guest.elf").returncode == 0
    del guest


def test_statistics(rvemu: Run, guest: Guest) -> None:
    done = rvemu("run", "--stats", guest(exit_with(0)))
    assert "MIPS (native engine)" in done.stderr
    assert "1 device accesses" in done.stderr
    assert "modes: M 100 %; 0 traps; TLB misses: 0 data, 1 fetch" in done.stderr


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_statistics_count_traps(rvemu: Run, guest: Guest, engine: str) -> None:
    # The handler, at the guest's start, ends it when it comes there the second time.
    code = op("bne", rs1="s0", rs2="zero", imm=24) + la("t0", 4, 0) + csrw(0x305, "t0")
    code += op("addi", rd="s0", rs1="zero", imm=1) + op("ecall") + exit_with(0)
    done = rvemu("run", "--stats", "--engine", engine, guest(code))
    assert done.returncode == 0, done.stderr
    assert "; 1 traps: 1 ecall from m; " in done.stderr


@pytest.mark.parametrize("idle", [False, True])
def test_a_signal_asks_for_the_status(tmp_path: Path, idle: bool) -> None:
    # It waits for input, or runs, and says so first.
    wait = (
        WFI + SPIN if idle else op("addi", rd="t0", rs1="t0", imm=1) + op("jal", rd="zero", imm=-4)
    )
    if idle:  # the UART's interrupt, which the PLIC never passes on
        wait = op("csrrsi", rd="zero", csr=0x304, zimm=8) + wait
    (tmp_path / "guest.elf").write_bytes(elf(put("!") + wait))
    process = subprocess.Popen(
        [sys.executable, "-m", "rvemu", "run", str(tmp_path / "guest.elf")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin and process.stdout and process.stderr
    assert process.stdout.read(1) == "!"
    process.send_signal(signal.SIGUSR1)
    line = process.stderr.readline()
    assert " MIPS (native engine); " in line
    assert f"; hart 0 {'waits' if idle else 'is'} at 0x8000" in line
    process.terminate()
    assert process.wait(60) == 128 + signal.SIGTERM


def test_a_silent_guest(rvemu: Run, guest: Guest) -> None:
    spin = op("addi", rd="t0", rs1="t0", imm=1) + op("jal", rd="zero", imm=-4)
    done = rvemu("run", "--stats", "--max-instructions", "320M", guest(spin))
    assert "rvemu: the guest has printed nothing in 30" in done.stderr
    done = rvemu("run", "--max-instructions", "320M", guest(spin))
    assert "printed nothing" not in done.stderr


# --- Seeing --------------------------------------------------------------------------------------


def test_trace(rvemu: Run, guest: Guest, tmp_path: Path) -> None:
    name = guest(put("x") + exit_with(0), start=0)
    to_stderr = rvemu("run", "--trace", name)
    assert to_stderr.stdout == "x"
    lines = to_stderr.stderr.splitlines()
    assert len(lines) == 9 and lines[0].endswith("@start+0x0")
    rvemu("run", "--trace", "t.txt", name)
    assert (tmp_path / "t.txt").read_text().splitlines() == lines
    rvemu("run", f"--trace={tmp_path / 'u.txt'}", "--engine", "reference", name)
    assert (tmp_path / "u.txt").read_text().splitlines() == lines


def test_a_trace_does_not_overwrite_the_guest(rvemu: Run, guest: Guest, tmp_path: Path) -> None:
    name = guest(exit_with(0))
    before = (tmp_path / name).read_bytes()
    done = rvemu("run", "--trace", name, name)
    assert done.returncode == 2
    assert (tmp_path / name).read_bytes() == before


def test_traps_translations_and_faults(rvemu: Run, guest: Guest) -> None:
    code = op("csrrwi", rd="zero", csr=0x3A0, zimm=0x1F) + op("addi", rd="t0", rs1="zero", imm=-1)
    code += csrw(0x3B0, "t0") + la("t0", 12, 64) + csrw(0x305, "t0")
    code += op("addi", rd="t0", rs1="zero", imm=1) + op("slli", rd="t0", rs1="t0", shamt=63)
    code += csrw(0x180, "t0") + op("mret")
    name = guest(code.ljust(64, b"\0") + exit_with(0), start=0, handler=64)
    done = rvemu("run", "--trace-traps", "--trace-mmu", "--explain-faults", name)
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    assert lines[0] == "0 mmu U fetch 0x0 refused: access fault"
    assert "0 trap U->M instruction access fault epc=0x0 tval=0x0" in lines[1]
    assert lines[3] == "  fetch at 0x0 in U-mode"
    assert "satp: Sv39, ASID 0, root table 0x0" in lines[4]


def test_a_signature(rvemu: Run, tmp_path: Path) -> None:
    code = exit_with(0).ljust(64, b"\0") + bytes(range(20))
    image = Elf([Load(BASE, code)], symbols=[("begin_signature", BASE + 64, 0, 0x12),
                                              ("end_signature", BASE + 84, 0, 0x12)])  # fmt: skip
    (tmp_path / "t.elf").write_bytes(image.build())
    assert rvemu("run", "--signature", "s", "--signature-granularity", "4", "t.elf").returncode == 0
    assert (tmp_path / "s").read_text().splitlines()[:2] == ["03020100", "07060504"]


# --- What users get wrong ------------------------------------------------------------------------


def complaint(done: "subprocess.CompletedProcess[str]") -> str:
    """The one line on stderr of a command that was called wrongly."""
    assert done.returncode == 2, done
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("rvemu: ")
    return line


GOOD = elf(SPIN)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not an ELF file (it is empty)"),
        (b"#!/bin/sh\n", "not an ELF file"),
        (GOOD[:40], "truncated"),
        (GOOD[:-20], ""),
        (patched(GOOD, E_MACHINE, 62), "built for another machine"),
        (patched(GOOD, E_CLASS, 1), ""),
        (Elf([Load(0x1000_0000, SPIN)], entry=0x1000_0000).build(), "outside RAM"),
        (Elf([Load(BASE, SPIN), Load(BASE + 2, SPIN)]).build(), "overlaps"),
        (Elf([Load(BASE, SPIN), Load(0x87E0_0000, SPIN)]).build(), "overlaps the device tree"),
    ],
)
def test_bad_images(rvemu: Run, tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "bad.elf").write_bytes(content)
    done = rvemu("run", "--engine", "reference", "--max-instructions", "5", "bad.elf")
    if content == GOOD[:-20]:
        assert done.returncode in (2, 124)  # only its symbols are cut off
    else:
        line = complaint(done)
        assert "bad.elf" in line and words in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run"], "run what?"),
        (["run", "nowhere.elf"], "nowhere.elf: cannot be read: No such file"),
        (["run", "."], "a directory"),
        (["run", "--guest", "nobody"], "there is no guest 'nobody'; there are: "),
        (["run", "--guest", "hello", "x.elf"], "not both"),
        (["run", "--guest", "tinyos-s", "--bios", "none"], "SBI firmware"),
        (["run", "--bios", "none"], "run what?"),
        (["run", "--bios", "default"], "run what?"),
        (["run", "--kernel", "good.elf", "--linux"], "give --kernel FILE or --linux, not both"),
        (["run", "--kernel", "nowhere"], "nowhere: cannot be read: No such file"),
        (["run", "--bios", "nowhere", "good.elf"], "nowhere: cannot be read"),
        (["run", "--kernel", "good.elf"], "overlaps the firmware"),
        (["run", "--bios", "none", "--initrd", "nowhere", "good.elf"], "nowhere: cannot be read"),
        (["run", "--load-address", "0x80000000", "--initrd", "x", "good.elf"], "raw image alone"),
        (["run", "-m", "lots", "x.elf"], "'lots' is not a size"),
        (["run", "-m", "0", "x.elf"], "not a size"),
        (["run", "-m", "1000T", "x.elf"], "more memory than this computer has"),
        (["run", "-m", "1K", "x.elf"], "multiple of 4096"),
        (["run", "-m", "4K", "good.elf"], "outside RAM"),
        (["run", "--smp", "0", "x.elf"], "1 to 64"),
        (["run", "--smp", "many", "x.elf"], "--smp"),
        (["run", "--pmp", "65", "x.elf"], "0 to 64"),
        (["run", "--isa", "rv64imaq", "x.elf"], "unknown extension 'q'"),
        (["run", "--isa", "rv32i", "x.elf"], "rv64"),
        (["run", "--engine", "steam", "x.elf"], "'steam'"),
        (["run", "--load-address", "here", "x.elf"], "'here' is not an address"),
        (["run", "--load-address", "0x10", "good.elf"], "outside RAM"),
        (["run", "--max-instructions", "-1", "x.elf"], "--max-instructions"),
        (["run", "--trace=/nowhere/t", "good.elf"], "/nowhere/t: cannot be written"),
        (["run", "--signature", "s", "good.elf"], "begin_signature"),
        (["run", "--append", "caf\u00e9", "good.elf"], "ASCII"),
        (["run", "--colour", "good.elf"], "--colour (`rvemu run --help` tells more)"),
        (["run", "-M", "virt", "-nographic", "good.elf"], "-M: the board is `virt`; -nographic: "),
        (["run", "--device", "virtio-net-device", "good.elf"], "-device: --drive, --netdev"),
        (["run", "-smp", "0", "good.elf"], "1 to 64"),
        (["fly"], "'fly'"),
        ([], "COMMAND"),
        (["dts", "-m", "x"], "not a size"),
        (["disasm"], "disassemble what?"),
        (["disasm", "nowhere.elf"], "nowhere.elf: cannot be read"),
        (["disasm", "--hex", "xyz"], "'xyz' is no instruction"),
        (["disasm", "--section", ".data", "good.elf"], "no section .data"),
        (["disasm", "--start", "main", "good.elf"], "no address"),
        (["disasm", "--start", "0", "good.elf"], "there is nothing at 0x0"),
    ],
)
def test_mistakes(rvemu: Run, tmp_path: Path, arguments: list[str], words: str) -> None:
    (tmp_path / "good.elf").write_bytes(GOOD)
    if arguments[:1] == ["run"] and "--engine" not in arguments:
        arguments = ["run", "--engine", "reference", *arguments[1:]]
    assert words in complaint(rvemu(*arguments))


def test_help_teaches(rvemu: Run) -> None:
    for command in ("run", "dts", "disasm"):
        done = rvemu(command, "--help")
        assert done.returncode == 0
        assert f"  rvemu {command} " in done.stdout and "examples:" in done.stdout


# --- Output that can't be written, and signals ----------------------------------------------------


def test_a_reader_that_leaves(rvemu: Run, guest: Guest, tmp_path: Path) -> None:
    forever = li("t0", UART) + op("sb", rs1="t0", rs2="t0", imm=0) + op("jal", rd="zero", imm=-4)
    name = guest(forever)
    process = subprocess.Popen(
        [sys.executable, "-m", "rvemu", "run", name],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.read(1) == b"\0"
    process.stdout.close()
    assert process.wait(30) == 141
    assert process.stderr.read() == b""
    process.stderr.close()
    del rvemu


def test_a_full_disk(rvemu: Run, guest: Guest, tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "rvemu", "run", guest(put("x") + exit_with(0))],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == "rvemu: cannot write the guest's output: No space left on device\n"
    del rvemu


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("sleeping", [False, True])
def test_signals(guest: Guest, tmp_path: Path, number: signal.Signals, sleeping: bool) -> None:
    code = li("t0", 0x800) + csrw(0x304, "t0") + put("!") + (WFI if sleeping else b"")
    busy = op("addi", rd="a0", rs1="a0", imm=1) + op("jal", rd="zero", imm=-4)
    process = subprocess.Popen(
        [sys.executable, "-m", "rvemu", "run", guest(code + busy)],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.read(1) == b"!"
        time.sleep(0.1)
        os.kill(process.pid, number)
        assert process.wait(30) == 128 + number
        assert process.stderr.read() == b""


def test_without_stdin(guest: Guest, tmp_path: Path) -> None:
    """As `rvemu run ... <&-`: there is no input."""
    done = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m rvemu run {guest(sleepy_echo_guest())} <&-"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 124
    assert "will not come" in done.stderr


def test_starting_imports_nothing_that_is_slow() -> None:
    program = "import rvemu.cli.run, rvemu.session, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not {"rich", "llvmlite.ir", "asyncio", "hypothesis"} & set(done.stdout.split())
