"""Programs: code pages drawn from a pool, and trap handlers that go on somewhere.

A handler returns to the instruction after the one that trapped; but where the trapping address has
zeros in bits 4:2, it goes on at another place. So a program that has run into nothing comes back.
"""

from random import Random

from rvemu.fuzz.assembly import assemble, code
from rvemu.fuzz.layout import HANDLER_ENTRY, USER_WINDOW
from rvemu.fuzz.roles import SCRATCH, VECTOR
from rvemu.fuzz.words import Words
from rvemu.hart.csr_table import BY_NAME


def handler(rng: Random, words: Words, level: str, size: int = 2048) -> bytes:
    """A trap handler for level "m" or "s" (which serves VS-mode as well), at its vector.
    Every entry of the vector table jumps to it."""
    a, b = SCRATCH
    epc = BY_NAME[f"{level}epc"].number
    status = BY_NAME[f"{level}status"].number
    entry = rng.randrange(0, 0x1000, 2)
    # An interrupt is disabled from then on.
    cause = BY_NAME[f"{level}cause"].number
    quiet = [
        assemble("csrrs", rd=a, rs1=0, csr=cause),
        assemble("bge", rs1=a, rs2=0, imm=16),
        assemble("addi", rd=b, rs1=0, imm=1),
        assemble("sll", rd=b, rs1=b, rs2=a),
        assemble("csrrc", rd=0, rs1=b, csr=BY_NAME[f"{level}ie"].number),
    ]
    elsewhere = [
        # The supervisor's window is at 1 << 31, the user's lower.
        assemble("addi", rd=a, rs1=0, imm=1),
        assemble("slli", rd=a, rs1=a, shamt=31),
        assemble("lui", rd=b, imm=USER_WINDOW + (entry & ~0xFFF)),
        assemble("addi", rd=b, rs1=b, imm=entry & 0x7FE),
        assemble("csrrw", rd=0, rs1=rng.choice((a, b)), csr=epc),
    ]
    onward = [
        assemble("csrrs", rd=a, rs1=0, csr=epc),
        assemble("andi", rd=b, rs1=a, imm=0x1C),
        assemble("addi", rd=a, rs1=a, imm=rng.choice((2, 4, 4))),
        assemble("csrrw", rd=0, rs1=a, csr=epc),
        assemble("bne", rs1=b, rs2=0, imm=4 * len(elsewhere) + 4),
    ]
    ending = [assemble("mret" if level == "m" else "sret")]
    if rng.random() < 0.3:
        # Go on in another mode: flip bits of xPP, and of xPIE.
        bits = (
            rng.choice((0x80, 0x800, 0x1000, 0x1800)) if level == "m" else rng.choice((0x20, 0x100))
        )
        ending = [
            assemble("addi", rd=a, rs1=0, imm=1),
            assemble("slli", rd=a, rs1=a, shamt=bits.bit_length() - 1),
            assemble(rng.choice(("csrrs", "csrrc")), rd=0, rs1=a, csr=status),
            *ending,
        ]
    # Which vector was taken is left in a register.
    vectors = [
        assemble("jal", rd=VECTOR, imm=HANDLER_ENTRY - at) for at in range(0, HANDLER_ENTRY, 4)
    ]
    extra = words.program(rng, 16) if rng.random() < 0.25 else b""
    body = code(*quiet, *onward, *elsewhere, *ending)
    return (code(*vectors) + extra + body + words.program(rng, size))[:size]
