"""The certificates and the PACS of the sites that the fault tests damage."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.demo.orthanc_pacs import OrthancPacs, orthanc_missing
from tests.support.peers.secure_port import TlsSite
from tests.support.processes.secured_site import orthanc_settings


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> TlsSite:
    """The certificates of every site of this run."""
    return TlsSite.create(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def tls(certificates: TlsSite) -> TlsSite | None:
    """The certificates of a site with TLS and login.

    None with SEGNODE_PLAIN_SITES, as `make soak` sets it for its second half: plain DICOM, HTTP and
    no login.
    """
    return None if os.environ.get("SEGNODE_PLAIN_SITES") else certificates


@pytest.fixture
def pacs(tmp_path: Path, tls: TlsSite | None) -> Iterator[OrthancPacs]:
    """A PACS that is not running yet."""
    missing = orthanc_missing()
    if missing:
        pytest.skip(missing)
    orthanc = OrthancPacs(tmp_path / "orthanc", configuration=orthanc_settings(tls))
    yield orthanc
    orthanc.kill()
