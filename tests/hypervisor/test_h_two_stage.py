"""Two-stage address translation: what each stage checks, and what its faults report."""

import pytest

from rvemu.board import RAM_BASE
from rvemu.hart.fields import HGATP, MODE_BARE, MODE_SV39, MODE_SV48, MODE_SV57, SATP, SSTATUS
from tests.hypervisor.lab import (
    DATA,
    FETCH_ACCESS,
    FETCH_GUEST,
    GPA,
    GPA_OF_RAM,
    GVA,
    LEVELS,
    LOAD_ACCESS,
    LOAD_GUEST,
    LOAD_PAGE,
    PAGE,
    RW,
    RWX,
    STORE_ACCESS,
    STORE_GUEST,
    STORE_PAGE,
    TO_GPA,
    A,
    D,
    G,
    Lab,
    R,
    Taken,
    U,
    V,
    X,
    causes,
    encode,
)

VALUE = 0x8877_6655_4433_2211
MODES = [MODE_SV39, MODE_SV48, MODE_SV57]
READ_TABLE, WRITE_TABLE = 0x3000, 0x3020
N64K = 8 << 10 | 1 << 63  # PPN and N of a Svnapot entry of 64 KiB
LD = 0x0005_3583 & ~0xF8000  # ld a1, (a0) as htinst shows it: without rs1


def access_all(lab: Lab, mode: str, address: int) -> list[object]:
    """Load, store and fetch at an address."""
    return causes(
        lab.access(mode, "ld", address),
        lab.access(mode, "sd", address, VALUE),
        lab.jump(mode, address),
    )


@pytest.mark.norm("H_vm_twostage", "H_vm_gpatrans", "hgatp_mode_sv", "hgatp_sz_acc_op")
@pytest.mark.norm("H_vm_supported", "vsatp_sz_acc_op", "vsatp_ppn_sv39_sv48_sv57_sz")
@pytest.mark.parametrize("g", MODES)
@pytest.mark.parametrize("vs", MODES)
@pytest.mark.parametrize("mode", ["VS", "VU"])
def test_every_pair_of_modes(lab: Lab, vs: int, g: int, mode: str) -> None:
    lab.guest(vs, g)
    user = U if mode == "VU" else 0
    gva = 0x12_3456_7000 & (1 << (9 * LEVELS[vs] + 11)) - 1
    gpa = 0x1FF_0000_0000 | 0x5000
    lab.map("vsatp", gva, gpa, RWX | user)
    lab.map("hgatp", gpa, DATA, RWX | U)
    lab.write(DATA, encode("addi"))
    assert lab.access(mode, "lwu", gva) == encode("addi")
    assert lab.jump(mode, gva) == 0
    lab.access(mode, "sd", gva + 8, VALUE)
    assert lab.read(DATA + 8) == VALUE


@pytest.mark.norm("H_vm_gpapriv")
def test_11_the_g_stage_checks_as_user_mode(guest: Lab) -> None:
    """U=1 is required, for VS-mode's accesses and for those to VS-stage tables. SUM and the
    privilege have no say."""
    for status in ("mstatus", "vsstatus"):
        guest[f"{status}.SUM"] = 1
    guest.page(RWX, RWX)
    assert access_all(guest, "VS", GVA) == [LOAD_GUEST, STORE_GUEST, FETCH_GUEST]
    guest.page(RWX, RWX | U)
    guest.write(DATA, VALUE)
    assert access_all(guest, "VS", GVA)[:2] == [VALUE, VALUE]
    # The table of the VS stage itself in a page with U=0.
    guest.map("hgatp", GPA_OF_RAM, RAM_BASE, RWX, level=2)
    guest["hstatus.SPVP"] = 1
    taken = guest.access("S", "hlv.d", GVA)
    assert isinstance(taken, Taken) and (taken.cause, taken.tinst) == (LOAD_GUEST, READ_TABLE)


@pytest.mark.norm("H_vm_gpa_g")
def test_11_g_bits_of_the_g_stage_are_ignored(guest: Lab) -> None:
    guest.write(DATA, VALUE)
    guest.page(RWX, RWX | U | G)
    assert guest.access("VS", "ld", GVA) == VALUE
    guest.map("hgatp", GPA, DATA + PAGE, RWX | U)  # and such an entry is dropped as others are
    assert guest.access("VS", "ld", GVA) == 0


