"""Selects the file storage by the settings."""

from node.domain.errors import Misconfigured
from node.settings import Settings
from node.store.files.folder import DataFolder
from node.store.files.interface import Files


def open_files(settings: Settings) -> Files:
    """Returns the file storage that the settings name.

    Raises:
        Misconfigured: the bucket cannot be used, or its client library is not installed.
        Transient: the bucket does not answer.
    """
    if not settings.store_url:
        return DataFolder(settings.data_dir)
    try:
        from node.store.files.s3 import Bucket
        from node.store.files.s3_keys import S3Keys
    except ModuleNotFoundError as error:
        raise Misconfigured(
            f"{error.name} is missing: pip install 'segnode[s3]'",
            file=settings.file,
            key="store_url",
        ) from error
    keys = S3Keys(settings.store_access_key, settings.store_secret_key)
    return Bucket.connect(settings.store_url, settings.store_endpoint, settings.data_dir, keys)
