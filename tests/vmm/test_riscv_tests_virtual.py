"""riscv-tests in virtual machines, where they have been built: RVEMU_RISCV_TESTS names the folder
with their ELF files. The -v- forms run on a kernel with demand paging; the -p- forms of mi and si
test privileged behaviour itself, M-mode's included, on the virtual hart."""

import os
from pathlib import Path

import pytest

from tests.vmm.programs import DIRECT, virtual_machine

VARIABLE = "RVEMU_RISCV_TESTS"

pytestmark = pytest.mark.skipif(
    not os.environ.get(VARIABLE), reason=f"{VARIABLE} does not name a folder of riscv-tests"
)


PATTERNS = (
    *("rv64u[imafdc]-v-*", "rv64uzb[abcs]-v-*", "rv64uzfh-v-*"),
    *("rv64si-p-*", "rv64mi-p-*", "rv64ssvnapot-p-*", "rv64mzicbo-p-*"),
)


@pytest.mark.parametrize("mode", DIRECT)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_they_pass(pattern: str, mode: str) -> None:
    folder = Path(os.environ[VARIABLE])
    files = [path for path in sorted(folder.glob(pattern)) if path.suffix != ".dump"]
    assert files, f"{folder} has no {pattern}"
    problems = []
    for path in files:
        machine, _ = virtual_machine(mode, path)
        run = machine.run(2_000_000)
        if not run.passed:
            problems.append(f"{path.name}: {run}")
    assert not problems, "\n".join(problems)