@pytest.mark.norm(
    "hgatp_mode_x4",
    "hgatp_mode_sv39x4",
    "hgatp_mode_sv48x4",
    "hgatp_mode_sv57x4",
    "H_guest_page_fault",
)
@pytest.mark.parametrize("g", MODES)
def test_12_guest_physical_addresses_are_two_bits_wider(lab: Lab, g: int) -> None:
    """The root table has 2048 entries; an address beyond them is a guest-page fault, and is not
    sign-extended."""
    lab.guest(MODE_BARE, g)
    bits = 9 * LEVELS[g] + 14
    top = (1 << bits) - PAGE
    lab.map("hgatp", top, DATA, RWX | U)
    lab.write(DATA, VALUE)
    assert lab.access("VS", "ld", top) == VALUE
    for beyond in (1 << bits, top | 1 << 63, (1 << 64) - PAGE, top | 1 << bits):
        taken = lab.access("VS", "ld", beyond)
        assert taken == Taken("M", LOAD_GUEST, beyond, beyond >> 2, LD, 1)
        assert causes(lab.jump("VS", beyond)) == [FETCH_GUEST]


@pytest.mark.norm("hgatp_ppn_op")
def test_12_the_root_is_aligned_to_16_kib(guest: Lab) -> None:
    value = guest["hgatp"]
    guest["hgatp"] = value | 3
    assert guest["hgatp"] == value
    assert guest.csrw("S", "hgatp", value | 3) is None and guest["hgatp"] == value
    assert guest.access("VS", "ld", 0xC000_1000) == guest.read(RAM_BASE + 0x1000)


@pytest.mark.norm("HGATP_MODE_WARL", "hgatp_mode_bare")
@pytest.mark.parametrize("bad", [1, 2, 7, 11, 15])
def test_13_hgatp_is_legalized_field_by_field(lab: Lab, bad: int) -> None:
    lab.csrw("S", "hgatp", MODE_SV48 << 60 | 5 << 44 | 0x1000)
    lab.csrw("S", "hgatp", bad << 60 | 7 << 44 | 0x2000)
    assert lab["hgatp.MODE"] in (MODE_BARE, *MODES)
    assert (lab["hgatp.VMID"], lab["hgatp.PPN"]) == (7, 0x2000)


@pytest.mark.norm("vsatp_mode_unsupported_v1", "vsatp_mode_unsupported_v0")
@pytest.mark.parametrize("bad", [1, 2, 7, 11, 15])
def test_13_a_bad_mode_in_satp_is_ignored_whole(lab: Lab, bad: int) -> None:
    good = MODE_SV48 << 60 | 5 << 44 | 0x1000
    assert lab.csrw("VS", "satp", bad << 60 | 7 << 44 | 0x2000) is None
    assert lab["vsatp"] == 0
    assert lab.csrw("VS", "satp", good) is None
    assert lab["vsatp"] == good and lab["satp"] == 0
    assert lab.csrw("S", "vsatp", bad << 60 | 7 << 44 | 0x2000) is None
    assert lab["vsatp.MODE"] == MODE_SV48
    assert lab.csrw("S", "satp", bad << 60 | 0x2000) is None
    assert lab["satp"] == 0


@pytest.mark.norm("hgatp_mode_bare", "hgatp_mode_bare_trans", "hgatp_mode_sv")
def test_13_modes_that_the_isa_string_lacks(engine: str) -> None:
    lab = Lab(engine, "rv64gch_sv39")
    for name in ("hgatp", "vsatp", "satp"):
        for mode in (MODE_SV48, MODE_SV57):
            lab.csrw("M", name, mode << 60)
            assert lab[name] == 0
        lab.csrw("M", name, MODE_SV39 << 60)
        assert lab[name] == MODE_SV39 << 60


