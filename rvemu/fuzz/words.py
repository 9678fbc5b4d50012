"""Random instructions: encodings to draw programs from."""

from random import Random

from rvemu.fuzz.assembly import assemble, code
from rvemu.fuzz.idioms import IDIOMS
from rvemu.fuzz.roles import CODE_POINTERS, DATA, DATA_COMPRESSED, POINTERS, TABLE
from rvemu.hart.csr_table import CSRS
from rvemu.isa.decoder import ROWS, Row
from rvemu.isa.encoding import Encoding

# Major opcodes, bits 6:2 of 32-bit instructions.
_LOAD, _LOAD_FP, _MISC_MEM, _STORE, _STORE_FP, _AMO = 0, 1, 3, 8, 9, 11
_BRANCH, _JALR, _JAL, _SYSTEM = 24, 25, 27, 28
_ADDRESSED = (_LOAD, _LOAD_FP, _STORE, _STORE_FP, _AMO)

# Groups that are not drawn from the list of instructions.
_MADE = ("noise", "pointer", "idiom")

# How often instructions of each group are drawn.
WEIGHTS = {
    "compute": 24,
    "float": 14,
    "memory": 22,
    "atomic": 6,
    "jump": 7,
    "csr": 10,
    "system": 5,
    "guest": 3,
    "fence": 3,
    "compressed": 20,
    "pointer": 3,
    "absent": 1,
    "noise": 2,
    "idiom": 8,
}

# Programs are put together from blocks of so many instructions.
_BLOCK = 12

# CSRs whose writes change most of what follows are drawn less often than others.
_RARE = frozenset(("misa", "mseccfg"))
_FAVOURED = (
    *("mstatus", "sstatus", "vsstatus", "hstatus", "satp", "vsatp", "hgatp", "mip", "sip", "vsip"),
    *("hip", "hvip", "mie", "sie", "hie", "vsie", "mideleg", "hideleg", "medeleg", "hedeleg"),
    *("fcsr", "frm", "fflags", "stimecmp", "vstimecmp", "htimedelta", "mcounteren", "menvcfg"),
    *("henvcfg", "senvcfg", "hcounteren", "scounteren", "time", "cycle", "instret", "minstret"),
    *("mcycle", "mcountinhibit", "mepc", "sepc", "vsepc", "mcause", "scause", "mtval", "stval"),
)
# Of jumps: mostly forward, for a program that goes round and round shows little.
_DISTANCES = (-64, -12, -8, -4, *((4, 6, 8, 8, 12, 12, 16, 24, 40, 100) * 3))
_BY_NAME = {csr.name: csr.number for csr in CSRS}


def _group(row: Row) -> str:
    raw = row.encoding.match
    if row.encoding.length == 2:
        return "compressed"
    opcode, function = raw >> 2 & 31, raw >> 12 & 7
    if opcode == _AMO:
        return "atomic"
    if opcode in _ADDRESSED:
        return "memory"
    if opcode in (_BRANCH, _JALR, _JAL):
        return "jump"
    if opcode == _MISC_MEM:
        return "fence"
    if opcode == _SYSTEM:
        if function == 0:
            return "system"
        return "guest" if function == 4 else "csr"
    return "float" if any(o.name.startswith("f") for o in row.encoding.operands) else "compute"


