"""Benchmarks: the word that says how often a guest repeats its work."""

from pathlib import Path

import pytest

from rvemu import guest_build, guests
from rvemu.bench import iterations_of, others, with_iterations
from rvemu.errors import RvemuError

if not guests.INSTALLED.is_dir() and not guest_build.available_toolchains():
    pytest.skip("no RISC-V compiler: install ziglang or a GCC", allow_module_level=True)


@pytest.mark.parametrize("name", ["bench-int", "bench-int-vs"])
def test_only_the_guests_own_word_changes(name: str, tmp_path: Path) -> None:
    """bench-int-vs embeds a guest that has such a word, too."""
    path = guests.find_guest(name)
    before = path.read_bytes()
    assert before.count(iterations_of(path).to_bytes(8, "little")) >= 1
    patched = tmp_path / "patched.elf"
    patched.write_bytes(with_iterations(path, 0x1122_3344_5566_7788))
    assert iterations_of(patched) == 0x1122_3344_5566_7788
    after = patched.read_bytes()
    changed = [n for n, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    assert changed == list(range(changed[0], changed[0] + 8))


def test_a_guest_without_the_word_is_no_benchmark() -> None:
    with pytest.raises(RvemuError, match="no symbol bench_iterations"):
        iterations_of(guests.find_guest("hello"))


def test_a_hypervisor_is_not_measured_on_spike() -> None:
    assert "spike" not in others("bench-int-vs")
