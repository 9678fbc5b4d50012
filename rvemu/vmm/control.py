"""The control structure of a hardware-assisted virtual machine: what is given to the hart when the
guest is entered, and what is found there after an exit. (The role of a VMCS; RISC-V has no such
structure, only CSRs, so this is the VMM's own.)

guest state        the guest's S-level CSRs, which the hart holds as vs* while the guest runs
host state         where the hart goes on an exit: the VMM's
controls           what the guest may do by itself, and what is injected
exit information   why the guest gave up control
"""

from dataclasses import dataclass, field
from enum import StrEnum

from rvemu.errors import RvemuError
from rvemu.hart.csr_table import BY_NAME
from rvemu.hart.csr_view import decode
from rvemu.hart.state import Hart
from rvemu.traps import cause_name


class Area(StrEnum):
    """The areas of the control structure."""

    GUEST = "guest state"
    HOST = "host state"
    CONTROLS = "controls"
    EXIT = "exit information"


# The CSRs of each area. (sstatus and the like stand for what the guest calls so.)
GUEST_CSRS = (
    *("vsstatus", "vsie", "vsip", "vstvec", "vsscratch", "vsepc", "vscause", "vstval", "vsatp"),
    *("vstimecmp", "scounteren", "senvcfg"),
)
HOST_CSRS = ("mstatus", "medeleg", "mideleg", "stvec", "satp", "menvcfg", "mcounteren")
CONTROL_CSRS = (
    *("hstatus", "hedeleg", "hideleg", "hvip", "hgatp", "hcounteren", "henvcfg", "htimedelta"),
)
EXIT_CSRS = ("scause", "sepc", "stval", "htval", "htinst")

_AREAS = {
    Area.GUEST: GUEST_CSRS,
    Area.HOST: HOST_CSRS,
    Area.CONTROLS: CONTROL_CSRS,
    Area.EXIT: EXIT_CSRS,
}


@dataclass
class ControlStructure:
    """Values by CSR name, in four areas, and the guest's pc and privilege."""

    values: dict[Area, dict[str, int]] = field(default_factory=dict)
    pc: int = 0
    mode: str = "VS"

    @classmethod
    def of(cls, p: Hart, pc: int, mode: str) -> "ControlStructure":
        """What the physical hart holds."""
        values = {
            area: {name: int(BY_NAME[name].read(p)) for name in names}
            for area, names in _AREAS.items()
        }
        return cls(values, pc, mode)

    def get(self, name: str) -> int:
        """A CSR's value, by name. `RvemuError` if the structure has none of that name."""
        for values in self.values.values():
            if name in values:
                return values[name]
        names = ", ".join(n for values in self.values.values() for n in values)
        raise RvemuError(f"the control structure has no {name}; it has {names}")

    def describe(self) -> list[str]:
        """All of it, as lines: each CSR, and each field that is not zero."""
        lines = []
        for area, values in self.values.items():
            lines.append(f"{area}:")
            if area is Area.GUEST:
                lines.append(f"  {'pc':<11} {self.pc:#018x}  {self.mode}-mode")
            for name, value in values.items():
                fields = [
                    f"{n}={v:#x}" if v > 9 else f"{n}={v}" for n, v in decode(name, value) if v
                ]
                if name == "scause":
                    fields = [cause_name(value)]
                lines.append(f"  {name:<11} {value:#018x}  {' '.join(fields)}".rstrip())
        return lines
