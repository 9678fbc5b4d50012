"""Where two engines differ: the states of two harts, compared.

All that is architectural must be equal, and so must the tags of the soft TLBs, for both engines
have to hit and miss alike: what a guest sees of a stale translation must not depend on the engine.
What an engine keeps for itself (decoded instructions, host addresses, how far its budget reaches)
may differ.
"""

import ctypes
from dataclasses import dataclass
from typing import Any

from rvemu.hart.exceptions import FETCH
from rvemu.hart.explain import explain
from rvemu.hart.regions import find_region
from rvemu.hart.registers import FLOAT_REGISTERS, INTEGER_REGISTERS
from rvemu.hart.state import (
    ADDEND,
    CONTEXTS,
    DATA_ENTRIES,
    DATA_WORDS,
    FETCH_ADDEND,
    FETCH_ENTRIES,
    FETCH_TAG,
    FETCH_WORDS,
    FILL_LOG,
    LOAD_TAG,
    NO_PAGE,
    REGIONS,
    STORE_TAG,
    Hart,
    Shared,
)
from rvemu.isa.disassembler import disassemble
from rvemu.lang import M64

# Fields that are the engine's own affair, or only mean something while an instruction executes.
ENGINE_FIELDS = frozenset(
    [
        *("next_pc", "insn", "insn_length", "stop_reason", "restart", "host_request"),
        *("decoded_rd", "decoded_rs1", "decoded_rs2", "decoded_rs3", "decoded_imm"),
        *("shared_host", "page_slots", "page_bias", "page_addend", "lone_slots"),
        *("budget", "retire_end", "clock_end", "clock_stop", "device_state", "seen_count"),
    ]
)


def _offset(field: str) -> int:
    return int(getattr(Hart, field).offset)


# A hart is its scalars and small arrays first, then the TLBs and what belongs to them.
HEAD_BYTES = _offset("_dtlb")
TLB_BYTES = ctypes.sizeof(Hart) - HEAD_BYTES


def _compared_spans() -> tuple[tuple[int, int], ...]:
    """The parts of a hart's head that must be equal: (start, end) in bytes."""
    spans: list[tuple[int, int]] = []
    start = 0
    for name, kind in ((f[0], f[1]) for f in Hart._fields_):
        at = _offset(name)
        if at >= HEAD_BYTES:
            break
        skipped = None
        if name in ENGINE_FIELDS:
            skipped = (at, at + ctypes.sizeof(kind))
        elif name == "_x":  # the last one takes what is written to x0
            skipped = (at + 8 * 32, at + 8 * 33)
        if skipped is not None:
            if start < skipped[0]:
                spans.append((start, skipped[0]))
            start = skipped[1]
    spans.append((start, HEAD_BYTES))
    return tuple(spans)


_SPANS = _compared_spans()


@dataclass(frozen=True)
class Difference:
    """Something that has two values: its name, and those."""

    name: str
    left: int
    right: int

    def __str__(self) -> str:
        return f"{self.name:<16} {self.left:#018x} {self.right:#018x}"


def differences(left: Hart, right: Hart) -> list[Difference]:
    """All in which two harts differ; empty if they are in the same state."""
    found: list[Difference] = []
    a = ctypes.string_at(ctypes.addressof(left), HEAD_BYTES)
    b = ctypes.string_at(ctypes.addressof(right), HEAD_BYTES)
    if any(a[start:end] != b[start:end] for start, end in _SPANS):
        found += _head_differences(left, right)
    for name, end in (("instret", "retire_end"), ("clock", "clock_end")):
        x = (getattr(left, end) - left.budget) & M64
        y = (getattr(right, end) - right.budget) & M64
        if x != y:
            found.append(Difference(name, x, y))
    for context in range(CONTEXTS):
        found += _data_differences(left, right, context)
        found += _fetch_differences(left, right, context)
        for name in ("large_low", "large_high"):
            x, y = int(getattr(left, name)[context]), int(getattr(right, name)[context])
            if x != y:
                found.append(Difference(f"{name}[{context}]", x, y))
    return found


def _head_differences(left: Hart, right: Hart) -> list[Difference]:
    found = []
    for name, kind in ((f[0], f[1]) for f in Hart._fields_):
        if _offset(name) >= HEAD_BYTES or name in ENGINE_FIELDS:
            continue
        if not issubclass(kind, ctypes.Array):
            x, y = int(getattr(left, name)), int(getattr(right, name))
            if x != y:
                found.append(Difference(name, x, y))
            continue
        array = name.removeprefix("_")
        count = 32 if array == "x" else kind._length_
        for n in range(count):
            x, y = int(getattr(left, array)[n]), int(getattr(right, array)[n])
            if x != y:
                found.append(Difference(_element_name(array, n), x, y))
    return found


def _element_name(array: str, n: int) -> str:
    if array == "x":
        return f"x{n}/{INTEGER_REGISTERS[n]}"
    if array == "f":
        return f"f{n}/{FLOAT_REGISTERS[n]}"
    return f"{array}[{n}]"


# --- TLBs ----------------------------------------------------------------------------------------

# More entries than this are compared all at once, by their tags.
_MANY = FILL_LOG // 8


