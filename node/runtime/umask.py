"""The umask of every process and command of the node."""

import os

_PRIVATE = 0o077


def keep_new_files_private() -> None:
    """Makes every file and folder that this process and its children create private to the user.

    Each command and each process of the node starts with this. What others shall read has its
    permissions set explicitly, see `node.store.files.access`.
    """
    os.umask(_PRIVATE)
