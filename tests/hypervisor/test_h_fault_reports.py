"""What a fault at V=1 reports: addresses, GVA, and the instruction."""

import pytest

from tests.hypervisor.lab import (
    DATA,
    FETCH_GUEST,
    FETCH_PAGE,
    GPA,
    GVA,
    LOAD_GUEST,
    LOAD_PAGE,
    PAGE,
    RWX,
    STORE_GUEST,
    STORE_PAGE,
    TO_GPA,
    Lab,
    Taken,
    V,
    encode,
)

READ_TABLE = 0x3000


@pytest.mark.norm("H_trap_xtinst_guestpage", "HTVAL_TRAPVAL", "htval_sz_acc_op")
@pytest.mark.norm("MTVAL2_TRAPVAL", "mtval2_trapval_vstrans", "H_guest_page_fault")
@pytest.mark.norm("mtval2_sz_acc_op", "mtinst_sz_acc_op", "htinst_sz_acc_op")
@pytest.mark.parametrize("level", ["M", "S"])
def test_15_and_16_faults_of_table_reads(guest: Lab, level: str) -> None:
    """The cause is the original access's; htval is the entry's GPA >> 2; stval the GVA; htinst the
    pseudoinstruction for a 64-bit read (17)."""
    if level == "S":
        guest.delegate("S")
    guest.map("vsatp", GVA, GPA)
    # The last VS-stage table is at a GPA that the G stage does not map.
    root = (guest["vsatp.PPN"] << 12) - TO_GPA
    missing = 0x7_0000_0000
    middle = (guest.read(root + 8 * (GVA >> 30 & 511)) >> 10 << 12) - TO_GPA
    guest.write(middle + 8 * (GVA >> 21 & 511), missing >> 12 << 10 | V)
    address = GVA + 0x3ABC
    pte = missing + 8 * (address >> 12 & 511)
    for access, cause in (("ld", LOAD_GUEST), ("sd", STORE_GUEST), ("amoadd.w", STORE_GUEST)):
        taken = guest.access("VS", access, address)
        assert taken == Taken(level, cause, address, pte >> 2, READ_TABLE, 1)
    taken = guest.jump("VS", address)
    assert taken == Taken(level, FETCH_GUEST, address, pte >> 2, READ_TABLE, 1)
    guest["hstatus.SPVP"] = 1
    taken = guest.access("S", "hlv.w", address)
    assert taken == Taken(level, LOAD_GUEST, address, pte >> 2, READ_TABLE, 1)


@pytest.mark.norm(
    "HTVAL_TRAPVAL", "MTVAL2_TRAPVAL", "mtval2_htval_virtaddr", "mtval2_trapval_other"
)
@pytest.mark.parametrize("level", ["M", "S"])
def test_16_the_guest_physical_address_of_explicit_accesses(guest: Lab, level: str) -> None:
    """And zero for a fault of the VS stage."""
    if level == "S":
        guest.delegate("S")
    guest.page(RWX, 0)
    address = GVA + 0xABC
    gpa = (GPA + 0xABC) >> 2
    load, store = encode("ld", rd=11), encode("sd", rs2=11)
    assert guest.access("VS", "ld", address) == Taken(level, LOAD_GUEST, address, gpa, load, 1)
    assert guest.access("VS", "sd", address) == Taken(level, STORE_GUEST, address, gpa, store, 1)
    assert guest.jump("VS", address) == Taken(level, FETCH_GUEST, address, gpa, 0, 1)
    guest.page(0, 0)
    assert guest.access("VS", "ld", address) == Taken(level, LOAD_PAGE, address, 0, load, 1)
    assert guest.access("VS", "sd", address) == Taken(level, STORE_PAGE, address, 0, store, 1)
    assert guest.jump("VS", address) == Taken(level, FETCH_PAGE, address, 0, 0, 1)
    # Nor does another trap leave an old address standing.
    assert guest.do("VS", "ecall") == Taken("M" if level == "M" else "S", 10)


