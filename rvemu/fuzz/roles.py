"""What registers are for, so that random programs get somewhere."""

# Where code is.
CODE_POINTERS = (1, 5)
# Addresses, most of the time. Few instructions write these.
POINTERS = (2, 8, 9, 10, 11, 12, 20, 21)
# The address of a table of addresses.
TABLE = 3
# For sequences that need a register for themselves.
SCRATCH = (30, 31)
# What trap vectors leave their address in.
VECTOR = 4
# What most instructions write.
DATA = tuple(n for n in range(4, 30) if n not in (*POINTERS, *CODE_POINTERS))
DATA_COMPRESSED = (13, 14, 15)
