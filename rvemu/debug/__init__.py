"""The debugger's side of a machine: a gdbstub target whose threads are the harts.

target.py       the target: what the stub asks for, and who answers
registers.py    register numbers and values; description.py describes them to gdb
memory.py       memory by a hart's own translation
points.py       breakpoints and watchpoints
motion.py       continuing, stepping, and why a hart stopped
trap_stops.py   traps that are shown, or that stop
commands.py     `monitor` commands
session.py      a run of a guest with a debugger beside its console
launch.py       gdb itself, started and attached
"""
