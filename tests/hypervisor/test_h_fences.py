"""HFENCE, HINVAL and SFENCE.VMA at V=1: what they must drop, and that they drop it."""

import pytest

from tests.hypervisor.lab import DATA, GPA, GVA, PAGE, RWX, Lab, Taken, U, encode

MEGABYTES_2 = 1 << 21


def remap_quietly(lab: Lab, entry: int, target: int, flags: int = RWX) -> None:
    """Change a table's entry as a guest would: by a store, without a fence."""
    lab.write(entry, target >> 12 << 10 | flags)


@pytest.fixture
def warm(guest: Lab) -> tuple[Lab, int, int]:
    """A guest that has used the page of tests, and both entries of that page."""
    vs_pte, g_pte = guest.page()
    for n in range(2):
        guest.write(DATA + n * PAGE, encode("addi") | (n + 1) << 32)
    assert guest.access("VS", "ld", GVA) >> 32 == 1  # type: ignore[operator]
    guest.access("VS", "sw", GVA, encode("addi"))
    assert guest.jump("VS", GVA) == 0
    return guest, vs_pte, g_pte


def seen(lab: Lab) -> int:
    """Which page of DATA the guest finds."""
    value = lab.access("VS", "ld", GVA)
    assert isinstance(value, int)
    return value >> 32


def fence(lab: Lab, mode: str, name: str, address: int | None, second: int | None = None) -> None:
    """Execute a fence: None is x0."""
    lab["a2"], lab["a3"] = address or 0, second or 0
    operands = {"rs1": 0 if address is None else 12, "rs2": 0 if second is None else 13}
    assert lab.do(mode, name, **operands) is None


@pytest.mark.norm("hfence-vvma_hfence-gvma_op", "hfence-vvma_mode", "hfence-vvma_asid")
@pytest.mark.norm("sfence_vma_v1", "hfence-vvma_limits")
@pytest.mark.parametrize("address", [None, GVA])
@pytest.mark.parametrize("asid", [None, 0, 5 | 0xFFFF << 16])
@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("S", "hfence.vvma"),
        ("S", "hinval.vvma"),
        ("M", "hfence.vvma"),
        ("VS", "sfence.vma"),
        ("VS", "sinval.vma"),
    ],
)
def test_10_a_new_vs_stage_entry_is_seen(
    warm: tuple[Lab, int, int], mode: str, name: str, address: int | None, asid: int | None
) -> None:
    """The ASID of what was cached is that of vsatp; the operand's bits above it are ignored."""
    lab, vs_pte, _ = warm
    if asid:
        lab["vsatp.ASID"] = 5
        assert seen(lab) == 1
    lab.map("hgatp", GPA + PAGE, DATA + PAGE, RWX | U)
    assert seen(lab) == 1
    remap_quietly(lab, vs_pte, GPA + PAGE)
    fence(lab, mode, name, address, asid)
    assert seen(lab) == 2
    assert lab.jump("VS", GVA) == 0
    assert lab.access("VS", "sd", GVA + 8, 77) is not None and lab.read(DATA + PAGE + 8) == 77


@pytest.mark.norm("hfence-gvma_op", "hfence-gvma_vmid", "hfence-vvma_hfence-gvma_op")
@pytest.mark.parametrize("address", [None, GPA >> 2])
@pytest.mark.parametrize("vmid", [None, 0, 3 | 0xFFFF << 16])
@pytest.mark.parametrize("name", ["hfence.gvma", "hinval.gvma"])
@pytest.mark.parametrize("mode", ["M", "S"])
def test_10_and_33_a_new_g_stage_entry_is_seen(
    warm: tuple[Lab, int, int], mode: str, name: str, address: int | None, vmid: int | None
) -> None:
    """rs1 holds the guest-physical address >> 2; combined entries, which are found by their
    virtual addresses, must go."""
    lab, _, g_pte = warm
    if vmid:
        lab["hgatp.VMID"] = 3
        assert seen(lab) == 1
    remap_quietly(lab, g_pte, DATA + PAGE, RWX | U)
    fence(lab, mode, name, address, vmid)
    assert seen(lab) == 2
    assert lab.jump("VS", GVA) == 0


