"""Running the command itself."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rvemu.firmware import find_firmware
from tests.cli.command import Run
from tests.small_programs import elf


@pytest.fixture(autouse=True)
def python_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run what is tested, installed or not."""
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{root}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")


@pytest.fixture(scope="session", autouse=True)
def built_firmware() -> None:
    """Commands that need the firmware find it built, and do not say that they build it."""
    find_firmware()


@pytest.fixture
def rvemu(tmp_path: Path) -> Run:
    """Runs `rvemu` with some arguments in an empty folder."""

    def run(
        *arguments: str, text: str = "", **options: object
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "rvemu", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            input=text,
            timeout=60,
            check=False,
            **options,  # type: ignore[call-overload]
        )

    return run


@pytest.fixture
def guest(tmp_path: Path) -> Callable[..., str]:
    """Makes an ELF file of code and symbols; its name."""

    def make(code: bytes, **symbols: int) -> str:
        (tmp_path / "guest.elf").write_bytes(elf(code, **symbols))
        return "guest.elf"

    return make
