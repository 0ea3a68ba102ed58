"""Pictures, bulk data, XML, transfer syntaxes and capabilities of the node's DICOMweb."""

from collections.abc import Iterator
from email import message_from_bytes
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import httpx
import numpy as np
import pytest
from dicomweb_client.api import DICOMwebClient
from PIL import Image
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from node.domain.series import StoredSeries
from tests.support.dicom.builders import CtFiles, ct_series, enhanced_ct
from tests.support.dicom.small_ct import SLICES, small_ct
from tests.support.servers.served_node import ServedNode

XML = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"
MULTIPART_XML = 'multipart/related; type="application/dicom+xml"'
SYNTAXES = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    RLELossless,
    JPEG2000Lossless,
)
REQUESTED = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    JPEG2000Lossless,
    JPEGLSLossless,
)


def urls(node: ServedNode, series: StoredSeries) -> tuple[str, str, str]:
    """The URLs of the study, the series and its first instance."""
    study = f"{node.dicomweb_url}/studies/{series.study_instance_uid}"
    whole = f"{study}/series/{series.series_instance_uid}"
    first = node.store.instances_of(series.series_instance_uid)[0]
    return study, whole, f"{whole}/instances/{first.sop_instance_uid}"


def parts(answer: httpx.Response) -> list[tuple[str, bytes]]:
    """Content type and content of each part of a multipart response."""
    assert answer.status_code == 200, answer.text
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    found = []
    for part in message_from_bytes(head + answer.content).walk():
        if not part.is_multipart():
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            found.append((part.get_content_type(), content))
    return found


def picture(content: bytes) -> np.ndarray:
    with Image.open(BytesIO(content)) as image:
        return np.asarray(image.convert("L"))


def part10_of(answer: httpx.Response) -> Dataset:
    assert answer.status_code == 200, answer.text
    return dcmread(BytesIO(answer.content))


def test_a_study_and_a_series_are_rendered_as_one_picture_for_each_image(
    node: ServedNode, series: StoredSeries
) -> None:
    study, whole, _ = urls(node, series)
    for url in (study, whole):
        accept = {"Accept": 'multipart/related; type="image/png"'}
        found = parts(httpx.get(f"{url}/rendered", headers=accept))
        assert [media_type for media_type, _ in found] == ["image/png"] * SLICES
        assert {picture(content).shape for _, content in found} == {(40, 48)}
        assert len({content for _, content in found}) > SLICES // 2  # of different slices
        assert len(parts(httpx.get(f"{url}/rendered"))) == SLICES


