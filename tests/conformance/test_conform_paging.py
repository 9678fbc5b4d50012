"""Address translation: Sv39, Sv48 and Sv57, permissions, A and D, Svnapot, Svpbmt, fences."""

import pytest

from rvemu.hart.exceptions import Cause
from tests.assembler import A0, A1, encode
from tests.conformance.probe import CODE, DATA, MTVEC, PAGE, TABLES, Probe, Trap

V, R, W, X, U, G, A, D = (1 << n for n in range(8))
AD = A | D
N, PBMT_NC, PBMT_IO = 1 << 63, 1 << 61, 2 << 61
LEVELS = {"sv39": (8, 3), "sv48": (9, 4), "sv57": (10, 5)}
VIRTUAL = 0x12_3456_7000 & ~0xFFF
MEGA = 0x8020_0000  # a physical address that a 2 MiB page may have
NOP = 0x13


class Tables:
    """Page tables in which one path leads to VIRTUAL, and the code is mapped as it is."""

    def __init__(self, probe: Probe, scheme: str = "sv39") -> None:
        self.probe = probe
        self.mode, self.levels = LEVELS[scheme]
        self._free = TABLES + PAGE
        self.root = TABLES
        probe.hart["satp"] = self.satp()

    def satp(self, asid: int = 0) -> int:
        return self.mode << 60 | asid << 44 | self.root >> 12

    def slot(self, address: int, level: int = 0) -> int:
        """Where the entry of an address at a level is; makes the tables above it."""
        table = self.root
        for above in range(self.levels - 1, level, -1):
            at = table + (address >> (12 + 9 * above) & 511) * 8
            entry = int.from_bytes(self.probe.machine.read_physical(at, 8), "little")
            if not entry:
                entry = self._free >> 12 << 10 | V
                self._free += PAGE
                self.probe.put(at, entry, width=8)
            table = entry >> 10 << 12
        return table + (address >> (12 + 9 * level) & 511) * 8

    def map(self, address: int, physical: int, flags: int, level: int = 0) -> int:
        """Map a page; where its entry is."""
        at = self.slot(address, level)
        self.probe.put(at, physical >> 12 << 10 | flags, width=8)
        self.probe.do("M", "sfence.vma")
        return at

    def entry(self, at: int) -> int:
        return int.from_bytes(self.probe.machine.read_physical(at, 8), "little")


def data_access(probe: Probe, mode: str, address: int, write: bool = False) -> int | None:
    """Load or store in a mode with M-mode's code (MPRV): the cause of the trap, or None."""
    hart = probe.hart
    probe.put(CODE, encode("sd", rs1=A1, rs2=A0) if write else encode("ld", rd=A0, rs1=A1))
    hart["mstatus.MPP"], hart["mstatus.MPRV"] = {"U": 0, "S": 1}[mode], 1
    hart["a1"] = address
    probe.to_machine_mode()
    probe.machine.run(1)
    trapped = hart.pc == MTVEC
    if trapped:
        assert hart["mtval"] == address
        assert hart["mepc"] == CODE
    hart["mstatus.MPP"], hart["mstatus.MPRV"] = 3, 0
    if not trapped:
        return None
    hart["pc"] = CODE
    return int(hart["mcause"])


def fetch(probe: Probe, mode: str, address: int) -> Trap | None:
    """Execute at a virtual address."""
    probe.enter(mode, address)
    return probe.step()


@pytest.mark.parametrize("scheme", LEVELS)
@pytest.mark.parametrize("level", [0, 1])
def test_translation(probe: Probe, scheme: str, level: int) -> None:
    tables = Tables(probe, scheme)
    virtual = VIRTUAL >> (12 + 9 * level) << (12 + 9 * level)
    tables.map(virtual, MEGA, V | R | W | AD, level)
    offset = 0x238 if level == 0 else 0x12_3238
    probe.put(MEGA + offset, 0x1122_3344_5566_7788, width=8)
    assert data_access(probe, "S", virtual + offset) is None
    assert probe.hart["a0"] == 0x1122_3344_5566_7788
    probe.hart["a0"] = 77
    assert data_access(probe, "S", virtual + offset + 8, write=True) is None
    assert probe.machine.read_physical(MEGA + offset + 8, 1) == b"\x4d"


@pytest.mark.parametrize("scheme", LEVELS)
def test_addresses_must_be_canonical(probe: Probe, scheme: str) -> None:
    """norm:Sv39_va_signext: bits above the address are copies of its highest."""
    tables = Tables(probe, scheme)
    bits = 12 + 9 * tables.levels
    high = (1 << 64) - PAGE
    tables.map(high, MEGA, V | R | AD)
    assert data_access(probe, "S", high) is None
    assert data_access(probe, "S", high ^ 1 << bits) == Cause.LOAD_PAGE_FAULT
    tables.map(VIRTUAL, MEGA, V | R | AD)
    assert data_access(probe, "S", VIRTUAL | 1 << bits) == Cause.LOAD_PAGE_FAULT


PERMISSIONS = [(V | r | w | x | u) for r in (0, R) for w in (0, W) for x in (0, X) for u in (0, U)]


