"""Binary translation, in its form of scan-and-patch: for harts on which some sensitive instructions
do not trap in U-mode.

The deprivileged kernel does not execute its own code, but a copy of each page, which the VMM makes
block by block: at first a copy is all traps (zeros, which are no instruction). Where one is met,
the VMM scans the guest's code from there to the end of the block, and copies it; sensitive
instructions it leaves as traps. A trap in what has been scanned is such an instruction, and the
model executes the guest's own. So whatever way control takes, nothing unscanned is executed, and
blocks are scanned once.

Copies are mapped for execution alone: what the guest reads, and writes, is its own code. The page
is write-protected like those of page tables; a store to it drops the copy.
"""

from rvemu.isa.decoder import row_of
from rvemu.vmm.monitor import Monitor

# Instructions that end a block: what follows them need not be code.
_ENDS = frozenset(["jal", "jalr", "c.j", "c.jr", "c.jalr", "mret", "sret", "ecall", "ebreak"])
_SENSITIVE = ("csr", "sret", "mret", "sfence", "sinval", "wfi")
_PAGE = 4096


class Copy:
    """The patched copy of a page of the guest's code."""

    def __init__(self, physical: int) -> None:
        #: Where it is in the VMM's memory.
        self.physical = physical
        #: Offsets of instructions that were scanned, and the length of each.
        self.scanned: dict[int, int] = {}


class Patcher:
    """The copies of one guest's code."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        #: By guest-physical page.
        self.copies: dict[int, Copy] = {}
        #: Blocks scanned, and sensitive instructions left as traps.
        self.blocks = 0
        self.patched = 0

    def copy_of(self, page: int) -> Copy:
        """The copy of a page. Raises `OutOfFrames`."""
        copy = self.copies.get(page)
        if copy is None:
            copy = self.copies[page] = Copy(self._monitor.frames.take_page())
        return copy

    def drop(self, page: int) -> None:
        """The guest has stored to a page of code."""
        copy = self.copies.pop(page, None)
        if copy is not None:
            self._monitor.host.clear_code(copy.physical)
            self._monitor.frames.give_back([copy.physical])

    def forget(self) -> None:
        """Drop all copies."""
        for page in list(self.copies):
            self.drop(page)

    def scan(self, page: int, offset: int) -> bool:
        """Control has come to an offset of a page: copy the block that begins there. False if that
        was done before, so that what trapped is the guest's instruction."""
        copy = self.copies.get(page)
        if copy is None or offset in copy.scanned:
            return False
        code = self._monitor.read_page(page)
        extensions = int(self._monitor.hart.extensions)
        self.blocks += 1
        while offset < _PAGE - 1 and offset not in copy.scanned:
            low = int.from_bytes(code[offset : offset + 2], "little")
            length = 4 if low & 3 == 3 else 2
            copy.scanned[offset] = length
            if offset + length > _PAGE:
                return True  # it goes on in the next page: the model executes it
            raw = int.from_bytes(code[offset : offset + length], "little")
            row = row_of(raw, extensions)
            if row is None or row.name.startswith(_SENSITIVE):
                self._leave(copy, offset)
            elif not self._overlaps(copy, offset, length):
                self._monitor.host.write_code(
                    copy.physical + offset, code[offset : offset + length]
                )
            if row is None or row.name in _ENDS:
                return True
            offset += length
        return True

    def _leave(self, copy: Copy, offset: int) -> None:
        """Leave an instruction as a trap; and one that begins in the middle of it, or that it
        begins in the middle of, as well."""
        self.patched += 1
        self._monitor.host.write_code(copy.physical + offset, bytes(copy.scanned[offset]))
        if copy.scanned.get(offset - 2) == 4:
            self._monitor.host.write_code(copy.physical + offset - 2, bytes(4))

    @staticmethod
    def _overlaps(copy: Copy, offset: int, length: int) -> bool:
        """Whether other instructions lie across this one, as only peculiar code has it: then all
        are left as they are."""
        across = copy.scanned.get(offset - 2) == 4
        return across or (length == 4 and offset + 2 in copy.scanned)
