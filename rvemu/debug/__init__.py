"""The debugger's side of machines: a gdbstub target whose processes are machines, and whose threads
are their harts.

target.py       the target: what the stub asks for, and which process answers
process.py      one machine, and all that a debugger has to do with it
registers.py    register numbers and values; description.py describes them to gdb
memory.py       memory by a hart's own translation
points.py       breakpoints and watchpoints
motion.py       continuing, stepping, and why a hart stopped
trap_stops.py   traps that are shown, or that stop
commands.py     `monitor` commands
pump.py         serving a debugger: the guests' turn, then the debugger's
session.py      a run of a guest with a debugger beside its console
virtual.py      virtual machines that run in turns, under one debugger
launch.py       gdb itself, started and attached
"""
