"""Where execution goes next."""

from rvemu.hart.exceptions import instruction_address_misaligned
from rvemu.hart.state import Hart
from rvemu.lang import U64


def jump(h: Hart, target: U64) -> None:
    """Continue at `target`. If it is not aligned to IALIGN, the jump itself traps (nothing may
    have been written before)."""
    if target & h.pc_align_mask:
        raise instruction_address_misaligned(h, target)
    h.next_pc = target
