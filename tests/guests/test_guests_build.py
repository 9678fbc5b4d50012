"""Guests: every one builds with every compiler there is, prints what it must under QEMU, and is
found again where it was put."""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from rvemu import guest_build, guests
from rvemu.errors import RvemuError

QEMU = shutil.which("qemu-system-riscv64")
TOOLCHAINS = guest_build.available_toolchains()
GUESTS = [path.parent.name for path in sorted(guests.SOURCES.glob("*/guest.toml"))]

if not TOOLCHAINS:
    pytest.skip("no RISC-V compiler: install ziglang or a GCC", allow_module_level=True)


@pytest.fixture(autouse=True)
def from_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guests come from the source tree and a cache of the test's own."""
    monkeypatch.setattr(guests, "INSTALLED", tmp_path / "not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("RVEMU_CC", raising=False)


def info(name: str) -> guests.GuestInfo:
    return next(guest for guest in guests.list_guests() if guest.name == name)


def build(name: str, toolchain: guest_build.Toolchain, folder: Path) -> Path:
    elf = folder / f"{name}.elf"
    guest_build.build(guest_build.Recipe.load(guests.SOURCES / name), toolchain, elf)
    return elf


def set_iterations(elf: Path, count: int) -> None:
    """Patches a benchmark's repetition count, as a host may."""
    content = bytearray(elf.read_bytes())
    file = ELFFile(BytesIO(content))
    (symbol,) = file.get_section_by_name(".symtab").get_symbol_by_name("bench_iterations")
    section = file.get_section(symbol["st_shndx"])
    assert section["sh_type"] == "SHT_PROGBITS", "the word must be in the file"
    offset = section["sh_offset"] + symbol["st_value"] - section["sh_addr"]
    content[offset : offset + 8] = count.to_bytes(8, "little")
    elf.write_bytes(content)


def run_on_qemu(elf: Path, guest: guests.GuestInfo, harts: int) -> tuple[bytes, int]:
    assert QEMU is not None
    firmware = [] if guest.needs_sbi else ["-bios", "none"]
    cpu = ["-cpu", "rv64,h=true"] if guest.needs_h else []
    machine = ["-M", "virt", *cpu, "-smp", str(harts)]
    command = [QEMU, *machine, *firmware, "-nographic", "-kernel", str(elf)]
    if guest.disk:
        image = elf.with_suffix(".img")
        image.write_bytes(bytes(guest.disk))
        command += ["-global", "virtio-mmio.force-legacy=false"]
        command += ["-drive", f"file={image},format=raw,if=none,id=d0"]
        command += ["-device", "virtio-blk-device,drive=d0"]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=120, check=False
    )
    return done.stdout, done.returncode


