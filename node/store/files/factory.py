"""From what a site has set to where its files are."""

from node.domain.errors import Misconfigured
from node.settings import Settings
from node.store.files.folder import DataFolder
from node.store.files.interface import Files


def files_from(settings: Settings) -> Files:
    """The place of the site's files.

    Raises:
        Misconfigured: the bucket cannot be used, or what it takes is not installed.
        Transient: the bucket does not answer.
    """
    if not settings.store_url:
        return DataFolder(settings.data_dir)
    try:
        from node.store.files.s3 import Bucket
    except ModuleNotFoundError as error:
        raise Misconfigured(
            f"{error.name} is missing: pip install 'segnode[s3]'",
            file=settings.file,
            key="store_url",
        ) from error
    return Bucket.connect(settings.store_url, settings.store_endpoint, settings.data_dir)
