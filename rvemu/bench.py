"""Measures engines and other emulators on the same guest, in the same run.

A benchmark guest repeats its work `bench_iterations` times, a word that the host may patch. Every
emulator is timed with that word as it is, and with 0; the difference is the steady state, without
start-up, loading and printing. Rounds of all emulators take turns, and the best of each counts, so
that what else the machine is doing hits all alike. Figures of different machines, or of different
runs, are not to be compared; the ratios of one run are.

The number of instructions is the native engine's, and the same for all: the guests do the same work
wherever they run.
"""

import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from elftools.elf.elffile import ELFFile

from rvemu.errors import RvemuError
from rvemu.guests import find_guest, list_guests
from rvemu.loader import load_elf
from rvemu.machine import Machine, Reason

# Instructions that the reference engine runs: enough to see its speed.
REFERENCE_INSTRUCTIONS = 300_000

# How long another emulator may take, in seconds.
TIME_LIMIT = 600

_SYMBOL = "bench_iterations"


@dataclass
class Result:
    """What one guest showed: best times in seconds, and instructions."""

    guest: str
    instructions: int
    seconds: dict[str, float] = field(default_factory=dict)
    #: Where an emulator ran fewer instructions than the others.
    shorter: dict[str, int] = field(default_factory=dict)

    def mips(self, emulator: str) -> float:
        """Millions of instructions in a second."""
        return self.shorter.get(emulator, self.instructions) / self.seconds[emulator] / 1e6

    def ratio(self, emulator: str, base: str = "native") -> float:
        """How many times as fast `base` is as another emulator."""
        return self.mips(base) / self.mips(emulator)


def benchmark_guests() -> list[str]:
    """The names of the guests that are benchmarks."""
    return [guest.name for guest in list_guests() if guest.benchmark and not guest.needs_sbi]


def others(guest: str | None = None) -> dict[str, list[str]]:
    """The other emulators on PATH: their names, and the command lines that a guest is added to.

    With a guest: those that can run it. A hypervisor keeps its guest from Spike's way to end.
    """
    needs_h = any(info.name == guest and info.needs_h for info in list_guests())
    found = {}
    if qemu := shutil.which("qemu-system-riscv64"):
        cpu = ["-cpu", "rv64,h=true"] if needs_h else []
        found["qemu"] = [qemu, "-M", "virt", *cpu, "-bios", "none", "-nographic", "-kernel"]
    if (spike := shutil.which("spike")) and not needs_h:
        found["spike"] = [spike, "--isa=rv64gc_zba_zbb_zbs_zicntr"]
    return found


def with_iterations(path: Path, iterations: int) -> bytes:
    """A guest's ELF with the word `bench_iterations` changed."""
    content = bytearray(path.read_bytes())
    offset = _offset_of_iterations(path)
    content[offset : offset + 8] = iterations.to_bytes(8, "little")
    return bytes(content)


def iterations_of(path: Path) -> int:
    """How often a guest repeats its work as it is built."""
    offset = _offset_of_iterations(path)
    return int.from_bytes(path.read_bytes()[offset : offset + 8], "little")


def _offset_of_iterations(path: Path) -> int:
    """Where in an ELF file the word is. (A guest may embed another, with a word of its own.)"""
    address = load_elf(path).physical(_SYMBOL)
    if address is None:
        raise RvemuError(f"{path} is no benchmark: it has no symbol {_SYMBOL}")
    with path.open("rb") as file:
        for segment in ELFFile(file).iter_segments("PT_LOAD"):
            offset = address - segment["p_paddr"]
            if 0 <= offset <= segment["p_filesz"] - 8:
                return int(segment["p_offset"] + offset)
    raise RvemuError(f"{path}: {_SYMBOL} is not in the file")


def _time_machine(content: bytes, engine: str, budget: int | None = None) -> tuple[float, int]:
    """Seconds that a guest runs, and the instructions that it retires."""
    machine = Machine(engine=engine, output=lambda _: None)
    machine.load(content)
    start = time.perf_counter()
    outcome = machine.run(budget)
    seconds = time.perf_counter() - start
    if budget is None and (outcome.reason is not Reason.EXITED or outcome.code):
        raise RvemuError(f"the benchmark failed: {outcome.reason}, status {outcome.code}")
    return seconds, machine.hart.instret


def _time_process(command: list[str]) -> float:
    start = time.perf_counter()
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIME_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        raise RvemuError(f"{command[0]} took more than {TIME_LIMIT} s") from None
    seconds = time.perf_counter() - start
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise RvemuError(f"{command[0]} ended with status {done.returncode} {' '.join(last)}")
    return seconds


def measure(
    guest: str,
    *,
    rounds: int = 3,
    scale: int = 1,
    reference: bool = True,
    progress: Callable[[str], None] = lambda _: None,
) -> Result:
    """Run a benchmark on all that there is. scale: how many times as long it is to run."""
    path = find_guest(guest)
    full = with_iterations(path, iterations_of(path) * scale)
    empty = with_iterations(path, 0)
    _, all_instructions = _time_machine(full, "native")
    idle, idle_instructions = _time_machine(empty, "native")
    result = Result(guest, all_instructions - idle_instructions)
    best: dict[str, tuple[float, float]] = {}

    def note(emulator: str, with_work: float, without: float) -> None:
        before = best.get(emulator, (with_work, without))
        best[emulator] = (min(before[0], with_work), min(before[1], without))

    with TemporaryDirectory(prefix="rvemu-bench-") as folder:
        full_path, empty_path = Path(folder, "full.elf"), Path(folder, "empty.elf")
        full_path.write_bytes(full)
        empty_path.write_bytes(empty)
        for n in range(rounds):
            progress(f"{guest}: round {n + 1} of {rounds}")
            note("native", _time_machine(full, "native")[0], idle)
            for name, command in others(guest).items():
                note(
                    name,
                    _time_process([*command, str(full_path)]),
                    _time_process([*command, str(empty_path)]),
                )
    result.seconds = {name: max(w - without, 1e-9) for name, (w, without) in best.items()}
    if reference:
        progress(f"{guest}: the reference engine")
        seconds, retired = _time_machine(full, "reference", REFERENCE_INSTRUCTIONS)
        result.seconds["reference"] = seconds
        result.shorter["reference"] = retired
    return result
