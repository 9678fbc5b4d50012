"""The firmware in the wheel, and which one is used."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rvemu import firmware, guest_build

ROOT = Path(__file__).parent.parent.parent

# Runs the build hook as hatch does, but without hatch.
HOOK = """
import sys, types
from pathlib import Path

class Interface:
    def __class_getitem__(cls, _): return cls

names = "hatchling.builders.hooks.plugin.interface".split(".")
for n in range(len(names)):
    sys.modules[".".join(names[: n + 1])] = types.ModuleType(names[n])
sys.modules[".".join(names)].BuildHookInterface = Interface
sys.path.insert(0, sys.argv[1])
import hatch_build

hook = hatch_build.GuestsBuildHook()
hook.root, hook.target_name = sys.argv[1], "wheel"
hook.app = types.SimpleNamespace(display_info=print)
data = {"force_include": {}}
hook.initialize("standard", data)
for source, target in data["force_include"].items():
    assert Path(source).is_file(), source
    print(target)
"""

# A compiler that is quickly done.
COMPILER = """#!/bin/sh
while [ "$1" != -o ]; do shift; done
echo made > "$2"
"""


def test_the_wheel_has_guests_and_firmware(tmp_path: Path) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text(COMPILER)
    compiler.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", HOOK, str(ROOT)],
        cwd=tmp_path,
        env={**os.environ, "RVEMU_CC": str(compiler)},
        capture_output=True,
        text=True,
        check=False,
    )
    targets = done.stdout.splitlines()
    assert "rvemu/_firmware/firmware.elf" in targets, done
    assert {f"rvemu/_guests/hello.{end}" for end in ("elf", "txt", "toml")} <= set(targets)


def test_what_is_installed_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    installed = tmp_path / "firmware.elf"
    monkeypatch.setattr(firmware, "INSTALLED", installed)
    if guest_build.available_toolchains():
        made = firmware.find_firmware()
        assert tmp_path in made.parents
        assert made.read_bytes()[:4] == b"\x7fELF"
        assert firmware.find_firmware() == made, "built once"
    installed.touch()
    assert firmware.find_firmware() == installed
