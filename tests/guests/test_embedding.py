"""Guests that contain other guests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rvemu import guest_build
from rvemu.errors import RvemuError

TOOLCHAINS = guest_build.available_toolchains()

OUTER = """
    .globl _start
_start:
    la a0, embedded_guests
"""


def guest(root: Path, name: str, source: str, embeds: list[str]) -> Path:
    """Writes a guest's folder."""
    folder = root / name
    folder.mkdir()
    (folder / "main.S").write_text(source)
    (folder / "link.ld").write_text(
        "SECTIONS { . = 0x80000000; .text : { *(.text) *(.rodata) } }\n"
    )
    (folder / "guest.toml").write_text(
        f'sources = ["main.S"]\nlinker_script = "link.ld"\nembeds = {embeds}\n'
    )
    return folder


@pytest.mark.skipif(not TOOLCHAINS, reason="no RISC-V compiler: install ziglang or a GCC")
@pytest.mark.parametrize("toolchain", TOOLCHAINS, ids=lambda toolchain: toolchain.name)
def test_an_embedded_guest_is_there_byte_for_byte(
    toolchain: guest_build.Toolchain, tmp_path: Path
) -> None:
    for name, size in (("small", 40), ("large", 7000)):
        guest(tmp_path, name, f".globl _start\n_start: .fill {size}, 1, 0x13\n", [])
    outer = guest_build.Recipe.load(guest(tmp_path, "outer", OUTER, ["small", "large"]))
    elf = tmp_path / "outer.elf"
    guest_build.build(outer, toolchain, elf)
    content = elf.read_bytes()
    assert str(tmp_path).encode() not in content
    assert b"rvemu-guest-" not in content, "it says where it was built"
    for inner in outer.embeds:
        alone = tmp_path / f"{inner.name}.elf"
        guest_build.build(inner, toolchain, alone)
        assert alone.read_bytes() in content
        assert inner.name.encode() + b"\0" in content


def test_a_guest_depends_on_what_it_embeds(tmp_path: Path) -> None:
    toolchain = guest_build.Toolchain("gcc", ("gcc",), "some version")
    inner = guest(tmp_path, "inner", "nop\n", [])
    outer = guest(tmp_path, "outer", OUTER, ["inner"])
    recipe = guest_build.Recipe.load(outer)
    before = recipe.digest(toolchain)
    (inner / "main.S").write_text("ret\n")
    assert recipe.digest(toolchain) != before
    assert replace(recipe, embeds=()).digest(toolchain) != recipe.digest(toolchain)


def test_guests_that_embed_each_other_are_an_error(tmp_path: Path) -> None:
    folder = guest(tmp_path, "one", OUTER, ["two"])
    guest(tmp_path, "two", OUTER, ["one"])
    with pytest.raises(RvemuError, match="one embeds itself, by way of two"):
        guest_build.Recipe.load(folder)
