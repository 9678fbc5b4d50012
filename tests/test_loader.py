"""Guest images: what is loaded, and what is refused, in one line."""

import os
import struct
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rvemu.errors import RvemuError
from rvemu.loader import Reserved, load_elf, load_raw, place
from rvemu.memory import Ram
from tests.elf_builder import (
    E_CLASS,
    E_DATA,
    E_ENTRY,
    E_MACHINE,
    E_PHENTSIZE,
    E_PHNUM,
    E_PHOFF,
    E_SHNUM,
    E_SHOFF,
    E_TYPE,
    EHDR,
    SHDR,
    SYM,
    Elf,
    Load,
    patched,
    phdr_field,
)

BASE = 0x8000_0000
GLOBAL_FUNC, GLOBAL_OBJECT, GLOBAL_LABEL, LOCAL_LABEL = 0x12, 0x11, 0x10, 0x00


def refused(content: bytes, *words: str) -> str:
    with pytest.raises(RvemuError) as failure:
        load_elf(content, "guest.elf")
    message = str(failure.value)
    assert message.startswith("guest.elf: ")
    assert "\n" not in message
    for word in words:
        assert word in message
    return message


def test_segments_and_bss_are_placed():
    content = Elf(
        [Load(BASE, b"code"), Load(BASE + 0x1000, b"data", memsz=0x800)], entry=BASE + 2
    ).build()
    image = load_elf(content)
    assert (image.entry, image.machine, image.xlen) == (BASE + 2, 243, 64)
    assert [(s.paddr, bytes(s.data), s.memsz) for s in image.segments] == [
        (BASE, b"code", 4),
        (BASE + 0x1000, b"data", 0x800),
    ]
    ram = Ram(BASE, 0x4000)
    ram.write(BASE, b"\xff" * 0x4000)
    place(image, ram)
    assert ram.read(BASE, 5) == b"code\xff"
    assert ram.read(BASE + 0x1000, 0x801) == b"data" + bytes(0x7FC) + b"\xff"


def test_load_from_a_path(tmp_path):
    path = tmp_path / "guest.elf"
    path.write_bytes(Elf().build())
    assert load_elf(path).segments == load_elf(str(path)).segments
    assert load_elf(path).name == str(path)


def test_segments_may_come_in_any_order():
    image = load_elf(Elf([Load(BASE + 0x1000, b"data"), Load(BASE, b"code")]).build())
    assert [s.name for s in image.segments] == ["segment 1", "segment 0"]


def test_virtual_entry_is_translated():
    high = 0xFFFF_FFFF_8000_0000
    image = load_elf(
        Elf(
            [Load(BASE + 0x20_0000, b"code" * 4, vaddr=high)],
            entry=high + 4,
            symbols=[("tohost", high + 8, 8, GLOBAL_OBJECT)],
        ).build()
    )
    assert image.entry == BASE + 0x20_0004
    assert image.tohost == BASE + 0x20_0008
    assert image.symbols["tohost"] == high + 8


def test_physical_entry_of_a_virtual_kernel_is_accepted():
    high = 0xFFFF_FFFF_8000_0000
    image = load_elf(Elf([Load(BASE, b"code" * 4, vaddr=high)], entry=BASE + 4).build())
    assert image.entry == BASE + 4


def test_symbols_both_ways():
    image = load_elf(
        Elf(
            [Load(BASE, bytes(0x100), memsz=0x1000)],
            symbols=[
                ("_start", BASE, 0, GLOBAL_LABEL),
                ("$x", BASE + 0x10, 0, LOCAL_LABEL),
                ("main", BASE + 0x20, 0x10, GLOBAL_FUNC),
                ("main_label", BASE + 0x20, 0, GLOBAL_LABEL),
                ("buffer", BASE + 0x800, 8, GLOBAL_OBJECT),
                ("begin_signature", BASE + 0x900, 0, GLOBAL_LABEL),
                ("end_signature", BASE + 0x910, 0, GLOBAL_LABEL),
                ("fromhost", BASE + 0xF00, 8, GLOBAL_OBJECT),
            ],
        ).build()
    )
    assert image.has_symbol("main")
    assert not image.has_symbol("nothing")
    assert image.lookup(BASE) == ("_start", 0)
    assert image.lookup(BASE + 0x14) == ("_start", 0x14), "mapping symbols are no names"
    assert image.lookup(BASE + 0x20) == ("main", 0), "a function's name wins over a label's"
    assert image.lookup(BASE + 0x2F) == ("main", 0xF)
    assert image.lookup(BASE + 0x30) is None, "past the end of main"
    assert image.lookup(BASE - 1) is None
    assert image.lookup(BASE + 0x1000) is None, "outside the image"
    assert (image.begin_signature, image.end_signature) == (BASE + 0x900, BASE + 0x910)
    assert image.fromhost == BASE + 0xF00
    assert image.tohost is None