@pytest.mark.parametrize("sum_bit", [0, 1])
@pytest.mark.parametrize("mxr", [0, 1])
@pytest.mark.parametrize("flags", PERMISSIONS)
def test_permissions(probe: Probe, flags: int, mxr: int, sum_bit: int) -> None:
    """norm:mstatus_mxr_op, norm:mstatus_sum_op; W without R is reserved, none of them is a pointer
    (to a page that holds no tables)."""
    tables = Tables(probe)
    tables.map(VIRTUAL, MEGA, flags | AD)
    probe.put(MEGA, NOP, NOP)
    hart = probe.hart
    leaf = flags & (R | X) and not (flags & W and not flags & R)
    for mode in "US":
        hart["mstatus.MXR"], hart["mstatus.SUM"] = mxr, sum_bit
        user = bool(flags & U)
        data = leaf and (user if mode == "U" else not user or sum_bit)
        readable = data and flags & (R | X if mxr else R)
        assert (data_access(probe, mode, VIRTUAL) is None) == bool(readable), mode
        writable = data and flags & W
        assert (data_access(probe, mode, VIRTUAL, write=True) is None) == bool(writable), mode
        # norm: SUM is for data; S-mode never executes a user's page.
        executable = leaf and flags & X and user == (mode == "U")
        probe.put(MEGA, NOP, NOP)
        trap = fetch(probe, mode, VIRTUAL)
        assert (trap is None) == bool(executable), mode
        if trap is not None:
            assert trap == Trap("M", Cause.INSTRUCTION_PAGE_FAULT, VIRTUAL, VIRTUAL)


def test_page_faults_by_access(probe: Probe) -> None:
    Tables(probe)
    assert data_access(probe, "S", VIRTUAL) == Cause.LOAD_PAGE_FAULT
    assert data_access(probe, "S", VIRTUAL, write=True) == Cause.STORE_PAGE_FAULT


def test_translation_is_not_for_m_mode(probe: Probe) -> None:
    Tables(probe)
    probe.put(DATA, 5, width=8)
    assert probe.load("M", DATA) == 5


@pytest.mark.parametrize("level", [1, 2])
def test_a_large_page_must_be_aligned(probe: Probe, level: int) -> None:
    """norm:Sv39_superpage_align_fault"""
    tables = Tables(probe)
    tables.map(VIRTUAL, 0x8000_0000 + (1 << (12 + 9 * (level - 1))), V | R | AD, level)
    assert data_access(probe, "S", VIRTUAL) == Cause.LOAD_PAGE_FAULT


@pytest.mark.parametrize(
    "bits", [1 << 54, 1 << 60, PBMT_NC, 3 << 61, N], ids=["54", "60", "nc", "pbmt 3", "n"]
)
def test_reserved_bits_of_a_leaf(probe: Probe, bits: int) -> None:
    """norm:Sv39_pte_future_rsv, norm:Sv39_pte_svpbmt_rsv (PBMTE is off),
    norm:Svnapot_reserved_encoding_fault"""
    Tables(probe).map(VIRTUAL, MEGA, V | R | AD | bits)
    assert data_access(probe, "S", VIRTUAL) == Cause.LOAD_PAGE_FAULT


@pytest.mark.parametrize("bits", [U, A, D, N, PBMT_IO])
def test_reserved_bits_of_a_pointer(probe: Probe, bits: int) -> None:
    """norm:Svpbmt_nonleaf_pte_pbmt_must_be_zero, and D, A, U are reserved there."""
    probe.hart["menvcfg"] = 1 << 62
    tables = Tables(probe)
    tables.map(VIRTUAL, MEGA, V | R | AD)
    assert data_access(probe, "S", VIRTUAL) is None
    at = tables.slot(VIRTUAL, 1)
    probe.put(at, tables.entry(at) | bits, width=8)
    probe.do("M", "sfence.vma")
    assert data_access(probe, "S", VIRTUAL) == Cause.LOAD_PAGE_FAULT


@pytest.mark.parametrize("adue", [0, 1])
def test_accessed_and_dirty(probe: Probe, adue: int) -> None:
    """norm:menvcfg_adue_op: set by hardware, or a page fault (Svade)."""
    probe.hart["menvcfg"] = adue << 61
    tables = Tables(probe)
    at = tables.map(VIRTUAL, MEGA, V | R | W)
    for write, cause, bits in (
        (False, Cause.LOAD_PAGE_FAULT, A),
        (True, Cause.STORE_PAGE_FAULT, AD),
    ):
        outcome = data_access(probe, "S", VIRTUAL, write)
        assert outcome == (None if adue else cause)
        assert tables.entry(at) & AD == (bits if adue else A if write else 0)
        if not adue:
            tables.map(VIRTUAL, MEGA, V | R | W | bits)
            assert data_access(probe, "S", VIRTUAL, write) is None


