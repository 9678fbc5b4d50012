"""Tables of operations: all of one instruction's cases in one program."""

from collections.abc import Sequence

from tests.assembler import A0, A1, A2, ENCODINGS, S0
from tests.conformance.rig import Rig

M64 = (1 << 64) - 1

INTERESTING = (
    0,
    1,
    2,
    31,
    63,
    64,
    0x7F,
    0x80,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFF,
    0x1_0000_0000,
    0x0123_4567_89AB_CDEF,
    0xFEDC_BA98_7654_3210,
    0x00FF_0080_7F00_0001,
    M64 >> 1,
    1 << 63,
    M64 - 1,
    M64,
)


def s64(value: int) -> int:
    """A 64-bit value as a signed number."""
    value &= M64
    return value - (1 << 64) if value >> 63 else value


def s32(value: int) -> int:
    """The low 32 bits as a signed number."""
    value &= 0xFFFF_FFFF
    return value - (1 << 32) if value >> 31 else value


def evaluate(rig: Rig, cases: Sequence[tuple[str, Sequence[int], dict[str, int]]]) -> list[int]:
    """The values that integer instructions give: each case is a name, the values of rs1 and rs2
    (and of rd before, where there is a third), and the other operands."""
    p = rig.assembler()
    inputs: list[int] = []
    p.li(S0, rig.data)
    for name, sources, others in cases:
        assert len(sources) <= 3
        for register, value in zip((A1, A2, A0), sources, strict=False):
            p.op("ld", rd=register, rs1=S0, imm=0).op("addi", rd=S0, rs1=S0, imm=8)
            inputs.append(value)
        names = {o.name for o in ENCODINGS[name].operands}
        registers = {k: v for k, v in (("rd", A0), ("rs1", A1), ("rs2", A2)) if k in names}
        p.op(name, **registers, **others)
        p.op("sd", rs1=S0, rs2=A0, imm=0).op("addi", rd=S0, rs1=S0, imm=8)
        inputs.append(0x5555_5555_5555_5555)
    rig.write_words(rig.data, inputs)
    rig.run(p)
    words = rig.read_words(rig.data, len(inputs))
    results, at = [], 0
    for _, sources, _ in cases:
        at += len(sources)
        results.append(words[at])
        at += 1
    return results
