"""What the tests of commands share, beside fixtures."""

import subprocess
from collections.abc import Callable

#: Runs `rvemu` with some arguments, as the fixture of that name does.
Run = Callable[..., "subprocess.CompletedProcess[str]"]
