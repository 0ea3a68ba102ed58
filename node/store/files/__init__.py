"""File storage for received images and results: a folder, or a bucket that all hosts share."""

from node.store.files.folder import DataFolder
from node.store.files.interface import Files, StoredFile

__all__ = ["DataFolder", "Files", "StoredFile"]
