"""Exits: why a guest gave up control, as plain data."""

from dataclasses import dataclass
from enum import StrEnum


class ExitReason(StrEnum):
    """What a VMM had to do for its guest. The order is that of tables."""

    PRIVILEGED = "privileged instruction"  # sret, mret, sfence.vma...: emulated
    CSR = "CSR access"
    WFI = "wfi"
    ECALL = "system call"  # of the guest's own processes, on its way to their kernel
    SBI = "SBI call"  # of the guest's kernel, to firmware
    HYPERCALL = "hypercall"
    SHADOW_FILL = "shadow fill"  # a page that the guest maps and its shadow lacks
    PAGE_TABLE_WRITE = "page-table write"  # a store to a frame of the guest's page tables
    G_STAGE_FAULT = "G-stage fault"  # guest-physical memory that was not mapped yet
    GUEST_FAULT = "guest's own fault"  # the guest's own tables or instructions refuse it
    MMIO = "device access"
    INTERPRETED = "interpreted instruction"  # where state or place allows no direct execution
    SCAN = "block scanned"  # binary translation
    PATCHED = "patched instruction"
    TIMER = "timer or turn"  # the time came to look at the guest, or at another one


@dataclass(frozen=True)
class Exit:
    """An exit: where the guest was, and what happened to it.

    pc: guest virtual. mode: the virtual privilege mode. instruction: empty where none can be seen.
    value: the trap's value (the instruction's bits, or an address). action: what the VMM did, for
    people. hart: which, if there are several.
    """

    reason: ExitReason
    pc: int
    mode: str
    instruction: str
    value: int
    action: str
    hart: int | None = None

    def __str__(self) -> str:
        what = self.instruction or f"{self.value:#x}"
        which = f"{self.hart}: " if self.hart is not None else ""
        return f"{which}{self.mode:<2} {self.pc:#018x}  {what:<32} {self.reason}: {self.action}"
