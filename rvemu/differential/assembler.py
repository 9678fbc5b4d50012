"""Code with labels and constants, over the encodings that the decoder goes by."""

from collections.abc import Callable

from rvemu.isa import INSTRUCTIONS
from rvemu.isa.compressed import COMPRESSED
from rvemu.isa.encoding import Encoding
from rvemu.lang import M64

ENCODINGS: dict[str, Encoding] = {row.name: row.encoding for row in COMPRESSED}
ENCODINGS |= {row.name: row.encoding for row in INSTRUCTIONS}


def encode(name: str, **operands: int) -> bytes:
    """An instruction, by its name and operands."""
    encoding = ENCODINGS[name]
    return encoding.encode(**operands).to_bytes(encoding.length, "little")


class Code:
    """Code at an address, put together from its start. Constants lie behind it."""

    def __init__(self, base: int) -> None:
        self.base = base
        self._parts: list[bytes | Callable[[int], bytes]] = []
        self._size = 0
        self._labels: dict[str, int] = {}
        self._constants: dict[int, int] = {}  # value: index

    @property
    def here(self) -> int:
        """The address of what comes next."""
        return self.base + self._size

    def raw(self, code: bytes) -> None:
        """Some bytes."""
        self._parts.append(code)
        self._size += len(code)

    def op(self, name: str, **operands: int) -> None:
        """An instruction."""
        self.raw(encode(name, **operands))

    def _later(self, size: int, make: Callable[[int], bytes]) -> None:
        """`size` bytes that depend on labels: make(address)."""
        self._parts.append(make)
        self._size += size

    def label(self, name: str) -> None:
        """Name the address of what comes next."""
        assert name not in self._labels
        self._labels[name] = self.here

    def jump(self, label: str) -> None:
        """Go to a label."""
        self._later(4, lambda at: encode("jal", rd=0, imm=self._labels[label] - at))

    def branch(self, name: str, label: str, **operands: int) -> None:
        """A conditional branch to a label."""
        self._later(4, lambda at: encode(name, imm=self._labels[label] - at, **operands))

    def address(self, rd: int, label: str) -> None:
        """The address of a label, without access to memory."""
        self._later(8, lambda at: _relative("addi", rd, self._labels[label] - at))

    def constant(self, rd: int, value: int) -> None:
        """A 64-bit constant: loaded, if it is not a small one."""
        value &= M64
        if value < 0x800 or value >= M64 - 0x7FF:
            self.op("addi", rd=rd, rs1=0, imm=value if value < 0x800 else value - (1 << 64))
            return
        index = self._constants.setdefault(value, len(self._constants))
        self._later(8, lambda at: _relative("ld", rd, self._pool + 8 * index - at))

    @property
    def _pool(self) -> int:
        return (self.base + self._size + 7) & ~7

    def finish(self) -> bytes:
        """The code, with its constants."""
        code = bytearray()
        for part in self._parts:
            code += part if isinstance(part, bytes) else part(self.base + len(code))
        code += bytes(self._pool - self.base - len(code))
        for value in self._constants:
            code += value.to_bytes(8, "little")
        return bytes(code)


def _relative(name: str, rd: int, distance: int) -> bytes:
    """auipc, and an instruction with the rest of the distance."""
    low = ((distance & 0xFFF) ^ 0x800) - 0x800
    return encode("auipc", rd=rd, imm=distance - low) + encode(name, rd=rd, rs1=rd, imm=low)