def test_what_an_address_is_called():
    """A function rather than a label, a global name rather than a local one."""
    symbols = [
        ("local_label", BASE, 0, LOCAL_LABEL),
        ("global_label", BASE, 0, GLOBAL_LABEL),
        ("local_function", BASE + 4, 4, 0x02),
        ("global_label_2", BASE + 4, 0, GLOBAL_LABEL),
        ("last", BASE + 8, 0, GLOBAL_LABEL),
    ]
    for order in (symbols, symbols[::-1]):
        image = load_elf(Elf(symbols=order).build())
        assert image.lookup(BASE) == ("global_label", 0)
        assert image.lookup(BASE + 4) == ("local_function", 0)
        assert image.lookup(BASE + 0xF) == ("last", 7)
        assert image.lookup(BASE + 0x10) is None, "the image ends there"


def test_a_global_symbol_wins_over_a_local_one():
    symbols = [("x", BASE, 0, GLOBAL_LABEL), ("x", BASE + 4, 0, LOCAL_LABEL)]
    for order in (symbols, symbols[::-1]):
        assert load_elf(Elf(symbols=order).build()).symbols["x"] == BASE


def test_no_symbols_is_fine():
    image = load_elf(Elf().build())
    assert image.symbols == {}
    assert image.warnings == ()
    assert image.lookup(BASE) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda c: patched(c, E_SHOFF, len(c) - 10),
        lambda c: patched(c, E_SHNUM, 0xFFFF),
        lambda c: patched(c, E_SHOFF, 1 << 63),
        lambda c: patched(c, (len(c) - SHDR.size * 2 + 24, 8), 1 << 60),  # symtab sh_offset
        lambda c: patched(c, (len(c) - SHDR.size * 2 + 32, 8), 1 << 60),  # symtab sh_size
        lambda c: patched(c, (len(c) - SHDR.size * 2 + 40, 4), 77),  # symtab sh_link
        lambda c: patched(c, (len(c) - SHDR.size * 2 + 40, 4), 1),  # itself
        lambda c: patched(c, (len(c) - SHDR.size + 32, 8), 1),  # strtab sh_size
    ],
)
def test_broken_symbols_cost_a_warning(damage):
    good = Elf(symbols=[("main", BASE, 4, GLOBAL_FUNC)]).build()
    assert load_elf(good).has_symbol("main")
    image = load_elf(damage(good), "guest.elf")
    assert not image.has_symbol("main")
    assert len(image.warnings) == 1
    assert image.warnings[0].startswith("guest.elf: ")


