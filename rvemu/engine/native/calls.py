"""Calls from native code to other native code of this process."""

import ctypes

from rvemu.lang import U64


def call_native(function: U64, structure: ctypes.Structure, number: U64) -> None:
    """Call the C function at a host address with a structure and a number; what it returns is
    ignored. Only native code calls so: rvemu.engine.native.functions says how this is emitted."""
    raise NotImplementedError(f"call of {function:#x} with {structure} and {number}")
