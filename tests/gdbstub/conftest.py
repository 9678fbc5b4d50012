"""Lets the tests find their helpers (`tests.gdbstub.fake`) whichever way pytest was started.

There is no `__init__.py` here: a second package called gdbstub would hide the real one.
"""

import sys
from pathlib import Path

_ROOT = str(Path(__file__).resolve().parents[2])
if _ROOT not in sys.path:
    sys.path.insert(0, _ROOT)
