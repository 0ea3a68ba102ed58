"""Base class of the errors that users can correct; shown in one line, without a traceback."""


class ModelsError(Exception):
    """A package, data set or configuration cannot be used; the message is written for people."""