def test_symbol_names_cannot_exhaust_memory():
    """Many long names that share one string table would expand to gigabytes."""
    names = b"\0" + b"a" * 60_000 + b"\0"
    table = b"".join(SYM.pack(1 + i % 1000, 0x12, 0, 1, BASE, 0) for i in range(20_000))
    body = Elf().build()
    offset = len(body)
    sections = SHDR.pack(*[0] * 10)
    sections += SHDR.pack(0, 2, 0, 0, offset, len(table), 2, 1, 8, SYM.size)
    sections += SHDR.pack(0, 3, 0, 0, offset + len(table), len(names), 0, 0, 1, 0)
    content = body + table + names + sections
    content = patched(patched(content, E_SHOFF, offset + len(table) + len(names)), E_SHNUM, 3)
    tracemalloc.start()
    image = load_elf(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert image.warnings
    assert peak < 20 << 20


def test_not_an_elf():
    refused(b"hello, world", "not an ELF", "68 65 6c 6c")
    refused(b"", "not an ELF", "empty")
    refused(b"\x7fEL", "not an ELF")


@pytest.mark.parametrize("length", [4, 5, 6, 20, 51, 63])
def test_truncated_header(length):
    refused(Elf().build()[:length], "truncated")


def test_every_truncation_is_refused():
    content = Elf([Load(BASE, b"code" * 4), Load(BASE + 0x1000, b"data")]).build()
    for length in range(len(content)):
        refused(content[:length])


def test_truncated_program_headers_and_data():
    content = Elf().build()
    refused(content[: EHDR.size + 10], "truncated", "program header table")
    refused(content[:-1], "truncated", "segment 0's data", hex(len(content)))


def test_another_machine():
    refused(patched(Elf().build(), E_MACHINE, 62), "another machine", "X86_64")
    refused(patched(Elf().build(), E_MACHINE, 0xABCD), "another machine", "43981")


def test_another_class_or_byte_order():
    content = Elf().build()
    refused(patched(content, E_CLASS, 1), "RV32 guests are not supported")
    refused(patched(content, E_CLASS, 3), "class 3")
    refused(patched(content, E_DATA, 7), "byte order 7")
    refused(patched(patched(content, E_DATA, 2), E_MACHINE, 8 << 8), "another machine", "MIPS")
    refused(patched(patched(content, E_DATA, 2), E_MACHINE, 243 << 8), "big-endian")


@pytest.mark.parametrize(
    ("kind", "word"), [(1, "not linked"), (4, "core dump"), (0xFE00, "not an executable")]
)
def test_not_an_executable(kind, word):
    refused(patched(Elf().build(), E_TYPE, kind), word)


def test_position_independent_executables_are_loaded():
    assert load_elf(patched(Elf().build(), E_TYPE, 3)).entry == BASE


def test_program_for_an_operating_system():
    content = Elf([Load(BASE, b"/lib/ld.so\0", type=3), Load(BASE, b"code")]).build()
    refused(content, "operating system")


def test_program_headers():
    content = Elf().build()
    refused(patched(content, E_PHNUM, 0), "no program headers")
    refused(patched(content, E_PHNUM, 0xFFFE), "65534 program headers")
    refused(patched(content, E_PHNUM, 0xFFFF), "65535 program headers")
    refused(patched(content, E_PHENTSIZE, 32), "32 bytes")
    refused(patched(content, E_PHOFF, 1 << 63), "truncated")
    refused(patched(content, phdr_field(0, "type"), 2), "no segment to load")


def test_segment_sizes():
    content = Elf().build()
    refused(patched(content, phdr_field(0, "filesz"), 17), "segment 0", "0x11", "0x10")
    refused(patched(content, phdr_field(0, "offset"), 1 << 62), "segment 0's data")
    refused(patched(content, phdr_field(0, "memsz"), (1 << 64) - 1), "past the last address")
    refused(patched(content, phdr_field(0, "vaddr"), (1 << 64) - 2), "past the last address")


def test_empty_segments_are_skipped():
    content = Elf([Load(0, b"", memsz=0), Load(BASE, b"code")]).build()
    assert [s.name for s in load_elf(content).segments] == ["segment 1"]


def test_overlapping_segments():
    content = Elf([Load(BASE, b"code", memsz=0x1001), Load(BASE + 0x1000, b"data")]).build()
    refused(content, "segment 0", "overlaps segment 1", "0x80000000..0x80001000")


def test_neighbouring_segments_and_ranges_do_not_overlap():
    content = Elf([Load(BASE + 0x100, b"code" * 64), Load(BASE + 0x200, b"data")],
                  entry=BASE + 0x100).build()  # fmt: skip
    image = load_elf(content)
    ram = Ram(BASE, 0x1000)
    place(image, ram, [Reserved("a", BASE, 0x100), Reserved("b", BASE + 0x204, 0x100)])
    assert ram.read(BASE + 0x200, 4) == b"data"


def test_entry():
    content = Elf([Load(BASE, b"code", memsz=0x100)]).build()
    refused(patched(content, E_ENTRY, BASE + 1), "odd")
    refused(patched(content, E_ENTRY, 0x1000), "entry 0x1000")
    refused(patched(content, E_ENTRY, BASE + 4), "not in any segment's code")
    assert load_elf(patched(content, phdr_field(0, "flags"), 6)).entry == load_elf(content).entry


def test_segment_outside_memory_names_both():
    image = load_elf(Elf([Load(0x1_0000, b"code")], entry=0x1_0000).build(), "guest.elf")
    with pytest.raises(RvemuError) as failure:
        place(image, Ram(BASE, 0x1000))
    message = str(failure.value)
    assert "guest.elf: segment 0 at 0x10000..0x10003 is outside RAM" in message
    assert "0x80000000..0x80000fff" in message


def test_nothing_is_written_when_something_does_not_fit():
    image = load_elf(Elf([Load(BASE, b"code"), Load(BASE + 0xFFE, b"data")]).build())
    ram = Ram(BASE, 0x1000)
    with pytest.raises(RvemuError, match="segment 1"):
        place(image, ram)
    assert not any(ram.read(BASE, 0x1000))


@pytest.mark.parametrize("memsz", [0xF01, 0x1000])
def test_reserved_ranges(memsz):
    image = load_elf(Elf([Load(BASE, b"code", memsz=memsz)]).build())
    tree = Reserved("device tree", BASE + 0xF00, 0x100)
    ram = Ram(BASE, 0x1000)
    with pytest.raises(RvemuError, match=r"segment 0 .* overlaps the device tree at 0x80000f00"):
        place(image, ram, [tree])
    assert not any(ram.read(BASE, 0x1000))
    place(load_elf(Elf([Load(BASE, b"code", memsz=0xF00)]).build()), ram, [tree])
    assert ram.read(BASE, 4) == b"code"


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(RvemuError, match=r"nothing\.elf: cannot be read: No such file"):
        load_elf(tmp_path / "nothing.elf")
    with pytest.raises(RvemuError, match="a directory"):
        load_elf(tmp_path)
    with pytest.raises(RvemuError, match="cannot be read"):
        load_elf("a\0b")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(RvemuError, match="not a regular file"):
        load_elf(tmp_path / "fifo")
    with pytest.raises(RvemuError, match="not a regular file"):
        load_elf("/dev/zero")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path):
    path = tmp_path / "guest.elf"
    path.write_bytes(Elf().build())
    path.chmod(0)
    with pytest.raises(RvemuError, match="Permission denied"):
        load_elf(path)


