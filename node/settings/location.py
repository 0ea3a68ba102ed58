"""The settings that say where a host keeps its data: the file of each host holds them.

With `config = "database"`, the other settings come from the active revision in the database.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
