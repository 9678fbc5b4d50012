"""Random machine states and programs, run on two engines that must agree.

roles.py     what registers are for
idioms.py    short sequences of instructions that mean something together
words.py     instructions: a pool of encodings to draw programs from
layout.py    where things are in memory
tables.py    page tables, plausible and not
states.py    registers, CSRs, PMP
programs.py  code pages, and trap handlers that go on somewhere
cases.py     a case: all of this, made from a seed and a number
rig.py       harts and memory under an engine, to run cases on
coverage.py  what the cases have reached
fuzzer.py    runs cases, compares, and finds the first instruction that differs
"""
