"""Zicbom, Zicboz and Zicbop: operations on cache blocks (unprivileged manual, "Cache Management
Operations").

Memory is coherent and has no caches: so management checks its permissions and does nothing, an
invalidation that is to be a flush is none either, and a prefetch is a HINT without effect.
"""

from rvemu.hart.access import manage_block, zero_block
from rvemu.hart.exceptions import illegal_instruction
from rvemu.hart.extensions import Ext
from rvemu.hart.fields import MENVCFG
from rvemu.hart.state import M_MODE, U_MODE, Hart
from rvemu.isa.encoding import instruction
from rvemu.isa.permission import not_allowed
from rvemu.lang import U5, Field, Static, get


def _require_enabled(h: Hart, field: Static[Field]) -> None:
    """A field of menvcfg, senvcfg and henvcfg enables the instruction in the modes below.
    norm:cbo-inval, norm:cbo-clean_cbo-flush, norm:cbo-zero_basedon_xenvcfg-CBZE"""
    if h.priv == M_MODE:
        return
    if get(h.menvcfg, field) == 0:
        raise illegal_instruction(h)
    if h.v and get(h.henvcfg, field) == 0:
        raise not_allowed(h)
    if h.priv == U_MODE and h.extensions & Ext.S and get(h.senvcfg, field) == 0:
        raise not_allowed(h)


@instruction("cbo.inval", "000000000000 rs1 010 00000 0001111", "zicbom", slow=True, syntax="(rs1)")
def cbo_inval(h: Hart, rs1: U5) -> None:
    _require_enabled(h, MENVCFG.CBIE)
    manage_block(h, h.x[rs1])


@instruction("cbo.clean", "000000000001 rs1 010 00000 0001111", "zicbom", slow=True, syntax="(rs1)")
@instruction("cbo.flush", "000000000010 rs1 010 00000 0001111", "zicbom", slow=True, syntax="(rs1)")
def cbo_clean(h: Hart, rs1: U5) -> None:
    _require_enabled(h, MENVCFG.CBCFE)
    manage_block(h, h.x[rs1])


@instruction("cbo.zero", "000000000100 rs1 010 00000 0001111", "zicboz", slow=True, syntax="(rs1)")
def cbo_zero(h: Hart, rs1: U5) -> None:
    _require_enabled(h, MENVCFG.CBZE)
    zero_block(h, h.x[rs1])


@instruction("prefetch.i", "imm[11:5] 00000 rs1 110 00000 0010011", "zicbop", syntax="imm(rs1)")
@instruction("prefetch.r", "imm[11:5] 00001 rs1 110 00000 0010011", "zicbop", syntax="imm(rs1)")
@instruction("prefetch.w", "imm[11:5] 00011 rs1 110 00000 0010011", "zicbop", syntax="imm(rs1)")
def prefetch(h: Hart) -> None:
    pass
