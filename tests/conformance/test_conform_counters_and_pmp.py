"""Counters, and physical memory protection."""

import pytest

from rvemu.hart.exceptions import Cause
from tests.assembler import A0, csr_number, encode
from tests.conformance.probe import CODE, DATA, MTVEC, Probe, Trap

M64 = (1 << 64) - 1
NOP = 0x13
R, W, X, TOR, NA4, NAPOT, LOCK = 1, 2, 4, 1 << 3, 2 << 3, 3 << 3, 1 << 7


# --- Counters --------------------------------------------------------------------------------


def read_twice(probe: Probe, csr: str, between: int) -> int:
    """The difference of two reads of a counter in M-mode, with nops between them."""
    read = encode("csrrs", rd=A0, csr=csr_number(csr))
    again = encode("csrrs", rd=11, csr=csr_number(csr))
    probe.put(CODE, read, *[NOP] * between, again)
    probe.enter("M")
    probe.machine.run(between + 2)
    return probe.hart["a1"] - probe.hart["a0"]


@pytest.mark.parametrize("csr", ["mcycle", "minstret", "cycle", "instret"])
@pytest.mark.parametrize("between", [0, 1, 7])
def test_counters_count_each_instruction(probe: Probe, csr: str, between: int) -> None:
    assert read_twice(probe, csr, between) == between + 1


@pytest.mark.parametrize(("csr", "bit"), [("mcycle", 1), ("minstret", 4)])
def test_mcountinhibit(probe: Probe, csr: str, bit: int) -> None:
    """norm:mcountinhibit_op2: it stops that counter alone."""
    probe.csrw("M", "mcountinhibit", bit)
    assert read_twice(probe, csr, 5) == 0
    assert read_twice(probe, "minstret" if bit == 1 else "mcycle", 5) == 6
    probe.csrw("M", "mcountinhibit", 0)
    assert read_twice(probe, csr, 5) == 6


@pytest.mark.parametrize("csr", ["mcycle", "minstret"])
def test_a_written_counter_goes_on_from_there(probe: Probe, csr: str) -> None:
    """norm:mcycle_minstret_wr: the write takes the place of that instruction's increment."""
    probe.hart["a1"] = 1000
    number = csr_number(csr)
    probe.put(CODE, encode("csrrw", csr=number, rs1=11), encode("csrrs", rd=A0, csr=number))
    probe.enter("M")
    probe.machine.run(2)
    expected = {"minstret": {1000}, "mcycle": {1000, 1001}}[csr]
    assert probe.hart["a0"] in expected


def test_an_instruction_that_traps_does_not_retire(probe: Probe) -> None:
    """norm:instret_exception"""
    before = probe.hart["minstret"]
    assert probe.do("U", "ecall") is not None  # mret retires, ecall does not
    assert probe.hart["minstret"] == before + 1


@pytest.mark.parametrize(("csr", "bit"), [("cycle", 1), ("time", 2), ("instret", 4)])
def test_counter_enables(probe: Probe, csr: str, bit: int) -> None:
    """norm:mcounteren_clr_ill_inst_exc, norm:scounteren_op"""
    for mcounteren in (0, bit):
        for scounteren in (0, bit):
            probe.hart["mcounteren"], probe.hart["scounteren"] = mcounteren, scounteren
            assert isinstance(probe.csrr("M", csr), int)
            assert isinstance(probe.csrr("S", csr), Trap) == (not mcounteren)
            assert isinstance(probe.csrr("U", csr), Trap) == (not (mcounteren and scounteren))


def test_hardware_performance_counters_read_zero(probe: Probe) -> None:
    for n in (3, 31):
        assert probe.csrr("M", 0xB00 + n) == 0
        assert probe.csrw("M", 0xB00 + n, 5) is None
        assert probe.csrr("M", 0xB00 + n) == 0


# --- PMP -------------------------------------------------------------------------------------


def entry(probe: Probe, number: int, address: int, config: int) -> None:
    """Set a PMP entry; `address` as pmpaddr has it."""
    assert probe.csrw("M", f"pmpaddr{number}", address) is None
    register = f"pmpcfg{number // 8 * 2}"
    shift = number % 8 * 8
    old = probe.hart[register]
    assert probe.csrw("M", register, old & ~(0xFF << shift) | config << shift) is None


def closed(engine: str) -> Probe:
    """A machine whose last entry lets U-mode reach only the code."""
    probe = Probe(engine)
    entry(probe, 15, CODE >> 2 | 0x1FF, NAPOT | R | X)
    entry(probe, 0, 0, 0)
    return probe


def outcome(probe: Probe, mode: str, address: int) -> str:
    """What may be done with a doubleword: some of "rwx"."""
    allowed = ""
    if not isinstance(probe.load(mode, address), Trap):
        allowed += "r"
    if probe.store(mode, address, 0x13_0000_0013) is None:
        allowed += "w"
    probe.put(address, NOP, NOP)
    probe.enter(mode, address)
    if probe.step() is None:
        allowed += "x"
    return allowed


