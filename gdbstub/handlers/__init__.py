"""What each packet does, grouped by subject. `gdbstub.commands` is the table of all of them.

A handler takes the session's state and what follows the packet's name, and returns the reply's
payload (already escaped); None when the reply comes later or never. TargetError and PacketError
become error replies. An empty reply says that the packet is not supported.
"""
