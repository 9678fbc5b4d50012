"""Trap handlers: each reads what a trap has left (so that it shows in the log) and goes on.

M-mode's goes to the next step, whose address is in mscratch. HS- and VS-mode's call the next level;
their `resume` versions return to the instruction after the one that trapped, which shows SRET.
A handler starts with a table of vectors.
"""

from rvemu.differential.assembler import Code
from rvemu.differential.layout import HANDLERS
from rvemu.differential.values import (
    HANDLER_SIZE,
    HS_RESUME,
    HS_VECTOR,
    M_VECTOR,
    VS_RESUME,
    VS_VECTOR,
)
from rvemu.hart.csr_table import BY_NAME
from rvemu.hart.fields import MSTATUS

_VECTORS = 32
_SCRATCH, _CAUSE, _VALUE = 5, 28, 29  # t0, t3, t4

_SHOWN = {
    "m": ["mepc", "mtval", "mtval2", "mtinst", "mstatus", "hstatus", "vsstatus"],
    "s": ["sepc", "stval", "htval", "htinst", "sstatus", "hstatus"],
    "v": ["sepc", "stval", "sstatus"],  # that is vsepc, vstval, vsstatus
}


def _read(code: Code, rd: int, name: str) -> None:
    code.op("csrrs", rd=rd, rs1=0, csr=BY_NAME[name].number)


def _handler(code: Code, level: str, resume: bool) -> None:
    start = code.here
    body = f"body {start:x}"
    for _ in range(_VECTORS):
        code.jump(body)
    code.label(body)
    if level == "m":
        # MPRV would hold for the loads of the script.
        code.op("lui", rd=_SCRATCH, imm=MSTATUS.MPRV.mask)
        code.op("csrrc", rd=0, rs1=_SCRATCH, csr=BY_NAME["mstatus"].number)
    cause = "mcause" if level == "m" else "scause"
    _read(code, _CAUSE, cause)
    for name in _SHOWN[level]:
        _read(code, _VALUE, name)
    if level == "m":
        _read(code, _SCRATCH, "mscratch")
        code.op("jalr", rd=0, rs1=_SCRATCH)
    else:
        onward = f"onward {start:x}"
        if resume:
            code.branch("blt", onward, rs1=_CAUSE, rs2=0)  # an interrupt would come again
            _read(code, _SCRATCH, "sepc")
            code.op("addi", rd=_SCRATCH, rs1=_SCRATCH, imm=4)
            code.op("csrrw", rd=0, rs1=_SCRATCH, csr=BY_NAME["sepc"].number)
            code.op("sret")
        code.label(onward)
        code.op("ecall")
    assert code.here <= start + HANDLER_SIZE
    while code.here < start + HANDLER_SIZE:
        code.op("addi")


def build() -> bytes:
    """All handlers, to lie at HANDLERS."""
    code = Code(HANDLERS)
    for address, level, resume in (
        (M_VECTOR, "m", False),
        (HS_VECTOR, "s", False),
        (HS_RESUME, "s", True),
        (VS_VECTOR, "v", False),
        (VS_RESUME, "v", True),
    ):
        assert code.here == address
        _handler(code, level, resume)
    return code.finish()
