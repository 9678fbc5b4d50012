"""Spike, the reference simulator of RISC-V: found on PATH, run, and its commit log read.

    for event in Spike().run(elf, isa, memory_mib=16):
        ...

The log has a line for each instruction that retires, with the registers that it wrote, and one or
two for each trap.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rvemu.errors import RvemuError

_COMMIT = re.compile(r"core +0: (\d) 0x([0-9a-f]+) \(0x([0-9a-f]+)\)(.*)")
_TRAP = re.compile(r"core +0: exception (.+), epc 0x([0-9a-f]+)")
_VALUE = re.compile(r"core +0: +tval 0x([0-9a-f]+)")
_WRITE = re.compile(r" ([xfc])(\d+)(?:_\w+)? +0x([0-9a-f]+)")

# Exceptions by their names in the log.
_CAUSES = {
    "trap_instruction_address_misaligned": 0,
    "trap_instruction_access_fault": 1,
    "trap_illegal_instruction": 2,
    "trap_breakpoint": 3,
    "trap_load_address_misaligned": 4,
    "trap_load_access_fault": 5,
    "trap_store_address_misaligned": 6,
    "trap_store_access_fault": 7,
    "trap_user_ecall": 8,
    "trap_supervisor_ecall": 9,
    "trap_virtual_supervisor_ecall": 10,
    "trap_machine_ecall": 11,
    "trap_instruction_page_fault": 12,
    "trap_load_page_fault": 13,
    "trap_store_page_fault": 15,
    "trap_instruction_guest_page_fault": 20,
    "trap_load_guest_page_fault": 21,
    "trap_virtual_instruction": 22,
    "trap_store_guest_page_fault": 23,
}

# Spike ends a slice of this many instructions at each trap, and counts it whole.
_SLICE = 5000


@dataclass(slots=True)
class Commit:
    """An instruction that retired. writes: x or f and the register's number, or c and a CSR's; and
    the value."""

    priv: int
    pc: int
    bits: int
    writes: list[tuple[str, int, int]] = field(default_factory=list)


@dataclass(slots=True)
class SpikeTrap:
    """A trap that was taken. cause: as mcause would have it."""

    cause: int
    epc: int
    value: int = 0


class Spike:
    """A Spike to run. Raises `RvemuError` if there is none."""

    def __init__(self, path: str | None = None) -> None:
        found = shutil.which(path or "spike")
        if found is None:
            what = f"no Spike at {path}" if path else "no `spike` on PATH"
            raise RvemuError(f"{what}: build riscv-software-src/riscv-isa-sim, or give --spike")
        self.path = found

    def run(
        self, elf: bytes, isa: str, *, memory_mib: int, pmp: int = 16, limit: int = 100_000
    ) -> Iterator[Commit | SpikeTrap]:
        """Run a program until it ends, or `limit` traps; what it does, from the first instruction
        in RAM on. Whoever stops asking ends it."""
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder) / "program"
            program.write_bytes(elf)
            reading, writing = os.pipe()
            process = subprocess.Popen(
                [
                    self.path,
                    f"-m{memory_mib}",
                    f"--isa={isa}",
                    f"--pmpregions={pmp}",
                    "-l",
                    "--log-commits",
                    f"--log=/dev/fd/{writing}",
                    f"--instructions={limit * _SLICE}",
                    str(program),
                ],
                pass_fds=[writing],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            os.close(writing)
            try:
                with os.fdopen(reading, encoding="ascii", errors="replace") as log:
                    yield from read_log(log)
            finally:
                process.kill()
                _, errors = process.communicate()
            if process.returncode > 0:
                message = errors.decode("utf-8", "replace").strip().splitlines()
                raise RvemuError(f"{self.path}: {message[-1] if message else 'failed'}")


def read_log(lines: Iterable[str]) -> Iterator[Commit | SpikeTrap]:
    """What the lines of a log say, without the boot ROM."""
    trap: SpikeTrap | None = None
    started = False
    for line in lines:
        if trap is not None:
            if matched := _VALUE.match(line):
                trap.value = int(matched[1], 16)
            yield trap
            trap = None
        if matched := _COMMIT.match(line):
            priv, pc, bits = int(matched[1]), int(matched[2], 16), int(matched[3], 16)
            started = started or pc >= 0x8000_0000
            if started:
                writes = [(k, int(n), int(v, 16)) for k, n, v in _WRITE.findall(matched[4])]
                yield Commit(priv, pc, bits, writes)
        elif matched := _TRAP.match(line):
            trap = SpikeTrap(_cause(matched[1]), int(matched[2], 16))
    if trap is not None:
        yield trap


def _cause(name: str) -> int:
    """mcause by the name of a trap; interrupts are called `interrupt #7`."""
    if name.startswith("interrupt #"):
        return 1 << 63 | int(name.removeprefix("interrupt #"))
    return _CAUSES.get(name, -1)
