"""Where the parts of a program are, and what the three address spaces look like.

HS- and U-mode (satp): physical addresses, and the same again for U-mode at USER_ALIAS.
VS- and VU-mode (vsatp): the same over guest-physical addresses, which hgatp maps to themselves.
Pages for tests are at PAGES in both, and lead to GUEST_PAGES with vsatp, which lead to DATA.
"""

RAM_BASE = 0x8000_0000
RAM_MIB = 16
PAGE = 0x1000

SCRIPT = RAM_BASE  # M-mode: sets each step up, and looks at what became of it
HANDLERS = RAM_BASE + 0x40_0000
STAGE = RAM_BASE + 0x41_0000  # the instructions under test
STEP_SIZE = 64  # bytes of STAGE for each step
TABLES = RAM_BASE + 0x42_0000
DATA = RAM_BASE + 0x46_0000
HOST = RAM_BASE + 0x47_0000  # tohost and fromhost

USER_ALIAS = 0xC000_0000  # of RAM_BASE, where U=1
PAGES = 0x20_0000_0000  # virtual
GUEST_PAGES = 0x12_3400_0000  # guest-physical
PAGE_COUNT = 8
NOTHING = 0x7000_0000  # no memory and no device

MTIMECMP = 0x200_4000
