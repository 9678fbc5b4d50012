"""Tables that the VMM makes: what the hart finds in them."""

import pytest

from rvemu.hart.exceptions import STORE
from rvemu.hart.extensions import DEFAULT_ISA, parse_isa
from rvemu.hart.state import S_MODE, U_MODE, Shared
from rvemu.hart.walk import OK, PAGE_BITS, translate_stages
from rvemu.vmm.exits import ExitReason
from rvemu.vmm.host import Host
from rvemu.vmm.page_tables import BLOCK, EXECUTE, READ, WRITE, PageTable
from tests.assembler import A0, A1, ZERO, Assembler
from tests.vmm.programs import virtual_machine

ALL = READ | WRITE | EXECUTE


class Tables:
    """A table of the VMM's, and the hart that walks it."""

    def __init__(self, levels: int, wide: bool) -> None:
        self.host = Host(parse_isa(DEFAULT_ISA), "reference")
        _, self.frames = self.host.add_bank(Shared())
        self.free = len(self.frames)
        self.wide = wide
        self.table = PageTable(self.frames, levels, wide=wide)
        hart = self.host.hart
        if wide:
            hart.hgatp = self.table.register()
        else:
            hart.satp = self.table.register()

    def find(self, address: int) -> tuple[int, int] | None:
        """Where a store goes, and log2 of the size of its page; None if it is refused."""
        outcome, physical, attributes = translate_stages(
            self.host.hart, address, STORE, S_MODE if self.wide else U_MODE, int(self.wide), None
        )
        if outcome != OK:
            return None
        return physical, attributes & PAGE_BITS


@pytest.mark.parametrize("levels, wide", [(3, False), (4, False), (5, False), (3, True)])
def test_pages_and_blocks(levels: int, wide: bool) -> None:
    tables = Tables(levels, wide)
    table, physical = tables.table, 1 << 36
    top = 1 << (9 * levels + 11)
    for address in (0x1000, BLOCK + 0x3000, top - 0x1000):
        assert tables.find(address) is None
        page = physical + (address & 0xF000)
        table.map(address, page, ALL)
        assert tables.find(address + 0x123) == (page + 0x123, 12)
    assert table.find_block(0x1000) is None
    assert not table.map_block(0, physical, ALL), "pages of it are mapped by themselves"
    assert table.unmap_pages(BLOCK) == 1
    assert table.unmap_pages(3 * BLOCK) == 0
    assert tables.find(BLOCK + 0x3000) is None and tables.find(0x1000) is not None
    block = 4 * BLOCK
    assert table.map_block(block, physical, READ | EXECUTE)
    assert tables.find(block) is None
    assert table.map_block(block, physical, ALL)
    found = tables.find(block + 0x1F_F123)
    # (Of two stages, the first one's size is told, and that is not translated here.)
    assert found == (physical + 0x1F_F123, 12 if wide else 21)
    assert table.find(block) is None
    assert table.unmap_block(block)
    assert not table.unmap_block(block)
    assert tables.find(block) is None
    table.map(block, physical, ALL)
    assert tables.find(block) == (physical, 12)
    table.clear()
    assert tables.find(0x1000) is None
    assert table.find(0x1000) is None
    assert len(tables.frames) == tables.free - (not wide)


def kernel(pmp: bool) -> bytes:
    """In S-mode: a store to each page of 4 MiB; with PMP, to all but one, which traps."""
    a = Assembler(0x8000_0000).la(A0, "trapped").csrw("mtvec", A0)
    if pmp:
        a.li(A0, (0x8030_0000 >> 2) + 0x1FF).csrw("pmpaddr0", A0)
    a.li(A0, -1).csrw("pmpaddr1", A0).li(A0, 0x1F18 if pmp else 0x1F00).csrw("pmpcfg0", A0)
    a.li(A0, 1 << 11).csrw("mstatus", A0).la(A0, "supervisor").csrw("mepc", A0).op("mret")
    a.label("supervisor").li(A0, 0x8000_1000).li(A1, 0x8040_0000)
    a.label("loop").op("sd", rs1=A0, rs2=A0, imm=0)
    a.li(10 + 2, 4096).op("add", rd=A0, rs1=A0, rs2=10 + 2).branch("bltu", A0, A1, "loop")
    a.label("trapped").label("end").jal(ZERO, "end")
    return a.elf()


@pytest.mark.parametrize("pmp, most", [(False, 4), (True, 300)])
def test_memory_is_mapped_by_blocks_where_it_is_all_alike(pmp: bool, most: int) -> None:
    machine, _ = virtual_machine("hardware", kernel(pmp), memory=8 << 20)
    machine.run(100_000)
    hart = machine.machine.hart
    assert hart["a0"] == (0x8030_0000 if pmp else 0x8040_0000)
    assert hart["mcause"] == (7 if pmp else 0)
    assert 2 <= machine.accounting.exits[ExitReason.G_STAGE_FAULT] <= most
