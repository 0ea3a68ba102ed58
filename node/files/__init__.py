"""Where received images and results are kept: a folder, or a bucket that all hosts share."""

from node.files.files import Files, KeptFile
from node.files.folder import DataFolder

__all__ = ["DataFolder", "Files", "KeptFile"]
