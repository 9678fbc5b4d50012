"""A virtual machine monitor: one guest under several techniques of virtualization.

A virtual machine is a `Machine` whose harts are virtual: its engine is a *mode*, which runs their
instructions on a physical hart as far as the technique allows.

exits.py               why a guest gave up control, as plain data
accounting.py          how often, and what it cost
host.py                the physical machine: a hart, and memory for the VMM's tables
switch.py              giving the hart a guest's state, and taking it back
lookup.py              what is asked of a guest's own tables
page_tables.py         tables that the VMM makes: shadow tables and G-stage tables
protection.py          the guest's own PMP, which these have folded in
monitor.py             the parts of a virtual hart's life that all modes share
answers.py             exits that are answered at once, without Python: what the loops share
deprivileged.py        direct execution in U-mode, for modes whose hart need not have H

trap_and_emulate.py    the mode of a hart without support for virtualization
emulation_loop.py      its exits that are answered at once
shadow.py              shadow page tables, and how they follow the guest's own
patch.py               its variant for harts that are not virtualizable: scan-and-patch

paravirt.py            the mode of guests that make hypercalls
paravirt_loop.py       its exits that are answered at once
hypercalls.py          the interface: calls, and the layouts of what is shared
shared_page.py         the page in place of CSRs: traps, returns, events
direct_paging.py       the guest's own page tables, which the VMM checks and changes
frame_books.py         the rules of that: what frames are, and what entries may say
rings.py               the console's and the disk's rings

hardware.py            the mode of a hart with the hypervisor extension
assisted_loop.py       its exits that are answered at once
control.py             the control structure of that mode: four areas, by field

sbi.py                 the firmware of guests that start in S-mode
sbi_harts.py           its calls that start, stop, interrupt and fence harts
sbi_results.py         what calls return
virtual_machine.py     a guest, its mode, and how to run it
rounds.py              several guests in turns, on one host
comparison.py          one guest under several modes: what differs, and what each costs
report.py              that as a web page
"""
