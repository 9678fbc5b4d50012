"""The walk through page tables: one routine for the three regimes that there are.

    STAGE_S   satp:   S- and U-mode at V=0
    STAGE_VS  vsatp:  VS- and VU-mode, guest virtual to guest physical; its tables lie in
              guest-physical memory, so each access to them goes through STAGE_G
    STAGE_G   hgatp:  guest physical to physical (Sv39x4, Sv48x4, Sv57x4)

A walk returns an outcome and raises nothing; rvemu.hart.translate makes traps of it. Sources:
"Virtual Address Translation Process" (supervisor.adoc) and "Two-Stage Address Translation"
(hypervisor.adoc).
"""

from collections.abc import Callable
from typing import Any

from rvemu.hart.decoded import invalidate_decoded
from rvemu.hart.exceptions import LOAD, STORE
from rvemu.hart.extensions import Ext
from rvemu.hart.fields import MENVCFG, MODE_BARE, MODE_SV39, MSTATUS, PTE, SATP
from rvemu.hart.pmp import Kind, pmp_allows
from rvemu.hart.pte import (
    ADUE,
    AS_USER,
    MXR,
    NAPOT,
    PBMT,
    SUM,
    Verdict,
    judge,
    leaf_target,
    missing_status,
    page_bits,
    table_of,
)
from rvemu.hart.regions import find_memory, find_region
from rvemu.hart.state import M_MODE, S_MODE, U_MODE, Hart
from rvemu.lang import U1, U2, U64, Static, get, host_load64, host_store64, i64, u64

STAGE_S, STAGE_VS, STAGE_G = 0, 1, 2

# Outcomes. The results of a walk are an outcome and two numbers, which depend on it:
OK = 0  # the address that it was translated to; page attributes (below)
PAGE_FAULT = 1  # (nothing)
ACCESS_FAULT = 2  # the physical address of the table entry that can't be accessed
GUEST_PAGE_FAULT = 3  # the guest-physical address; htinst's pseudoinstruction, or 0
RETRY = 4  # (inside this module)

# Attributes of the page found: log2 of its size in bytes, and whether a store would be allowed as
# well and find nothing left to do.
PAGE_BITS = 63
MAY_STORE = 64
BARE = 12 | MAY_STORE

# What htinst and mtinst hold when a VS-stage table was not accessible: "Values of Transformed
# Instructions or Pseudoinstructions", for 64-bit reads and writes.
READ_TABLE, WRITE_TABLE = 0x3000, 0x3020

# Called by a walk that is only watched, with (hart, stage, level, address of the entry, its
# physical address, the entry, Verdict): such a walk changes nothing.
Watch = Callable[[Hart, int, int, int, int, int, int], Any]


def stage_rules(h: Hart, priv: U2, implicit: U1, stage: Static[int]) -> U64:
    """What the entries of a stage are judged by, in an access with an effective privilege.

    implicit: the access is to a table of the VS stage, where MXR does not count."""
    rules: U64 = 0
    status = h.vsstatus if stage == STAGE_VS else h.mstatus
    # henvcfg's switches are off where menvcfg's are (norm:menvcfg_adue_henvcfg_adue_rdonly0).
    switches = h.henvcfg & h.menvcfg if stage == STAGE_VS else h.menvcfg
    if stage == STAGE_G or priv == U_MODE:
        rules = rules | AS_USER  # norm:H_vm_gpapriv
    if stage != STAGE_G and get(status, MSTATUS.SUM) != 0:
        rules = rules | SUM
    # HS-level MXR acts on both stages, vsstatus.MXR on its own (norm:sstatus_mxr_vm).
    if not implicit and (status | h.mstatus) & MSTATUS.MXR.mask != 0:
        rules = rules | MXR
    if h.extensions & Ext.SVNAPOT != 0:
        rules = rules | NAPOT
    if get(switches, MENVCFG.PBMTE) != 0:
        rules = rules | PBMT
    if get(switches, MENVCFG.ADUE) != 0:
        rules = rules | ADUE
    return rules


def root_of(h: Hart, stage: Static[int]) -> U64:
    """The register that points to a stage's tables: satp, vsatp or hgatp."""
    if stage == STAGE_VS:
        return u64(h.vsatp)
    if stage == STAGE_G:
        return u64(h.hgatp)
    return u64(h.satp)


