"""Extensions of the instruction set: their bits, ISA strings, and misa.

To add one: a bit in `Ext`, and what it implies in `_IMPLIES`.

Sources: "ISA Extension Naming Conventions" (naming.adoc), and misa in machine.adoc.
"""

import re

from rvemu.errors import RvemuError
from rvemu.hart.fields import MISA
from rvemu.lang import U64


class Ext:
    """Bits of `h.extensions`. An instruction or CSR exists where its bit is set."""

    I = 1 << 0  # noqa: E741
    M = 1 << 1
    ZMMUL = 1 << 2
    ZAAMO = 1 << 3
    ZALRSC = 1 << 4
    F = 1 << 5
    D = 1 << 6
    ZCA = 1 << 7
    ZCD = 1 << 8
    H = 1 << 9
    S = 1 << 10
    U = 1 << 11
    ZICSR = 1 << 12
    ZIFENCEI = 1 << 13
    ZICNTR = 1 << 14
    ZIHPM = 1 << 15
    ZICOND = 1 << 16
    ZICBOM = 1 << 17
    ZICBOP = 1 << 18
    ZICBOZ = 1 << 19
    ZIHINTNTL = 1 << 20
    ZIHINTPAUSE = 1 << 21
    ZAWRS = 1 << 22
    ZFHMIN = 1 << 23
    ZFH = 1 << 24
    ZBA = 1 << 25
    ZBB = 1 << 26
    ZBC = 1 << 27
    ZBS = 1 << 28
    SMEPMP = 1 << 29
    SSTC = 1 << 30
    SVINVAL = 1 << 31
    SVNAPOT = 1 << 32
    SVPBMT = 1 << 33
    SVADE = 1 << 34
    SVADU = 1 << 35
    SV39 = 1 << 36
    SV48 = 1 << 37
    SV57 = 1 << 38


# Names in lower case, as ISA strings and instruction definitions have them.
BY_NAME: dict[str, int] = {
    name.lower(): bit for name, bit in vars(Ext).items() if isinstance(bit, int)
}

# Names for several.
_GROUPS: dict[str, tuple[str, ...]] = {
    "a": ("zaamo", "zalrsc"),
    "b": ("zba", "zbb", "zbs"),
    "c": ("zca",),  # and zcd, where there is d
    "g": ("i", "m", "a", "f", "d", "zicsr", "zifencei"),
}

_IMPLIES: dict[str, tuple[str, ...]] = {
    "m": ("zmmul",),
    "d": ("f",),
    "f": ("zicsr",),
    "zcd": ("zca", "d"),
    "zfh": ("zfhmin",),
    "zfhmin": ("f",),
    "zicntr": ("zicsr",),
    "zihpm": ("zicsr",),
    "zawrs": ("zalrsc",),
    "h": ("s", "zicsr"),
    "s": ("u",),
    "sstc": ("s", "zicsr"),
    "svinval": ("s",),
    "svnapot": ("s",),
    "svpbmt": ("s",),
    "svade": ("s",),
    "svadu": ("s",),
    "sv57": ("sv48",),
    "sv48": ("sv39",),
    "sv39": ("s",),
}

# Names of behaviour that every hart has: accepted, and without effect.
_INHERENT = frozenset(
    re.findall(
        r"\w+",
        "zic64b ziccamoa ziccif zicclsm ziccrse za64rs "
        "ssccptr sscounterenw ssstrict sstvala sstvecd ssu64xl svbare svvptc "
        "shcounterenw shgatpa shtvala shvsatpa shvstvala shvstvecd",
    )
)

_PAGING = Ext.SV39 | Ext.SV48 | Ext.SV57

# Without Svade: A and D bits are updated from the start then, as on QEMU's board, and as kernels
# need that know only that board (xv6).
DEFAULT_ISA = (
    "rv64imafdch_zicbom_zicbop_zicboz_zicntr_zicond_zicsr_zifencei_zihintntl_zihintpause_zihpm"
    "_zawrs_zfh_zba_zbb_zbc_zbs_smepmp_sstc_svadu_svinval_svnapot_svpbmt"
)

# --- ISA strings -----------------------------------------------------------------------------


def _add(extensions: int, name: str) -> int:
    """The set with a named extension, and all that it implies."""
    for part in _GROUPS.get(name, ()):
        extensions = _add(extensions, part)
    if name in BY_NAME and not extensions & BY_NAME[name]:
        extensions |= BY_NAME[name]
        for implied in _IMPLIES.get(name, ()):
            extensions = _add(extensions, implied)
    return extensions


def _known_names() -> str:
    letters = "".join(sorted(n for n in {*BY_NAME, *_GROUPS} if len(n) == 1))
    return f"{letters} and {', '.join(sorted(n for n in BY_NAME if len(n) > 1))}"


