"""The store of a site, by the file of its configuration."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node.settings import load_location
from node.store import Store


@contextmanager
def site_store(config: Path) -> Iterator[Store]:
    """Opens the store of the site, and closes it in the end."""
    settings = load_location(config)
    store = Store.open(settings.database_url, settings.data_dir)
    try:
        yield store
    finally:
        store.close()
