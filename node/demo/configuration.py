"""The demonstration's configuration: free ports, its own folder, one rule and one destination."""

import json
from dataclasses import dataclass
from pathlib import Path

from node.demo.free_ports import free_ports
from node.demo.orthanc_pacs import Modality, OrthancPacs

_AE_TITLE = "SEGNODE"
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class DemoSite:
    """The folder and the ports of one demonstration."""

    folder: Path
    dicom_port: int
    web_port: int

    @property
    def config_file(self) -> Path:
        """The configuration file of the node."""
        return self.folder / "segnode.toml"

    @property
    def data_dir(self) -> Path:
        """The node's data folder."""
        return self.folder / "node"

    @property
    def console_url(self) -> str:
        """The address of the web console."""
        return f"http://{_LOOPBACK}:{self.web_port}/"

    @property
    def dicomweb_url(self) -> str:
        """The root of the node's QIDO-RS and WADO-RS."""
        return f"{self.console_url}dicom-web"


def new_site(folder: Path) -> DemoSite:
    """Returns a site in `folder` with ports that are free now."""
    dicom_port, web_port = free_ports(2)
    return DemoSite(folder, dicom_port, web_port)


def orthanc_for(site: DemoSite) -> OrthancPacs:
    """Returns an Orthanc, not yet started, that lists the site's node as a modality."""
    node = Modality(_AE_TITLE, _LOOPBACK, site.dicom_port)
    return OrthancPacs(
        site.folder / "orthanc", modalities={"segnode": node}, configuration=_ACCEPT_ANY_SENDER
    )


# The demonstration's sender acts as the modality; Orthanc does not list its AE title.
_ACCEPT_ANY_SENDER = {"DicomAlwaysAllowStore": True, "DicomCheckModalityHost": False}


def write_config(site: DemoSite, orthanc: OrthancPacs | None) -> None:
    """Writes the configuration: one rule, whose destination is Orthanc or an archive folder."""
    lines = [
        "# The demonstration's configuration; every setting is explained in deploy/segnode.toml.",
        f"data_dir = {_toml_string(site.data_dir)}",
        'log_level = "warning"',
        "",
        "[listener]",
        f'ae_title = "{_AE_TITLE}"',
        f'host = "{_LOOPBACK}"',
        f"port = {site.dicom_port}",
        "",
        "[web]",
        f"port = {site.web_port}",
        "",
        *_destination_lines(site, orthanc),
        "",
        "[[rules]]",
        'name = "liver"',
        'model = "liver-ct"',
        'destinations = ["pacs"]',
        "quiet_seconds = 2",
        'when = { attribute = "Modality", equals = "CT" }',
    ]
    site.folder.mkdir(parents=True, exist_ok=True)
    site.config_file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _destination_lines(site: DemoSite, orthanc: OrthancPacs | None) -> list[str]:
    if orthanc is None:
        return [
            "[destinations.pacs]",
            'kind = "folder"',
            f"path = {_toml_string(site.data_dir / 'archive')}",
        ]
    return [
        "[peers.sender]",
        'ae_title = "DEMOSENDER"',
        f'host = "{_LOOPBACK}"',
        "port = 104",
        "",
        "[peers.orthanc]",
        f'ae_title = "{orthanc.ae_title}"',
        f'host = "{_LOOPBACK}"',
        f"port = {orthanc.dicom_port}",
        "",
        "[destinations.pacs]",
        'kind = "cstore"',
        'peer = "orthanc"',
    ]


def _toml_string(path: Path) -> str:
    """Returns a TOML basic string; JSON's escape sequences are a subset of TOML's."""
    return json.dumps(str(path))
