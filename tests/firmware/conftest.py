"""The firmware, built by every compiler there is, and a guest that tries it."""

from pathlib import Path

import pytest

from rvemu import guest_build

HERE = Path(__file__).parent
FIRMWARE = HERE.parent.parent / "firmware"


def _build(recipe: guest_build.Recipe, toolchain: guest_build.Toolchain, output: Path) -> Path:
    guest_build.build(recipe, toolchain, output)
    return output


@pytest.fixture(
    scope="session", params=guest_build.available_toolchains() or [None], ids=lambda t: t and t.name
)
def firmware(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The firmware's ELF file."""
    if request.param is None:
        pytest.skip("no RISC-V compiler")
    recipe = guest_build.Recipe.load(FIRMWARE, "firmware.toml")
    return _build(recipe, request.param, tmp_path_factory.mktemp("firmware") / "firmware.elf")


@pytest.fixture(scope="session")
def sbi_guest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A guest that asks firmware for everything."""
    toolchains = guest_build.available_toolchains()
    if not toolchains:
        pytest.skip("no RISC-V compiler")
    # Its sources lie in two places, and the compiler runs in what is above both.
    recipe = guest_build.Recipe.load(HERE / "sbi_guest")
    recipe = guest_build.Recipe(**{**vars(recipe), "root": HERE.parent.parent})
    return _build(recipe, toolchains[0], tmp_path_factory.mktemp("guest") / "sbi.elf")