@pytest.mark.norm("hfence-gvma_op")
@pytest.mark.parametrize("by_address", [False, True])
def test_33_entries_of_large_pages(guest: Lab, by_address: bool) -> None:
    """Where one of the stages maps 2 MiB at once, a fence of any address of it drops all."""
    guest.map("vsatp", GVA, GPA & ~(MEGABYTES_2 - 1), RWX, level=1)
    gpa = GPA & ~(MEGABYTES_2 - 1)
    entry = guest.map("hgatp", gpa, 0x8000_0000, RWX | U, level=1)
    for n in range(8):
        guest.write(DATA + n * PAGE, n + 1)
    offset = DATA - 0x8000_0000
    for n in range(8):
        assert guest.access("VS", "ld", GVA + offset + n * PAGE) == n + 1
    remap_quietly(guest, entry, 0x8000_0000, 0)
    fence(guest, "S", "hfence.gvma", gpa >> 2 if by_address else None)
    for n in range(8):
        assert isinstance(guest.access("VS", "ld", GVA + offset + n * PAGE), Taken)


@pytest.mark.norm("hfence-vvma_mode")
def test_a_large_page_of_the_vs_stage(guest: Lab) -> None:
    entry = guest.map("vsatp", GVA, 0x4000_0000, RWX, level=1)
    for n in range(8):
        assert not isinstance(guest.access("VS", "ld", GVA + n * PAGE), Taken)
    remap_quietly(guest, entry, 0, 0)
    fence(guest, "S", "hfence.vvma", GVA + 3 * PAGE)
    for n in range(8):
        assert isinstance(guest.access("VS", "ld", GVA + n * PAGE), Taken)


@pytest.mark.norm("hfence-gvma_mode", "hgatp_op_hfence_gvma")
def test_22_changing_the_mode_of_hgatp(warm: tuple[Lab, int, int]) -> None:
    """Then HFENCE.GVMA with rs1=x0 makes it hold for all."""
    lab, _, _ = warm
    lab["vsatp"] = 0
    hgatp = lab["hgatp"]
    lab.map("hgatp", 0x8000_0000, DATA, RWX | U)
    assert lab.access("VS", "lwu", 0x8000_0000) == encode("addi")
    lab.write(0x8000_0000, 0x99)
    lab.csrw("S", "hgatp", 0)
    fence(lab, "S", "hfence.gvma", None)
    assert lab.access("VS", "lwu", 0x8000_0000) == 0x99
    lab.csrw("S", "hgatp", hgatp)
    fence(lab, "S", "hfence.gvma", None)
    assert lab.access("VS", "lwu", 0x8000_0000) == encode("addi")


@pytest.mark.norm("sfence_vma_v0", "sfence_vma_v1")
def test_fences_of_one_level_need_not_touch_the_other(warm: tuple[Lab, int, int]) -> None:
    """SFENCE.VMA in HS-mode orders HS-level tables; what it does to the guest is right in any
    case. And the guest's fence makes nothing of HS-mode's stale."""
    lab, vs_pte, _ = warm
    lab["satp"] = 0
    fence(lab, "S", "sfence.vma", None)
    assert seen(lab) == 1
    lab.turn_on("satp", 8)
    lab.map("satp", 0x8000_0000, 0x8000_0000, RWX, level=2)
    entry = lab.map("satp", GVA, DATA + PAGE)
    assert lab.access("S", "ld", GVA) >> 32 == 2  # type: ignore[operator]
    remap_quietly(lab, entry, DATA)
    fence(lab, "S", "sfence.vma", GVA)
    assert lab.access("S", "lwu", GVA + 4) == 1
    fence(lab, "VS", "sfence.vma", None)
    assert lab.access("S", "lwu", GVA + 4) == 1
    remap_quietly(lab, vs_pte, 0, 0)
    fence(lab, "VS", "sfence.vma", GVA)
    assert isinstance(lab.access("VS", "ld", GVA), Taken)


@pytest.mark.norm("HGATP_VMID", "hgatp_vmid_lsbs", "sfence_vma_v1")
def test_two_guests_with_their_own_tables(guest: Lab) -> None:
    """hgatp and vsatp are switched together, as a hypervisor does; neither sees the other's."""
    guest.page()
    first = guest["hgatp"], guest["vsatp"]
    guest.guest()
    guest.map("vsatp", GVA, GPA)
    guest.map("hgatp", GPA, DATA + PAGE, RWX | U)
    guest["hgatp.VMID"] = 9
    second = guest["hgatp"], guest["vsatp"]
    for n in range(2):
        guest.write(DATA + n * PAGE, n)
    for _ in range(3):
        for n, (hgatp, vsatp) in enumerate((first, second)):
            assert guest.csrw("S", "hgatp", hgatp) is None
            assert guest.csrw("S", "vsatp", vsatp) is None
            assert guest.access("VS", "ld", GVA) == n
    guest["hgatp.VMID"] = 0x3FFF
    assert guest["hgatp.VMID"] == 0x3FFF