class Words:
    """A pool of instructions for a set of extensions, all made from one generator.

    It is made once for many cases, for an engine decodes each instruction when it first sees it.
    """

    def __init__(self, rng: Random, extensions: int, size: int = 20_000) -> None:
        self._rng = rng
        self._extensions = extensions
        self._groups: dict[str, list[Row]] = {name: [] for name in WEIGHTS}
        for row in ROWS:
            present = extensions & row.needs == row.needs
            self._groups[_group(row) if present else "absent"].append(row)
        csrs = [c.number for c in CSRS if not c.requires & ~extensions]
        common = [n for n in csrs if n not in [_BY_NAME[name] for name in _RARE]]
        favoured = [_BY_NAME[name] for name in _FAVOURED if _BY_NAME[name] in csrs]
        self._csrs = common * 4 + favoured * 20 + csrs + list(range(0, 4096, 61))
        names = [name for name in WEIGHTS if name in _MADE or self._groups[name]]
        drawn = rng.choices(names, [WEIGHTS[name] for name in names], k=size)
        pool = [self._draw(name) for name in drawn]
        #: Instructions as they are in memory, some at a time.
        self.blocks = [b"".join(pool[n : n + _BLOCK]) for n in range(0, size, _BLOCK)]

    def program(self, rng: Random, length: int) -> bytes:
        """`length` bytes of instructions."""
        return b"".join(rng.choices(self.blocks, k=length // (2 * _BLOCK) + 1))[:length]

    def _draw(self, group: str) -> bytes:
        rng = self._rng
        if group == "noise":
            raw = rng.getrandbits(32)
            return (
                raw.to_bytes(4, "little") if raw & 3 == 3 else (raw & 0xFFFF).to_bytes(2, "little")
            )
        if group == "pointer":
            return self._reload()
        if group == "idiom":
            return rng.choice(IDIOMS)(rng, self._extensions)
        row = rng.choice(self._groups[group])
        encoding = row.encoding
        raw = encoding.match | rng.getrandbits(32) & ~encoding.mask
        if encoding.length == 2:
            raw &= 0xFFFF
        raw = self._with_roles(encoding, raw, group)
        return raw.to_bytes(encoding.length, "little")

    def _reload(self) -> bytes:
        """`ld pointer, offset(table)`."""
        rng = self._rng
        register = rng.choice((*POINTERS, *CODE_POINTERS))
        return code(assemble("ld", rd=register, rs1=TABLE, imm=8 * rng.randrange(256)))

    def _with_roles(self, encoding: Encoding, raw: int, group: str) -> int:
        """The instruction with operands that make sense, most of the time."""
        rng = self._rng
        wanted: dict[str, int] = {}
        short = encoding.length == 2
        if encoding.operand("rd") and rng.random() < 0.94:
            rd = encoding.operand("rd")
            assert rd is not None
            wanted["rd"] = rng.choice(DATA_COMPRESSED if rd.base else DATA)
        addressed = group in ("memory", "atomic", "guest") or encoding.match & 0x7F == 0x0F
        if addressed and encoding.operand("rs1") and rng.random() < 0.93:
            wanted["rs1"] = rng.choice(POINTERS)
        imm = encoding.operand("imm")
        if group == "memory" and imm and rng.random() < 0.7:
            wanted["imm"] = rng.choice((0, 0, 0, 8, 16, -8, 4, 2, 1, -1, 24, 2040, -2048, 64))
        if imm and (
            group == "jump" or (short and encoding.match & 0xE003 in (0xA001, 0xC001, 0xE001))
        ):
            if encoding.match >> 2 & 31 == _JALR and not short:
                wanted["rs1"] = rng.choice(CODE_POINTERS)
                wanted["imm"] = rng.choice((0, 4, 8, -4, 2, 64, 1))
            elif rng.random() < 0.97:
                wanted["imm"] = rng.choice(_DISTANCES)
        if encoding.operand("csr"):
            wanted["csr"] = rng.choice(self._csrs)
            if rng.random() < 0.25:  # only read it, if the instruction can
                wanted["rs1"] = 0
        if encoding.operand("rm") and rng.random() < 0.6:
            wanted["rm"] = rng.choice((0, 7, 7, 1))
        for name, value in wanted.items():
            operand = encoding.operand(name)
            if operand is None:
                continue
            try:
                bits = operand.insert(value)
            except ValueError:
                continue
            for piece in operand.pieces:
                raw &= ~(((1 << piece.width) - 1) << piece.at)
            raw |= bits
        return raw
