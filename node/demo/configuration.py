"""The demonstration's site: a configuration for one run, with free ports and its own folder."""

import json
from dataclasses import dataclass
from pathlib import Path

from node.demo.orthanc_pacs import Modality, OrthancPacs, free_ports

_AE_TITLE = "SEGNODE"
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class DemoSite:
    """Where everything of one demonstration lies and listens."""

    folder: Path
    dicom_port: int
    web_port: int

    @property
    def config_file(self) -> Path:
        """The configuration that the node runs with; a start for one's own."""
        return self.folder / "segnode.toml"

    @property
    def data_dir(self) -> Path:
        """What the node keeps."""
        return self.folder / "node"

    @property
    def console_url(self) -> str:
        """The page that shows what came in and what became of it."""
        return f"http://{_LOOPBACK}:{self.web_port}/"

    @property
    def dicomweb_url(self) -> str:
        """The node's own QIDO-RS and WADO-RS."""
        return f"{self.console_url}dicom-web"


def new_site(folder: Path) -> DemoSite:
    """A site below `folder`, on ports that are free now."""
    dicom_port, web_port = free_ports(2)
    return DemoSite(folder, dicom_port, web_port)


def orthanc_for(site: DemoSite) -> OrthancPacs:
    """An Orthanc that knows the site's node; not started yet."""
    node = Modality(_AE_TITLE, _LOOPBACK, site.dicom_port)
    return OrthancPacs(
        site.folder / "orthanc", modalities={"segnode": node}, configuration=_OPEN_TO_SENDERS
    )


# The demonstration's sender plays the modality; its AE title need not be listed.
_OPEN_TO_SENDERS = {"DicomAlwaysAllowStore": True, "DicomCheckModalityHost": False}


def write_config(site: DemoSite, orthanc: OrthancPacs | None) -> None:
    """Write the configuration: one rule, whose destination is Orthanc or an archive folder."""
    lines = [
        "# The demonstration's configuration; every setting is explained in deploy/segnode.toml.",
        f"data_dir = {_quoted(site.data_dir)}",
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
        *_destination(site, orthanc),
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


def _destination(site: DemoSite, orthanc: OrthancPacs | None) -> list[str]:
    if orthanc is None:
        return [
            "[destinations.pacs]",
            'kind = "folder"',
            f"path = {_quoted(site.data_dir / 'archive')}",
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


def _quoted(path: Path) -> str:
    """A TOML basic string; JSON's escapes are a subset of TOML's."""
    return json.dumps(str(path))
