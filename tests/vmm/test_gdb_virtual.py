"""A real gdb debugs guests in virtual machines: by their own addresses, at their virtual privilege,
and several as so many inferiors."""

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from rvemu.debug.virtual import virtual_target
from rvemu.guests import expected_output
from rvemu.hart.extensions import DEFAULT_ISA, parse_isa
from rvemu.vmm import rounds
from rvemu.vmm.host import Host
from rvemu.vmm.virtual_machine import EMULATE, MODES, PARAVIRT, TRANSPARENT, VirtualMachine
from tests.debug.gdb import GDB, Gdb, attached, needs_gdb, served, serving, wait_for
from tests.debug.test_debug_cli import rvemu, waiting
from tests.small_programs import SPIN, elf, op
from tests.vmm.programs import Output, bundled, virtual_machine

pytestmark = needs_gdb


@pytest.fixture(autouse=True)
def _short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """So short that each of two guests has several before the other has done what is looked for."""
    monkeypatch.setattr(rounds, "QUANTUM", 100_000)


class Two:
    """Two virtual machines on one host, and a gdb whose inferiors they are."""

    def __init__(self, gdb: Gdb, machines: list[tuple[VirtualMachine, Output]]) -> None:
        self.gdb = gdb
        self.machines = [machine for machine, _ in machines]
        self.outputs = [output for _, output in machines]

    def select(self, number: int) -> None:
        self.gdb.command(f"inferior {number}")

    def instructions(self) -> list[int]:
        return [machine.instructions for machine in self.machines]

    def inferior(self) -> int:
        """The inferior that stopped last."""
        return self.gdb.value("$_inferior")


@contextlib.contextmanager
def two(
    mode: str, guests: Sequence[tuple[Path, bool]], *before: str, harts: int = 1
) -> Iterator[Two]:
    """Guests (files, and whether they need firmware) about to start, and gdb attached to both.
    before: what gdb is told first."""
    host = None if mode == EMULATE else Host(parse_isa(DEFAULT_ISA))
    machines = [
        virtual_machine(mode, path, host=host, sbi=sbi, harts=harts) for path, sbi in guests
    ]
    target = virtual_target([m for m, _ in machines], [path for path, _ in guests], [1, 1])
    with serving(target) as running, attached(running, *before) as gdb:
        gdb.command("add-inferior")
        gdb.command("inferior 2")
        gdb.go("attach 2")
        gdb.command("inferior 1")
        gdb.go("stepi")  # gdb 13 is silent about stops of an inferior that it never moved itself
        gdb.command("set schedule-multiple on")
        yield Two(gdb, machines)


def tinyos(mode: str) -> tuple[Path, bool]:
    return bundled("tinyos-pv" if mode == PARAVIRT else "tinyos-s")


@pytest.mark.parametrize("mode", MODES)
def test_from_the_kernel_into_a_process(mode: str) -> None:
    path, sbi = tinyos(mode)
    machine, _ = virtual_machine(mode, path, sbi=sbi)
    with served(machine.machine, path) as running, attached(running) as gdb:
        assert gdb.pc() == 0x8020_0000
        assert gdb.value("$priv") == 1
        gdb.command("break kernel_main")
        gdb.go("continue")
        assert "kernel_main" in gdb.command("bt")
        assert gdb.value("$priv") == 1
        assert "MODE=Sv39" in gdb.command("info registers satp")
        gdb.command("break user_main")
        gdb.go("continue")
        assert gdb.value("$priv") == 0
        assert gdb.value("answer") == 42
        gdb.command("break syscall")
        gdb.go("continue")
        assert gdb.value("process->pid") == 1
        trace = gdb.command("bt")
        assert "user_trap" in trace
        assert "user_entry.S" in trace  # through the trap, to the process's own call
        gdb.command("delete")
        gdb.command("tbreak say")
        gdb.go("continue")
        gdb.go("stepi")
        assert gdb.value("$priv") == 0