@pytest.mark.norm("H_vm_gstagetrans")
def test_14_bare_vsatp_still_goes_through_the_g_stage(lab: Lab) -> None:
    lab.guest(vs=MODE_BARE)
    lab.map("hgatp", GPA, DATA, RWX | U)
    lab.write(DATA, VALUE)
    for mode in ("VS", "VU"):
        assert lab.access(mode, "ld", GPA) == VALUE
        fault = Taken(
            "M", LOAD_GUEST, GPA + PAGE + 8, (GPA + PAGE + 8) >> 2, encode("ld", rd=11), 1
        )
        assert lab.access(mode, "ld", GPA + PAGE + 8) == fault


@pytest.mark.norm("H_vm_twostage", "hgatp_mode_bare", "hgatp_mode_bare_trans")
def test_bare_hgatp_leaves_the_vs_stage(guest: Lab) -> None:
    guest.page()
    root = guest["vsatp.PPN"] << 12
    guest["hgatp"] = 0
    guest["vsatp"] = MODE_SV39 << 60 | (root - TO_GPA) >> 12
    # Pointers hold guest-physical addresses: now wrong ones. A leaf in the root is all it takes.
    guest.write(root - TO_GPA, RAM_BASE >> 12 << 10 | RWX)
    guest.write(root - TO_GPA + 24, RAM_BASE >> 12 << 10 | RWX)
    guest.write(DATA, VALUE)
    assert guest.access("VS", "ld", DATA - RAM_BASE) == VALUE


@pytest.mark.norm("henvcfg_adue_op", "H_trap_xtinst_guestpage_rw", "H_vm_gpapriv")
def test_19_who_updates_a_and_d(guest: Lab) -> None:
    """henvcfg.ADUE rules the VS stage, menvcfg.ADUE the G stage; without it, what lacks is a
    fault."""
    plain = V | R | 2 * R | X
    for m in (0, 1):
        for h in (0, 1):
            guest["menvcfg.ADUE"] = m
            guest["henvcfg.ADUE"] = h
            assert guest["henvcfg.ADUE"] == (m and h)
            vs_pte, g_pte = guest.page(plain, RWX | U)
            result = guest.access("VS", "ld", GVA)
            assert isinstance(result, Taken) == (not (m and h))
            if m and h:
                assert guest.read(vs_pte) & (A | D) == A
                guest.access("VS", "sd", GVA)
                assert guest.read(vs_pte) & (A | D) == A | D
            else:
                assert causes(result) == [LOAD_PAGE] and not guest.read(vs_pte) & (A | D)
            vs_pte, g_pte = guest.page(RWX, plain | U)
            result = guest.access("VS", "ld", GVA)
            if m:
                assert guest.read(g_pte) & (A | D) == A
                guest.access("VS", "sd", GVA)
                assert guest.read(g_pte) & (A | D) == A | D
            else:
                assert causes(result) == [LOAD_GUEST] and not guest.read(g_pte) & (A | D)


@pytest.mark.norm("henvcfg_adue_op", "H_trap_xtinst_guestpage_rw", "H_trap_xtinst_guestpage")
def test_19_updating_a_table_needs_w_of_the_g_stage(guest: Lab) -> None:
    """And sets its D. If it may not be written, the pseudoinstruction says so."""
    guest["menvcfg.ADUE"] = guest["henvcfg.ADUE"] = 1
    vs_pte, _ = guest.page(V | R, RWX | U)
    table = vs_pte & ~0xFFF
    moved = 0x6_0000_0000  # the last table gets a GPA of its own
    root = (guest["vsatp.PPN"] << 12) - TO_GPA
    middle = (guest.read(root + 8 * (GVA >> 30 & 511)) >> 10 << 12) - TO_GPA
    guest.write(middle + 8 * (GVA >> 21 & 511), moved >> 12 << 10 | V)
    for flags, may in ((V | R | A | U, False), (RW | U, True), (V | R | 2 * R | A | U, True)):
        guest.write(vs_pte, GPA >> 12 << 10 | V | R)
        g_pte = guest.map("hgatp", moved, table, flags)
        result = guest.access("VS", "ld", GVA + 0x18)
        if may:
            assert not isinstance(result, Taken)
            assert guest.read(vs_pte) & A and guest.read(g_pte) & D
        else:
            where = moved + (vs_pte & 0xFFF)
            assert result == Taken("M", LOAD_GUEST, GVA + 0x18, where >> 2, WRITE_TABLE, 1)
            assert not guest.read(vs_pte) & A
    # With Svade in the G stage, D=0 there refuses the update.
    guest["menvcfg.ADUE"] = 0
    assert guest["henvcfg.ADUE"] == 0


