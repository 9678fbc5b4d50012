"""What a hart runs first: code in ROM that enters firmware, or a guest that needs none.

It is as on QEMU's `virt` board: the hart id in a0, the device tree's address in a1, and in a2 the
address of what firmware that was not built for one kernel wants to know of it.

Source: include/sbi/fw_dynamic.h of OpenSBI.
"""

# construct is not typed.
# mypy: allow-untyped-calls

from construct import Array, Const, Int32ul, Int64ul, Struct

_S_MODE = 1

_CODE = (
    0x0000_0297,  # auipc t0, 0
    0x0282_8613,  # addi  a2, t0, 40
    0xF140_2573,  # csrr  a0, mhartid
    0x0202_B583,  # ld    a1, 32(t0)
    0x0182_B283,  # ld    t0, 24(t0)
    0x0002_8067,  # jr    t0
)

_VECTOR = Struct(
    "code" / Const(list(_CODE), Array(len(_CODE), Int32ul)),
    "entry" / Int64ul,
    "device_tree" / Int64ul,
)

_INFORMATION = Struct(
    "magic" / Const(0x4942_534F, Int64ul),  # "OSBI"
    "version" / Const(2, Int64ul),
    "next_addr" / Int64ul,
    "next_mode" / Const(_S_MODE, Int64ul),
    "options" / Const(0, Int64ul),
    "boot_hart" / Const(0, Int64ul),
)

#: Where the information for firmware stands, in bytes from the first instruction.
INFORMATION_OFFSET: int = _VECTOR.sizeof()


def reset_vector(entry: int, device_tree: int, next_entry: int) -> bytes:
    """Code and data for the address at which harts start. next_entry: where firmware is to go on
    in S-mode, 0 for nowhere."""
    vector = _VECTOR.build({"entry": entry, "device_tree": device_tree})
    return bytes(vector + _INFORMATION.build({"next_addr": next_entry}))
