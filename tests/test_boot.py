"""Firmware, kernel and initial RAM disk in a machine's memory."""

from pathlib import Path

import pytest

from rvemu import Machine
from rvemu.errors import RvemuError
from rvemu.fdt import from_dtb
from tests.elf_builder import E_TYPE, Elf, Load, patched
from tests.small_programs import SPIN, elf
from tests.test_images import image

BASE = 0x8000_0000
MIB = 1 << 20


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a kernel, firmware as ELF and as raw code, and an initrd."""
    (tmp_path / "Image").write_bytes(image())
    (tmp_path / "firmware.elf").write_bytes(elf(SPIN))
    (tmp_path / "firmware.bin").write_bytes(SPIN)
    (tmp_path / "initrd").write_bytes(b"070701" * 1000)
    return tmp_path


def machine(memory: int = 16 * MIB) -> Machine:
    return Machine(engine="reference", memory=memory, bootargs="quiet")


@pytest.mark.parametrize("name", ["firmware.elf", "firmware.bin"])
def test_firmware_starts_and_is_told_of_the_kernel(files: Path, name: str) -> None:
    m = machine()
    m.boot(files / "Image", firmware=files / name)
    assert m.hart.pc == BASE
    assert m.read_physical(BASE + 2 * MIB, 64) == image()[:64]
    told = m.read_physical(m.hart["a2"], 48)
    numbers = [int.from_bytes(told[n : n + 8], "little") for n in range(0, 48, 8)]
    assert numbers == [0x4942534F, 2, BASE + 2 * MIB, 1, 0, 0]
    # A hart that starts in ROM finds the same in its registers.
    m.hart["pc"] = 0x1000
    expected = {name: m.hart[name] for name in ("a0", "a1", "a2")}
    m.hart["a1"] = m.hart["a2"] = 0
    m.run(6)
    assert m.hart.pc == BASE
    assert {name: m.hart[name] for name in ("a0", "a1", "a2")} == expected


def test_position_independent_firmware_goes_to_the_start_of_ram(files: Path) -> None:
    content = Elf(loads=[Load(0, SPIN), Load(0x2000, b"data")], entry=0).build()
    (files / "pie.elf").write_bytes(patched(content, E_TYPE, 3))
    (files / "fixed.elf").write_bytes(content)
    m = machine()
    m.boot(files / "Image", firmware=files / "pie.elf")
    assert m.hart.pc == BASE
    assert m.read_physical(BASE, 4) == SPIN
    assert m.read_physical(BASE + 0x2000, 4) == b"data"
    with pytest.raises(RvemuError, match="outside RAM"):
        m.boot(files / "Image", firmware=files / "fixed.elf")


def test_firmware_alone_has_nothing_to_start(files: Path) -> None:
    m = machine()
    m.boot(firmware=files / "firmware.elf")
    assert m.read_physical(m.hart["a2"] + 16, 8) == bytes(8)


def test_without_firmware_the_kernel_starts(files: Path) -> None:
    m = machine()
    loaded = m.boot(files / "Image")
    assert (m.hart.pc, m.hart.mode) == (BASE + 2 * MIB, "M")
    assert "most kernels need S-mode" in loaded.warnings[0]
    assert not m.boot(files / "Image", firmware=files / "firmware.elf").warnings
    assert not m.boot(files / "firmware.elf").warnings
    without_time = Machine(isa="rv64gc")
    loaded = without_time.boot(files / "Image", firmware=files / "firmware.elf")
    assert "without Zicntr" in loaded.warnings[0]


def test_initrd_is_below_the_device_tree_and_named_in_it(files: Path) -> None:
    m = machine()
    m.boot(files / "Image", firmware=files / "firmware.elf", initrd=files / "initrd")
    address = m.hart["a1"]
    tree = from_dtb(m.read_physical(address, 16 * MIB + BASE - address))
    chosen = tree.find("/chosen")
    assert chosen is not None
    start = int.from_bytes(chosen.props["linux,initrd-start"], "big")
    end = int.from_bytes(chosen.props["linux,initrd-end"], "big")
    assert m.read_physical(start, end - start) == b"070701" * 1000
    assert start % 4096 == 0
    assert address - 4096 < end <= address
    assert chosen.props["bootargs"] == b"quiet\0"


def test_a_reboot_loads_all_of_it_again(files: Path) -> None:
    m = machine()
    m.boot(files / "Image", firmware=files / "firmware.elf", initrd=files / "initrd")
    at = m.image.initrd[0] if m.image and m.image.initrd else 0
    m.write_physical(at, b"changed")
    m.write_physical(BASE + 2 * MIB, b"changed")
    m.reboot()
    assert m.read_physical(at, 6) == b"070701"
    assert m.read_physical(BASE + 2 * MIB, 64) == image()[:64]
    assert m.hart.pc == BASE


def test_what_does_not_fit(files: Path) -> None:
    m = machine()
    (files / "large").write_bytes(b"x" * 13 * MIB)
    with pytest.raises(RvemuError, match=r"large: an initrd .* does not fit .*\(-m\)"):
        m.boot(files / "Image", initrd=files / "large")
    with (files / "larger").open("wb") as file:
        file.truncate(17 * MIB)
    with pytest.raises(RvemuError, match=r"larger: 0x1100000 bytes are too many; .* 0x1000000"):
        m.boot(files / "Image", initrd=files / "larger")
    (files / "Huge").write_bytes(image(size=64 * MIB))
    with pytest.raises(RvemuError, match=r"Huge: kernel at .* outside RAM"):
        m.boot(files / "Huge")
    with pytest.raises(RvemuError, match=r"overlaps the firmware .* --bios none"):
        m.boot(files / "firmware.elf", firmware=files / "firmware.bin")
    (files / "empty").write_bytes(b"")
    with pytest.raises(RvemuError, match="the initrd is empty"):
        m.boot(files / "Image", initrd=files / "empty")
    with pytest.raises(RvemuError, match="nothing to boot"):
        m.boot()
    assert m.image is None, "nothing was changed"
    assert not any(m.read_physical(BASE + 2 * MIB, 64))
