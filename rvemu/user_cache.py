"""Where rvemu keeps what it can make or fetch again."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """The folder for the user's cached files: `$XDG_CACHE_HOME/rvemu` or `~/.cache/rvemu`. Raises
    RuntimeError where the user has no home."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache") / "rvemu"
