"""The privilege mode in force, and what it means for memory accesses.

A mode is a pair: `priv` (U, S, M) and `v` (virtualization mode). HS is (S, 0), VS is (S, 1).
"""

from typing import Annotated

from rvemu.hart.fields import MSTATUS, SSTATUS
from rvemu.hart.floating import update_fp_fast
from rvemu.hart.state import (
    CONTEXT_M,
    CONTEXT_S,
    CONTEXT_S_SUM,
    CONTEXT_U,
    CONTEXT_VS,
    CONTEXT_VS_SUM,
    CONTEXT_VU,
    CONTEXTS,
    DATA_WORDS,
    FETCH_WORDS,
    M_MODE,
    U_MODE,
    Hart,
)
from rvemu.lang import U1, U2, Range, get

Context = Annotated[int, Range(0, CONTEXTS - 1)]


def fetch_context_of(priv: U2, v: U1) -> Context:
    """The context that instructions are fetched in. SUM plays no part: S-mode never executes what
    belongs to U-mode."""
    if priv == M_MODE:
        return CONTEXT_M
    if v:
        if priv == U_MODE:
            return CONTEXT_VU
        return CONTEXT_VS
    if priv == U_MODE:
        return CONTEXT_U
    return CONTEXT_S


def data_context_of(h: Hart, priv: U2, v: U1) -> Context:
    """The context of loads and stores made with a privilege: the current one, MPRV's, or that of
    HLV and HSV. With v, vsstatus.SUM counts and mstatus.SUM does not
    (norm:mstatus_mprv_hypervisor)."""
    context = fetch_context_of(priv, v)
    if context == CONTEXT_S:
        if get(h.mstatus, MSTATUS.SUM):
            return CONTEXT_S_SUM
    elif context == CONTEXT_VS and get(h.vsstatus, SSTATUS.SUM):
        return CONTEXT_VS_SUM
    return context


def update_context(h: Hart) -> None:
    """Derive the effective privilege of loads and stores, and the TLB entries in force, from the
    mode, MPRV, MPP, MPV and SUM. To be called after a change of any of these."""
    priv: U2 = h.priv
    v: U1 = h.v
    h.fetch_context = fetch_context_of(priv, v)
    h.ftlb_base = h.fetch_context * FETCH_WORDS
    if get(h.mstatus, MSTATUS.MPRV):
        previous: U2 = get(h.mstatus, MSTATUS.MPP) & 3
        priv = previous
        if previous == M_MODE:
            v = 0
        else:
            v = get(h.mstatus, MSTATUS.MPV) & 1
    h.data_priv = priv
    h.data_v = v
    h.data_context = data_context_of(h, priv, v)
    h.dtlb_base = h.data_context * DATA_WORDS


def set_privilege(h: Hart, priv: U2, v: U1) -> None:
    """Enter a mode."""
    h.priv = priv
    if h.v != v:
        h.v = v
        update_fp_fast(h)
    update_context(h)
