"""A real gdb debugs a guest in a virtual machine: by the guest's own addresses, at its virtual
privilege."""

import pytest

from rvemu.vmm.virtual_machine import MODES, PARAVIRT
from tests.debug.gdb import attached, needs_gdb, served
from tests.vmm.programs import bundled, virtual_machine

pytestmark = needs_gdb


@pytest.mark.parametrize("mode", MODES)
def test_from_the_kernel_into_a_process(mode: str) -> None:
    path, sbi = bundled("tinyos-pv" if mode == PARAVIRT else "tinyos-s")
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