@pytest.mark.norm("H_trap_xtinst", "H_trap_xtinst_exception", "H_trap_xtinst_val")
@pytest.mark.parametrize(
    ("name", "operands", "transformed"),
    [
        ("lb", {"rd": 11, "imm": 5}, {"rd": 11}),
        ("ld", {"rd": 31, "imm": -8}, {"rd": 31}),
        ("lwu", {"imm": 2047}, {}),
        ("fld", {"fd": 3, "imm": 16}, {"fd": 3}),
        ("flh", {"fd": 3, "imm": 16}, {"fd": 3}),
        ("sb", {"rs2": 11, "imm": 5}, {"rs2": 11}),
        ("sd", {"rs2": 31, "imm": -8}, {"rs2": 31}),
        ("fsw", {"fs2": 7, "imm": 2047}, {"fs2": 7}),
        ("lr.d", {"rd": 11, "aq": 1}, {"rd": 11, "aq": 1}),
        ("sc.w", {"rd": 11, "rs2": 12, "rl": 1}, {"rd": 11, "rs2": 12, "rl": 1}),
        ("amomaxu.d", {"rd": 11, "rs2": 12}, {"rd": 11, "rs2": 12}),
        ("hlv.b", {"rd": 11}, {"rd": 11}),
        ("hlvx.wu", {"rd": 11}, {"rd": 11}),
        ("hsv.d", {"rs2": 11}, {"rs2": 11}),
    ],
)
def test_17_transformed_instructions(
    guest: Lab, name: str, operands: dict[str, int], transformed: dict[str, int]
) -> None:
    """rs1 becomes the offset of the part that faulted (0), the immediate is cleared."""
    guest.delegate("S")
    guest["hstatus.SPVP"] = guest["mstatus.FS"] = guest["vsstatus.FS"] = 1
    address = GVA + 0x1000
    guest["a0"] = address - operands.get("imm", 0)
    guest["a1"] = guest["a2"] = 1
    taken = guest.do("S" if name.startswith("h") else "VS", name, rs1=10, **operands)
    assert taken is not None and taken.tval == address and taken.cause in (LOAD_PAGE, STORE_PAGE)
    assert taken.tinst == encode(name, **transformed)


@pytest.mark.norm("H_trap_xtinst_exception", "H_trap_xtinst_val")
@pytest.mark.parametrize(
    ("name", "operands", "wide", "transformed"),
    [
        ("c.ld", {"rd": 11, "uimm": 8}, "ld", {"rd": 11}),
        ("c.lw", {"rd": 11, "uimm": 68}, "lw", {"rd": 11}),
        ("c.sd", {"rs2": 11, "uimm": 248}, "sd", {"rs2": 11}),
        ("c.sw", {"rs2": 11, "uimm": 64}, "sw", {"rs2": 11}),
        ("c.fld", {"fd": 11, "uimm": 8}, "fld", {"fd": 11}),
        ("c.fsd", {"fs2": 11, "uimm": 8}, "fsd", {"fs2": 11}),
        ("c.ldsp", {"rd": 17, "uimm": 504}, "ld", {"rd": 17}),
        ("c.lwsp", {"rd": 17, "uimm": 252}, "lw", {"rd": 17}),
        ("c.sdsp", {"rs2": 17, "uimm": 8}, "sd", {"rs2": 17}),
        ("c.swsp", {"rs2": 17, "uimm": 4}, "sw", {"rs2": 17}),
        ("c.fldsp", {"fd": 17, "uimm": 8}, "fld", {"fd": 17}),
        ("c.fsdsp", {"fs2": 17, "uimm": 8}, "fsd", {"fs2": 17}),
    ],
)
def test_17_compressed_instructions(
    guest: Lab, name: str, operands: dict[str, int], wide: str, transformed: dict[str, int]
) -> None:
    """As the 32-bit instruction that they expand to, with bit 1 cleared."""
    guest.delegate("S")
    guest["mstatus.FS"] = guest["vsstatus.FS"] = 1
    address = GVA + 0x1000
    guest["a0"] = guest["sp"] = address - operands["uimm"]
    base = {} if name.endswith("sp") else {"rs1": 10}
    taken = guest.do("VS", name, **base, **operands)
    assert taken is not None and taken.tval == address
    assert taken.tinst == encode(wide, **transformed) & ~2


