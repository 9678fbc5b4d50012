"""Imported first by the scripts that are Python: lets them import rvemu, from this tree. A Python
that has not installed what rvemu needs gives way to the one of .venv, which scripts/demo makes."""

import importlib.util
import os
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_PYTHON = _ROOT / ".venv" / "bin" / "python"

sys.path.insert(0, str(_ROOT))
if importlib.util.find_spec("construct") is None:
    if not _PYTHON.exists() or Path(sys.executable) == _PYTHON:
        sys.exit(f"{sys.argv[0]}: run scripts/demo first: it installs what rvemu needs")
    os.execv(_PYTHON, [str(_PYTHON), *sys.argv])
