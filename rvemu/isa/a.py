"""A: atomic memory operations, and load-reserved/store-conditional (unprivileged manual, "A").

A hart executes one instruction at a time, so an atomic operation is a load, an operation and a
store, and ordering bits need nothing.
"""

from rvemu.hart.access import load_reserved, locate_for_amo, store_conditional
from rvemu.hart.state import Hart
from rvemu.isa.encoding import instruction
from rvemu.lang import (
    U5,
    Destination,
    host_load32,
    host_load64,
    host_store32,
    host_store64,
    i32,
    i64,
    sext,
    u32,
)

# --- Load-reserved and store-conditional -----------------------------------------------------


@instruction("lr.w", "00010 aq rl 00000 rs1 010 rd 0101111", "zalrsc", syntax="rd, (rs1)")
def lr_w(h: Hart, rd: Destination, rs1: U5) -> None:
    h.x[rd] = sext(load_reserved(h, h.x[rs1], 4), 32)


@instruction("lr.d", "00010 aq rl 00000 rs1 011 rd 0101111", "zalrsc", syntax="rd, (rs1)")
def lr_d(h: Hart, rd: Destination, rs1: U5) -> None:
    h.x[rd] = load_reserved(h, h.x[rs1], 8)


@instruction("sc.w", "00011 aq rl rs2 rs1 010 rd 0101111", "zalrsc", syntax="rd, rs2, (rs1)")
def sc_w(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = store_conditional(h, h.x[rs1], 4, h.x[rs2])


@instruction("sc.d", "00011 aq rl rs2 rs1 011 rd 0101111", "zalrsc", syntax="rd, rs2, (rs1)")
def sc_d(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = store_conditional(h, h.x[rs1], 8, h.x[rs2])


# --- Words -----------------------------------------------------------------------------------


@instruction("amoswap.w", "00001 aq rl rs2 rs1 010 rd 0101111", "zaamo", syntax="rd, rs2, (rs1)")
def amoswap_w(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    host = locate_for_amo(h, h.x[rs1], 4)
    old = host_load32(host)
    host_store32(host, h.x[rs2])
    h.x[rd] = sext(old, 32)


@instruction("amoadd.w", "00000 aq rl rs2 rs1 010 rd 0101111", "zaamo", syntax="rd, rs2, (rs1)")
def amoadd_w(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    host = locate_for_amo(h, h.x[rs1], 4)
    old = host_load32(host)
    host_store32(host, old + h.x[rs2])
    h.x[rd] = sext(old, 32)


@instruction("amoxor.w", "00100 aq rl rs2 rs1 010 rd 0101111", "zaamo", syntax="rd, rs2, (rs1)")
def amoxor_w(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    host = locate_for_amo(h, h.x[rs1], 4)
    old = host_load32(host)
    host_store32(host, old ^ h.x[rs2])
    h.x[rd] = sext(old, 32)


@instruction("amoand.w", "01100 aq rl rs2 rs1 010 rd 0101111", "zaamo", syntax="rd, rs2, (rs1)")
def amoand_w(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    host = locate_for_amo(h, h.x[rs1], 4)
    old = host_load32(host)
    host_store32(host, old & h.x[rs2])
    h.x[rd] = sext(old, 32)


@instruction("amoor.w", "01000 aq rl rs2 rs1 010 rd 0101111", "zaamo", syntax="rd, rs2, (rs1)")
def amoor_w(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    host = locate_for_amo(h, h.x[rs1], 4)
    old = host_load32(host)
    host_store32(host, old | h.x[rs2])
    h.x[rd] = sext(old, 32)


@instruction("amomin.w", "10000 aq rl rs2 rs1 010 rd 0101111", "zaamo", syntax="rd, rs2, (rs1)")
def amomin_w(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    host = locate_for_amo(h, h.x[rs1], 4)
    old = host_load32(host)
    host_store32(host, min(i32(old), i32(h.x[rs2])))
    h.x[rd] = sext(old, 32)


@instruction("amomax.w", "10100 aq rl rs2 rs1 010 rd 0101111", "zaamo", syntax="rd, rs2, (rs1)")
def amomax_w(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    host = locate_for_amo(h, h.x[rs1], 4)
    old = host_load32(host)
    host_store32(host, max(i32(old), i32(h.x[rs2])))
    h.x[rd] = sext(old, 32)


@instruction("amominu.w", "11000 aq rl rs2 rs1 010 rd 0101111", "zaamo", syntax="rd, rs2, (rs1)")
def amominu_w(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    host = locate_for_amo(h, h.x[rs1], 4)
    old = host_load32(host)
    host_store32(host, min(old, u32(h.x[rs2])))
    h.x[rd] = sext(old, 32)


@instruction("amomaxu.w", "11100 aq rl rs2 rs1 010 rd 0101111", "zaamo", syntax="rd, rs2, (rs1)")
def amomaxu_w(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    host = locate_for_amo(h, h.x[rs1], 4)
    old = host_load32(host)
    host_store32(host, max(old, u32(h.x[rs2])))
    h.x[rd] = sext(old, 32)


# --- Doublewords -----------------------------------------------------------------------------


@instruction("amoswap.d", "00001 aq rl rs2 rs1 011 rd 0101111", "zaamo", syntax="rd, rs2, (rs1)")
def amoswap_d(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    host = locate_for_amo(h, h.x[rs1], 8)
    old = host_load64(host)
    host_store64(host, h.x[rs2])
    h.x[rd] = old


@instruction("amoadd.d", "00000 aq rl rs2 rs1 011 rd 0101111", "zaamo", syntax="rd, rs2, (rs1)")
def amoadd_d(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    host = locate_for_amo(h, h.x[rs1], 8)
    old = host_load64(host)
    host_store64(host, old + h.x[rs2])
    h.x[rd] = old


@instruction("amoxor.d", "00100 aq rl rs2 rs1 011 rd 0101111", "zaamo", syntax="rd, rs2, (rs1)")
def amoxor_d(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    host = locate_for_amo(h, h.x[rs1], 8)
    old = host_load64(host)
    host_store64(host, old ^ h.x[rs2])
    h.x[rd] = old


@instruction("amoand.d", "01100 aq rl rs2 rs1 011 rd 0101111", "zaamo", syntax="rd, rs2, (rs1)")
def amoand_d(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    host = locate_for_amo(h, h.x[rs1], 8)
    old = host_load64(host)
    host_store64(host, old & h.x[rs2])
    h.x[rd] = old


@instruction("amoor.d", "01000 aq rl rs2 rs1 011 rd 0101111", "zaamo", syntax="rd, rs2, (rs1)")
def amoor_d(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    host = locate_for_amo(h, h.x[rs1], 8)
    old = host_load64(host)
    host_store64(host, old | h.x[rs2])
    h.x[rd] = old


@instruction("amomin.d", "10000 aq rl rs2 rs1 011 rd 0101111", "zaamo", syntax="rd, rs2, (rs1)")
def amomin_d(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    host = locate_for_amo(h, h.x[rs1], 8)
    old = host_load64(host)
    host_store64(host, min(i64(old), i64(h.x[rs2])))
    h.x[rd] = old


@instruction("amomax.d", "10100 aq rl rs2 rs1 011 rd 0101111", "zaamo", syntax="rd, rs2, (rs1)")
def amomax_d(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    host = locate_for_amo(h, h.x[rs1], 8)
    old = host_load64(host)
    host_store64(host, max(i64(old), i64(h.x[rs2])))
    h.x[rd] = old


@instruction("amominu.d", "11000 aq rl rs2 rs1 011 rd 0101111", "zaamo", syntax="rd, rs2, (rs1)")
def amominu_d(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    host = locate_for_amo(h, h.x[rs1], 8)
    old = host_load64(host)
    host_store64(host, min(old, h.x[rs2]))
    h.x[rd] = old


@instruction("amomaxu.d", "11100 aq rl rs2 rs1 011 rd 0101111", "zaamo", syntax="rd, rs2, (rs1)")
def amomaxu_d(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    host = locate_for_amo(h, h.x[rs1], 8)
    old = host_load64(host)
    host_store64(host, max(old, h.x[rs2]))
    h.x[rd] = old
