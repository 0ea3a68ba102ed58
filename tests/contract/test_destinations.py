"""Every destination fulfils the same contract, against real servers."""

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)
from pynetdicom import AE, evt

from node.delivery.cstore import CStore
from node.delivery.destination import Destination, ResultFile
from node.delivery.dicomweb import DicomWeb
from node.delivery.folder import Folder
from node.demo.free_ports import free_ports
from node.demo.orthanc_pacs import OrthancPacs, orthanc_missing
from node.dicom.ct.reader import read_series
from node.dimse import scu, store_sending
from node.domain.errors import NotAccepted, Rejected, Transient
from node.domain.identifiers import AeTitle, mint_uid
from tests.support.dicom.builders import ct_series
from tests.support.dicom.results import content_of, encoded_seg, part10
from tests.support.peers.stow_server import StowServer
from tests.support.waiting import until

_OURS = AeTitle("SEGNODE")


@dataclass(frozen=True)
class DestinationCase:
    """A destination, an unreachable one of the same type, and a way to read its content."""

    destination: Destination
    unreachable: Destination
    stored_files: Callable[[ResultFile], list[bytes]]  # contents of the files of a result


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancPacs]:
    """One Orthanc for all tests; each sends an object of its own."""
    missing = orthanc_missing()
    if missing:
        pytest.skip(missing)
    with OrthancPacs(tmp_path_factory.mktemp("orthanc")) as running:
        yield running


@pytest.fixture
def result(tmp_path: Path, request: pytest.FixtureRequest) -> ResultFile:
    """An object that no other test sends."""
    dataset = dcmread(str(get_testdata_file("CT_small.dcm")))
    test = request.node.nodeid
    dataset.StudyInstanceUID = study = mint_uid("study", test)
    dataset.SeriesInstanceUID = series = mint_uid("series", test)
    dataset.SOPInstanceUID = instance = mint_uid("instance", test)
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(instance)
    path = tmp_path / "result.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return ResultFile(path, study, series, instance)


