"""Address translation once more, written for tests as the manual's prose has it, and without a
look at the model: slow, recursive, and with exceptions."""

from dataclasses import dataclass

LOAD, STORE, FETCH, HLVX, CBO = range(5)
RAM_BASE = 0x8000_0000


class RefusedError(Exception):
    """kind: "page", "guest" or "access"; then the guest-physical address, and whether it was a
    table's: None, "read" or "write"."""

    def __init__(self, kind: str, guest: int = 0, implicit: str | None = None) -> None:
        super().__init__(kind, guest, implicit)
        self.what = (kind, guest, implicit)


@dataclass
class Stage:
    """One stage's registers."""

    mode: int  # 0, 8, 9, 10
    root: int
    sum: bool
    mxr: bool
    adue: bool
    pbmte: bool
    napot: bool


@dataclass
class NaiveWalk:
    """memory: RAM, changed by updates of A and D."""

    memory: bytearray
    first: Stage
    second: Stage | None  # hgatp, at V=1
    user: bool

    def translate(self, address: int, access: int) -> int:
        guest = self.one_stage(self.first, address, access, False, False)
        if self.second is None:
            return guest
        return self.to_physical(guest, access, None)

    def to_physical(self, guest: int, access: int, implicit: str | None) -> int:
        assert self.second is not None
        try:
            return self.one_stage(self.second, guest, access, True, implicit is not None)
        except RefusedError as e:
            if e.what[0] == "page":
                raise RefusedError("guest", guest, implicit) from None
            raise

    def table_entry(self, address: int, is_g: bool, write: bool) -> int:
        """The offset in memory of a table entry."""
        if self.second is not None and not is_g:
            access, why = (STORE, "write") if write else (LOAD, "read")
            address = self.to_physical(address, access, why)
        offset = address - RAM_BASE
        if not 0 <= offset <= len(self.memory) - 8:
            raise RefusedError("access")
        return offset

    def one_stage(self, s: Stage, va: int, access: int, is_g: bool, implicit: bool) -> int:
        if s.mode == 0:
            return va
        levels = {8: 3, 9: 4, 10: 5}[s.mode]
        width = 12 + 9 * levels
        if is_g:
            if va >= 1 << (width + 2):
                raise RefusedError("page")
        else:
            top = va >> (width - 1)
            if top not in (0, (1 << (64 - width + 1)) - 1):
                raise RefusedError("page")
        a = s.root
        for i in range(levels - 1, -1, -1):
            step = None
            while step is None:  # again if an entry changed before its A and D were set
                step = self.level(s, a, i, levels, va, access, is_g, implicit)
            is_leaf, a = step
            if is_leaf:
                return a
        raise RefusedError("page")

    def level(
        self,
        s: Stage,
        a: int,
        i: int,
        levels: int,
        va: int,
        access: int,
        is_g: bool,
        implicit: bool,
    ) -> tuple[bool, int] | None:
        """One entry: (False, the next table), or (True, the translation), or None to try again."""
        vpn = va >> (12 + 9 * i)
        vpn %= 2048 if is_g and i == levels - 1 else 512
        where = a + vpn * 8
        offset = self.table_entry(where, is_g, False)
        pte = int.from_bytes(self.memory[offset : offset + 8], "little")
        bits = [pte >> n & 1 for n in range(64)]
        v, r, w, x, u, _, acc, dirty = bits[:8]
        n = bits[63]
        pbmt = pte >> 61 & 3
        ppn = pte >> 10 & ((1 << 44) - 1)
        if not v or (w and not r) or any(bits[54:61]):
            raise RefusedError("page")
        if (pbmt and not s.pbmte) or pbmt == 3 or (n and not s.napot):
            raise RefusedError("page")
        if not r and not x:
            if u or acc or dirty or n or pbmt:
                raise RefusedError("page")
            return False, ppn << 12
        if n:
            if i > 0 or ppn % 16 != 8:
                raise RefusedError("page")
            ppn = ppn // 16 * 16 + vpn % 16
        span = 512**i
        if ppn % span:
            raise RefusedError("page")
        user = self.user or is_g
        if user and not u:
            raise RefusedError("page")
        if not user and u and (access == FETCH or not s.sum):
            raise RefusedError("page")
        mxr = s.mxr and not implicit
        if access in (LOAD, CBO) and not (r or (mxr and x)):
            raise RefusedError("page")
        if access == STORE and not w:
            raise RefusedError("page")
        if access in (FETCH, HLVX) and not x:
            raise RefusedError("page")
        if not acc or (access == STORE and not dirty):
            if not s.adue:
                raise RefusedError("page")
            offset = self.table_entry(where, is_g, True)
            if int.from_bytes(self.memory[offset : offset + 8], "little") != pte:
                return None
            pte |= 0x40 | (0x80 if access == STORE else 0)
            self.memory[offset : offset + 8] = pte.to_bytes(8, "little")
        page = ppn + (va >> 12) % span
        return True, page << 12 | va & 0xFFF
