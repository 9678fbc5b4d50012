"""Running conformance tests: verdicts, limits, trails, workers that die, JUnit."""

from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from rvemu.conformance import workers
from rvemu.conformance.discover import Program, find_tests
from rvemu.conformance.junit import write_junit
from rvemu.conformance.results import Result, Verdict, tally
from rvemu.conformance.single import Options, run_test
from rvemu.errors import RvemuError
from tests.conformance.hostile import Deadly, Endless
from tests.conformance.programs import DATA, TOHOST, exits_with, hangs, prints, program, traps
from tests.elf_builder import E_CLASS, E_MACHINE, E_TYPE, patched

SMALL = Options(memory=4 << 20, limit=10_000)


def written(folder: Path, name: str, content: bytes) -> Program:
    path = folder / name
    path.write_bytes(content)
    return Program(path, name)


def result_of(folder: Path, content: bytes, engine: str, options: Options = SMALL) -> Result:
    return run_test(written(folder, "rv64xx-p-test", content), engine, options)


# --- One test --------------------------------------------------------------------------------


def test_a_pass(tmp_path: Path, engine: str) -> None:
    result = result_of(tmp_path, exits_with(0), engine)
    assert (result.verdict, result.detail, result.trail) == (Verdict.PASSED, "", ())
    assert (result.group, result.engine) == ("rv64xx-p", engine)
    assert 0 < result.instructions < 100


def test_a_failure_tells_the_case_and_the_last_instructions(tmp_path: Path, engine: str) -> None:
    result = result_of(tmp_path, exits_with(7), engine)
    assert (result.verdict, result.detail) == (Verdict.FAILED, "case 7 failed")
    assert "li a0,15" in result.trail[-2]
    assert "# a0=0xf" in result.trail[-2]
    assert " M: sd a0,0(t0)" in result.trail[-1]
    assert "<start" in result.trail[-1]


def test_the_trail_has_the_length_that_was_asked_for(tmp_path: Path, engine: str) -> None:
    options = Options(memory=4 << 20, limit=10_000, trail=2)
    assert len(result_of(tmp_path, exits_with(7), engine, options).trail) == 2


def test_an_unexpected_trap_is_told(tmp_path: Path, engine: str) -> None:
    result = result_of(tmp_path, traps(), engine)
    assert result.verdict is Verdict.FAILED
    assert result.detail.startswith("unexpected trap: illegal instruction at 0x8000")
    assert "<culprit>" in result.detail


def test_a_test_that_hangs_has_no_result_and_is_located(tmp_path: Path, engine: str) -> None:
    result = result_of(tmp_path, hangs(), engine)
    assert result.verdict is Verdict.NO_RESULT
    assert result.detail.startswith("no result after 10,000 instructions, at pc 0x8000")
    assert "<forever>" in result.detail
    assert result.instructions == 10_000
    assert len(result.trail) == SMALL.trail


def test_a_limit_below_the_trail_is_kept(tmp_path: Path, engine: str) -> None:
    result = result_of(tmp_path, hangs(), engine, Options(memory=4 << 20, limit=5))
    assert (result.instructions, len(result.trail)) == (5, 5)


def test_what_a_test_prints_is_kept(tmp_path: Path, engine: str) -> None:
    result = result_of(tmp_path, prints(b"hello\n"), engine)
    assert (result.verdict, result.output) == (Verdict.PASSED, "hello\n")


def test_a_file_that_cannot_be_loaded_is_an_error(tmp_path: Path) -> None:
    result = result_of(tmp_path, exits_with(0)[:100], "reference")
    assert result.verdict is Verdict.ERROR
    assert "truncated" in result.detail


def test_an_isa_without_the_instruction_fails_honestly(tmp_path: Path, engine: str) -> None:
    p = program()
    p.op("mul", rd=10, rs1=10, rs2=10)
    content = exits_with(0, p)
    assert result_of(tmp_path, content, engine).passed
    without = Options(memory=4 << 20, limit=10_000, isa="rv64ia_zicsr")
    assert not result_of(tmp_path, content, engine, without).passed


def test_signatures_go_to_a_folder(tmp_path: Path, engine: str) -> None:
    p = program()
    p.symbols |= {"begin_signature": DATA, "end_signature": DATA + 8}
    p.li(11, 0x1122_3344_5566_7788).li(12, DATA).op("sd", rs1=12, rs2=11)
    options = Options(memory=4 << 20, signature_folder=tmp_path / "out", signature_granularity=4)
    assert result_of(tmp_path, exits_with(0, p), engine, options).passed
    file = tmp_path / "out" / engine / "rv64xx-p-test.signature"
    assert file.read_text() == "55667788\n11223344\n"


# --- Which files are tests -------------------------------------------------------------------