def walk(
    h: Hart,
    address: U64,
    access: Kind,
    priv: U2,
    implicit: U1,
    stage: Static[int],
    watch: Static[Watch | None],
) -> tuple[U64, U64, U64]:
    """Translate an address in one stage, for an access with an effective privilege (0 or 1), and
    set A and D. implicit: as in `stage_rules`. (A VS-stage walk gives a guest-physical address.)"""
    root = root_of(h, stage)
    if get(root, SATP.MODE) == MODE_BARE:
        return OK, address, BARE
    levels = u64(get(root, SATP.MODE) - (MODE_SV39 - 3)) & 7  # 3, 4, 5
    if stage == STAGE_G:
        # norm:hgatp_mode_x4: 2 bits more, and all above must be 0.
        if address >> ((14 + 9 * levels) & 63) != 0:
            return GUEST_PAGE_FAULT, address, 0
    else:
        sign = i64(address) >> ((11 + 9 * levels) & 63)
        if sign != 0 and sign != -1:
            return PAGE_FAULT, 0, 0
    rules = stage_rules(h, priv, implicit, stage)
    table: U64 = get(root, SATP.PPN) << 12
    if stage == STAGE_G:
        table = table & ~0x3FFF  # norm:hgatp_ppn_op
    level: U64 = levels
    while level > 0:
        level = u64(level - 1)
        index: U64 = (address >> ((12 + 9 * level) & 63)) & 0x1FF
        if stage == STAGE_G and u64(level + 1) == levels:
            index = (address >> ((12 + 9 * level) & 63)) & 0x7FF
        entry = u64(table + index * 8)
        physical: U64 = entry
        if stage == STAGE_VS:
            outcome, found, _ = walk(h, entry, LOAD, U_MODE, 1, STAGE_G, watch)
            if outcome == GUEST_PAGE_FAULT:
                return GUEST_PAGE_FAULT, entry, READ_TABLE
            if outcome != OK:
                return outcome, found, 0
            physical = found
        host = find_region(h, physical, 8)
        if host == 0 or not pmp_allows(h, physical, 8, LOAD, S_MODE):
            return ACCESS_FAULT, physical, 0
        pte: U64 = host_load64(host)
        verdict = judge(pte, level & 7, access, rules)
        if watch is not None:
            watch(h, stage, level, entry, physical, pte, verdict)
        if verdict == Verdict.POINTER:
            table = table_of(pte)
            continue
        if verdict > Verdict.UPDATE:
            if stage == STAGE_G:
                return GUEST_PAGE_FAULT, address, 0
            return PAGE_FAULT, 0, 0
        if verdict == Verdict.UPDATE:
            status = missing_status(pte, access)
            updated, written = _update(h, entry, pte, pte | status, stage, watch)
            if updated == RETRY:
                level = u64(level + 1)
                continue
            if updated == GUEST_PAGE_FAULT:
                return GUEST_PAGE_FAULT, entry, WRITE_TABLE
            if updated != OK:
                return updated, written, 0
            pte = pte | status
        attributes: U64 = page_bits(pte, level & 7)
        if pte & PTE.W.mask != 0 and pte & PTE.D.mask != 0:
            attributes = attributes | MAY_STORE
        return OK, leaf_target(pte, level & 7, address), attributes
    return PAGE_FAULT, 0, 0


def _update(
    h: Hart,
    entry: U64,
    old: U64,
    new: U64,
    stage: Static[int],
    watch: Static[Watch | None],
) -> tuple[U64, U64]:
    """Write a table entry with A (and D) set, if it is still what it was; else RETRY. Returns an
    outcome and the entry's physical address."""
    physical: U64 = entry
    if stage == STAGE_VS:
        # The G stage must allow the write, and gets its own D set (norm:H_vm_gpapriv).
        outcome, found, _ = walk(h, entry, STORE, U_MODE, 1, STAGE_G, watch)
        if outcome != OK:
            return outcome, found
        physical = found
    host = find_memory(h, physical, 8, True)
    if host == 0 or not pmp_allows(h, physical, 8, STORE, S_MODE):
        return ACCESS_FAULT, physical
    if watch is None:
        if host_load64(host) != old:
            return RETRY, physical
        host_store64(host, new)
        invalidate_decoded(h, host, 8)
    return OK, physical


def translate_stages(
    h: Hart, address: U64, access: Kind, priv: U2, v: U1, watch: Static[Watch | None]
) -> tuple[U64, U64, U64]:
    """Translate an address in all stages that apply to an effective privilege and V. The size in
    the attributes is the first stage's."""
    if priv == M_MODE:
        return OK, address, BARE
    if v == 0:
        return walk(h, address, access, priv, 0, STAGE_S, watch)
    outcome, guest_physical, first = walk(h, address, access, priv, 0, STAGE_VS, watch)
    if outcome != OK:
        return outcome, guest_physical, first
    outcome, physical, second = walk(h, guest_physical, access, priv, 0, STAGE_G, watch)
    if outcome != OK:
        return outcome, physical, second
    return OK, physical, first & (second | PAGE_BITS)
