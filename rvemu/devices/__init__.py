"""The machine's devices, one file for each."""
