"""Opens the store that the settings name."""

from node.settings import Settings
from node.store.files.factory import open_files
from node.store.store import Store


def opened_store(settings: Settings) -> Store:
    """Opens the database and the file storage of the settings.

    Raises:
        Misconfigured: one of them cannot be used; see `Store.open`.
        Transient: one of them does not answer.
    """
    files = open_files(settings)
    return Store.open(
        settings.database_url, settings.data_dir, files, password=settings.database_password
    )
