"""Flattened device trees: written, read back, and compared with dtc."""

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rvemu.errors import RvemuError
from rvemu.fdt import Node, cells, cells64, from_dtb, strings, to_dtb, to_dts


def dtc(*arguments: str, stdin: bytes) -> bytes:
    program = shutil.which("dtc")
    if program is None:
        pytest.skip("dtc is not installed (Debian package device-tree-compiler)")
    done = subprocess.run([program, *arguments], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def sample() -> Node:
    root = Node("", {"#address-cells": cells(2), "#size-cells": cells(2)})
    root.add("chosen", {"bootargs": strings('say "hello\\n"'), "empty": b""})
    memory = {"device_type": strings("memory"), "reg": cells64(0x8000_0000, 0x1_0000_0000)}
    root.add("memory@80000000", memory)
    soc = root.add("soc", {"compatible": strings("a,b", "simple-bus"), "ranges": b""})
    soc.add("odd@0", {"local-mac-address": bytes(range(6)), "reg": cells(0), "one": b"\x01"})
    return root


def test_helpers():
    assert cells(1, 0xFFFF_FFFF) == b"\0\0\0\x01\xff\xff\xff\xff"
    assert cells64(0x1_0000_0002) == b"\0\0\0\x01\0\0\0\x02"
    assert strings("ab", "c") == b"ab\0c\0"


def test_header_layout():
    blob = to_dtb(Node("", {"a": b"xyz"}), [(0x1000, 0x2000)])
    assert blob[:4] == b"\xd0\x0d\xfe\xed"
    assert int.from_bytes(blob[4:8], "big") == len(blob)
    assert int.from_bytes(blob[20:24], "big") == 17
    assert blob[40:72] == cells64(0x1000, 0x2000, 0, 0)
    assert blob[72:] == cells(1, 0, 3, 3, 0) + b"xyz\0" + cells(2, 9) + b"a\0"


def test_round_trip():
    assert from_dtb(to_dtb(sample())) == sample()


def test_find():
    root = sample()
    assert root.find("/soc/odd@0") is root.children[2].children[0]
    assert root.find("/") is root
    assert root.find("/soc/even@0") is None
    assert root.find("/nothing/at/all") is None


def test_source_text():
    text = to_dts(sample())
    assert text.startswith("/dts-v1/;\n\n/ {\n\t#address-cells = <0x2>;\n")
    assert '\t\tcompatible = "a,b", "simple-bus";\n\t\tranges;\n' in text
    assert '\t\tbootargs = "say \\"hello\\\\n\\"";\n' in text
    assert "\t\t\tlocal-mac-address = [00 01 02 03 04 05];\n" in text
    assert "\t\treg = <0x0 0x80000000 0x1 0x0>;\n" in text


def test_a_number_that_looks_like_text_at_its_end_is_a_number():
    assert "clock-frequency = <0x384000>;" in to_dts(Node("", {"clock-frequency": cells(3686400)}))


def test_dtc_reads_our_blob():
    text = dtc("-I", "dtb", "-O", "dts", stdin=to_dtb(sample(), [(0x1000, 0x2000)])).decode()
    assert "/memreserve/\t0x0000000000001000 0x0000000000002000;" in text
    assert from_dtb(dtc("-I", "dts", "-O", "dtb", stdin=text.encode())) == sample()


def test_dtc_reads_our_source():
    assert from_dtb(dtc("-I", "dts", "-O", "dtb", stdin=to_dts(sample()).encode())) == sample()


names = st.text("abcdefghijklmnopqrstuvwxyz0123456789,._+-#", min_size=1, max_size=20)
nodes = st.recursive(
    st.builds(Node, names, st.dictionaries(names, st.binary(max_size=20), max_size=4)),
    lambda children: st.builds(
        Node,
        names,
        st.dictionaries(names, st.binary(max_size=20), max_size=4),
        st.lists(children, max_size=4),
    ),
    max_leaves=10,
)


@given(nodes)
def test_any_tree_survives(node):
    node.name = ""
    assert from_dtb(to_dtb(node)) == node


def test_not_a_device_tree():
    with pytest.raises(RvemuError, match="not a device tree"):
        from_dtb(bytes(100))
    with pytest.raises(RvemuError, match="no header"):
        from_dtb(b"\xd0\x0d\xfe\xed")
    good = to_dtb(sample())
    with pytest.raises(RvemuError, match="version 1 "):
        from_dtb(good[:20] + cells(1) + good[24:])
    with pytest.raises(RvemuError, match="bytes long"):
        from_dtb(good[:-1])
    with pytest.raises(RvemuError, match="outside"):
        from_dtb(good[:8] + cells(len(good)) + good[12:])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (cells(9), "unexpected token 0x9"),
        (cells(2), "unexpected token 0x2"),
        (cells(3, 0, 0), "unexpected token 0x3"),
        (cells(1, 0, 77), "unexpected token 0x4d"),
        (cells(1, 0), "truncated"),
        (cells(1, 0x41414141), "truncated"),
        (cells(1, 0xFF00_0000), "garbled"),
        (cells(1, 0x6100_0000, 2), "root has a name"),
        (cells(1, 0, 3, 0xFFFF_FFFF, 0), "truncated"),
        (cells(1, 0, 3, 0, 500), "no property name"),
        (cells(*[1, 0] * 65), "levels"),
    ],
)
def test_malformed_structure(body, message):
    names_at = 56 + len(body)
    header = cells(0xD00DFEED, names_at + 2, 56, names_at, 40, 17, 16, 0, 2, len(body))
    with pytest.raises(RvemuError, match=message):
        from_dtb(header + bytes(16) + body + b"a\0")


GOOD = to_dtb(sample())


@settings(max_examples=500)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255), st.integers(0, len(GOOD)))
def test_damaged_blobs(position, value, cut):
    damaged = bytearray(GOOD)
    damaged[position] = value
    for candidate in (bytes(damaged), bytes(damaged[:cut])):
        try:
            to_dts(from_dtb(candidate))
        except RvemuError as error:
            assert "\n" not in str(error)
