"""A served node whose configuration is in its database."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from node.configuration.site_configuration import SiteConfiguration, import_file
from node.settings import load_location, load_revision
from node.store import Store
from node.web.app import create_app
from tests.support.servers.served_node import ServedNode, serving, without_login


@dataclass(frozen=True)
class ConfigurableNode:
    """The node and its configuration; the web process alone runs."""

    served: ServedNode
    configuration: SiteConfiguration

    @property
    def url(self) -> str:
        """The root of the console."""
        return self.served.url

    @property
    def store(self) -> Store:
        """The store."""
        return self.served.store

    @property
    def text(self) -> str:
        """The active configuration."""
        return self.configuration.text()


@contextmanager
def configurable_node(folder: Path, text: str = "") -> Iterator[ConfigurableNode]:
    """Serves a node in `folder`; the first revision has this text."""
    file = folder / "segnode.toml"
    file.write_text(f'data_dir = "data"\nconfig = "database"\n{text}', encoding="utf-8")
    location = load_location(file)
    store = Store.open(location.database_url, location.data_dir)
    import_file(store, file, datetime.now(UTC))
    configuration = SiteConfiguration(store, file)
    settings = without_login(load_revision(file, configuration.text(), "revision 1"))
    app = create_app(settings, store, configuration)
    with serving(app, settings, store) as served:
        yield ConfigurableNode(served, configuration)
