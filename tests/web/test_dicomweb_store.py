"""STOW-RS of the node, with dicomweb-client and with malformed requests."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom import Dataset, dcmread
from pydicom.uid import MPEG2MPML, MRImageStorage

from node.domain.errors import Transient
from node.domain.identifiers import Uid
from node.domain.instance import Channel, Origin
from node.intake.inbox import Inbox
from node.intake.part10 import part10_bytes, received_from_part10
from tests.support.dicom.small_ct import SLICES, small_ct
from tests.support.factories import series_in
from tests.support.servers.served_node import ServedNode


def test_stored_instances_go_through_the_inbox_once(
    client: DICOMwebClient, node: ServedNode, tmp_path: Path
) -> None:
    datasets = [dcmread(path) for path in small_ct().write(tmp_path / "ct")]
    answer = client.store_instances(datasets)
    assert len(answer.ReferencedSOPSequence) == SLICES
    assert "FailedSOPSequence" not in answer
    (series,) = series_in(node.store)
    assert series.instance_count == SLICES
    assert series.origin == "dicomweb 127.0.0.1"
    url = answer.ReferencedSOPSequence[0].RetrieveURL
    # dicomweb-client sends a Host header without the port.
    assert httpx.get(node.url + urlsplit(url).path).status_code == 200
    again = client.store_instances(datasets, series.study_instance_uid)
    assert len(again.ReferencedSOPSequence) == SLICES
    assert node.series(series.series_instance_uid).instance_count == SLICES


def part10(dataset: Dataset) -> bytes:
    """Returns the data set as a DICOM file."""
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def stow(node: ServedNode, *contents: bytes, study: str = "") -> httpx.Response:
    """Sends a STOW-RS request with these parts, well-formed or not."""
    body = b"".join(
        b"--next\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n"
        for content in contents
    )
    content_type = 'multipart/related; type="application/dicom"; boundary=next'
    url = f"{node.dicomweb_url}/studies{study}"
    return httpx.post(url, content=body + b"--next--\r\n", headers={"Content-Type": content_type})


def test_each_instance_that_cannot_be_stored_has_a_failure_reason(node: ServedNode) -> None:
    good, other = small_ct().datasets[:2]
    other.SOPClassUID = other.file_meta.MediaStorageSOPClassUID = MRImageStorage

    some = stow(node, part10(good), part10(other), b"no DICOM at all")
    assert some.status_code == 202
    outcome = Dataset.from_json(some.json())
    assert outcome.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == good.SOPInstanceUID
    assert outcome.FailedSOPSequence[0].ReferencedSOPInstanceUID == other.SOPInstanceUID
    assert outcome.FailedSOPSequence[0].FailureReason == 0x0122
    assert outcome.OtherFailuresSequence[0].FailureReason == 0xC000

    received = received_from_part10(part10(good), Origin(Channel.FOLDER, "test"))
    video = stow(node, part10_bytes(replace(received, transfer_syntax_uid=Uid(MPEG2MPML))))
    assert video.status_code == 409
    assert Dataset.from_json(video.json()).FailedSOPSequence[0].FailureReason == 0xC122

    elsewhere = stow(node, part10(good), study="/1.2.3")
    assert elsewhere.status_code == 409
    assert Dataset.from_json(elsewhere.json()).FailedSOPSequence[0].FailureReason == 0x0110


def test_a_request_without_dicom_is_refused_with_the_expected_media_type(node: ServedNode) -> None:
    answer = httpx.post(f"{node.dicomweb_url}/studies", json={"a": 1})
    assert answer.status_code == 415
    assert "multipart/related" in answer.json()["message"]
    assert stow(node).status_code == 400


def test_a_series_waits_for_its_images_that_could_not_be_stored(node: ServedNode) -> None:
    good, other = small_ct().datasets[:2]
    received = received_from_part10(part10(other), Origin(Channel.FOLDER, "test"))
    compressed = part10_bytes(replace(received, transfer_syntax_uid=Uid(MPEG2MPML)))
    assert stow(node, part10(good), compressed).status_code == 202
    missing = node.store.incomplete_series()[Uid(good.SeriesInstanceUID)]
    assert missing.refused == 1
    explained = httpx.get(f"{node.url}/api/series/{good.SeriesInstanceUID}/explain").json()
    assert "One image of this series was refused and is missing" in explained["text"]

    assert stow(node, part10(other)).status_code == 200
    assert node.store.incomplete_series() == {}


def test_of_a_request_that_cannot_be_read_to_its_end_nothing_is_stored(node: ServedNode) -> None:
    good = part10(small_ct().datasets[0])
    body = b"--next\r\nContent-Type: application/dicom\r\n\r\n" + good + b"\r\n--next\r\n"
    content_type = 'multipart/related; type="application/dicom"; boundary=next'
    url, headers = f"{node.dicomweb_url}/studies", {"Content-Type": content_type}
    assert httpx.post(url, content=body, headers=headers).status_code == 400
    assert series_in(node.store) == []


def test_a_sender_without_space_leaves_its_series_incomplete(
    node: ServedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = small_ct().datasets[:2]
    assert stow(node, part10(first)).status_code == 200
    with monkeypatch.context() as full:
        full.setattr(Inbox, "check_free_space", _no_space)
        assert stow(node, part10(second)).status_code == 503
    (missing,) = node.store.incomplete_series().values()
    assert missing.text.endswith("the node has turned the sender away (no space).")

    assert stow(node, part10(second)).status_code == 200
    assert node.store.incomplete_series() == {}


def _no_space(_inbox: Inbox) -> None:
    raise Transient("no space")
