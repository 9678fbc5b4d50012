"""rvemu: a RISC-V machine and virtualization laboratory."""

__version__ = "0.1.0"
