"""Shared entry point of the node's processes: options, settings, logs and exit status."""

import argparse
import gc
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from node.configuration.follower import ConfigurationFollower
from node.configuration.sources import ConfigurationSource, configuration_source
from node.domain.audit.records import AuditRecord
from node.domain.errors import Misconfigured, NodeError
from node.log import configure_logging
from node.log_limit import LogLimit
from node.processes.exit_status import MISCONFIGURED_STATUS, RESTART_STATUS
from node.runtime.data_folder import close_to_others
from node.runtime.umask import keep_new_files_private
from node.settings import FolderDestination, Settings, host_settings
from node.store import Store
from node.store.database import parse_url
from node.store.opening import opened_store

_LOG = structlog.get_logger()


class RestartNeeded(Exception):
    """The process has stopped to start again: it cannot change its address while it runs."""


@dataclass(frozen=True)
class Host:
    """The host of a process; `settings` open its store, and `file` is its configuration file.

    Where the configuration is in the database, `settings` have defaults for all that it holds.
    `log_limit` is that of the process.
    """

    file: Path | None
    settings: Settings
    log_limit: LogLimit

    def open_store(self) -> Store:
        """Opens the store.

        Raises:
            Misconfigured: the database cannot be used.
            Transient: the database does not answer.
        """
        settings = self.settings
        return opened_store(settings)

    def record_apart(self, record: AuditRecord) -> None:
        """Appends a record to the audit trail; opens the store for it alone.

        Raises:
            Misconfigured: the database cannot be used.
            Transient: the database does not answer.
        """
        store = self.open_store()
        try:
            store.record_soon(record)
        finally:
            store.close()

    def source(
        self, store: Store, role: str, reload_requested: Callable[[], bool]
    ) -> ConfigurationSource:
        """Returns where a process with that role finds its configuration.

        Raises:
            Misconfigured: the file cannot be read.
        """
        process = f"{socket.gethostname()}/{role}"
        return configuration_source(self.file, store, process, reload_requested, utc_now)

    def follower(
        self,
        store: Store,
        role: str,
        reload_requested: Callable[[], bool],
        use: Callable[[Settings], None],
    ) -> ConfigurationFollower:
        """Returns what keeps the process on the active configuration; `use` switches it.

        Before that, the data folder is closed to other users.

        Raises:
            Misconfigured: the file cannot be read.
        """

        def use_privately(settings: Settings) -> None:
            _close_data(settings)
            use(settings)

        return ConfigurationFollower(self.source(store, role, reload_requested), use_privately)


def _close_data(settings: Settings) -> None:
    """Closes the data folder and the database to other users; see `close_to_others`."""
    shared = [
        destination.path
        for destination in settings.destinations.values()
        if isinstance(destination, FolderDestination) and destination.readable_by != "owner"
    ]
    url = parse_url(settings.database_url)
    is_file = url.get_backend_name() == "sqlite" and url.database is not None
    close_to_others(settings.data_dir, Path(str(url.database)) if is_file else None, shared)


def utc_now() -> datetime:
    """The current time, time zone aware."""
    return datetime.now(UTC)


def run_process(
    name: str,
    module: str,
    description: str | None,
    run: Callable[[Host], None],
    arguments: list[str] | None = None,
) -> int:
    """Runs one process of the node with the file of its `--config`; returns the exit status.

    `name` is the prefix of the log events; `arguments` are those of the command line if None.
    """
    keep_new_files_private()
    gc.freeze()  # what the imports created stays
    gc.enable()
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--config", type=Path, help="the configuration (TOML)")
    options = parser.parse_args(arguments)

    def run_on_host() -> None:
        settings = host_settings(options.config)
        run(Host(options.config, settings, configure_logging(settings.log_level)))

    return exit_status(name, run_on_host)


def exit_status(name: str, run: Callable[[], None]) -> int:
    """Runs a process to its end; logs why it failed, and returns the exit status."""
    try:
        run()
    except RestartNeeded:
        _LOG.info(f"{name}.restarts")
        return RESTART_STATUS
    except Misconfigured as error:
        _LOG.error(f"{name}.misconfigured", error=str(error))
        return MISCONFIGURED_STATUS
    except NodeError as error:
        _LOG.error(f"{name}.failed", error=str(error))
        return 1
    return 0
