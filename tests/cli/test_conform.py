"""`rvemu conform`: what it prints, its files, its exit status."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from rvemu.cli.main import main
from rvemu.cli.quantities import count, size
from tests.conformance.programs import exits_with, hangs, prints

FAST = ["-m", "4M", "--jobs", "1"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One test that passes, one that fails, one that hangs, and a text file."""
    folder = tmp_path / "isa"
    folder.mkdir()
    (folder / "g-p-good").write_bytes(exits_with(0))
    (folder / "g-p-bad").write_bytes(exits_with(3))
    (folder / "g-v-hung").write_bytes(hangs())
    (folder / "g-p-good.dump").write_text("text")
    return folder


def test_failures_are_told_in_lines(
    folder: Path, capsys: pytest.CaptureFixture[str], engine: str
) -> None:
    status = main(["conform", *FAST, "--engine", engine, "--limit", "1000", str(folder)])
    lines = capsys.readouterr().out.splitlines()
    assert status == 1
    assert f"FAILED: g-p-bad on {engine}: case 3 failed" in lines
    assert any(
        line.startswith(f"NO RESULT: g-v-hung on {engine}: no result after 1,000 instructions, at")
        for line in lines
    )
    assert f"g-p on {engine}: 1 of 2 passed, 1 failed" in lines
    assert lines[-1].startswith("3 tests: 1 passed, 2 failed in ")
    assert "\x1b" not in "".join(lines)


def test_all_passed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["conform", *FAST, "--engine", "both", str(folder / "g-p-good")])
    out = capsys.readouterr().out
    assert status == 0
    assert out.splitlines()[-1].startswith("2 tests: 2 passed, 0 failed")


def test_filter_and_list(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conform", "--list", "--filter", "g-p-*", str(folder)]) == 0
    assert capsys.readouterr().out == "g-p-bad\ng-p-good\n"


def test_junit_is_written(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "results.xml"
    arguments = ["conform", *FAST, "--engine", "reference", "--filter", "g-p-*"]
    assert main([*arguments, "--junit", str(file), str(folder)]) == 1
    (suite,) = Xml.parse(file).getroot()
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("2", "1")


def test_verbose_shows_what_tests_print(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "loud").write_bytes(prints(b"hi\x1b[2J\n"))
    path = str(tmp_path / "loud")
    assert main(["conform", *FAST, "--engine", "reference", "--verbose", path]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("passed: loud on reference, ")
    assert lines[1] == "    | hi\ufffd[2J"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no/such/path"], "no/such/path: no such file or folder"),
        (["--isa", "rv64xyz", "."], "ISA 'rv64xyz'"),
        (["--filter", "nothing*", "{folder}"], "no tests that match 'nothing*'"),
        (["--signature", "x", "{folder}"], "--signature is for one test on one engine"),
        (["{folder}/g-p-good.dump"], "not an ELF file"),
    ],
)
def test_mistakes_are_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    filled = [word.replace("{folder}", str(folder)) for word in arguments]
    assert main(["conform", *filled]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("rvemu: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_the_signature_of_one_test(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A test without a signature, of which one was asked for, has not done what it should.
    arguments = ["conform", *FAST, "--engine", "reference", str(folder / "g-p-good")]
    assert main([*arguments, "--signature", str(tmp_path / "sig")]) == 1
    assert "has no signature" in capsys.readouterr().out


def start(arguments: list[str], **streams: int) -> subprocess.Popen[str]:
    """The command in a process of its own, that Ctrl-C reaches as a group."""
    return subprocess.Popen(
        [sys.executable, "-m", "rvemu", "conform", *arguments],
        text=True,
        process_group=0,
        **streams,
    )


def test_ctrl_c_leaves_with_the_summary_so_far(folder: Path) -> None:
    arguments = ["--engine", "reference", "-m", "4M", "--jobs", "2", "--limit", "1G"]
    process = start([*arguments, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    shown = process.stdout.readline()
    assert shown.startswith("FAILED: g-p-bad")
    while not shown.startswith("g-p on"):
        shown = process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    started = time.monotonic()
    rest, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert time.monotonic() - started < 10
    assert "3 tests: 1 passed, 1 failed, 1 not run in" in rest
    assert "(interrupted)" in rest
    assert errors == ""


def test_a_terminal_has_a_live_table(folder: Path) -> None:
    ours, theirs = pty.openpty()
    arguments = ["--engine", "reference", *FAST, "--filter", "g-p-*", str(folder)]
    process = start(arguments, stdout=theirs, stderr=subprocess.DEVNULL)
    os.close(theirs)
    shown = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:
            break
        if not data:
            break
        shown += data
    os.close(ours)
    assert process.wait(30) == 1
    text = shown.decode()
    assert "group" in text
    assert "1/2, 1 failed" in text
    assert "FAILED: g-p-bad on reference: case 3 failed" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h")  # the cursor is back


@pytest.mark.parametrize(
    ("text", "expected"),
    [("128M", 128 << 20), ("1g", 1 << 30), ("64KiB", 64 << 10), ("4096B", 4096), ("16", 16 << 20)],
)
def test_sizes(text: str, expected: int) -> None:
    assert size(text) == expected


@pytest.mark.parametrize(("text", "expected"), [("5M", 5_000_000), ("1_000", 1000), ("7", 7)])
def test_counts(text: str, expected: int) -> None:
    assert count(text) == expected


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5M", ""])
def test_what_is_no_number(text: str) -> None:
    for parse in (size, count):
        with pytest.raises(Exception, match="is not a"):
            parse(text)
