"""Errors that are the user's to mend."""


class RvemuError(Exception):
    """A mistake of the user's: one clear line that says what was wrong, where, and what would
    be right. The command line prints it without a traceback and exits with status 2."""
