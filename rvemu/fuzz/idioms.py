"""Short sequences of instructions that mean something together, which chance would hardly find."""

from random import Random

from rvemu.fuzz.assembly import assemble, code
from rvemu.fuzz.roles import POINTERS, SCRATCH
from rvemu.hart.csr_table import BY_NAME
from rvemu.hart.extensions import Ext

# CSRs of which single bits make a difference at once, and those bits.
_SWITCHES = {
    "sip": (1,),
    "mip": (1, 2, 5, 9),
    "hvip": (2, 6, 10),
    "vsip": (1,),
    "sie": (1, 5, 9),
    "mie": (1, 3, 5, 7, 9, 11),
    "hie": (2, 6, 10, 12),
    "vsie": (1, 5, 9),
    "mideleg": (1, 5, 9),
    "hideleg": (2, 6, 10),
    "sstatus": (1, 5, 8, 13, 18, 19),
    "mstatus": (1, 3, 5, 7, 8, 11, 12, 13, 17, 18, 19, 20, 21, 22, 39),
    "vsstatus": (1, 5, 8, 13, 18, 19),
    "hstatus": (7, 8, 9, 20, 21, 22),
    "menvcfg": (61, 62, 63),
    "henvcfg": (61, 62, 63),
}


def switch(rng: Random, extensions: int) -> bytes:
    """Set or clear one bit of a CSR."""
    known = [n for n in _SWITCHES if not BY_NAME[n].requires & ~extensions]
    name = rng.choice(known)
    register = rng.choice(SCRATCH)
    return code(
        assemble("addi", rd=register, rs1=0, imm=1),
        assemble("slli", rd=register, rs1=register, shamt=rng.choice(_SWITCHES[name])),
        assemble(rng.choice(("csrrs", "csrrs", "csrrc")), csr=BY_NAME[name].number, rs1=register),
    )


def interrupt(rng: Random, extensions: int) -> bytes:
    """Enable interrupts, and make one pending."""
    level = rng.choice("ms") if extensions & Ext.S else "m"
    register = rng.choice(SCRATCH)
    enable = assemble("csrrsi", csr=BY_NAME[f"{level}status"].number, zimm=8 if level == "m" else 2)
    pending = rng.choice(("mip", "sip", "hvip", "vsip"))
    if BY_NAME[pending].requires & ~extensions:
        pending = "mip"
    words = [
        enable,
        assemble("addi", rd=register, imm=-1),
        assemble("csrrs", csr=BY_NAME[f"{level}ie"].number, rs1=register),
        assemble("csrrsi", csr=BY_NAME[pending].number, zimm=rng.choice((2, 2, 4, 6))),
    ]
    if rng.random() < 0.5:
        rng.shuffle(words)
    return code(*words)


def modify_code(rng: Random, extensions: int) -> bytes:  # noqa: ARG001
    """Copy an instruction to another place nearby, mostly where execution is about to come."""
    a, b = SCRATCH
    store = rng.choice(("sw", "sd", "sh", "sb"))
    return code(
        assemble("auipc", rd=a, imm=0),
        assemble("lw", rd=b, rs1=a, imm=rng.randrange(-64, 64, 2)),
        assemble(store, rs2=b, rs1=a, imm=rng.choice((12, 12, 14, 16, 20, 32, 10, 2048 - 8, -32))),
    )


def modify_entry(rng: Random, extensions: int) -> bytes:
    """Flip a bit of what a pointer points to, which may be an entry of a page table; then, mostly,
    fence."""
    a, b = SCRATCH
    pointer = rng.choice(POINTERS)
    fences = ["sfence.vma"] if extensions & Ext.S else []
    fences += ["hfence.vvma", "hfence.gvma"] if extensions & Ext.H else []
    words = [
        assemble("ld", rd=b, rs1=pointer),
        assemble("xori", rd=b, rs1=b, imm=rng.choice((1, 2, 4, 8, 16, 64, 128, 64 | 128))),
        assemble("sd", rs2=b, rs1=pointer),
    ]
    if fences and rng.random() < 0.8:
        words.append(assemble(rng.choice(fences), rs1=rng.choice((0, a))))
    return code(*words)


def reserve(rng: Random, extensions: int) -> bytes:
    """A load-reserved and a store-conditional, with something between them."""
    if not extensions & Ext.ZALRSC:
        return modify_code(rng, extensions)
    a, b = SCRATCH
    pointer = rng.choice(POINTERS)
    first, second = rng.choice((("lr.d", "sc.d"), ("lr.w", "sc.w"), ("lr.d", "sc.w")))
    between = rng.choice(
        (
            assemble("addi", rd=b, rs1=b, imm=1),
            assemble("sd", rs2=b, rs1=pointer),
            assemble("andi", rd=pointer, rs1=pointer, imm=-8),
        )
    )
    return code(
        assemble("andi", rd=pointer, rs1=pointer, imm=-8),
        assemble(first, rd=a, rs1=pointer),
        between,
        assemble(second, rd=b, rs2=a, rs1=pointer),
    )


IDIOMS = (switch, switch, interrupt, interrupt, modify_code, modify_entry, reserve)