@pytest.mark.parametrize("pbmt", [PBMT_NC, PBMT_IO])
def test_page_based_memory_types(probe: Probe, pbmt: int) -> None:
    """norm:menvcfg_pbmte_op: with PBMTE these are no longer reserved; 3 still is
    (norm:Svpbmt_leaf_pte_pbmt_reserved_3_fault)."""
    probe.hart["menvcfg"] = 1 << 62
    tables = Tables(probe)
    tables.map(VIRTUAL, MEGA, V | R | AD | pbmt)
    assert data_access(probe, "S", VIRTUAL) is None
    tables.map(VIRTUAL, MEGA, V | R | AD | 3 << 61)
    assert data_access(probe, "S", VIRTUAL) == Cause.LOAD_PAGE_FAULT


def test_napot_pages(probe: Probe) -> None:
    """norm:Svnapot_implicit_read_ppn_subst: 64 KiB, of which each page goes to its own."""
    tables = Tables(probe)
    base = VIRTUAL & ~0xFFFF
    for n in range(16):
        tables.map(base + n * PAGE, MEGA | 0x8000, V | R | AD | N)
        probe.put(MEGA + n * PAGE + 16, n + 100, width=8)
    for n in range(16):
        assert data_access(probe, "S", base + n * PAGE + 16) is None
        assert probe.hart["a0"] == n + 100
    tables.map(base, MEGA | 0x4000, V | R | AD | N)
    assert data_access(probe, "S", base) == Cause.LOAD_PAGE_FAULT


@pytest.mark.parametrize("fence", ["all", "address", "asid", "both", "svinval"])
def test_a_changed_entry_is_seen_after_a_fence(probe: Probe, fence: str) -> None:
    """norm:sfence_vma_all_asid_va and its siblings"""
    tables = Tables(probe)
    probe.hart["satp"] = tables.satp(asid=3)
    at = tables.map(VIRTUAL, MEGA, V | R | AD)
    probe.put(MEGA, 1, width=8)
    probe.put(MEGA + PAGE, 2, width=8)
    assert data_access(probe, "S", VIRTUAL) is None
    assert probe.hart["a0"] == 1
    probe.put(at, (MEGA + PAGE) >> 12 << 10 | V | R | AD, width=8)
    operands = {"address": {"rs1": A0}, "asid": {"rs2": A1}, "both": {"rs1": A0, "rs2": A1}}
    if fence == "svinval":
        for name in ("sfence.w.inval", "sinval.vma", "sfence.inval.ir"):
            assert probe.do("M", name) is None
    else:
        probe.hart["a0"], probe.hart["a1"] = VIRTUAL, 3
        assert probe.do("M", "sfence.vma", **operands.get(fence, {})) is None
    assert data_access(probe, "S", VIRTUAL) is None
    assert probe.hart["a0"] == 2


def test_satp_ignores_modes_that_do_not_exist(probe: Probe) -> None:
    """norm:satp_mode_op_unsupported: the write has no effect at all."""
    Tables(probe)
    before = probe.hart["satp"]
    for mode in (1, 2, 7, 11, 15):
        assert probe.csrw("M", "satp", mode << 60 | 5) is None
        assert probe.hart["satp"] == before


def test_a_table_that_is_not_in_memory_is_an_access_fault(probe: Probe) -> None:
    """norm:pmp_check_pagetable_access: of the kind of the original access."""
    tables = Tables(probe)
    tables.map(VIRTUAL, MEGA, V | R | AD)
    probe.put(tables.slot(VIRTUAL, 1), 0x4000_0000 >> 12 << 10 | V, width=8)
    probe.do("M", "sfence.vma")
    assert data_access(probe, "S", VIRTUAL) == Cause.LOAD_ACCESS_FAULT
    assert data_access(probe, "S", VIRTUAL, write=True) == Cause.STORE_ACCESS_FAULT


def test_an_access_across_pages_faults_at_the_page_that_is_missing(probe: Probe) -> None:
    """The address in mtval is in the page that faults."""
    tables = Tables(probe)
    tables.map(VIRTUAL, MEGA, V | R | W | AD)
    hart = probe.hart
    probe.put(CODE, encode("sd", rs1=A1, rs2=A0))
    hart["mstatus.MPP"], hart["mstatus.MPRV"] = 1, 1
    hart["a1"], hart["a0"], hart["pc"] = VIRTUAL + PAGE - 4, (1 << 64) - 1, CODE
    probe.machine.run(1)
    assert (hart.pc, hart["mcause"]) == (MTVEC, Cause.STORE_PAGE_FAULT)
    assert hart["mtval"] == VIRTUAL + PAGE
    assert probe.machine.read_physical(MEGA + PAGE - 4, 4) == bytes(4)  # nothing was stored


def test_an_instruction_across_pages_faults_at_the_page_that_is_missing(probe: Probe) -> None:
    """norm:mtval_vaddr_wr2: mepc is the instruction's address, mtval that of the missing half."""
    tables = Tables(probe)
    tables.map(VIRTUAL, MEGA, V | X | U | AD)
    probe.put(MEGA + PAGE - 2, NOP & 0xFFFF, width=2)
    start = VIRTUAL + PAGE - 2
    assert fetch(probe, "U", start) == Trap(
        "M", Cause.INSTRUCTION_PAGE_FAULT, start, VIRTUAL + PAGE
    )