@pytest.mark.norm("H_tinst_addr_offset", "H_straddle", "mtval2_trapval_other")
@pytest.mark.parametrize(("name", "size"), [("lw", 4), ("ld", 8), ("sd", 8), ("hlv.d", 8)])
def test_17_and_21_the_part_that_faulted(guest: Lab, name: str, size: int) -> None:
    """Of an access across a page boundary: tval, the GPA and the offset name the faulting part."""
    guest.page()
    guest["hstatus.SPVP"] = 1
    mode = "S" if name.startswith("h") else "VS"
    cause = (STORE_PAGE if name == "sd" else LOAD_PAGE, STORE_GUEST if name == "sd" else LOAD_GUEST)
    for distance in range(1, size):
        address = GVA + PAGE - distance
        guest.map("vsatp", GVA + PAGE, 0, 0)
        taken = guest.access(mode, name, address)
        assert isinstance(taken, Taken)
        assert (taken.cause, taken.tval, taken.tval2) == (cause[0], GVA + PAGE, 0)
        assert taken.tinst >> 15 & 31 == distance
        guest.map("vsatp", GVA + PAGE, GPA + 5 * PAGE)
        taken = guest.access(mode, name, address)
        assert isinstance(taken, Taken)
        where = (GPA + 5 * PAGE) >> 2
        assert (taken.cause, taken.tval, taken.tval2) == (cause[1], GVA + PAGE, where)
        assert taken.tinst >> 15 & 31 == distance
    # The first part comes first.
    address = GVA - 2
    guest.map("vsatp", GVA - PAGE, GPA + 6 * PAGE)
    taken = guest.access(mode, name, address)
    assert isinstance(taken, Taken)
    assert (taken.cause, taken.tval, taken.tval2) == (cause[1], address, (GPA + 7 * PAGE - 2) >> 2)
    assert taken.tinst >> 15 & 31 == 0


@pytest.mark.norm("H_straddle", "mtval2_trapval_other")
def test_21_an_instruction_across_pages(guest: Lab) -> None:
    """The fault's address is that of the instruction's second half; the trap's pc its first."""
    guest.page()
    guest.write(DATA + PAGE - 2, encode("addi") & 0xFFFF, 2)
    taken = guest.jump("VS", GVA + PAGE - 2)
    assert taken == Taken("M", FETCH_PAGE, GVA + PAGE, 0, 0, 1)
    assert guest["mepc"] == GVA + PAGE - 2
    guest.map("vsatp", GVA + PAGE, GPA + 5 * PAGE)
    taken = guest.jump("VS", GVA + PAGE - 2)
    assert taken == Taken("M", FETCH_GUEST, GVA + PAGE, (GPA + 5 * PAGE) >> 2, 0, 1)


@pytest.mark.norm("hstatus_gva_op", "mstatus_gva_op")
@pytest.mark.parametrize("level", ["M", "S"])
def test_18_gva(guest: Lab, level: str) -> None:
    """Set where tval is a guest virtual address, HLV's included; which came from V=0."""
    if level == "S":
        guest.delegate("S")
    guest["hstatus.SPVP"] = 1
    guest["a0"] = GVA + 1
    cases = [
        ("VS", encode("ld", rs1=10), 1),
        ("VU", encode("sd", rs1=10), 1),
        ("VS", encode("lr.d", rs1=10), 1),  # misaligned
        ("VS", encode("ebreak"), 1),
        ("VS", encode("ecall"), 0),
        ("VS", encode("hlv.d", rs1=10), 0),  # virtual instruction: tval is the instruction
        ("VS", 0, 0),
        ("S", encode("hlv.d", rs1=10), 1),
        ("S", encode("hsv.d", rs1=10), 1),
        ("S", encode("ld", rs1=10), 0),
        ("U", encode("ebreak"), 0),
        ("U", 0, 0),
    ]
    for mode, word, gva in cases:
        taken = guest.execute(mode, word)
        assert taken is not None and (taken.level, taken.gva) == (level, gva), (mode, hex(word))
        virtual = mode.startswith("V")
        assert guest["mstatus.MPV" if level == "M" else "hstatus.SPV"] == virtual