def test_a_huge_file_that_is_no_elf_is_not_read(tmp_path):
    path = tmp_path / "disk.img"
    with path.open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(RvemuError, match="not an ELF"):
        load_elf(path)
    with path.open("r+b") as stream:
        stream.write(Elf().build())
    with pytest.raises(RvemuError, match="too many"):
        load_elf(path)


def test_raw_image(tmp_path):
    path = tmp_path / "guest.bin"
    path.write_bytes(b"\x6f\0\0\0")
    image = load_raw(path, BASE + 0x100)
    assert image.entry == BASE + 0x100
    ram = Ram(BASE, 0x1000)
    place(image, ram)
    assert ram.read(BASE + 0x100, 4) == b"\x6f\0\0\0"
    with pytest.raises(RvemuError, match="outside RAM"):
        place(load_raw(path, BASE + 0xFFE), ram)


def test_raw_image_mistakes(tmp_path):
    with pytest.raises(RvemuError, match="empty"):
        load_raw(b"", BASE)
    with pytest.raises(RvemuError, match="no address"):
        load_raw(b"code", BASE + 1)
    with pytest.raises(RvemuError, match="no address"):
        load_raw(b"code", -2)
    with pytest.raises(RvemuError, match="cannot be read"):
        load_raw(tmp_path / "nothing.bin", BASE)


SAMPLE = Elf(
    [Load(BASE, b"code" * 8, memsz=0x40), Load(BASE + 0x1000, b"data", memsz=0x100)],
    symbols=[("main", BASE, 16, GLOBAL_FUNC), ("tohost", BASE + 0x1000, 8, GLOBAL_OBJECT)],
).build()

edges = st.sampled_from(
    [0, 1, 2, 0x7F, 0xFF, 0xFFFF, 1 << 31, (1 << 32) - 1, 1 << 62, (1 << 63) - 1, (1 << 64) - 1]
)
mutation = st.one_of(
    st.tuples(st.just("byte"), st.integers(0, len(SAMPLE) - 1), st.integers(0, 255)),
    st.tuples(st.just("header"), st.integers(0, 23), edges),
    st.tuples(st.just("phdr"), st.integers(0, 13), edges),
    st.tuples(st.just("shdr"), st.integers(0, 23), edges | st.integers(0, len(SAMPLE))),
    st.tuples(st.just("cut"), st.integers(0, len(SAMPLE)), st.just(0)),
)


def mutated(content: bytes, kind: str, where: int, value: int) -> bytes:
    data = bytearray(content)
    if kind == "cut":
        return content[:where]
    if kind == "byte":
        offset, width = where, 1
    elif kind == "header":
        offset, width = 16 + 2 * where, 8 if 4 <= where < 16 else 2
    elif kind == "phdr":
        offset, width = EHDR.size + 8 * where, 8
    else:
        offset, width = len(SAMPLE) - 3 * SHDR.size + 8 * where, 8
    width = max(0, min(width, len(data) - offset))
    data[offset : offset + width] = struct.pack("<Q", value)[:width]
    return bytes(data)


@settings(max_examples=1500, deadline=2000, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(mutation, min_size=1, max_size=4))
def test_damaged_files_are_loaded_or_refused(mutations):
    content = SAMPLE
    for kind, where, value in mutations:
        content = mutated(content, kind, where, value)
    ram = Ram(BASE, 0x4000)
    try:
        image = load_elf(content)
        place(image, ram, [Reserved("device tree", BASE + 0x3000, 0x1000)])
    except RvemuError as error:
        assert "\n" not in str(error)
        assert not any(ram.view), "nothing half-written"
    else:
        image.lookup(image.entry)
        assert not any(ram.read(BASE + 0x3000, 0x1000))


@given(st.binary(max_size=300))
def test_arbitrary_bytes(content):
    for candidate in (content, b"\x7fELF\x02\x01\x01" + content):
        try:
            load_elf(candidate)
        except RvemuError as error:
            assert "\n" not in str(error)
