"""The settings that say where a host keeps its data: the file of each host holds them.

With `config = "database"`, the other settings come from the active revision in the database.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from node.domain.errors import Misconfigured
from node.settings.alerting import AlertOptions
from node.settings.options import Settings
from node.settings.toml_source import TomlSource

# `log_level` and `catalogues` depend on the host, too: what it logs, and which models it has.
LOCATION_KEYS = (
    "config",
    "data_dir",
    "database_url",
    "database_password_env",
    "database_password_file",
    "store_url",
    "store_endpoint",
    "store_access_key",
    "store_secret_key_env",
    "store_secret_key_file",
    "log_level",
    "catalogues",
)


# Its folder holds a part of a backup that is being restored.
_RESTORING = "restoring"


def location_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns those of the values that say where the host keeps its data."""
    return {key: value for key, value in values.items() if key in LOCATION_KEYS}


def revision_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values that a revision holds."""
    return {key: value for key, value in values.items() if key not in LOCATION_KEYS}


def is_in_database(file: Path | None) -> bool:
    """Whether the configuration of this host is in the database.

    Raises:
        Misconfigured: the file cannot be read, or is not valid TOML.
    """
    return file is not None and TomlSource.read(file).values.get("config") == "database"


def restore_mark(data_dir: Path) -> Path:
    """The file that exists while a backup is restored into the folder; it identifies the backup."""
    return data_dir / _RESTORING


def refuse_unfinished_restore(data_dir: Path) -> None:
    """Checks that the folder is not one into which a backup has been restored in part.

    Raises:
        Misconfigured: it is; says how to finish.
    """
    mark = restore_mark(data_dir)
    if mark.exists():
        raise Misconfigured(
            f"the restore of a backup into {data_dir} has not finished: run `segnode restore` "
            "again with the same backup, or restore into an empty folder",
            key="data_dir",
        )


def with_absolute_paths(settings: Settings, base: Path) -> Settings:
    """Returns the settings with paths that start from `base`, and with the default database."""
    data_dir = base / settings.data_dir
    update = {
        "data_dir": data_dir,
        "database_url": settings.database_url or f"sqlite:///{data_dir / 'segnode.db'}",
        "catalogues": tuple(base / folder for folder in settings.catalogues),
        **{
            name: {key: _in_table(table, base) for key, table in tables.items()}
            for name, tables in (
                ("destinations", settings.destinations),
                ("peers", settings.peers),
                ("sources", settings.sources),
                ("worklists", settings.worklists),
            )
        },
        "dicom_tls": _in_table(settings.dicom_tls, base),
        "web": _in_table(settings.web, base),
        "alerts": _in_alerts(settings.alerts, base),
    }
    return settings.model_copy(update=update)


def _in_alerts(alerts: AlertOptions, base: Path) -> AlertOptions:
    channels = {
        name: _in_table(channel, base)
        for name, channel in (("webhook", alerts.webhook), ("mail", alerts.mail))
        if channel is not None
    }
    return alerts.model_copy(update=channels)


def _in_table(options: BaseModel, base: Path) -> BaseModel:
    """Returns a table of settings in which each path is absolute."""
    paths = {key: base / value for key, value in options if isinstance(value, Path)}
    return options.model_copy(update=paths)
