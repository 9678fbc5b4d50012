"""The XML documents that the stub itself writes.

Source: GDB manual, "Memory Map Format" and "Thread List Format". (Target descriptions come from
the target as they are.)
"""

from collections.abc import Iterable, Sequence
from xml.sax.saxutils import escape, quoteattr

from gdbstub.target import Region, ThreadInfo

_HEADER = '<?xml version="1.0"?>\n'


def memory_map(regions: Sequence[Region]) -> str:
    """The memory map; addresses in hexadecimal."""
    lines = [
        f'  <memory type="{region.type}" start="{region.start:#x}" length="{region.length:#x}"/>'
        for region in regions
    ]
    doctype = (
        '<!DOCTYPE memory-map PUBLIC "+//IDN gnu.org//DTD GDB Memory Map V1.0//EN"'
        ' "http://sourceware.org/gdb/gdb-memory-map.dtd">\n'
    )
    return _HEADER + doctype + "\n".join(["<memory-map>", *lines, "</memory-map>"]) + "\n"


def threads(entries: Iterable[tuple[str, ThreadInfo]]) -> str:
    """The thread list, from (thread-id as text, what is known of the thread)."""
    lines = []
    for identity, info in entries:
        attributes = f"id={quoteattr(identity)}"
        if info.core is not None:
            attributes += f' core="{info.core}"'
        if info.name is not None:
            attributes += f" name={quoteattr(printable(info.name))}"
        lines.append(f"  <thread {attributes}>{escape(printable(info.extra or ''))}</thread>")
    return _HEADER + "\n".join(["<threads>", *lines, "</threads>"]) + "\n"


def printable(text: str) -> str:
    """`text` without the control characters that XML cannot hold."""
    return "".join(c if c >= " " or c in "\t\n" else "?" for c in text)
