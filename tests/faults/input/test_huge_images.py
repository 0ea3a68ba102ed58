"""Images that state more pixels than any CT has: refused before memory or time is spent on them.

They come by STOW-RS with HTTPS and a token, by C-STORE with TLS, and as files. The Orthanc hook and
the other ways of retrieval end in the same inbox.
"""

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmwrite

from node.dicom.ct.reader import read_series
from node.domain.errors import Rejected, RejectionReason
from node.domain.series import SeriesState
from pacs_listener.store_status import StoreStatus
from tests.support.dicom.builders import CtFiles
from tests.support.dicom.huge_images import HUGE_IMAGES, huge_ct
from tests.support.factories import series_in
from tests.support.peers.storing import statuses
from tests.support.servers.ruled_listener import RuledListener, ruled_listener
from tests.support.servers.secured_node import SecuredNode, secured_node

pytestmark = [
    # A decoder that begins takes minutes.
    pytest.mark.timeout(120),
    # pydicom warns that the length of Pixel Data does not fit.
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
MAX_PEAK_BYTES = 64 << 20
DICOM = {"Content-Type": "application/dicom"}


@pytest.fixture(params=HUGE_IMAGES)
def huge(request: pytest.FixtureRequest) -> CtFiles:
    return huge_ct(request.param)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredNode]:
    with secured_node(tmp_path_factory.mktemp("node")) as node:
        yield node


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RuledListener]:
    peer = '[peers.ct]\nae_title = "DEMOSENDER"\nhost = "127.0.0.1"\nport = 104\n'
    with ruled_listener(tmp_path_factory.mktemp("listener"), peer) as running:
        yield running


@contextmanager
def little_memory() -> Iterator[None]:
    """Fails where the block allocates much."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MAX_PEAK_BYTES


def test_a_series_of_huge_images_is_refused_by_the_reader(huge: CtFiles, tmp_path: Path) -> None:
    files = huge.write(tmp_path)
    with little_memory(), pytest.raises(Rejected) as refused:
        read_series(files)
    assert refused.value.reason is RejectionReason.UNREADABLE
    assert "more than any CT" in str(refused.value) or "cannot be read" in str(refused.value)


def test_a_huge_image_that_was_uploaded_costs_the_web_process_nothing(
    secured: SecuredNode, huge: CtFiles
) -> None:
    dataset = huge.datasets[0]
    file = BytesIO()
    dcmwrite(file, dataset, enforce_file_format=True)
    series = f"/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
    instance = f"{series}/instances/{dataset.SOPInstanceUID}"
    with secured.program(secured.node.dicomweb_url) as client, little_memory():
        stored = client.post("/studies", content=file.getvalue(), headers=DICOM)
        assert stored.status_code in {200, 409}
        for path in ("", "/rendered", "/frames/1/rendered", "/thumbnail", "/metadata"):
            assert client.get(instance + path).status_code in {200, 404, 503}
        octets = {"Accept": 'multipart/related; type="application/octet-stream"'}
        assert client.get(f"{instance}/frames/1", headers=octets).status_code in {200, 503}
        plain = {"Accept": "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"}
        assert client.get(instance, headers=plain).status_code in {200, 503}


@pytest.mark.parametrize("name", ["rows and columns", "number of frames"])
def test_a_huge_image_that_was_sent_costs_the_listener_nothing(
    listener: RuledListener, name: str, tmp_path: Path
) -> None:
    files = huge_ct(name).write(tmp_path)
    with little_memory():
        assert set(statuses(listener.scp, files[:2])) == {StoreStatus.SUCCESS}
    assert all(series.state is SeriesState.RECEIVING for series in series_in(listener.store))