def test_folders_are_searched_and_what_is_no_test_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    good = exits_with(0)
    (tmp_path / "rv64ui-p-add").write_bytes(good)
    (tmp_path / "sub" / "other").write_bytes(good)
    (tmp_path / "rv64ui-p-add.dump").write_text("not an ELF file")
    (tmp_path / "x86").write_bytes(patched(good, E_MACHINE, 62))
    (tmp_path / "rv32").write_bytes(patched(good, E_CLASS, 1))
    (tmp_path / "object.o").write_bytes(patched(good, E_TYPE, 1))
    found = find_tests([tmp_path])
    assert [t.name for t in found.tests] == ["rv64ui-p-add", "sub/other"]
    assert [t.group for t in found.tests] == ["rv64ui-p", "sub"]
    reasons = {path.name: reason for path, reason in found.rejected}
    assert sorted(reasons) == ["object.o", "rv32", "x86"]
    assert "another machine" in reasons["x86"]
    assert "RV32" in reasons["rv32"]
    assert "not linked" in reasons["object.o"]


def test_a_file_named_twice_runs_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(exits_with(0))
    assert len(find_tests([tmp_path, tmp_path / "a"]).tests) == 1


def test_a_filter_matches_names_with_or_without_folders(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a-1", "b-1", "sub/a-2"):
        (tmp_path / name).write_bytes(exits_with(0))
    assert [t.name for t in find_tests([tmp_path], "a-*").tests] == ["a-1", "sub/a-2"]
    assert [t.name for t in find_tests([tmp_path], "sub/*").tests] == ["sub/a-2"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"text", "not an ELF file"), (b"\x7fELF", "truncated"), (None, "no such file")],
)
def test_a_named_file_must_be_a_test(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "x").write_bytes(content)
    with pytest.raises(RvemuError, match=message):
        find_tests([tmp_path / "x"])


# --- Many tests ------------------------------------------------------------------------------


def test_workers_share_the_tests(tmp_path: Path) -> None:
    programs = [written(tmp_path, f"g-p-{n}", exits_with(n)) for n in range(5)]
    results = list(workers.run_all([(p, "reference") for p in programs], SMALL, jobs=2))
    assert sorted((r.name, r.passed) for r in results) == [(f"g-p-{n}", n == 0) for n in range(5)]
    assert (tally(results).passed, tally(results).failed) == (1, 4)


def test_a_worker_that_dies_costs_only_its_test(tmp_path: Path) -> None:
    good = [written(tmp_path, f"good{n}", exits_with(0)) for n in range(2)]
    work = [(Deadly(tmp_path / "x", "bad"), "reference"), *((p, "reference") for p in good)]
    results = {r.name: r for r in workers.run_all(work, SMALL, jobs=1)}
    assert results["bad"].verdict is Verdict.ERROR
    assert "its process died (SIGKILL)" in results["bad"].detail
    assert results["good0"].passed
    assert results["good1"].passed


def test_a_worker_that_never_answers_is_given_up(tmp_path: Path) -> None:
    good = written(tmp_path, "good", exits_with(0))
    work = [(Endless(tmp_path / "x", "slow"), "reference"), (good, "reference")]
    results = {r.name: r for r in workers.run_all(work, SMALL, jobs=1, timeout=5.0)}
    assert "gave no result in 5 seconds" in results["slow"].detail
    assert results["good"].passed


# --- JUnit -----------------------------------------------------------------------------------


def test_junit(tmp_path: Path) -> None:
    results = [
        Result("g-p-a", "g-p", "native", Verdict.PASSED, seconds=0.5, output="a\x00<b>\x1b[0m"),
        Result("g-p-b", "g-p", "native", Verdict.FAILED, "case 3 failed", trail=("last",)),
        Result("g-p-c", "g-p", "native", Verdict.ERROR, "its process died"),
        Result("g-p-a", "g-p", "reference", Verdict.NO_RESULT, "no result"),
    ]
    file = tmp_path / "results.xml"
    write_junit(results, file)
    native, reference = Xml.parse(file).getroot()
    assert {k: native.attrib[k] for k in ("name", "tests", "failures", "errors")} == {
        "name": "g-p.native",
        "tests": "3",
        "failures": "1",
        "errors": "1",
    }
    passed, failed, error = native
    assert (passed.attrib["name"], passed.find("failure")) == ("g-p-a", None)
    assert passed.findtext("system-out") == "a\ufffd<b>\ufffd[0m"
    failure = failed.find("failure")
    assert failure is not None
    assert failure.attrib["message"] == "case 3 failed"
    assert failure.text == "case 3 failed\nlast"
    assert error.find("error") is not None
    assert reference.attrib["failures"] == "1"


def test_junit_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(RvemuError, match="cannot be written"):
        write_junit([], tmp_path / "no such folder" / "x.xml")


def test_tohost_is_apart_from_data() -> None:
    assert TOHOST % 8 == 0
    assert abs(TOHOST - DATA) >= 4096
