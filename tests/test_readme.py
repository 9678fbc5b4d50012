"""What the README says can be done, can be done."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from rvemu.cli.main import COMMANDS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "guests" / "README.md"]


def test_the_python_example_runs() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", example], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "exited" in done.stdout
    instructions, traps = re.findall(r"(\d+) instructions, (\d+) traps", done.stdout)[0]
    assert int(instructions) > 1_000_000
    assert int(traps) > 100


def test_its_commands_exist() -> None:
    named = set(re.findall(r"\$ rvemu (\w+)", README))
    assert named
    assert named <= set(COMMANDS)
    for script in re.findall(r"^    (scripts/\w+)", README, re.MULTILINE):
        assert (ROOT / script).stat().st_mode & 0o100


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target