def parse_isa(text: str, privilege: str = "msu") -> int:
    """The set of extensions that an ISA string names, as in `rv64imac_zicsr`, with what they imply.

    Versions (`i2p1`) are accepted and ignored, capitals as well. An ISA string does not name
    privilege modes: those are `privilege`, one of "m", "mu" and "msu" (and naming `h` or an `s...`
    extension brings S-mode too). With S-mode, all page-table formats exist, unless the string names
    some of sv39, sv48, sv57. Raises RvemuError for what it does not know."""
    isa = text.strip().lower()
    if isa.startswith("rv32"):
        raise RvemuError(f"ISA '{text}': only 64-bit harts (rv64...) are supported")
    if not isa.startswith("rv64") or not re.match(r"rv64[ig]", isa):
        raise RvemuError(f"ISA '{text}' must begin with rv64i or rv64g, as in rv64imac_zicsr")
    if privilege not in ("m", "mu", "msu"):
        raise RvemuError(f"privilege modes '{privilege}' must be m, mu or msu")
    extensions = 0
    for name in _names(isa[4:]):
        if name not in BY_NAME and name not in _GROUPS and name not in _INHERENT:
            raise RvemuError(
                f"ISA '{text}': unknown extension '{name}'; known are {_known_names()}"
            )
        extensions = _add(extensions, name)
        if name == "c":
            extensions |= Ext.ZCD  # if there is D: see below
    if not extensions & Ext.D:
        extensions &= ~Ext.ZCD
    for mode in privilege[1:]:
        extensions = _add(extensions, mode)
    if extensions & Ext.S and not extensions & _PAGING:
        extensions |= _PAGING
    return extensions


def _names(letters: str) -> list[str]:
    """The extensions' names in what follows rv64, without versions."""
    names = []
    for part in letters.split("_"):
        while part:
            if part == "su":  # as older emulators end their strings
                names += ["s", "u"]
                break
            if part[0] in "zsx" and len(part) > 1 and not part[1].isdigit():
                # To the end of this part; a name's own digits (sv39) are not a version.
                names.append(re.sub(r"\d+p\d+$", "", part))
                break
            single = re.match(r"[a-z](\d+(p\d+)?)?", part)
            if single is None:
                names.append(part)  # to be refused by name
                break
            names.append(part[0])
            part = part[single.end() :]
    return names


def extension_names(extensions: int) -> list[str]:
    """Names in canonical order, for an ISA string or a device tree's riscv,isa-extensions: single
    letters for groups that are whole, without what these imply and without privilege modes."""
    names = [
        letter
        for letter, needed in (
            ("i", Ext.I),
            ("m", Ext.M),
            ("a", Ext.ZAAMO | Ext.ZALRSC),
            ("f", Ext.F),
            ("d", Ext.D),
            ("c", Ext.ZCA | (Ext.ZCD if extensions & Ext.D else 0)),
            ("h", Ext.H),
        )
        if extensions & needed == needed
    ]
    implied = {"i", "m", "f", "d", "h", "s", "u"}
    if "m" in names:
        implied.add("zmmul")
    if "a" in names:
        implied.update(("zaamo", "zalrsc"))
    if "c" in names:
        implied.update(("zca", "zcd"))
    if extensions & _PAGING == _PAGING or not extensions & Ext.S:
        implied.update(("sv39", "sv48", "sv57"))
    return names + sorted(
        (n for n, bit in BY_NAME.items() if extensions & bit and n not in implied), key=_order
    )


def _order(name: str) -> tuple[int, int, str]:
    """Canonical order: Z-extensions by the category of their second letter, then S-extensions."""
    return (name[0] == "s", "imafdqcbkjtpvh".find(name[1]) if name[0] == "z" else 0, name)


def isa_string(extensions: int) -> str:
    """The canonical ISA string, as in a device tree's riscv,isa."""
    names = extension_names(extensions)
    letters = "".join(name for name in names if len(name) == 1)
    return "_".join(["rv64" + letters, *(name for name in names if len(name) > 1)])


# --- misa ------------------------------------------------------------------------------------

# What goes off with each letter that software may clear, if it was built in. Clearing F clears D,
# and whatever else needs F (norm:misa_extensions_dependencies).
_SWITCHED: tuple[tuple[int, int], ...] = (
    (MISA.A.mask, Ext.ZAAMO | Ext.ZALRSC | Ext.ZAWRS),
    (MISA.C.mask, Ext.ZCA | Ext.ZCD),
    (MISA.D.mask, Ext.D | Ext.ZCD),
    (MISA.F.mask, Ext.F | Ext.D | Ext.ZCD | Ext.ZFH | Ext.ZFHMIN),
    (MISA.H.mask, Ext.H),
    (MISA.M.mask, Ext.M | Ext.ZMMUL),
)

# Extensions that each letter stands for. (C needs Zcd as well, where there is D.)
_LETTERS: tuple[tuple[int, int], ...] = (
    (MISA.A.mask, Ext.ZAAMO | Ext.ZALRSC),
    (MISA.B.mask, Ext.ZBA | Ext.ZBB | Ext.ZBS),
    (MISA.D.mask, Ext.D),
    (MISA.F.mask, Ext.F),
    (MISA.H.mask, Ext.H),
    (MISA.I.mask, Ext.I),
    (MISA.M.mask, Ext.M),
    (MISA.S.mask, Ext.S),
    (MISA.U.mask, Ext.U),
)

_MXL_64 = 2 << MISA.MXL.low


def misa_value(extensions: U64) -> U64:
    """misa of a hart that has these extensions."""
    value: U64 = _MXL_64
    for letter, needed in _LETTERS:
        if extensions & needed == needed:
            value = value | letter
    # norm:misa_c_set_list
    if extensions & Ext.ZCA and (extensions & Ext.ZCD or not extensions & Ext.D):
        value = value | MISA.C.mask
    return value


def extensions_after_misa(built: U64, misa: U64) -> U64:
    """The extensions of a hart that was built with some, after a write of misa. Only letters that
    were built can be switched; the others stay as built."""
    extensions = built
    was_built = misa_value(built)
    for letter, members in _SWITCHED:
        if was_built & letter and not misa & letter:
            extensions = extensions & ~members
    return extensions