@pytest.mark.parametrize("mode", MODES)
def test_two_guests_are_two_inferiors(mode: str) -> None:
    """Of the same addresses: each has its own registers, memory, symbols, breakpoints and steps."""
    guest = tinyos(mode)
    with two(mode, [guest, guest]) as both:
        gdb = both.gdb
        listed = gdb.command("info inferiors")
        assert "process 1" in listed and "process 2" in listed
        assert listed.count(guest[0].name) == 2
        assert gdb.command("info threads").count("S-mode") == 2
        # A breakpoint at an address is its inferior's, at a function all inferiors'.
        both.select(2)
        gdb.command("break *kernel_main")
        assert gdb.command("info breakpoints").count("inf 2") == 1
        gdb.go("continue")
        assert (both.inferior(), gdb.value("$priv")) == (2, 1)
        assert "kernel_main" in gdb.command("bt 1")
        gdb.command("delete")
        gdb.command("break user_main")
        gdb.go("continue")
        first = both.inferior()
        gdb.command("set schedule-multiple off")  # the other one comes there while this one waits
        both.select(3 - first)
        gdb.go("continue")
        assert both.inferior() == 3 - first
        gdb.command("set schedule-multiple on")
        gdb.command("delete")
        for number in (1, 2):
            both.select(number)
            assert gdb.value("$priv") == 0
            assert gdb.value("answer") == 42
            gdb.command(f"set var answer = 42{number}")
            gdb.command(f"set $s11 = {number}")
        both.select(1)
        assert (gdb.value("answer"), gdb.value("$s11")) == (421, 1)
        both.select(2)
        assert (gdb.value("answer"), gdb.value("$s11")) == (422, 2)
        # A step is its inferior's, when the other is not to go on meanwhile.
        gdb.command("set schedule-multiple off")
        before = both.instructions()
        gdb.go("stepi 10")
        assert both.instructions() == [before[0], before[1] + 10]
        gdb.command("watch answer")
        gdb.command("set schedule-multiple on")
        assert "New value = 423" in gdb.go("continue")
        assert both.inferior() == 2
        gdb.command("delete")
        # One ends, and the other one is there.
        ends = [gdb.go("continue")]
        other = 3 - int(ends[0].split("Inferior ")[1][0])
        both.select(other)
        ends.append(gdb.go("continue"))
        assert sorted(f"Inferior {n}" in end for end in ends for n in (1, 2)) == [0, 0, 1, 1]
        assert all("exited normally" in end for end in ends)
        assert all(len(output) > 1000 for output in both.outputs)


@pytest.mark.parametrize("mode", TRANSPARENT)
def test_virtual_harts_are_threads_of_their_machine(mode: str) -> None:
    """Of two machines with two harts each: registers, breakpoints for all and for one, watchpoints,
    steps."""
    guest = bundled("atomics")
    with two(mode, [guest, guest], harts=2) as both:
        gdb = both.gdb
        listed = gdb.command("info threads")
        names = [f'"guest, hart {n}" (M-mode' for n in (0, 1)]
        assert [listed.count(name) for name in names] == [2, 2]
        # Each of the four comes there by itself.
        gdb.command("break work")
        came = set()
        for _ in range(4):
            gdb.go("continue")
            hart = gdb.value("hart")
            assert gdb.value("$mhartid") == hart
            came.add((both.inferior(), hart))
        assert came == {(inferior, hart) for inferior in (1, 2) for hart in (0, 1)}
        gdb.command("delete")
        gdb.command("set schedule-multiple off")
        both.select(1)
        states = [hart.state for hart in both.machines[0].machine.harts]
        # One steps while the other stands still.
        gdb.command("set scheduler-locking on")
        for number in (0, 1):
            gdb.command(f"thread 1.{number + 1}")
            gdb.command(f"set $s11 = {0x100 + number}")
            before = [int(state.pc) for state in states]
            gdb.go("stepi")
            moved = [int(state.pc) != pc for state, pc in zip(states, before, strict=True)]
            assert moved == [number == 0, number == 1]
        assert [int(state.x[27]) for state in states] == [0x100, 0x101]
        # A breakpoint for one hart alone, and a watchpoint that both meet.
        gdb.command("set scheduler-locking off")
        gdb.command("break acquire thread 1.2")
        gdb.go("continue")
        assert gdb.value("$mhartid") == 1
        assert "hart 1" in next(
            line for line in gdb.command("info threads").splitlines() if line.startswith("*")
        )
        gdb.command("delete")
        gdb.command("watch finished")
        for value in (1, 2):
            assert f"New value = {value}" in gdb.go("continue")
        gdb.command("delete")
        assert "exited normally" in gdb.go("continue")
        both.select(2)
        assert "exited normally" in gdb.go("continue")
        assert [bytes(output) for output in both.outputs] == [expected_output("atomics")] * 2


