"""The ports that the guide of installation names are those of the settings."""

import re
from pathlib import Path

from pydantic import BaseModel

from node.settings import Settings

GUIDE = (Path(__file__).parents[2] / "deploy" / "installation.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| [^|]+ \| (none|\d+)[^|]* \| `([\w.]+)`", re.MULTILINE)


def port_settings(options: BaseModel, prefix: str) -> dict[str, str]:
    """The port settings of a table with their defaults, as the guide writes them."""
    values = ((name, getattr(options, name)) for name in type(options).model_fields)
    return {
        f"{prefix}.{name}": "none" if value is None else str(value)
        for name, value in values
        if name == "port" or name.endswith("_port")
    }


def test_the_table_of_ports_has_every_port_of_the_node_and_its_default() -> None:
    settings = Settings()
    expected = port_settings(settings.listener, "listener") | port_settings(settings.web, "web")
    assert {setting: default for default, setting in ROW.findall(GUIDE)} == expected


def test_the_console_is_for_its_own_machine_by_default_as_the_guide_says() -> None:
    assert "8080, on loopback only" in GUIDE
    assert Settings().web.host == "127.0.0.1"
