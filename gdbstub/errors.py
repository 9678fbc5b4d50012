"""The errors that the stub knows, apart from our own mistakes.

Any other exception is a bug, in this package or in the target, and passes through with its
traceback.
"""


class TargetError(Exception):
    """The target could not do what was asked; the client is told, and the session goes on.

    `number` is the `E NN` error number (1-255; GDB manual, "Standard Replies"). The message is
    sent to clients that announced that they understand error text, and is dropped for others.
    """

    def __init__(self, message: str, number: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.number = number


class TargetFatalError(TargetError):
    """The target is beyond use: the client is told, and then the session ends."""


class PacketError(TargetError):
    """The client sent a packet that does not follow the protocol; it gets an error reply."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 0x16)  # EINVAL, as gdbserver's errors are numbered


class EndpointError(Exception):
    """An address cannot be understood or listened on. The message is one line for the user."""