@pytest.mark.parametrize("toolchain", TOOLCHAINS, ids=lambda toolchain: toolchain.name)
@pytest.mark.parametrize("name", GUESTS)
def test_builds_and_prints_what_it_must(
    name: str, toolchain: guest_build.Toolchain, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    elf = build(name, toolchain, tmp_path)
    assert "warning" not in capfd.readouterr().err
    content = elf.read_bytes()
    assert ELFFile(BytesIO(content)).get_section_by_name(".symtab") is not None
    assert str(guests.SOURCES).encode() not in content, "it says where it was built"

    guest = info(name)
    if guest.benchmark:
        set_iterations(elf, 2)
    if QEMU is None:
        pytest.skip("built; not run: there is no qemu-system-riscv64")
    expected = guests.expected_output(name)
    for harts in sorted({1, guest.harts}):
        output, status = run_on_qemu(elf, guest, harts)
        if guest.needs_sbi:  # the firmware prints first, and prints carriage returns
            output = output.replace(b"\r", b"")[-len(expected) :]
        assert output.decode() == expected.decode()
        assert status == 0


def test_every_guest_says_what_it_is() -> None:
    for guest in guests.list_guests():
        assert guest.description
        assert guest.max_instructions > 0
        assert guests.expected_output(guest.name).endswith(b"\n")
    assert {"hello", "tinyos"} <= {guest.name for guest in guests.list_guests()}


def test_a_guest_is_built_once(capsys: pytest.CaptureFixture[str]) -> None:
    first = guests.find_guest("hello")
    assert "building guest hello" in capsys.readouterr().err
    changed = first.stat().st_mtime_ns
    assert guests.find_guest("hello") == first
    assert capsys.readouterr().err == ""
    assert first.stat().st_mtime_ns == changed
    assert first.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("damage", [b"", b"\x7fELF\x02 and no more", None], ids=repr)
def test_a_damaged_cache_entry_is_rebuilt(damage: bytes | None) -> None:
    elf = guests.find_guest("hello")
    good = elf.read_bytes()
    elf.write_bytes(good[: len(good) // 2] if damage is None else damage)
    assert guests.find_guest("hello").read_bytes()[:64] == good[:64]
    assert elf.stat().st_size == len(good)


def test_a_cache_that_others_can_write_is_not_used(tmp_path: Path) -> None:
    root = tmp_path / "cache" / "rvemu" / "guests"
    root.mkdir(parents=True)
    root.chmod(0o777)
    assert not guests.find_guest("hello").is_relative_to(root)


def test_a_cache_that_cannot_be_made_is_not_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert guests.find_guest("hello").is_file()


def test_many_may_build_the_same_guest_at_once() -> None:
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(guests.find_guest, ["hello"] * 4))
    (path,) = set(paths)
    assert [entry.name for entry in path.parent.iterdir()] == ["hello.elf"]


def test_installed_guests_need_no_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "it.elf").write_bytes(b"ELF")
    (tmp_path / "it.txt").write_bytes(b"printed\n")
    (tmp_path / "it.toml").write_text('description = "a guest"\nharts = 2\nsources = []\n')
    monkeypatch.setattr(guests, "INSTALLED", tmp_path)
    monkeypatch.setattr(guests, "SOURCES", tmp_path / "absent")
    assert guests.list_guests() == [guests.GuestInfo("it", "a guest", harts=2)]
    assert guests.find_guest("it") == tmp_path / "it.elf"
    assert guests.expected_output("it") == b"printed\n"


def test_an_unknown_guest_is_an_error_that_names_the_known() -> None:
    for lookup in (guests.find_guest, guests.expected_output):
        with pytest.raises(RvemuError, match=r"no guest 'nothing'; there are: .*hello"):
            lookup("nothing")


def test_no_compiler_is_an_error_that_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_build, "available_toolchains", list)
    with pytest.raises(RvemuError, match="pip install ziglang"):
        guests.find_guest("hello")
    monkeypatch.setenv("RVEMU_CC", "gcc")
    with pytest.raises(RvemuError, match="the compiler of RVEMU_CC=gcc"):
        guests.find_guest("hello")
    monkeypatch.setenv("RVEMU_CC", "/no/such/cc")
    with pytest.raises(RvemuError, match="RVEMU_CC names '/no/such/cc'"):
        guests.find_guest("hello")


def test_a_compiler_that_fails_is_an_error_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVEMU_CC", f"{sys.executable} -c 'import sys; sys.exit(3)'")
    with pytest.raises(RvemuError, match="cannot build guest 'hello': exit status 3") as caught:
        guests.find_guest("hello")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sources = [", r"guest\.toml: "),
        ('sources = ["absent.c"]\nlinker_script = "x.ld"', r"no file .*absent\.c"),
        ("sources = []", "'linker_script' is missing"),
        ('sources = []\nlinker_script = "guest.toml"\nembeds = ["absent"]', "there is no .*absent"),
    ],
)
def test_a_bad_recipe_is_an_error_that_names_its_file(
    text: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "guest.toml").write_text(text)
    with pytest.raises(RvemuError, match=message):
        guest_build.Recipe.load(tmp_path)


def test_isa_strings() -> None:
    general = ["m", "a", "f", "d", "zicsr", "zifencei"]
    assert guest_build.extensions("rv64gc_zba_zbb") == [*general, "c", "zba", "zbb"]
    assert guest_build.extensions("rv64imac_zicsr") == ["m", "a", "c", "zicsr"]
