"""Instructions by name, for what is not drawn at random."""

from rvemu.isa import INSTRUCTIONS

_ENCODINGS = {i.name: i.encoding for i in INSTRUCTIONS}


def assemble(name: str, **operands: int) -> int:
    """An instruction's bits."""
    return _ENCODINGS[name].encode(**operands)


def code(*words: int) -> bytes:
    """32-bit instructions as they are in memory."""
    return b"".join(word.to_bytes(4, "little") for word in words)