def test_one_of_two_inferiors_is_detached_attached_killed_and_run_again(tmp_path: Path) -> None:
    spinning = tmp_path / "spinning.elf"
    spinning.write_bytes(elf(SPIN))
    with two("hardware", [tinyos("hardware"), (spinning, True)]) as both:
        gdb = both.gdb
        gdb.command("set schedule-multiple off")  # else gdb lets the other one go as well
        before = both.instructions()
        both.select(2)
        gdb.command("detach")  # it goes on, though the other one stands still
        wait_for(lambda: both.machines[1].instructions > before[1])
        gdb.go("attach 2")
        after = both.instructions()
        assert after[0] == before[0] and after[1] > before[1]
        gdb.command("kill")
        assert "process 2" not in gdb.command("info inferiors")
        gdb.go("starti")
        assert (both.inferior(), gdb.pc(), gdb.value("$priv")) == (2, 0x8000_0000, 1)
        assert both.instructions() == [before[0], 0]
        gdb.go("stepi 3")
        assert both.instructions() == [before[0], 3]
        both.select(1)
        gdb.command("tbreak user_main")
        gdb.go("continue")
        assert (both.inferior(), gdb.value("answer")) == (1, 42)


def test_two_inferiors_each_by_itself(tmp_path: Path) -> None:
    """Non-stop: one runs while the other is looked at."""
    spinning = tmp_path / "spinning.elf"
    spinning.write_bytes(elf(SPIN))
    guests = [tinyos("hardware"), (spinning, True)]
    with two("hardware", guests, "set non-stop on", "set mi-async on") as both:
        gdb = both.gdb
        both.select(2)
        gdb.command("continue &")
        both.select(1)
        gdb.command("tbreak user_main")
        count = len(gdb.stops)
        gdb.command("continue &")
        gdb.wait(count + 1)
        assert gdb.value("answer") == 42
        assert gdb.command("info threads").count("(running)\n") == 1
        before = both.instructions()
        wait_for(lambda: both.instructions()[1] > before[1])
        after = both.instructions()
        assert after[0] == before[0] and after[1] > before[1]
        both.select(2)
        count = len(gdb.stops)
        gdb.command("interrupt")
        gdb.wait(count + 1)
        assert gdb.pc() == 0x8000_0000


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != PARAVIRT])
def test_a_guest_that_the_vmm_has_no_answer_to_ends_alone(mode: str, tmp_path: Path) -> None:
    """With the debugger told why, and where."""
    broken = tmp_path / "broken.elf"
    # An illegal instruction, which its firmware does not delegate; and nobody has an answer to it.
    broken.write_bytes(
        elf(
            op("addi", rd="t0", rs1="zero", imm=0)
            + op("csrrs", rd="t0", csr=0x300, rs1="zero")
            + SPIN
        )
    )
    with two(mode, [(broken, True), tinyos(mode)]) as both:
        gdb = both.gdb
        gdb.command("set $medeleg = 0")
        text = gdb.go("continue")
        assert "illegal instruction" in text and "0x80000004" in text
        assert "SIGABRT" in text and "process 1" not in gdb.command("info inferiors")
        both.select(2)
        assert "exited normally" in gdb.go("continue")
        assert bytes(both.outputs[1]) == expected_output("tinyos-s")


def test_the_command_with_two_guests(tmp_path: Path) -> None:
    """As a user has it: gdb sees the first, attaches to the second, and kills that."""
    place = tmp_path / "gdb"
    words = ["--guest", "hello", "--guest", "tinyos-s", "--gdb", f"unix:{place}", "--gdb-wait"]
    process = rvemu("vm", *words)
    waiting(place)
    commands = (
        *(f"target extended-remote {place}", "add-inferior", "inferior 2", "attach 2"),
        *("break kernel_main", "inferior 1", "set schedule-multiple on", "info threads"),
        *("continue", "inferior 2", "continue", "bt 1", "kill"),
    )
    assert GDB is not None
    done = subprocess.run(
        [GDB, "-nx", "-q", "-batch", "-iex", "set auto-load no"]
        + [word for line in commands for word in ("-ex", line)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert '"1:hello, hart 0" (M-mode' in done.stdout and '"2:tinyos-s, hart 0" (S-mode' in (
        done.stdout
    )
    assert "[Inferior 1 (process 1) exited normally]" in done.stdout
    assert "kernel_main () at" in done.stdout
    out, err = process.communicate(timeout=20)
    assert process.returncode == 1, err
    assert "[1:hello] hello from M-mode, hart 0" in out
    assert "[1:hello] exited with status 0" in err
    assert "[2:tinyos-s] killed by the debugger" in err
