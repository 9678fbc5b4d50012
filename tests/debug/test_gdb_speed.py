"""What a debugger costs, and how fast it works beside QEMU's stub. CPU time where possible: other
work on the computer does not count."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from gdbstub import CONTINUE, Server
from rvemu.debug.process import Process
from rvemu.debug.target import DebugTarget
from rvemu.guests import find_guest
from rvemu.machine import Machine
from tests.debug.gdb import GDB, needs_gdb, served
from tests.debug.qemu import Qemu, needs_qemu

pytestmark = [needs_gdb, pytest.mark.slow]

STEPS = 10_000
# Start code, in the page of the hot code: executed once or never.
ELSEWHERE = [f"break *{0x8000_0070 + 4 * n:#x}" for n in range(10)]
DUMP = (0x8000_0000, 0x8400_0000)  # 64 MiB


def bench(iterations: int) -> tuple[Machine, Path]:
    """The integer benchmark, to be run so many times."""
    path = find_guest("bench-int")
    machine = Machine(memory=128 << 20, output=lambda _: None)
    machine.load(path)
    machine.write_physical(machine.symbol("bench_iterations"), iterations.to_bytes(8, "little"))
    return machine, path


def gdb_command(address: str, path: Path, *commands: str) -> list[str]:
    assert GDB is not None
    lines = ["set pagination off", "set confirm off", f"target extended-remote {address}"]
    words = [word for line in (*lines, *commands) for word in ("-ex", line)]
    return [GDB, "-nx", "-q", "-batch", "-iex", "set auto-load no", *words, str(path)]


def seconds_plain(iterations: int) -> float:
    machine, _ = bench(iterations)
    started = time.process_time()
    machine.run(detect_stuck=False)
    return time.process_time() - started


def seconds_debugged(iterations: int, *commands: str) -> float:
    machine, path = bench(iterations)
    target = DebugTarget(Process(machine, path))
    target.resume(dict.fromkeys(target.threads(), CONTINUE))
    with Server(target, "127.0.0.1:0", wait=True) as server:
        process = subprocess.Popen(
            gdb_command(str(server.address), path, *commands, "continue"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not server.running:
            server.poll(0.05)
        started = time.process_time()
        server.serve(target.run_slice)
        taken = time.process_time() - started
        process.wait(30)
    return taken


def test_a_debugger_with_breakpoints_elsewhere_costs_nothing() -> None:
    """Ten breakpoints in the page of hot code: at least 95% of the speed."""
    best = 0.0
    for _ in range(6):
        best = max(best, seconds_plain(800) / seconds_debugged(800, *ELSEWHERE))
        if best >= 0.95:
            break
    assert best >= 0.95


def seconds_of_qemu(*commands: str) -> float:
    """What the benchmark takes of QEMU's CPU time, with a debugger attached."""
    machine, path = bench(1)
    few = f"set {{long}}{machine.symbol('bench_iterations'):#x} = 50"
    with Qemu(path) as qemu:
        words = gdb_command(qemu.address, path, few, *commands, "continue")
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            before = os.times()
            assert qemu.process.wait(60) == 0
            after = os.times()
    return after.children_user - before.children_user


@needs_qemu
def test_breakpoints_elsewhere_cost_less_than_qemus() -> None:
    """QEMU executes each instruction of a page with breakpoints by itself."""
    assert seconds_of_qemu(*ELSEWHERE) > 3 * seconds_of_qemu()


def seconds_of_gdb(address: str, *commands: str) -> float:
    started = time.perf_counter()
    done = subprocess.run(
        gdb_command(address, find_guest("bench-int"), *commands),
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "rror" not in done.stderr, done.stderr
    return time.perf_counter() - started


@needs_qemu
def test_steps_are_no_slower_than_qemus(qemu: str) -> None:
    commands = ("break main", "continue", "delete", f"stepi {STEPS}", "disconnect")
    machine, path = bench(10)
    with served(machine, path) as running:
        ours = seconds_of_gdb(running.address, *commands)
        assert machine.now >= STEPS
    assert ours <= seconds_of_gdb(qemu, *commands)


@needs_qemu
def test_a_dump_is_no_slower_than_qemus(qemu: str, tmp_path: Path) -> None:
    def dump(name: str) -> str:
        return f"dump binary memory {tmp_path}/{name} {DUMP[0]:#x} {DUMP[1]:#x}"

    machine, path = bench(10)
    machine.write_physical(DUMP[0] + (32 << 20), bytes(range(256)) * 4096)
    with served(machine, path) as running:
        ours = seconds_of_gdb(running.address, dump("ours"), "kill")
    assert ours <= seconds_of_gdb(qemu, dump("qemus"), "disconnect")
    content = (tmp_path / "ours").read_bytes()
    assert content == machine.read_physical(DUMP[0], DUMP[1] - DUMP[0])
