"""Differential testing: programs about the hypervisor extension, run on Spike and on rvemu, and
compared instruction by instruction.

layout.py    where things are in memory
assembler.py code with labels and constants
elf.py       writes ELF files
tables.py    page tables
values.py    what is written to CSRs
snippets.py  the instructions under test
handlers.py  trap handlers
cases.py     random programs
known.py     differences that the specification allows
follow.py    follows Spike's commit log on rvemu
"""
