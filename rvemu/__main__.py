"""`python -m rvemu`."""

import sys

from rvemu.cli.main import main

sys.exit(main())