def _filled(left: Hart, right: Hart, which: str, context: int, entries: int) -> range | list[int]:
    """The entries of a context that may be held: those in its log; or all, if those are many."""
    counts = getattr(left, f"{which}_filled")[context], getattr(right, f"{which}_filled")[context]
    if max(counts) > _MANY:
        return range(entries)
    found: set[int] = set()
    for h, count in zip((left, right), counts, strict=True):
        if count:
            start = context * FILL_LOG
            found.update(getattr(h, f"{which}_log")[start : start + count])
    return sorted(found)


def _differ(a: Any, b: Any, base: int, words: int, tag: int) -> bool:
    """Whether a tag differs in any entry of a context (compared quickly)."""
    x = memoryview(a)[base + tag : base + words : 4].tobytes()
    return x != memoryview(b)[base + tag : base + words : 4].tobytes()


def _data_differences(left: Hart, right: Hart, context: int) -> list[Difference]:
    base = context * DATA_WORDS
    entries = _filled(left, right, "dtlb", context, DATA_ENTRIES)
    a, b = left.dtlb, right.dtlb
    if isinstance(entries, range) and not any(
        _differ(a, b, base, DATA_WORDS, tag) for tag in (LOAD_TAG, STORE_TAG)
    ):
        return []
    found = []
    for n in entries:
        i = base + 4 * n
        for tag, name in ((LOAD_TAG, "load"), (STORE_TAG, "store")):
            if a[i + tag] != b[i + tag]:
                where = f"dtlb[{context}][{n}].{name}"
                found.append(Difference(where, a[i + tag], b[i + tag]))
        if a[i + LOAD_TAG] == b[i + LOAD_TAG] != NO_PAGE:
            page = a[i + LOAD_TAG]
            x = _physical(left.shared, (page + a[i + ADDEND]) & M64)
            y = _physical(right.shared, (page + b[i + ADDEND]) & M64)
            if x != y:
                found.append(Difference(f"dtlb[{context}][{n}].physical", x, y))
    return found


def _fetch_differences(left: Hart, right: Hart, context: int) -> list[Difference]:
    base = context * FETCH_WORDS
    entries = _filled(left, right, "ftlb", context, FETCH_ENTRIES)
    a, b = left.ftlb, right.ftlb
    if isinstance(entries, range) and not _differ(a, b, base, FETCH_WORDS, FETCH_TAG):
        return []
    found = []
    for n in entries:
        i = base + 4 * n
        if a[i + FETCH_TAG] != b[i + FETCH_TAG]:
            where = f"ftlb[{context}][{n}].tag"
            found.append(Difference(where, a[i + FETCH_TAG], b[i + FETCH_TAG]))
        elif a[i + FETCH_TAG] != NO_PAGE:
            page = a[i + FETCH_TAG]
            x = _physical(left.shared, (page + a[i + FETCH_ADDEND]) & M64)
            y = _physical(right.shared, (page + b[i + FETCH_ADDEND]) & M64)
            if x != y:
                found.append(Difference(f"ftlb[{context}][{n}].physical", x, y))
    return found


def _physical(shared: Shared, host: int) -> int:
    """The physical address of a byte of memory by its host address."""
    for n in range(REGIONS):
        offset = host - shared.region_host[n]
        if 0 <= offset < shared.region_size[n]:
            return int(shared.region_base[n] + offset)
    return M64


# --- Memory --------------------------------------------------------------------------------------


def memory_differences(
    base: int, left: memoryview, right: memoryview, limit: int = 8
) -> list[Difference]:
    """The first 64-bit words in which two memories of the same size differ."""
    block = 1 << 16
    found: list[Difference] = []
    for start in range(0, len(left), block):
        a, b = left[start : start + block], right[start : start + block]
        if a.tobytes() == b.tobytes():  # much quicker than to compare the views
            continue
        for at in range(0, len(a), 8):
            if a[at : at + 8] != b[at : at + 8]:
                x, y = (int.from_bytes(m[at : at + 8], "little") for m in (a, b))
                found.append(Difference(f"[{base + start + at:#x}]", x, y))
                if len(found) >= limit:
                    return found
    return found


# --- For people ----------------------------------------------------------------------------------

_MODE_NAMES = {(3, 0): "M", (1, 0): "S", (0, 0): "U", (1, 1): "VS", (0, 1): "VU"}


def describe_next(h: Hart) -> str:
    """The instruction that a hart executes next: its mode, address, bits and text."""
    where = f"{_MODE_NAMES[h.priv, h.v]:<2} {h.pc:#x}:"
    raw = b""
    for half in (h.pc, (h.pc + 2) & M64):
        physical = explain(h, half, FETCH).physical
        host = 0 if physical is None else find_region(h, physical, 2)
        if host == 0:
            break
        raw += ctypes.string_at(host, 2)
    bits = int.from_bytes(raw, "little")
    if not raw or (bits & 3 == 3 and len(raw) < 4):
        return f"{where} can't be fetched"
    bits = bits if bits & 3 == 3 else bits & 0xFFFF
    return f"{where} {bits:08x} {disassemble(bits, h.pc, None, h.extensions)}"
