"""The hook in a real Orthanc, with a stub of the node."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
import requests
from pydicom.uid import (
    CTImageStorage,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from pynetdicom import AE, evt

from node.demo.free_ports import free_ports
from node.demo.orthanc_pacs import Modality, OrthancPacs
from node.dicom.equipment import this_node
from tests.pacs.conftest import HOOK, StartOrthanc, log_of
from tests.support.dicom.small_series import small_series
from tests.support.servers.answering_server import AnsweringServer
from tests.support.servers.stub_node import Call, StubNode
from tests.support.waiting import until

OURS = this_node()

StartHooked = Callable[..., OrthancPacs]


@pytest.fixture
def node() -> StubNode:
    """A stub on a free port that does not listen yet."""
    return StubNode(free_ports(1)[0])


@pytest.fixture
def start_hooked(start_orthanc: StartOrthanc, node: StubNode) -> StartHooked:
    """Starts an Orthanc with the hook; keywords are further settings of the hook."""

    def start(modalities: dict[str, Modality] | None = None, **settings: Any) -> OrthancPacs:
        section = {"Url": node.url, "FirstRetrySeconds": 0.2, "LongestRetrySeconds": 1}
        return start_orthanc(
            python_script=HOOK,
            modalities=modalities,
            configuration={"Segnode": section | settings, "StableAge": 1},
        )

    return start


def upload(pacs: OrthancPacs, files: list[Path]) -> Call:
    """Uploads a series; returns the request that the hook must send."""
    for file in files:
        pacs.upload(file)
    header = pydicom.dcmread(files[0], stop_before_pixels=True)
    return Call(
        "/api/retrieve",
        {
            "source": "orthanc",
            "study_instance_uid": header.StudyInstanceUID,
            "series_instance_uid": header.SeriesInstanceUID,
        },
    )


def stable_series(pacs: OrthancPacs) -> list[str]:
    changes = pacs.get("/changes?limit=1000")["Changes"]
    return [change["ID"] for change in changes if change["ChangeType"] == "StableSeries"]


def test_a_stable_ct_series_is_reported_to_the_node_once(
    node: StubNode, start_hooked: StartHooked, tmp_path: Path
) -> None:
    with node:
        pacs = start_hooked()
        expected = upload(pacs, small_series(tmp_path, "first"))
        until(lambda: node.calls, 20, "the node to get the series")
        pacs.stop()
    assert node.calls == [expected]
    assert "Orthanc has stopped" in log_of(pacs)


def test_the_hook_uses_requests_where_it_is_installed(
    node: StubNode, start_hooked: StartHooked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(requests.__file__).parents[1]))
    with node:
        pacs = start_hooked()
        upload(pacs, small_series(tmp_path, "first"))
        until(lambda: node.calls, 20, "the node to get the series")
    assert node.calls[0].user_agent.startswith("python-requests/")


@pytest.mark.parametrize("has_requests", [True, False])
def test_a_redirect_is_no_success_and_no_other_server_gets_the_token(
    start_orthanc: StartOrthanc,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    has_requests: bool,
) -> None:
    if has_requests:
        monkeypatch.setenv("PYTHONPATH", str(Path(requests.__file__).parents[1]))
    token = tmp_path / "token"
    token.write_text("segnode_made-up\n")
    with AnsweringServer(200) as other, AnsweringServer(302, location=other.url) as proxy:
        settings = {"Url": proxy.url, "TokenFile": str(token), "FirstRetrySeconds": 0.2}
        pacs = start_orthanc(
            python_script=HOOK, configuration={"Segnode": settings, "StableAge": 1}
        )
        upload(pacs, small_series(tmp_path, "first"))
        until(lambda: len(proxy.requests) > 1, 20, "the hook to try again")
    assert set(proxy.authorization) == {"Bearer segnode_made-up"}
    assert other.requests == []
    assert "answered 302" in log_of(pacs)
    assert "made-up" not in log_of(pacs)


def test_a_file_without_a_token_is_named_and_not_repeated(
    node: StubNode, start_hooked: StartHooked, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("segnode_made-up\nsecond line\n")
    with node:
        pacs = start_hooked(TokenFile=str(token))
        upload(pacs, small_series(tmp_path, "first"))
        until(lambda: "holds no token of segnode" in log_of(pacs), 20, "the mistake in the log")
        token.write_text("segnode_made-up\n")
        until(lambda: node.calls, 20, "the node to get the series")
    assert "made-up" not in log_of(pacs)


def test_in_mode_store_orthanc_sends_the_series_and_the_hook_starts_the_node(
    node: StubNode, start_hooked: StartHooked, tmp_path: Path
) -> None:
    received: list[str] = []

    def on_store(event: evt.Event) -> int:
        received.append(str(event.dataset.SOPInstanceUID))
        return 0x0000

    entity = AE("NODE")
    entity.add_supported_context(CTImageStorage)
    dicom_port = free_ports(1)[0]
    modality = {"segnode": Modality("NODE", "127.0.0.1", dicom_port)}
    with node:
        pacs = start_hooked(modalities=modality, Mode="store")
        expected = upload(pacs, small_series(tmp_path, "first"))
        until(lambda: "waits" in log_of(pacs), 20, "the first C-STORE to fail")
        address = ("127.0.0.1", dicom_port)
        scp = entity.start_server(address, block=False, evt_handlers=[(evt.EVT_C_STORE, on_store)])
        assert scp is not None
        try:
            until(lambda: node.calls, 20, "the node to get the start request")
        finally:
            scp.shutdown()
    assert len(received) == len(set(received)) == 3
    assert node.calls == [Call(f"/api/series/{expected.body['series_instance_uid']}/start", {})]


@pytest.mark.parametrize(
    "excluded",
    [
        {
            "modality": "SEG",
            "sop_class_uid": SegmentationStorage,
            "manufacturer": OURS.manufacturer,
            "model_name": OURS.model_name,
        },
        {"modality": "MR", "sop_class_uid": MRImageStorage},
        {"modality": "CT", "sop_class_uid": SecondaryCaptureImageStorage},
        {"modality": "CT", "manufacturer": OURS.manufacturer, "model_name": OURS.model_name},
    ],
)
def test_other_modalities_and_our_own_results_are_not_reported(
    node: StubNode, start_hooked: StartHooked, tmp_path: Path, excluded: dict[str, Any]
) -> None:
    with node:
        pacs = start_hooked()
        for file in small_series(tmp_path, "other", **excluded):
            pacs.upload(file)
        until(lambda: len(stable_series(pacs)) == 1, 20, "the other series to be stable")
        # A CT follows: once the node gets the CT, the hook has processed the other series too.
        expected = upload(pacs, small_series(tmp_path, "first"))
        until(lambda: node.calls, 20, "the node to get the CT")
    assert node.calls == [expected]


def test_a_segmentation_by_a_person_is_reported(
    node: StubNode, start_hooked: StartHooked, tmp_path: Path
) -> None:
    with node:
        pacs = start_hooked()
        kind: dict[str, Any] = {"modality": "SEG", "sop_class_uid": SegmentationStorage}
        expected = upload(pacs, small_series(tmp_path, "person", **kind))
        until(lambda: node.calls, 20, "the node to get the segmentation")
    assert node.calls == [expected]


def test_a_late_slice_reports_the_series_again(
    node: StubNode, start_hooked: StartHooked, tmp_path: Path
) -> None:
    with node:
        pacs = start_hooked()
        expected = upload(pacs, small_series(tmp_path, "first", slices=3))
        until(lambda: node.calls, 20, "the node to get the series")
        upload(pacs, small_series(tmp_path, "first", slices=4))
        until(lambda: len(node.calls) > 1, 20, "the node to get the larger series")
    assert node.calls == [expected, expected]


def test_while_the_node_is_down_orthanc_answers_and_the_series_waits(
    node: StubNode, start_hooked: StartHooked, tmp_path: Path
) -> None:
    pacs = start_hooked()
    expected = upload(pacs, small_series(tmp_path, "first"))
    until(lambda: "waits" in log_of(pacs), 20, "the hook to find the node down")
    assert len(pacs.get("/series")) == 1
    with node:
        until(lambda: node.calls, 20, "the node to get the waiting series")
    assert node.calls == [expected]


def test_a_node_without_response_does_not_block_orthanc(
    node: StubNode, start_hooked: StartHooked, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", node.port)) as silent:
        silent.settimeout(20)
        pacs = start_hooked(TimeoutSeconds=30)
        upload(pacs, small_series(tmp_path, "first"))
        connection, _ = silent.accept()
        with connection:
            upload(pacs, small_series(tmp_path, "second"))
            pacs.stop()
            # Upload and stop ended while the hook still waited for the response.
            assert "waits" not in log_of(pacs)
    assert "Orthanc has stopped" in log_of(pacs)


def test_a_waiting_series_survives_a_kill_of_orthanc(
    node: StubNode, start_hooked: StartHooked, tmp_path: Path
) -> None:
    pacs = start_hooked()
    expected = upload(pacs, small_series(tmp_path, "first"))
    until(lambda: "waits" in log_of(pacs), 20, "the hook to find the node down")
    pacs.kill()
    with node:
        pacs.start()
        until(lambda: node.calls, 20, "the node to get the series after the restart")
    assert node.calls == [expected]


def test_a_series_that_is_unstable_at_a_kill_is_reported_after_the_restart(
    node: StubNode, start_hooked: StartHooked, tmp_path: Path
) -> None:
    with node:
        pacs = start_hooked()
        expected = upload(pacs, small_series(tmp_path, "first"))
        pacs.kill()
        assert not node.calls
        pacs.start()
        until(lambda: node.calls, 20, "the node to get the series after the restart")
    assert node.calls == [expected]


def test_a_reported_series_is_not_reported_again_after_a_restart(
    node: StubNode, start_hooked: StartHooked, tmp_path: Path
) -> None:
    with node:
        pacs = start_hooked()
        first = upload(pacs, small_series(tmp_path, "first"))
        until(lambda: node.calls, 20, "the node to get the first series")
        pacs.stop()
        pacs.start()
        second = upload(pacs, small_series(tmp_path, "second"))
        until(lambda: len(node.calls) > 1, 20, "the node to get the second series")
    assert node.calls == [first, second]


def test_series_from_before_the_hook_was_installed_are_not_reported(
    node: StubNode, start_orthanc: StartOrthanc, tmp_path: Path
) -> None:
    with OrthancPacs(tmp_path / "archive", configuration={"StableAge": 1}) as before:
        upload(before, small_series(tmp_path, "first"))
        until(lambda: stable_series(before), 20, "the old series to be stable")
    hooked = OrthancPacs(
        tmp_path / "archive",
        python_script=HOOK,
        configuration={"StableAge": 1, "Segnode": {"Url": node.url}},
    )
    with node, hooked:
        expected = upload(hooked, small_series(tmp_path, "second"))
        until(lambda: node.calls, 20, "the node to get the new series")
    assert node.calls == [expected]


def test_a_refused_series_is_logged_and_not_sent_again(
    node: StubNode, start_hooked: StartHooked, tmp_path: Path
) -> None:
    node.status = 422
    with node:
        pacs = start_hooked()
        refused = upload(pacs, small_series(tmp_path, "first"))
        until(lambda: "is refused" in log_of(pacs), 20, "the refusal in the log")
        node.status = 202
        taken = upload(pacs, small_series(tmp_path, "second"))
        until(lambda: len(node.calls) > 1, 20, "the node to get the second series")
    assert node.calls == [refused, taken]


@pytest.mark.parametrize("status", [404, 500])
def test_a_failing_series_does_not_block_the_next(
    node: StubNode, start_hooked: StartHooked, tmp_path: Path, status: int
) -> None:
    node.status = status
    with node:
        pacs = start_hooked(FirstRetrySeconds=300, LongestRetrySeconds=300)
        failing = upload(pacs, small_series(tmp_path, "first"))
        until(lambda: node.calls, 20, "the first attempt")
        node.status = 202
        taken = upload(pacs, small_series(tmp_path, "second"))
        until(lambda: len(node.calls) > 1, 20, "the node to get the second series")
    assert node.calls == [failing, taken]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"Mode": "carrier-pigeon"}, 'Mode must be "dicomweb" or "store"'),
        ({"Uri": "http://127.0.0.1"}, "Uri is unknown"),
        ({"Url": "127.0.0.1:8080"}, "Url must name the node"),
        ({"TimeoutSeconds": "10"}, "TimeoutSeconds must be a number of seconds above 0"),
    ],
)
def test_an_invalid_setting_is_logged_and_orthanc_continues(
    start_hooked: StartHooked, settings: dict[str, Any], message: str
) -> None:
    pacs = start_hooked(**settings)
    assert message in log_of(pacs)
    assert pacs.running
