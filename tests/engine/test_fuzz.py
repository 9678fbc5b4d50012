"""Random states and programs on both engines; and that the fuzzer sees what it is there to see."""

import os
import re
import signal
from collections.abc import Callable
from typing import Any

import pytest

from rvemu.cli.main import main
from rvemu.engine.native.library import library
from rvemu.errors import RvemuError
from rvemu.fuzz.fuzzer import DEFAULT_FEATURES, FEATURES, Fuzzer, parse_features
from rvemu.fuzz.guard import guarded
from rvemu.fuzz.rig import Rig
from rvemu.hart.extensions import parse_isa
from rvemu.hart.state import Hart


@pytest.mark.parametrize(
    ("features", "instructions"),
    [("full", 60_000), ("h", 100_000), ("base", 20_000), ("embedded", 20_000), ("float", 20_000)],
)
@pytest.mark.slow
def test_engines_agree(features: str, instructions: int) -> None:
    fuzzer = Fuzzer(20_240_611, (features,))
    progress = fuzzer.run(instructions)
    assert not progress.failures, "\n".join(map(str, progress.failures))
    assert progress.instructions >= instructions
    missing = fuzzer.coverage[features].missing(parse_isa(FEATURES[features]))
    assert len(missing["instructions"]) <= 12, missing["instructions"]
    assert not missing["interrupts"]


def test_a_case_depends_on_its_seed_and_number_alone() -> None:
    first, second = (Fuzzer(5, ("h",)).generator("h") for _ in range(2))
    first.case(3)
    assert first.case(8) == second.case(8)
    assert first.case(8) != first.case(9)
    assert Fuzzer(6, ("h",)).generator("h").case(8) != first.case(8)


def test_a_rig_runs_a_case_the_same_way_again() -> None:
    fuzzer = Fuzzer(5, ("h",))
    case = fuzzer.generator("h").case(4)
    rig: Rig = fuzzer._native
    results = []
    for _ in range(2):
        rig.load(case)
        rig.run(case)
        results.append((bytes(rig.ram.view), [int(n) for n in rig.harts[0].x], list(rig.traps)))
    assert results[0] == results[1]


def _forget_reservation(original: Callable[..., int]) -> Callable[..., int]:
    def store_conditional(h: Hart, address: int, size: int, value: int) -> int:
        kept = h.reservation_size
        result = original(h, address, size, value)
        h.reservation_size = kept
        return result

    return store_conditional


def _no_address(original: Callable[..., None]) -> Callable[..., None]:
    def fence(h: Hart, by_address: int, address: int) -> None:
        if not by_address:
            original(h, by_address, address)

    return fence


def _overflow(original: Callable[..., int]) -> Callable[..., int]:
    def orc_b(h: Hart, *arguments: int) -> int:
        original(h, *arguments)
        raise OverflowError("too large")

    return orc_b


# What is broken (in the reference engine only), how, and a word of the report.
PLANTED: list[tuple[str, str, Callable[..., Any], str]] = [
    ("rvemu.isa.a", "store_conditional", _forget_reservation, "reservation_size"),
    ("rvemu.isa.system", "fence_supervisor", _no_address, "tlb"),
    ("rvemu.hart.access", "fill_fetch", lambda _: lambda *_: None, "ftlb"),
    ("rvemu.isa.m", "quotient", lambda _: lambda a, _: a, "x"),
    # (What the first instruction at the wrong address links.)
    ("rvemu.hart.traps", "vector", lambda _: lambda tvec, _: tvec & ~3, "x4/tp"),
    ("rvemu.isa.zbb", "count_ones", _overflow, "OverflowError: too large"),
]


@pytest.mark.parametrize(
    ("module", "name", "change", "shown"), PLANTED, ids=[p[1] for p in PLANTED]
)
def test_it_finds_what_is_broken(
    module: str, name: str, change: Callable[..., Any], shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    library()  # native code is made from what is not broken
    original = getattr(__import__(module, fromlist=[name]), name)
    monkeypatch.setattr(f"{module}.{name}", change(original))
    progress = Fuzzer(1, ("full",)).run(60_000)
    assert progress.failures
    report = str(progress.failures[0])
    assert shown in report
    again = re.search(r"again: rvemu (.*)", report)
    assert again is not None
    case = progress.failures[0].case
    assert again[1] == f"lockstep --fuzz --seed 1 --features full --case {case.number}"


def test_the_reproducer_reproduces(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    library()
    monkeypatch.setattr("rvemu.hart.traps.vector", lambda tvec, _: tvec & ~3)
    failure = Fuzzer(1, ("full",)).run(60_000).failures[0]
    words = f"lockstep --fuzz --seed 1 --features full --case {failure.case.number}".split()
    assert main(words) == 1
    assert str(failure) in capfd.readouterr().out


def test_command(capfd: pytest.CaptureFixture[str]) -> None:
    words = "lockstep --fuzz 4000 --seed 2 --features full,rv64imac --coverage".split()  # noqa: SIM905
    assert main(words) == 0
    out = capfd.readouterr().out
    assert "seed 2: 0 differences in 4,000 instructions of 10 cases" in out
    assert "never reached, CSRs:" in out
    assert main(["lockstep", "--fuzz", "--seed", "2", "--time", "0.1"]) == 0


def test_features() -> None:
    assert parse_features(None) == DEFAULT_FEATURES
    assert parse_features("h, rv64imac") == ("h", "rv64imac")
    with pytest.raises(RvemuError, match="no features 'nonsense'; there are: full"):
        parse_features("nonsense")


def test_a_crash_names_its_case() -> None:
    def work(note: Callable[[str], None]) -> int:
        note("case 1")
        note("case 22")
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    seen = []

    def crashed(name: str, note: str) -> int:
        seen.append((name, note))
        return 1

    assert guarded(work, crashed) == 1
    assert seen == [("SIGKILL", "case 22")]
    assert guarded(lambda _: 3, crashed) == 3