@pytest.mark.norm("H_pmp")
@pytest.mark.parametrize("stage", ["vsatp", "hgatp"])
def test_20_pmp_in_the_walk(guest: Lab, stage: str) -> None:
    """An access fault of the original kind, and no guest-physical address."""
    vs_pte, g_pte = guest.page()
    guest.pmp((vs_pte if stage == "vsatp" else g_pte) & ~0xFFF, 0)
    for access, cause in (("ld", LOAD_ACCESS), ("sd", STORE_ACCESS)):
        taken = guest.access("VS", access, GVA + 8)
        assert isinstance(taken, Taken)
        assert (taken.cause, taken.tval, taken.tval2, taken.gva) == (cause, GVA + 8, 0, 1)
    assert guest.jump("VS", GVA) == Taken("M", FETCH_ACCESS, GVA, 0, 0, 1)


@pytest.mark.norm("H_pmp")
def test_20_pmp_of_the_access_itself(guest: Lab) -> None:
    guest.page()
    guest.pmp(DATA, 0)
    assert access_all(guest, "VS", GVA) == [LOAD_ACCESS, STORE_ACCESS, FETCH_ACCESS]
    guest.pmp(DATA, 1)
    assert access_all(guest, "VS", GVA) == [0, STORE_ACCESS, FETCH_ACCESS]


@pytest.mark.norm("H_pmp")
@pytest.mark.parametrize("target", [0x1000_0000, 0x7000_0000, 0x00FF_FFFF_FFFF_F000])
@pytest.mark.parametrize("stage", ["vsatp", "hgatp"])
def test_tables_outside_memory(guest: Lab, stage: str, target: int) -> None:
    """In a device, where nothing is, at the end of physical memory: access faults."""
    guest.page()
    if stage == "hgatp":
        guest["hgatp.PPN"] = target >> 12
    else:
        guest.map("hgatp", GPA + PAGE, target, RWX | U)
        guest["vsatp.PPN"] = (GPA + PAGE) >> 12
    guest["hstatus.SPVP"] = 1
    assert causes(guest.access("S", "hlv.d", GVA), guest.access("S", "hsv.d", GVA)) == [
        LOAD_ACCESS,
        STORE_ACCESS,
    ]
    assert causes(guest.jump("VS", GVA)) == [FETCH_ACCESS]


def test_tables_that_point_to_themselves(guest: Lab) -> None:
    """A walk ends after as many levels as there are."""
    guest["hstatus.SPVP"] = 1
    root = guest["vsatp.PPN"]
    guest.write((root << 12) - TO_GPA + 8 * (GVA >> 30 & 511), root << 10 | V)
    taken = guest.access("S", "hlv.d", GVA & ~0x3FFF_F000 | (GVA >> 30 & 511) * 0x4020_1000 % 2**39)
    assert isinstance(taken, Taken) and taken.cause == LOAD_PAGE
    g_root = guest["hgatp.PPN"]
    guest.write((g_root << 12) + 8 * 3, g_root << 10 | V)
    guest["vsatp"] = 0
    taken = guest.access("S", "hlv.d", 3 << 30 | 3 << 21 | 3 << 12)
    assert isinstance(taken, Taken) and taken.cause == LOAD_GUEST


# --- Svnapot and Svpbmt --------------------------------------------------------------------------


@pytest.mark.norm("H_vm_gpatrans")
@pytest.mark.parametrize("stage", ["vsatp", "hgatp"])
def test_svnapot_in_both_stages(guest: Lab, stage: str) -> None:
    guest.page()
    address, target = (GVA, GPA) if stage == "vsatp" else (GPA, DATA)
    flags = RWX | (U if stage == "hgatp" else 0)
    for n in range(16):
        guest.map(stage, address + n * PAGE, (target & ~0xFFFF), flags | N64K)
        if stage == "vsatp":
            guest.map("hgatp", target + n * PAGE, DATA + n * PAGE, RWX | U)
        else:
            guest.map("vsatp", GVA + n * PAGE, GPA + n * PAGE)
        guest.write(DATA + n * PAGE + 8, n)
    for n in range(16):
        assert guest.access("VS", "ld", GVA + n * PAGE + 8) == n
    guest.map(stage, address, target & ~0xFFFF, flags | N64K | 1 << 10)  # a reserved size
    assert causes(guest.access("VS", "ld", GVA)) == [LOAD_PAGE if stage == "vsatp" else LOAD_GUEST]


