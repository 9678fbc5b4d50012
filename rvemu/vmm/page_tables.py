"""Page tables that the VMM makes in its own memory: shadow tables, and G-stage tables."""

from rvemu.hart.fields import MODE_SV39, PTE, SATP
from rvemu.lang import put
from rvemu.memory import PAGE_SIZE
from rvemu.vmm.host import ROOT_SIZE, VMM_BASE, Frames

READ, WRITE, EXECUTE = PTE.R.mask, PTE.W.mask, PTE.X.mask

# All pages are U-mode's: deprivileged guests run there, and the G stage asks for it. A and D are
# set, since the VMM looks after the guest's own.
_LEAF = PTE.V.mask | PTE.U.mask | PTE.A.mask | PTE.D.mask
_LARGE = 21

# A large page: what one table of the last level maps.
BLOCK = 1 << _LARGE
_UNMAPPED = memoryview(bytes(PAGE_SIZE)).cast("Q")


class PageTable:
    """A tree of tables for pages of 4 KiB, and blocks of 2 MiB.

    levels: 3 to 5, for Sv39 to Sv57. wide: a G-stage table, whose root is 16 KiB. Addresses are
    within the format's width (of their canonical form, the low bits)."""

    def __init__(self, frames: Frames, levels: int, *, wide: bool = False) -> None:
        self._frames = frames
        self._words = frames.host.words
        self.levels = levels
        self.wide = wide
        self.root = frames.take_root() if wide else frames.take_page()
        self._pages: list[int] = []
        # Word indices of last-level tables, by the address bits above them.
        self._last: dict[int, int] = {}
        # Word indices of the entries of blocks, by the same.
        self._blocks: dict[int, int] = {}
        self._mask = (1 << (12 + 9 * levels + (2 if wide else 0))) - 1

    def register(self, identifier: int = 0) -> int:
        """The value of satp or hgatp that selects it. identifier: ASID or VMID."""
        value = put(self.root >> 12, SATP.MODE, MODE_SV39 + self.levels - 3)
        return put(value, SATP.ASID, identifier)

    def find(self, address: int) -> int | None:
        """The index (in `Host.words`) of the entry for an address's page of 4 KiB, if its table is
        there."""
        last = self._last.get((address & self._mask) >> _LARGE)
        return None if last is None else last + (address >> 12 & 0x1FF)

    def map(self, address: int, physical: int, permissions: int) -> int:
        """Map a page of 4 KiB, which lies in no block; the index of its entry. Raises
        `OutOfFrames`."""
        index = self.find(address)
        if index is None:
            address &= self._mask
            index = self._descend(address, 0)
            self._last[address >> _LARGE] = index - (address >> 12 & 0x1FF)
        self._words[index] = physical >> 12 << 10 | permissions | _LEAF
        return index

    def unmap_pages(self, address: int) -> int:
        """Unmap the pages of an address's block; how many there were."""
        last = self._last.get((address & self._mask) >> _LARGE)
        if last is None:
            return 0
        entries = self._words[last : last + 512]
        mapped = sum(map(bool, entries))
        entries[:] = _UNMAPPED
        return mapped

    def find_block(self, address: int) -> int | None:
        """The index of the entry for an address's block, if that is mapped as one."""
        return self._blocks.get((address & self._mask) >> _LARGE)

    def map_block(self, address: int, physical: int, permissions: int) -> bool:
        """Map a block of 2 MiB; False where pages of it are mapped by themselves. Raises
        `OutOfFrames`."""
        number = (address & self._mask) >> _LARGE
        if number in self._last:
            return False
        index = self._blocks.get(number)
        if index is None:
            index = self._blocks[number] = self._descend(address & self._mask, 1)
        self._words[index] = physical >> 12 << 10 | permissions | _LEAF
        return True

    def unmap_block(self, address: int) -> bool:
        """Unmap a block; False if it is not mapped as one."""
        index = self._blocks.pop((address & self._mask) >> _LARGE, None)
        if index is None:
            return False
        self._words[index] = 0
        return True

    def _descend(self, address: int, last: int) -> int:
        """The index of an address's entry at a level (0: of pages), with the tables above it."""
        words = self._words
        table = self.root
        for level in range(self.levels - 1, last, -1):
            index = self._index(table, level, address)
            if not words[index]:
                page = self._frames.take_page()
                self._pages.append(page)
                words[index] = page >> 12 << 10 | PTE.V.mask
            table = (words[index] & PTE.PPN.mask) << 2
        return self._index(table, last, address)

    def _index(self, table: int, level: int, address: int) -> int:
        bits = 0x7FF if self.wide and level == self.levels - 1 else 0x1FF
        return (table - VMM_BASE >> 3) + (address >> (12 + 9 * level) & bits)

    def clear(self) -> None:
        """Unmap all."""
        self._frames.host.clear(self.root, ROOT_SIZE if self.wide else PAGE_SIZE)
        self._frames.give_back(self._pages)
        self._pages = []
        self._last.clear()
        self._blocks.clear()

    def release(self) -> None:
        """Give back all its memory. (Of a shadow table.)"""
        self.clear()
        self._frames.give_back([self.root])