@pytest.fixture(params=["cstore", "dicomweb", "folder"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> DestinationCase:
    """Each type of destination."""
    if request.param == "folder":
        blocked = tmp_path / "a file, not a folder"
        blocked.write_text("")
        return DestinationCase(
            Folder("archive", tmp_path / "archive"),
            Folder("archive", blocked / "archive"),
            lambda result: [p.read_bytes() for p in (tmp_path / "archive").rglob("*.dcm")],
        )
    orthanc: OrthancPacs = request.getfixturevalue("orthanc")
    nowhere = free_ports(1)[0]
    if request.param == "cstore":
        remote = scu.Remote(AeTitle(orthanc.ae_title), "127.0.0.1", orthanc.dicom_port)
        gone = scu.Remote(AeTitle("GONE"), "127.0.0.1", nowhere)
        return DestinationCase(
            CStore("pacs", remote, _OURS),
            CStore("pacs", gone, _OURS),
            lambda result: stored_files_of(orthanc, result),
        )
    return DestinationCase(
        DicomWeb("pacs", orthanc.dicomweb_url),
        DicomWeb("pacs", f"http://127.0.0.1:{nowhere}/dicom-web"),
        lambda result: stored_files_of(orthanc, result),
    )


def stored_files_of(orthanc: OrthancPacs, result: ResultFile) -> list[bytes]:
    """The files of a result in Orthanc."""
    query = {"SOPInstanceUID": str(result.sop_instance_uid)}
    found = orthanc.post("/tools/find", {"Level": "Instance", "Query": query})
    return [orthanc.file_of_instance(one) for one in found]


def test_a_delivered_result_is_stored_unchanged(
    case: DestinationCase, result: ResultFile, tmp_path: Path
) -> None:
    receipt = case.destination.deliver([result])

    assert receipt.destination == case.destination.name
    assert receipt.detail
    (content,) = case.stored_files(result)
    stored = tmp_path / "stored.dcm"
    stored.write_bytes(content)
    assert dcmread(stored) == dcmread(result.path)
    assert (
        dcmread(stored).file_meta.TransferSyntaxUID
        == dcmread(result.path).file_meta.TransferSyntaxUID
    )


def test_a_result_delivered_twice_is_stored_once(case: DestinationCase, result: ResultFile) -> None:
    case.destination.deliver([result])
    case.destination.deliver([result])

    assert len(case.stored_files(result)) == 1


def test_all_instances_of_an_object_are_stored(
    case: DestinationCase, result: ResultFile, tmp_path: Path
) -> None:
    instances = [result]
    for number in (2, 3):
        dataset = dcmread(result.path)
        uid = mint_uid(result.sop_instance_uid, str(number))
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(uid)
        path = tmp_path / f"{number}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        instances.append(replace(result, path=path, sop_instance_uid=uid))

    receipt = case.destination.deliver(instances)

    assert receipt.destination == case.destination.name
    names = {each.sop_instance_uid for each in instances}
    stored = {
        str(dcmread(BytesIO(content)).SOPInstanceUID)
        for each in instances
        for content in case.stored_files(each)
    }
    assert stored == names


def with_bits(result: ResultFile) -> Dataset:
    """Replaces the file by a segmentation of single bits; returns it."""
    series = read_series(ct_series(seed=str(result.sop_instance_uid)).write(result.path.parent))
    segmentation = encoded_seg(content_of(series))
    segmentation.SOPInstanceUID = UID(result.sop_instance_uid)
    segmentation.file_meta.MediaStorageSOPInstanceUID = UID(result.sop_instance_uid)
    result.path.write_bytes(part10(segmentation))
    return dcmread(result.path)


@pytest.mark.parametrize("deflated", [False, True])
def test_a_segmentation_is_sent_deflated_only_where_the_site_wants_it(
    case: DestinationCase, result: ResultFile, *, deflated: bool
) -> None:
    segmentation = with_bits(result)

    replace(case.destination, deflated=deflated).deliver([result])  # type: ignore[type-var]

    (content,) = case.stored_files(result)
    stored = dcmread(BytesIO(content))
    assert stored == segmentation
    expected = DeflatedExplicitVRLittleEndian if deflated else ExplicitVRLittleEndian
    assert stored.file_meta.TransferSyntaxUID == expected


def compress(result: ResultFile) -> Dataset:
    """Compresses the file; returns what it was before."""
    original = dcmread(result.path)
    compressed = dcmread(result.path)
    compressed.compress(RLELossless, generate_instance_uid=False)
    compressed.save_as(result.path, enforce_file_format=True)
    return original


@pytest.mark.parametrize(
    ("refusal", "failure_reason"), [(415, 0), (400, 0), (409, 0xC122), (409, 0xA900)]
)
def test_a_dicomweb_server_that_refuses_compression_gets_uncompressed_objects(
    result: ResultFile, refusal: int, failure_reason: int
) -> None:
    original = compress(result)
    with StowServer(refusal, failure_reason) as server:
        receipt = DicomWeb("pacs", server.url).deliver([result])
    assert receipt.destination == "pacs"
    assert [each.file_meta.TransferSyntaxUID for each in server.received] == [
        RLELossless,
        ExplicitVRLittleEndian,
    ]
    (stored,) = server.stored
    assert stored.SOPInstanceUID == result.sop_instance_uid
    assert np.array_equal(stored.pixel_array, original.pixel_array)


def test_a_dicomweb_server_that_refuses_every_encoding_is_not_asked_again(
    result: ResultFile,
) -> None:
    compress(result)
    with StowServer(accepted="none") as server:
        with pytest.raises(Rejected, match="0xC122: it does not support the transfer syntax"):
            DicomWeb("pacs", server.url).deliver([result])
        assert len(server.received) == 2


def test_a_dicomweb_server_that_does_not_store_the_sop_class_is_asked_once(
    result: ResultFile,
) -> None:
    compress(result)
    with StowServer(failure_reason=0x0122) as server:
        with pytest.raises(NotAccepted):
            DicomWeb("pacs", server.url).deliver([result])
        assert len(server.received) == 1


def test_a_peer_that_takes_no_compressed_objects_gets_them_uncompressed(
    result: ResultFile, tmp_path: Path
) -> None:
    if shutil.which("storescp") is None:
        pytest.skip("storescp is missing: apt-get install dcmtk")
    original = compress(result)
    port = free_ports(1)[0]
    folder = tmp_path / "stored"
    folder.mkdir()
    # Implicit VR Little Endian is all that it accepts.
    command = ["storescp", "+xi", "--output-directory", str(folder), str(port)]
    with subprocess.Popen(command) as storescp:
        try:
            remote = scu.Remote(AeTitle("STORESCP"), "127.0.0.1", port)
            until(lambda: _listens(port), 10, "storescp")
            CStore("pacs", remote, _OURS).deliver([result])
        finally:
            storescp.terminate()
    (file,) = folder.iterdir()
    stored = dcmread(file)
    assert stored.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    assert stored.SOPInstanceUID == result.sop_instance_uid
    assert np.array_equal(stored.pixel_array, original.pixel_array)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_an_unreachable_destination_is_a_transient_error(
    case: DestinationCase, result: ResultFile
) -> None:
    with pytest.raises(Transient, match=r"\S"):
        case.unreachable.deliver([result])


def test_an_unknown_ae_title_is_a_transient_error(result: ResultFile, tmp_path: Path) -> None:
    missing = orthanc_missing()
    if missing:
        pytest.skip(missing)
    with OrthancPacs(tmp_path / "strict", configuration={"DicomAlwaysAllowStore": False}) as strict:
        remote = scu.Remote(AeTitle("WRONGNAME"), "127.0.0.1", strict.dicom_port)
        with pytest.raises(Transient, match="its AE title is not WRONGNAME"):
            CStore("pacs", remote, _OURS).deliver([result])


def test_a_dicomweb_server_that_is_down_is_named_in_plain_words(result: ResultFile) -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}/dicom-web"
    with pytest.raises(Transient) as failure:
        DicomWeb("pacs", url).deliver([result])
    assert str(failure.value) == (
        f"{url} does not answer: check the address and the firewall, and that the server runs"
    )


def test_an_unsupported_sop_class_is_rejected(orthanc: OrthancPacs, result: ResultFile) -> None:
    dataset = dcmread(result.path)
    # A SOP class that no PACS supports.
    dataset.SOPClassUID = UID("1.2.3.4.5.6.7.8")
    dataset.file_meta.MediaStorageSOPClassUID = UID("1.2.3.4.5.6.7.8")
    dataset.save_as(result.path, enforce_file_format=True)
    remote = scu.Remote(AeTitle(orthanc.ae_title), "127.0.0.1", orthanc.dicom_port)

    with pytest.raises(Rejected, match="does not accept"):
        CStore("pacs", remote, _OURS).deliver([result])


def test_a_refused_label_map_is_named(result: ResultFile) -> None:
    dataset = dcmread(result.path)
    dataset.SOPClassUID = UID("1.2.840.10008.5.1.4.1.1.66.7")
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.save_as(result.path, enforce_file_format=True)
    peer = AE("PEER")
    peer.add_supported_context(CTImageStorage)
    server = peer.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda _event: 0x0000)]
    )
    assert server is not None
    try:
        remote = scu.Remote(AeTitle("PEER"), "127.0.0.1", server.server_address[1])
        with pytest.raises(NotAccepted, match="does not accept Label Map Segmentation Storage:"):
            CStore("pacs", remote, _OURS).deliver([result])
        plain = Path(str(get_testdata_file("CT_small.dcm")))
        (failure,) = store_sending.send([plain, result.path], remote, _OURS).failures
        assert "does not accept Label Map Segmentation Storage in Explicit VR Little" in failure
        with pytest.raises(Rejected, match="accepts none of the files: they are Label Map"):
            store_sending.send([result.path], remote, _OURS)
    finally:
        server.shutdown()


def test_a_wrong_dicomweb_url_is_reported_with_advice(
    orthanc: OrthancPacs, result: ResultFile
) -> None:
    with pytest.raises(Transient, match="root of its DICOMweb service"):
        DicomWeb("pacs", f"{orthanc.url}/no-such-service").deliver([result])


def test_an_object_that_the_dicomweb_server_cannot_read_is_an_error(
    orthanc: OrthancPacs, result: ResultFile
) -> None:
    result.path.write_bytes(b"this is not a DICOM file")

    with pytest.raises((Rejected, Transient), match=r"\S"):
        DicomWeb("pacs", orthanc.dicomweb_url).deliver([result])
    assert stored_files_of(orthanc, result) == []