def test_a_client_that_accepts_one_picture_of_a_series_gets_the_middle_slice(
    client: DICOMwebClient, node: ServedNode, series: StoredSeries
) -> None:
    stored = [i.path for i in node.store.instances_of(series.series_instance_uid)]
    in_order = sorted(stored, key=lambda path: int(dcmread(path).InstanceNumber))
    middle = dcmread(in_order[SLICES // 2])
    uids = (series.study_instance_uid, series.series_instance_uid)
    one = client.retrieve_series_rendered(*uids, media_types=("image/png",))
    expected = client.retrieve_instance_rendered(
        *uids, middle.SOPInstanceUID, media_types=("image/png",)
    )
    assert one == expected


def test_a_thumbnail_is_a_small_picture_of_the_middle(node: ServedNode, tmp_path: Path) -> None:
    large = node.receive(CtFiles(tuple(_enlarged(small_ct()))), tmp_path / "large")
    study, whole, instance = urls(node, large)
    for url in (study, whole, instance, f"{instance}/frames/1"):
        answer = httpx.get(f"{url}/thumbnail")
        assert answer.headers["content-type"] == "image/jpeg"
        assert max(picture(answer.content).shape) == 128
    png = httpx.get(f"{study}/thumbnail", headers={"Accept": "image/png"})
    assert png.content.startswith(b"\x89PNG")
    assert httpx.get(f"{study}/thumbnail", headers={"Accept": "image/gif"}).status_code == 406


def _enlarged(files: CtFiles) -> Iterator[Dataset]:
    for dataset in files.datasets:
        pixels = np.kron(dataset.pixel_array, np.ones((5, 5), dtype="<u2"))
        dataset.Rows, dataset.Columns = pixels.shape
        dataset.PixelData = pixels.tobytes()
        yield dataset


def test_the_thumbnail_of_an_enhanced_ct_is_its_middle_frame(
    node: ServedNode, tmp_path: Path
) -> None:
    _, _, instance = urls(node, node.receive(CtFiles((enhanced_ct(),)), tmp_path / "ct"))
    accept = {"Accept": "image/png"}
    thumbnail = httpx.get(f"{instance}/thumbnail", headers=accept).content
    assert thumbnail == httpx.get(f"{instance}/frames/12/rendered", headers=accept).content


def test_a_study_without_images_has_no_picture(node: ServedNode, tmp_path: Path) -> None:
    def remove_pixels(_index: int, dataset: Dataset) -> None:
        for keyword in ("Rows", "Columns", "PixelData", "BitsAllocated"):
            del dataset[keyword]

    study, whole, _ = urls(node, node.receive(small_ct().modify(remove_pixels), tmp_path / "ct"))
    for url in (study, whole):
        for resource in ("rendered", "thumbnail"):
            answer = httpx.get(f"{url}/{resource}")
            assert answer.status_code == 404
            assert "no images" in answer.json()["message"]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_bulk_data_of_pixels_are_uncompressed(
    client: DICOMwebClient, node: ServedNode, tmp_path: Path, syntax: str
) -> None:
    expected = {str(d.SOPInstanceUID): d for d in small_ct().datasets}
    _, whole, _ = urls(node, node.receive_files(_written(syntax, tmp_path / "ct")))
    # By httpx, because dicomweb-client sends no port in its Host header.
    for one in httpx.get(f"{whole}/metadata").json():
        (pixels,) = client.retrieve_bulkdata(one["7FE00010"]["BulkDataURI"])
        dataset = expected[one["00080018"]["Value"][0]]
        assert np.array_equal(np.frombuffer(pixels, "<u2").reshape(40, 48), pixel_array_of(dataset))


def pixel_array_of(dataset: Dataset) -> np.ndarray:
    return np.frombuffer(dataset.PixelData, "<u2").reshape(dataset.Rows, dataset.Columns)


def _written(syntax: str, folder: Path) -> list[Path]:
    """Files of the small series in a transfer syntax; big endian is written here."""
    if syntax != ExplicitVRBigEndian:
        return small_ct(syntax).write(folder)
    files = small_ct().write(folder)
    for file in files:
        dataset = dcmread(file)
        dataset.PixelData = pixel_array_of(dataset).astype(">u2").tobytes()
        dataset["PixelData"].VR = "OW"
        dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        dcmwrite(file, dataset, implicit_vr=False, little_endian=False)
    return files


def test_large_binary_values_are_bulk_data_also_within_sequences(
    node: ServedNode, tmp_path: Path
) -> None:
    large, small = bytes(range(256)) * 40, b"\1\2\3\4"

    def add(_index: int, dataset: Dataset) -> None:
        item, other = Dataset(), Dataset()
        item.EncapsulatedDocument, other.EncapsulatedDocument = small, large
        dataset.ReferencedRawDataSequence = [item, other]
        block = dataset.private_block(0x0009, "SEGNODE TEST", create=True)
        block.add_new(1, "OB", large)

    _, whole, instance = urls(node, node.receive(small_ct().modify(add), tmp_path / "ct"))
    (metadata,) = httpx.get(f"{instance}/metadata").json()
    sequence = metadata["00089121"]["Value"]
    assert "InlineBinary" in sequence[0]["00420011"]
    nested = sequence[1]["00420011"]["BulkDataURI"]
    private = metadata["00091001"]["BulkDataURI"]
    assert nested == f"{instance}/bulkdata/00089121/2/00420011"
    for url in (nested, private):
        single = httpx.get(url, headers={"Accept": "application/octet-stream"})
        assert single.content == large
        assert parts(httpx.get(url)) == [("application/octet-stream", large)]
        assert httpx.get(url, headers={"Accept": "image/png"}).status_code == 406
    for path in ("00089121/3/00420011", "00100010", "x", "00089121/0/00420011", "7fe00010"):
        assert httpx.get(f"{instance}/bulkdata/{path}").status_code == 404
    assert len(httpx.get(f"{whole}/metadata").json()) == SLICES


def test_bulk_data_of_a_segmentation_are_its_packed_bits(
    client: DICOMwebClient, node: ServedNode, tmp_path: Path
) -> None:
    series = node.receive(ct_series(), tmp_path / "ct")
    uids = node.result_uids(node.finish_job(node.add_job(series)))
    study, series_uid, instance_uid = uids
    resource = f"studies/{study}/series/{series_uid}/instances/{instance_uid}/metadata"
    (metadata,) = httpx.get(f"{node.dicomweb_url}/{resource}").json()
    (bits,) = client.retrieve_bulkdata(metadata["7FE00010"]["BulkDataURI"])
    assert bits == client.retrieve_instance(*uids).PixelData


def test_metadata_in_xml_have_the_values_of_the_file(node: ServedNode, tmp_path: Path) -> None:
    def change(_index: int, dataset: Dataset) -> None:
        dataset.PatientName = "Müller^Jürgen=Ideo^Gram"
        dataset.SpecificCharacterSet = "ISO_IR 100"
        dataset.StudyDescription = "a & b < c"
        dataset.private_block(0x0009, "SEGNODE TEST", create=True).add_new(1, "LO", "own")
        item = Dataset()
        item.CodeValue = "1"
        dataset.ProcedureCodeSequence = [item, Dataset()]

    study, _, instance = urls(node, node.receive(small_ct().modify(change), tmp_path / "ct"))
    answer = parts(httpx.get(f"{study}/metadata", headers={"Accept": MULTIPART_XML}))
    assert [media_type for media_type, _ in answer] == ["application/dicom+xml"] * SLICES
    single = httpx.get(f"{instance}/metadata", headers={"Accept": "application/dicom+xml"})
    root = ElementTree.fromstring(single.content)  # noqa: S314 the node wrote it
    assert root.tag == f"{XML}NativeDicomModel"
    by_keyword = {e.get("keyword"): e for e in root if e.get("keyword")}
    name = by_keyword["PatientName"].find(f"{XML}PersonName")
    assert name is not None
    assert name.findtext(f"{XML}Alphabetic/{XML}FamilyName") == "Müller"
    assert name.findtext(f"{XML}Alphabetic/{XML}GivenName") == "Jürgen"
    assert name.findtext(f"{XML}Ideographic/{XML}FamilyName") == "Ideo"
    assert by_keyword["StudyDescription"].findtext(f"{XML}Value") == "a & b < c"
    spacing = by_keyword["PixelSpacing"].findall(f"{XML}Value")
    assert [(v.get("number"), float(v.text or "")) for v in spacing] == [("1", 3.0), ("2", 3.0)]
    items = by_keyword["ProcedureCodeSequence"].findall(f"{XML}Item")
    assert [item.get("number") for item in items] == ["1", "2"]
    assert items[0].findtext(f"{XML}DicomAttribute/{XML}Value") == "1"
    (private,) = (e for e in root if e.get("tag") == "00091001")
    assert (private.get("privateCreator"), private.findtext(f"{XML}Value")) == (
        "SEGNODE TEST", "own",
    )  # fmt: skip
    bulk = by_keyword["PixelData"].find(f"{XML}BulkData")
    assert bulk is not None
    assert bulk.get("uri") == f"{instance}/bulkdata/7FE00010"
    several = httpx.get(f"{study}/metadata", headers={"Accept": "application/dicom+xml"})
    assert several.status_code == 406


@pytest.mark.parametrize("stored", SYNTAXES)
def test_an_instance_is_sent_in_the_requested_transfer_syntax(
    node: ServedNode, tmp_path: Path, stored: str
) -> None:
    _, _, instance = urls(node, node.receive_files(_written(stored, tmp_path / "ct")))
    uid = instance.rpartition("/")[2]
    (original,) = (d for d in small_ct().datasets if d.SOPInstanceUID == uid)
    for requested in REQUESTED:
        accept = f"application/dicom; transfer-syntax={requested}"
        dataset = part10_of(httpx.get(instance, headers={"Accept": accept}))
        assert dataset.file_meta.TransferSyntaxUID == requested
        assert dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID == uid
        assert np.array_equal(dataset.pixel_array, pixel_array_of(original))
        assert dataset.PatientName == original.PatientName


def test_a_whole_series_is_sent_in_the_requested_transfer_syntax(
    client: DICOMwebClient, node: ServedNode, series: StoredSeries
) -> None:
    found = client.retrieve_series(
        series.study_instance_uid,
        series.series_instance_uid,
        media_types=(("application/dicom", JPEGLSLossless),),
    )
    assert {d.file_meta.TransferSyntaxUID for d in found} == {JPEGLSLossless}
    originals = {str(d.SOPInstanceUID): d for d in small_ct().datasets}
    for dataset in found:
        assert np.array_equal(
            dataset.pixel_array, pixel_array_of(originals[dataset.SOPInstanceUID])
        )


def test_a_transfer_syntax_that_is_not_available_is_not_acceptable(
    node: ServedNode, tmp_path: Path
) -> None:
    series = node.receive(ct_series(), tmp_path / "ct")
    _, series_uid, result_uid = node.result_uids(node.finish_job(node.add_job(series)))
    study, _, instance = urls(node, series)
    lossy = {"Accept": f"application/dicom; transfer-syntax={HTJ2KLossless}"}
    answer = httpx.get(instance, headers=lossy)
    assert answer.status_code == 406
    assert JPEGLSLossless in answer.json()["message"]
    # The bits of a segmentation are not compressed.
    seg = f"{study}/series/{series_uid}/instances/{result_uid}"
    compressed = {"Accept": f"application/dicom; transfer-syntax={JPEG2000Lossless}"}
    assert httpx.get(seg, headers=compressed).status_code == 406
    either = {"Accept": f"{compressed['Accept']}, application/dicom"}
    assert part10_of(httpx.get(seg, headers=either)).Modality == "SEG"


def test_pixels_that_compression_would_change_are_sent_uncompressed_only(
    node: ServedNode, tmp_path: Path
) -> None:
    def pad(_index: int, dataset: Dataset) -> None:
        pixels = pixel_array_of(dataset).copy()
        pixels[:2] = 63536  # needs 16 bits
        dataset.PixelData = pixels.tobytes()
        dataset.BitsStored, dataset.HighBit = 12, 11

    _, _, instance = urls(node, node.receive(small_ct().modify(pad), tmp_path / "ct"))
    for syntax in REQUESTED:
        accept = {"Accept": f"application/dicom; transfer-syntax={syntax}"}
        answer = httpx.get(instance, headers=accept)
        if syntax.is_encapsulated:
            assert answer.status_code == 406
            assert "would change pixels" in answer.json()["message"]
        else:
            assert pixel_array_of(part10_of(answer))[0, 0] == 63536


def test_the_service_describes_its_resources(node: ServedNode) -> None:
    for url in (node.dicomweb_url, f"{node.dicomweb_url}/"):
        answer = httpx.options(url)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("application/vnd.sun.wadl+xml")
        root = ElementTree.fromstring(answer.content)  # noqa: S314 the node wrote it
        names = [e.get("path") for e in root.iter() if e.tag.endswith("}resource")]
        assert "studies/{study}/series/{series}/thumbnail" in names
    resources = httpx.options(node.dicomweb_url, headers={"Accept": "application/json"}).json()[
        "resources"
    ]
    assert resources["/studies"] == ["GET", "POST"]
    assert len(resources) == len(names)


@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH"])
def test_a_method_that_a_resource_does_not_have_is_not_allowed(
    node: ServedNode, series: StoredSeries, method: str
) -> None:
    study, whole, instance = urls(node, series)
    for url, allowed in (
        (f"{node.dicomweb_url}/studies", "GET, OPTIONS, POST"),
        (study, "GET, OPTIONS, POST"),
        (whole, "GET, OPTIONS"),
        (f"{instance}/rendered", "GET, OPTIONS"),
        (f"{node.dicomweb_url}/", "OPTIONS"),
    ):
        answer = httpx.request(method, url)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed), url
        assert method in answer.json()["message"]
        assert httpx.options(url).headers["allow"] == allowed
    assert httpx.request(method, f"{node.dicomweb_url}/nothing").status_code == 404
    assert len(node.store.instances_of(series.series_instance_uid)) == SLICES


def test_a_picture_is_shown_in_the_requested_window(node: ServedNode, series: StoredSeries) -> None:
    _study, whole, instance = urls(node, series)
    png = {"Accept": "image/png"}
    for url in (instance, f"{instance}/frames/1", whole):
        dark = httpx.get(f"{url}/rendered?window=3000,10,linear", headers=png)
        bright = httpx.get(f"{url}/rendered?window=-3000,10,linear", headers=png)
        assert (picture(dark.content).max(), picture(bright.content).min()) == (0, 255)
    for window in ("40,400", "40,400,cubic", "40,0,linear"):
        answer = httpx.get(f"{instance}/rendered", params={"window": window}, headers=png)
        assert answer.status_code == 400
        assert "CENTER,WIDTH,FUNCTION" in answer.json()["message"]
