"""What a data scientist or an administrator got wrong: told in a line, without a traceback."""


class ModelsError(Exception):
    """An error of a package, a data set or a configuration; its message is for people."""
