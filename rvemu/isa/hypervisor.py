"""H: access to a guest's memory, and fences for its translations (privileged manual, "Hypervisor
Instructions" of the hypervisor extension, and "Svinval").
"""

from rvemu.hart.access import hypervisor_load, hypervisor_store
from rvemu.hart.exceptions import illegal_instruction
from rvemu.hart.fences import fence_guest, fence_virtual
from rvemu.hart.fields import HSTATUS, MSTATUS
from rvemu.hart.state import S_MODE, U_MODE, Hart
from rvemu.isa.encoding import instruction
from rvemu.isa.permission import not_allowed, require_hypervisor
from rvemu.lang import U5, Destination, get, sext

# --- Loads and stores as the guest -----------------------------------------------------------


def _require_guest_access(h: Hart) -> None:
    # norm:hlsv_virtinst, norm:hlsv_illegalinst
    if h.v or (h.priv == U_MODE and not get(h.hstatus, HSTATUS.HU)):
        raise not_allowed(h)


@instruction("hlv.b", "0110000 00000 rs1 100 rd 1110011", "h", slow=True, syntax="rd, (rs1)")
def hlv_b(h: Hart, rd: Destination, rs1: U5) -> None:
    _require_guest_access(h)
    h.x[rd] = sext(hypervisor_load(h, h.x[rs1], 1, False), 8)


@instruction("hlv.bu", "0110000 00001 rs1 100 rd 1110011", "h", slow=True, syntax="rd, (rs1)")
def hlv_bu(h: Hart, rd: Destination, rs1: U5) -> None:
    _require_guest_access(h)
    h.x[rd] = hypervisor_load(h, h.x[rs1], 1, False)


@instruction("hlv.h", "0110010 00000 rs1 100 rd 1110011", "h", slow=True, syntax="rd, (rs1)")
def hlv_h(h: Hart, rd: Destination, rs1: U5) -> None:
    _require_guest_access(h)
    h.x[rd] = sext(hypervisor_load(h, h.x[rs1], 2, False), 16)


@instruction("hlv.hu", "0110010 00001 rs1 100 rd 1110011", "h", slow=True, syntax="rd, (rs1)")
def hlv_hu(h: Hart, rd: Destination, rs1: U5) -> None:
    _require_guest_access(h)
    h.x[rd] = hypervisor_load(h, h.x[rs1], 2, False)


@instruction("hlvx.hu", "0110010 00011 rs1 100 rd 1110011", "h", slow=True, syntax="rd, (rs1)")
def hlvx_hu(h: Hart, rd: Destination, rs1: U5) -> None:
    _require_guest_access(h)
    h.x[rd] = hypervisor_load(h, h.x[rs1], 2, True)


@instruction("hlv.w", "0110100 00000 rs1 100 rd 1110011", "h", slow=True, syntax="rd, (rs1)")
def hlv_w(h: Hart, rd: Destination, rs1: U5) -> None:
    _require_guest_access(h)
    h.x[rd] = sext(hypervisor_load(h, h.x[rs1], 4, False), 32)


@instruction("hlv.wu", "0110100 00001 rs1 100 rd 1110011", "h", slow=True, syntax="rd, (rs1)")
def hlv_wu(h: Hart, rd: Destination, rs1: U5) -> None:
    _require_guest_access(h)
    h.x[rd] = hypervisor_load(h, h.x[rs1], 4, False)


@instruction("hlvx.wu", "0110100 00011 rs1 100 rd 1110011", "h", slow=True, syntax="rd, (rs1)")
def hlvx_wu(h: Hart, rd: Destination, rs1: U5) -> None:
    _require_guest_access(h)
    h.x[rd] = hypervisor_load(h, h.x[rs1], 4, True)


@instruction("hlv.d", "0110110 00000 rs1 100 rd 1110011", "h", slow=True, syntax="rd, (rs1)")
def hlv_d(h: Hart, rd: Destination, rs1: U5) -> None:
    _require_guest_access(h)
    h.x[rd] = hypervisor_load(h, h.x[rs1], 8, False)


@instruction("hsv.b", "0110001 rs2 rs1 100 00000 1110011", "h", slow=True, syntax="rs2, (rs1)")
def hsv_b(h: Hart, rs1: U5, rs2: U5) -> None:
    _require_guest_access(h)
    hypervisor_store(h, h.x[rs1], h.x[rs2], 1)


@instruction("hsv.h", "0110011 rs2 rs1 100 00000 1110011", "h", slow=True, syntax="rs2, (rs1)")
def hsv_h(h: Hart, rs1: U5, rs2: U5) -> None:
    _require_guest_access(h)
    hypervisor_store(h, h.x[rs1], h.x[rs2], 2)


@instruction("hsv.w", "0110101 rs2 rs1 100 00000 1110011", "h", slow=True, syntax="rs2, (rs1)")
def hsv_w(h: Hart, rs1: U5, rs2: U5) -> None:
    _require_guest_access(h)
    hypervisor_store(h, h.x[rs1], h.x[rs2], 4)


@instruction("hsv.d", "0110111 rs2 rs1 100 00000 1110011", "h", slow=True, syntax="rs2, (rs1)")
def hsv_d(h: Hart, rs1: U5, rs2: U5) -> None:
    _require_guest_access(h)
    hypervisor_store(h, h.x[rs1], h.x[rs2], 8)


# --- Fences ----------------------------------------------------------------------------------


@instruction("hfence.vvma", "0010001 rs2 rs1 000 00000 1110011", "h", slow=True)
@instruction("hinval.vvma", "0010011 rs2 rs1 000 00000 1110011", "h", "svinval", slow=True)
def hfence_vvma(h: Hart, rs1: U5) -> None:
    require_hypervisor(h)
    fence_virtual(h, rs1 != 0, h.x[rs1])


@instruction("hfence.gvma", "0110001 rs2 rs1 000 00000 1110011", "h", slow=True)
@instruction("hinval.gvma", "0110011 rs2 rs1 000 00000 1110011", "h", "svinval", slow=True)
def hfence_gvma(h: Hart) -> None:
    require_hypervisor(h)
    # norm:Svinval_illegal_instruction_tvm, and the same for hfence.gvma
    if h.priv == S_MODE and get(h.mstatus, MSTATUS.TVM):
        raise illegal_instruction(h)
    fence_guest(h)
