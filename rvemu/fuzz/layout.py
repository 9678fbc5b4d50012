"""Where things are in the memory of a case."""

PAGE = 4096
RAM_BASE = 0x8000_0000
RAM_PAGES = 64
RAM_SIZE = RAM_PAGES * PAGE
ROM_BASE = 0x1000

# Pages of RAM by number.
CODE_PAGES = range(6)
M_HANDLER_PAGE = 6
S_HANDLER_PAGE = 7
POINTER_PAGE = 8
DATA_PAGES = range(9, 30)
TABLE_PAGES = range(30, RAM_PAGES)

# Handlers begin after this many bytes of vectors.
HANDLER_ENTRY = 128

# Virtual addresses at which page tables show RAM. That of the supervisor is where RAM itself is.
SUPERVISOR_WINDOW = RAM_BASE
USER_WINDOW = 0x0040_0000
MEGAPAGE_WINDOW = RAM_BASE + 0x20_0000
GIGAPAGE_WINDOW = 0xC000_0000
HIGH_WINDOW = 0xFFFF_FFFF_8000_0000
DEVICE_WINDOW = 0x1_0000_0000

WINDOWS = (
    SUPERVISOR_WINDOW,
    USER_WINDOW,
    MEGAPAGE_WINDOW,
    GIGAPAGE_WINDOW,
    HIGH_WINDOW,
    DEVICE_WINDOW,
)

# Physical addresses of devices, where there is nothing but what the rig answers.
DEVICE = 0x1000_0000
