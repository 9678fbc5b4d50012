"""What the README says can be done, can be done."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from rvemu.cli.main import COMMANDS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = [
    *(ROOT / folder / "README.md" for folder in (".", "guests", "firmware")),
    *sorted((ROOT / "docs").glob("*.md")),
]


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target, _, anchor in re.findall(r"\]\(([^)#]*)(#([^)]+))?\)", page.read_text()):
        if "://" not in target:
            other = page.parent / target if target else page
            assert other.exists(), target
            assert not anchor or anchor in anchors(other), f"{target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """What links may name in a page: its headings, in lower case, without punctuation."""
    headings = re.findall(r"^#+ (.*)", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_modules_of_the_layers_exist() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    layers = page.partition("## Layers")[2].partition("\n## ")[0]
    names = [
        name
        for line in re.findall(r"^    (?=rvemu/)(.*)", layers, re.MULTILINE)
        for name in re.findall(r"(?:^|(?<= ))[\w/]+(?:/|\.py)(?= |$)", line)
    ]
    assert len(names) > 40
    for name in names:
        assert (ROOT / "rvemu" / name.removeprefix("rvemu/")).exists(), name
