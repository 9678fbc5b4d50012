"""Guest time that follows the host's clock."""

import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rvemu.clock import TICKS_PER_SECOND, WallClock
from rvemu.errors import RvemuError
from rvemu.hart.counters import time as guest_ticks
from rvemu.hart.state import Hart, Shared
from rvemu.lang import M64
from rvemu.machine import Machine, Reason
from tests.small_programs import SPIN, WFI, csrw, elf, exit_with, li, op, put, sleepy_echo_guest

MTIME, MTIMECMP = 0x200_BFF8, 0x200_4000


class Host:
    """A clock for tests."""

    def __init__(self) -> None:
        self.seconds = 1024.0

    def __call__(self) -> float:
        return self.seconds


class Rig:
    """A wall clock, and both clocks that it goes by."""

    def __init__(self) -> None:
        self.host, self.instructions = Host(), 0
        self.shared = Shared()
        self.shared.clock_per_tick = 100
        self.hart = Hart(self.shared)
        self.clock = WallClock(self.shared, [self.hart], lambda: self.instructions, self.host)

    def after(self, seconds: float, instructions: int = 0) -> int:
        """mtime, after both clocks have advanced."""
        self.host.seconds += seconds
        self.instructions += instructions
        self.clock.follow()
        return self.clock.time()


def test_it_follows_the_host() -> None:
    rig = Rig()
    assert rig.after(0) == 0
    assert rig.after(1.5, 1_000) == 15_000_000
    assert rig.after(0.5, 10_000) == 20_000_000


def test_it_never_goes_back() -> None:
    rig = Rig()
    assert rig.after(0.125, 200_000_000) == 2_000_000  # too quick
    assert rig.after(0.0625) == 2_000_000
    assert rig.after(0.0625) == 2_500_000


def test_the_guest_sets_the_time() -> None:
    rig = Rig()
    assert rig.after(1) == 10_000_000
    rig.clock.set_time(M64 - 4_999_999)
    assert rig.clock.time() == M64 - 4_999_999
    assert rig.after(1) == 5_000_000  # it wraps around
    rig.clock.set_time(7)
    assert rig.after(1) == 10_000_007


def test_the_date() -> None:
    """By the wall clock it is the host's; else it is the same in all runs."""
    before = time.time_ns()
    date = Machine(clock="wall").board.rtc.now()
    assert before <= date <= time.time_ns()
    assert Machine().board.rtc.now() == 1_704_067_200 * 10**9  # 2024-01-01 00:00:00 UTC


def test_time_stands_still_with_the_machine() -> None:
    rig = Rig()
    rig.after(1)
    rig.host.seconds += 100
    rig.clock.go_on()
    assert rig.after(1) == 20_000_000


# --- In a machine --------------------------------------------------------------------------------


def sleeper(ticks: int) -> bytes:
    """Sets its timer, waits for it in WFI, and ends."""
    code = li("t0", MTIMECMP) + li("t1", ticks) + op("sd", rs1="t0", rs2="t1", imm=0)
    code += op("addi", rd="t1", rs1="zero", imm=0x80) + csrw(0x304, "t1")
    return code + WFI + exit_with(0)


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_a_waiting_guest_has_the_host_wait(engine: str) -> None:
    machine = Machine(engine=engine, clock="wall")
    machine.load(elf(sleeper(TICKS_PER_SECOND // 2)))
    started, used = time.monotonic(), time.process_time()
    assert machine.run().reason is Reason.EXITED
    assert time.monotonic() - started >= 0.45
    assert time.process_time() - used < 0.3
    assert machine.guest_time >= 0.5


def test_a_running_guest_sees_the_hosts_time() -> None:
    # It spins until its `time` says that 300 ms have passed.
    code = li("t1", 3_000_000) + op("csrrs", rd="t0", csr=0xC01, rs1="zero")
    code += op("bltu", rs1="t0", rs2="t1", imm=-4) + exit_with(0)
    machine = Machine(clock="wall")
    machine.load(elf(code))
    started = time.monotonic()
    assert machine.run().reason is Reason.EXITED
    assert 0.25 <= time.monotonic() - started < 20


def test_what_never_comes_is_still_noticed() -> None:
    machine = Machine(clock="wall")
    machine.load(elf(WFI + SPIN))
    assert machine.run().reason is Reason.IDLE


def test_resets_set_it_back() -> None:
    machine = Machine(clock="wall")
    machine.load(elf(sleeper(500_000)))
    machine.run()
    assert guest_ticks(machine.hart.state) >= 500_000
    machine.reboot()
    assert guest_ticks(machine.hart.state) == 0


def test_no_such_clock() -> None:
    with pytest.raises(RvemuError, match="no clock lunar"):
        Machine(clock="lunar")


def test_a_guest_that_waits_for_a_pipe(tmp_path: Path) -> None:
    """It costs the host hardly anything, and gets what comes."""
    (tmp_path / "guest.elf").write_bytes(elf(put("!") + sleepy_echo_guest()))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(
        [sys.executable, "-m", "rvemu", "run", "--clock", "wall", str(tmp_path / "guest.elf")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin and process.stdout
    assert process.stdout.read(1) == "!"
    time.sleep(3)
    process.stdin.write("q")
    process.stdin.flush()
    assert process.stdout.read(1) == "q"
    assert process.wait(60) == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime - before.ru_utime < 2.5  # most of it is Python's start
    process.stdin.close()
    process.stdout.close()
