"""Where received images and results are kept: a folder, or a bucket that all hosts share."""

from node.store.files.folder import DataFolder
from node.store.files.interface import Files, KeptFile

__all__ = ["DataFolder", "Files", "KeptFile"]