@pytest.mark.norm("henvcfg_pbmte_op")
@pytest.mark.parametrize("m", [0, 1])
@pytest.mark.parametrize("h", [0, 1])
def test_svpbmt_by_stage(guest: Lab, m: int, h: int) -> None:
    """henvcfg.PBMTE is for the VS stage, menvcfg.PBMTE for the G stage."""
    guest["menvcfg.PBMTE"] = m
    guest["henvcfg.PBMTE"] = h
    assert guest["henvcfg.PBMTE"] == (m and h)
    for memory_type in (1, 2, 3):
        bits = memory_type << 61
        guest.page(RWX | bits, RWX | U)
        allowed = bool(m and h and memory_type != 3)
        assert causes(guest.access("VS", "ld", GVA)) == [0 if allowed else LOAD_PAGE]
        guest.page(RWX, RWX | U | bits)
        allowed = bool(m and memory_type != 3)
        assert causes(guest.access("VS", "ld", GVA)) == [0 if allowed else LOAD_GUEST]


# --- MPRV ----------------------------------------------------------------------------------------


@pytest.mark.norm("mstatus_mprv_hypervisor", "vsstatus_v0", "vsatp_v0")
def test_25_mprv_with_mpv(guest: Lab) -> None:
    """Explicit accesses translate in two stages, and fetches do not."""
    guest.page(RWX | U)
    guest.write(DATA, VALUE)
    for mpv, mpp, sum_, expected in (
        (1, 0, 0, VALUE),
        (1, 1, 0, LOAD_PAGE),
        (1, 1, 1, VALUE),
        (1, 3, 0, LOAD_ACCESS),  # as M-mode: physical
        (0, 1, 0, LOAD_ACCESS),  # as HS-mode: satp is Bare
    ):
        guest["mstatus"] = mpv << 39 | mpp << 11 | 1 << 17
        guest["vsstatus.SUM"] = sum_
        result = guest.access("M", "ld", GVA)
        assert causes(result) == [expected]
        if isinstance(result, Taken):
            assert result.gva == (mpv and mpp != 3)
    guest["mstatus"] = 1 << 39 | 1 << 11 | 1 << 17
    assert causes(guest.access("M", "ld", GVA + PAGE)) == [LOAD_PAGE]
    assert guest["mstatus.MPV"] == 0  # the trap came from M-mode


@pytest.mark.norm("vs_stage_speculative_a_bit", "vsatp_v0")
def test_vsatp_is_not_used_at_v0(guest: Lab) -> None:
    guest["menvcfg.ADUE"] = guest["henvcfg.ADUE"] = 1
    vs_pte, _ = guest.page(V | R | 2 * R)
    guest.access("S", "ld", DATA)
    guest.access("U", "ld", GVA)
    assert not guest.read(vs_pte) & (A | D)
    assert guest["vsatp.MODE"] == MODE_SV39 and SATP.MODE == HGATP.MODE


@pytest.mark.norm("H_vm_twostage", "vsstatus_sz_acc_op", "H_vscsrs_v1")
def test_sum_of_the_guest(guest: Lab) -> None:
    """VS-mode's own SUM counts, as soon as it is written; HS-mode's does not."""
    guest.page(RWX | U)
    guest.write(DATA, VALUE)
    for _ in range(2):
        for sum_ in (1, 0):
            guest["mstatus.SUM"] = 1 - sum_
            guest.csrw("VS", "sstatus", sum_ << SSTATUS.SUM.low)
            assert causes(guest.access("VS", "ld", GVA)) == [VALUE if sum_ else LOAD_PAGE]
            assert causes(guest.access("VS", "sd", GVA, VALUE)) == [VALUE if sum_ else STORE_PAGE]
            assert guest.access("VU", "ld", GVA) == VALUE