def test_nothing_is_allowed_where_no_entry_matches(engine: str) -> None:
    """norm:pmp_no_entry_match: but everything in M-mode."""
    probe = closed(engine)
    assert outcome(probe, "U", DATA) == ""
    assert outcome(probe, "S", DATA) == ""
    assert outcome(probe, "M", DATA) == "rwx"
    assert probe.load("U", DATA) == Trap("M", Cause.LOAD_ACCESS_FAULT, CODE, DATA)
    assert probe.store("U", DATA) == Trap("M", Cause.STORE_ACCESS_FAULT, CODE, DATA)
    probe.enter("U", DATA)
    assert probe.step() == Trap("M", Cause.INSTRUCTION_ACCESS_FAULT, DATA, DATA)


@pytest.mark.parametrize("rwx", [0, R, R | W, X, R | X, R | W | X])
@pytest.mark.parametrize("size", [8, 64, 4096, 1 << 20])
def test_napot(engine: str, size: int, rwx: int) -> None:
    """norm:pmp_cfg_permissions, norm:pmp_addr_encoding"""
    probe = closed(engine)
    base = 0x8010_0000 + (size if size < 4096 else 0)
    entry(probe, 1, base >> 2 | (size >> 3) - 1, NAPOT | rwx)
    expected = "".join(letter for letter, bit in zip("rwx", (R, W, X), strict=True) if rwx & bit)
    for address in (base, base + size - 8):
        assert outcome(probe, "U", address) == expected
    for address in (base - 8, base + size):
        assert outcome(probe, "U", address) == ""


@pytest.mark.parametrize(("low", "high"), [(0, 8), (8, 4096), (4096 - 8, 8192 + 8), (16, 16)])
def test_tor(engine: str, low: int, high: int) -> None:
    """norm:pmp_a_field_tor: from the entry before, up to and without its own address."""
    probe = closed(engine)
    base = 0x8010_0000
    entry(probe, 1, base + low >> 2, 0)
    entry(probe, 2, base + high >> 2, TOR | R | W)
    for offset in range(0, 8192 + 64, 8):
        if offset in (low - 8, low, high - 8, high, 4096, 4088):
            inside = low <= offset < high
            assert outcome(probe, "U", base + offset) == ("rw" if inside else ""), hex(offset)


def test_na4_and_a_partial_match(engine: str) -> None:
    """norm:pmp_full_match_required: an access that the matching entry does not wholly cover
    fails, whatever a later entry says."""
    probe = closed(engine)
    base = 0x8010_0000
    entry(probe, 1, base >> 2, NA4 | R | W)
    entry(probe, 2, base >> 2 | 0x1FF, NAPOT | R | W)
    assert isinstance(probe.load("U", base), Trap)
    assert isinstance(probe.load("U", base + 8), int)
    probe.hart["a1"] = base
    assert probe.do("U", "lw", rd=A0, rs1=11) is None


def test_the_first_match_decides(engine: str) -> None:
    """norm:pmp_entry_priority"""
    probe = closed(engine)
    base = 0x8010_0000
    entry(probe, 1, base + 64 >> 2 | 7, NAPOT | R)
    entry(probe, 2, base >> 2 | 0x1FF, NAPOT | R | W)
    assert outcome(probe, "U", base + 64) == "r"
    assert outcome(probe, "U", base + 128) == "rw"


def test_a_locked_entry_binds_m_mode_and_stays(engine: str) -> None:
    """norm:pmp_l_bit_m_mode_enforcement, norm:pmp_l_bit_write_protection"""
    probe = closed(engine)
    base = 0x8010_0000
    entry(probe, 1, base >> 2 | 0x1FF, NAPOT | R | LOCK)
    assert outcome(probe, "M", base) == "r"
    config, address = probe.hart["pmpcfg0"], probe.hart["pmpaddr1"]
    probe.csrw("M", "pmpcfg0", 0)
    probe.csrw("M", "pmpaddr1", 0)
    assert probe.hart["pmpcfg0"] & 0xFF00 == config & 0xFF00
    assert probe.hart["pmpaddr1"] == address


def test_a_locked_tor_entry_locks_the_address_below(engine: str) -> None:
    probe = closed(engine)
    entry(probe, 1, 0x8010_0000 >> 2, 0)
    entry(probe, 2, 0x8020_0000 >> 2, TOR | R | LOCK)
    probe.csrw("M", "pmpaddr1", 0)
    assert probe.hart["pmpaddr1"] == 0x8010_0000 >> 2


def test_mprv_is_checked_as_the_other_mode(engine: str) -> None:
    """norm:pmp_check_priv_modes"""
    probe = closed(engine)
    probe.hart["mstatus.MPP"], probe.hart["mstatus.MPRV"] = 0, 1
    probe.hart["a1"] = DATA
    probe.put(CODE, encode("ld", rd=A0, rs1=11))
    probe.hart["pc"] = CODE
    probe.machine.run(1)
    assert probe.hart.pc == MTVEC
    assert probe.hart["mcause"] == Cause.LOAD_ACCESS_FAULT


def test_there_are_as_many_entries_as_asked_for(engine: str) -> None:
    """norm:pmp_entry_count: the rest of those that the CSRs have room for read zero. And odd
    pmpcfg do not exist (norm:pmp_cfg_rv64_illegal)."""
    probe = Probe(engine, pmp=16)
    probe.csrw("M", "pmpaddr15", 5)
    probe.csrw("M", "pmpaddr16", 5)
    assert (probe.csrr("M", "pmpaddr15"), probe.csrr("M", "pmpaddr16")) == (5, 0)
    assert isinstance(probe.csrr("M", 0x3A1), Trap)
