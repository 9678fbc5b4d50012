"""Puts the guests and the firmware, built, into the wheel: to run them then needs no compiler.

Hatch runs this when it makes a wheel. The guests go to ``rvemu/_guests`` as NAME.elf, NAME.txt
(what it must print) and NAME.toml (its description), where `rvemu.guests` looks first; the firmware
to ``rvemu/_firmware/firmware.elf``, where `rvemu.firmware` does.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class GuestsBuildHook(BuildHookInterface[Any]):
    """Builds every folder of ``guests/`` that has a guest.toml, and ``firmware/``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Builds them, unless the wheel only points to this source tree ("editable"):
        there they are built when they are first asked for."""
        if self.target_name != "wheel" or version == "editable":
            return
        root = Path(self.root)
        guest_build = import_from_source(root, "guest_build")
        # Kept until the wheel has its copies: it is removed with this object.
        self.scratch = tempfile.TemporaryDirectory(prefix="rvemu-wheel-")
        toolchain = guest_build.find_toolchain()
        self.app.display_info(f"building guests with {toolchain.name}")
        for description in sorted((root / "guests").glob("*/guest.toml")):
            folder = description.parent
            elf = Path(self.scratch.name) / f"{folder.name}.elf"
            guest_build.build(guest_build.Recipe.load(folder), toolchain, elf)
            target = f"rvemu/_guests/{folder.name}"
            build_data["force_include"][str(elf)] = f"{target}.elf"
            build_data["force_include"][str(folder / "expected.txt")] = f"{target}.txt"
            build_data["force_include"][str(description)] = f"{target}.toml"
        elf = Path(self.scratch.name) / "sbi-firmware.elf"
        recipe = guest_build.Recipe.load(root / "firmware", "firmware.toml")
        guest_build.build(recipe, toolchain, elf)
        build_data["force_include"][str(elf)] = "rvemu/_firmware/firmware.elf"


def import_from_source(root: Path, name: str) -> Any:
    """Imports one module of rvemu from the source tree without running the package's own
    ``__init__``, whose imports are not installed while the package is built."""
    package = types.ModuleType("rvemu")
    package.__path__ = [str(root / "rvemu")]
    sys.modules["rvemu"] = package
    return importlib.import_module(f"rvemu.{name}")
