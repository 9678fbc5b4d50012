"""Puts together what an operating system starts from: firmware, kernel and initial RAM disk.

The result is one `Image`: firmware first if there is any, the kernel where it wants to be, the
initial RAM disk as high in memory as it can go, below the device tree.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from rvemu.board import Board
from rvemu.errors import RvemuError
from rvemu.images import load_kernel, read_file
from rvemu.loader import Image, Segment, load_elf, load_raw
from rvemu.memory import PAGE_SIZE

_ET_DYN = 3  # e_type of an ELF file that is position independent


def assemble(
    board: Board,
    *,
    firmware: Path | str | None = None,
    kernel: Path | str | None = None,
    initrd: Path | str | None = None,
) -> Image:
    """Read the files and find places for them in the board's RAM. Nothing is written.

    firmware: an ELF file, or raw code for the start of RAM; without it the kernel starts in
    M-mode. Raises `RvemuError`, one line, for files that are wrong or do not fit.
    """
    if firmware is None and kernel is None:
        raise RvemuError("nothing to boot: give firmware or a kernel")
    loaded = load_kernel(kernel, board.ram.base) if kernel is not None else None
    payload = loaded.image if loaded is not None else None
    if firmware is None:
        assert loaded is not None
        image = loaded.image
        if loaded.is_linux:
            image = _warned(image, "without firmware it starts in M-mode; most kernels need S-mode")
    else:
        image = _load_firmware(firmware, board.ram.base)
        if payload is not None:
            image = _over(image, payload)
        if loaded is not None and loaded.is_linux and "_zicntr" not in board.config.isa:
            image = _warned(
                image,
                "Linux reads the counter `time`, which harts without Zicntr lack: OpenSBI emulates "
                "it, and rvemu's firmware does not",
            )
    return image if initrd is None else _with_initrd(image, os.fspath(initrd), board)


def _warned(image: Image, warning: str) -> Image:
    return replace(image, warnings=(*image.warnings, f"{image.name}: {warning}"))


def _load_firmware(path: Path | str, ram_base: int) -> Image:
    content = read_file(os.fspath(path))
    if not content.startswith(b"\x7fELF"):
        return load_raw(content, ram_base, os.fspath(path))
    image = load_elf(content, os.fspath(path))
    lowest = image.segments[0].paddr
    is_independent = int.from_bytes(content[16:18], "little") == _ET_DYN
    return _moved(image, ram_base - lowest) if is_independent and lowest < ram_base else image


def _moved(image: Image, distance: int) -> Image:
    """Code that may be anywhere in memory (as OpenSBI is often linked: at 0, to relocate itself),
    at other physical addresses."""
    segments = [replace(segment, paddr=segment.paddr + distance) for segment in image.segments]
    return replace(image, entry=image.entry + distance, segments=tuple(segments))


def _over(firmware: Image, payload: Image) -> Image:
    """Firmware with the kernel that it is to start."""
    for low in firmware.segments:
        for high in payload.segments:
            if low.paddr < high.end and high.paddr < low.end:
                raise RvemuError(
                    f"{payload.name}: {high.name} at {_range(high)} overlaps the firmware "
                    f"{firmware.name} at {_range(low)}; a kernel for M-mode wants --bios none"
                )
    return replace(
        payload,
        entry=firmware.entry,
        segments=tuple(sorted(firmware.segments + payload.segments, key=lambda s: s.paddr)),
        warnings=firmware.warnings + payload.warnings,
        next_entry=payload.entry,
    )


def _with_initrd(image: Image, name: str, board: Board) -> Image:
    """The image with an initial RAM disk right below the device tree."""
    content = read_file(name, board.ram.size)
    if not content:
        raise RvemuError(f"{name}: the initrd is empty")
    board_config = board.config
    try:
        # The tree's size is the same, whatever the addresses in it.
        board.config = replace(board_config, initrd=(0, 0))
        limit = board.place_device_tree().address
    finally:
        board.config = board_config
    start = (limit - len(content)) // PAGE_SIZE * PAGE_SIZE
    below = max(
        (segment.end for segment in image.segments if segment.paddr < limit),
        default=board.ram.base,
    )
    if start < below:
        free = max(limit - below, 0)
        raise RvemuError(
            f"{name}: an initrd of {len(content):#x} bytes does not fit into the {free:#x} bytes "
            f"between the kernel's end at {below:#x} and the device tree at {limit:#x}; "
            "give the machine more memory (-m)"
        )
    segment = Segment("initrd", start, start, content, len(content))
    return replace(
        image,
        segments=tuple(sorted((*image.segments, segment), key=lambda s: s.paddr)),
        initrd=(start, start + len(content)),
    )


def _range(segment: Segment) -> str:
    return f"{segment.paddr:#x}..{segment.end - 1:#x}"
