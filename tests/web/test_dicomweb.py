"""QIDO-RS and WADO-RS of the node, with dicomweb-client."""

from io import BytesIO
from pathlib import Path

import highdicom as hd
import httpx
import numpy as np
import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom import Dataset, dcmread
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from node.domain.series import StoredSeries
from node.maintenance.search_index import SearchIndex
from tests.support.dicom.body import in_liver, voxel_positions
from tests.support.dicom.builders import MADE_AT, CtFiles, ct_series, enhanced_ct
from tests.support.dicom.small_ct import SLICES, small_ct
from tests.support.servers.served_node import ServedNode


def value(found: dict[str, dict[str, list[object]]], tag: str) -> object:
    """Returns the first value of an attribute in DICOM JSON."""
    return found[tag]["Value"][0]


def test_a_study_is_found_by_patient_id_date_range_and_part_of_the_name(
    client: DICOMwebClient, series: StoredSeries
) -> None:
    for wanted in (
        {},
        {"PatientID": "P-17"},
        {"00100020": "P-17"},
        {"PatientName": "roe*"},
        {"StudyDate": "20251231-20260102"},
        {"StudyDate": "20260101-"},
        {"ModalitiesInStudy": "CT"},
        {"StudyInstanceUID": series.study_instance_uid},
        {"PatientID": ""},
    ):
        (found,) = client.search_for_studies(search_filters=wanted)
        assert value(found, "0020000D") == series.study_instance_uid
        assert value(found, "00201206") == 1
        assert value(found, "00201208") == SLICES
        assert value(found, "00080061") == "CT"


def test_a_search_without_a_match_returns_nothing(
    client: DICOMwebClient, series: StoredSeries
) -> None:
    for wanted in (
        {"PatientID": "p-17"},
        {"PatientName": "Ro"},
        {"StudyDate": "20260102-"},
        {"StudyDate": "-20251231"},
        {"StudyInstanceUID": f"{series.study_instance_uid}.1"},
        {"ModalitiesInStudy": "MR"},
        {"AccessionNumber": "17"},
    ):
        assert client.search_for_studies(search_filters=wanted) == []


def test_a_complete_index_narrows_a_search_and_finds_the_same(
    client: DICOMwebClient, node: ServedNode, series: StoredSeries, tmp_path: Path
) -> None:
    node.receive(ct_series(seed="other"), tmp_path / "other")
    SearchIndex(node.store, keeps_patients=True, now=lambda: MADE_AT).poll()
    assert len(client.search_for_studies()) == 2
    for wanted in ({"PatientID": "P-1?"}, {"PatientName": "roe^*"}, {"PatientName": "ROE*"}):
        (found,) = client.search_for_series(search_filters=wanted)
        assert value(found, "0020000E") == series.series_instance_uid
        (study,) = client.search_for_studies(search_filters=wanted)
        assert value(study, "0020000D") == series.study_instance_uid
    for wanted in ({"PatientID": "p-17"}, {"StudyDate": "20260102-"}, {"Modality": "ct"}):
        assert client.search_for_series(search_filters=wanted) == []


def test_a_page_of_all_series_holds_the_results_after_the_received_ones(
    client: DICOMwebClient, node: ServedNode, tmp_path: Path
) -> None:
    series = node.receive(ct_series(), tmp_path / "ct")
    job = node.finish_job(node.add_job(series))
    other = node.receive(ct_series(seed="other"), tmp_path / "other")
    expected = [other.series_instance_uid, series.series_instance_uid, node.result_uids(job)[1]]
    pages = [client.search_for_series(limit=1, offset=offset) for offset in range(4)]
    assert [[value(row, "0020000E") for row in page] for page in pages] == [
        *([uid] for uid in expected),
        [],
    ]
    # A result that comes back, as a PACS may send it, is listed once.
    assert job.result_path is not None
    node.receive_files([job.result_path])
    assert len(client.search_for_series()) == 3


def test_series_and_instances_are_found_within_their_study(
    client: DICOMwebClient, series: StoredSeries
) -> None:
    study, uid = series.study_instance_uid, series.series_instance_uid
    (found,) = client.search_for_series(study, search_filters={"Modality": "CT"})
    assert value(found, "0020000E") == uid
    assert value(found, "00201209") == SLICES
    instances = client.search_for_instances(study, uid)
    assert len({value(i, "00080018") for i in instances}) == SLICES
    assert {value(i, "00280010") for i in instances} == {40}
    (third,) = client.search_for_instances(study, search_filters={"InstanceNumber": "3"})
    assert value(third, "00200013") == 3
    everywhere = client.search_for_instances(search_filters={"SeriesInstanceUID": uid})
    assert len(everywhere) == SLICES


def test_instances_of_any_study_are_found_received_ones_and_results(
    client: DICOMwebClient, node: ServedNode, tmp_path: Path
) -> None:
    series = node.receive(ct_series(), tmp_path / "ct")
    result_uid = node.result_uids(node.finish_job(node.add_job(series)))[2]
    found = [value(row, "00080018") for row in client.search_for_instances()]
    assert len(found) == len(set(found)) == series.instance_count + 1
    for uid in (found[0], result_uid):
        (one,) = client.search_for_instances(search_filters={"SOPInstanceUID": uid})
        assert value(one, "00080018") == uid
    assert client.search_for_instances(search_filters={"SOPInstanceUID": "1.2.3"}) == []


def test_a_search_is_paged_and_includes_the_requested_fields(
    client: DICOMwebClient, series: StoredSeries
) -> None:
    uids = (series.study_instance_uid, series.series_instance_uid)
    first = client.search_for_instances(*uids, limit=5)
    rest = client.search_for_instances(*uids, limit=5, offset=5)
    assert (len(first), len(rest)) == (5, SLICES - 5)
    assert len({value(i, "00080018") for i in first + rest}) == SLICES
    assert "00180050" not in first[0]
    (one,) = client.search_for_instances(*uids, limit=1, fields=["SliceThickness"])
    assert "00180050" in one
    answer = httpx.get(
        f"{client.base_url}/studies/{uids[0]}/instances?includefield=all&limit=1"
    ).json()
    assert "00200032" in answer[0]
    assert "7FE00010" not in answer[0]
    beyond = httpx.get(f"{client.base_url}/studies?offset=99999999999999999999")
    assert beyond.status_code in {200, 204}


def test_a_search_for_an_unknown_attribute_is_refused_with_its_name(
    node: ServedNode, series: StoredSeries
) -> None:
    answer = httpx.get(f"{node.dicomweb_url}/studies", params={"PatientNmae": "Roe"})
    assert answer.status_code == 400
    assert "PatientNmae" in answer.json()["message"]


def test_a_retrieved_instance_equals_the_received_one(
    client: DICOMwebClient, node: ServedNode, series: StoredSeries
) -> None:
    study, uid = series.study_instance_uid, series.series_instance_uid
    stored = {i.sop_instance_uid: i.path for i in node.store.instances_of(uid)}
    for retrieved in (client.retrieve_series(study, uid), client.retrieve_study(study)):
        assert {d.SOPInstanceUID for d in retrieved} == set(stored)
        for dataset in retrieved:
            assert dataset == dcmread(stored[dataset.SOPInstanceUID])
    name, path = next(iter(stored.items()))
    one = client.retrieve_instance(study, uid, name)
    assert one.PixelData == dcmread(path).PixelData


def test_metadata_has_every_attribute_and_refers_to_pixel_data(
    client: DICOMwebClient, node: ServedNode, series: StoredSeries
) -> None:
    study, uid = series.study_instance_uid, series.series_instance_uid
    metadata = client.retrieve_series_metadata(study, uid)
    assert len(metadata) == len(client.retrieve_study_metadata(study)) == SLICES
    stored = node.store.instances_of(uid)[0]
    one = client.retrieve_instance_metadata(study, uid, stored.sop_instance_uid)
    expected = dcmread(stored.path, stop_before_pixels=True)
    if "SpecificCharacterSet" in expected:  # JSON is UTF-8
        expected.SpecificCharacterSet = "ISO_IR 192"
    url = one.pop("7FE00010")["BulkDataURI"]
    assert url.endswith(f"/instances/{stored.sop_instance_uid}/bulkdata/7FE00010")
    assert Dataset.from_json(one) == expected


@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEG2000Lossless,
    ],
)
def test_pixels_are_sent_as_stored_or_decoded_as_the_client_accepts(
    client: DICOMwebClient, node: ServedNode, tmp_path: Path, syntax: str
) -> None:
    series = node.receive(small_ct(syntax), tmp_path / "ct")
    stored = node.store.instances_of(series.series_instance_uid)[0]
    uids = (series.study_instance_uid, series.series_instance_uid, stored.sop_instance_uid)
    expected = dcmread(stored.path).pixel_array

    (frame,) = client.retrieve_instance_frames(
        *uids, [1], media_types=(("application/octet-stream", ExplicitVRLittleEndian),)
    )
    assert np.array_equal(np.frombuffer(frame, "<u2").reshape(expected.shape), expected)

    url = f"{node.dicomweb_url}/studies/{uids[0]}/series/{uids[1]}/instances/{uids[2]}"
    assert httpx.get(f"{url}/rendered").content.startswith(b"\xff\xd8")  # JPEG
    as_stored = httpx.get(url, headers={"Accept": "application/dicom; transfer-syntax=*"})
    assert as_stored.content == stored.path.read_bytes()
    plain = dcmread(BytesIO(httpx.get(url, headers={"Accept": "application/dicom"}).content))
    assert plain.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert np.array_equal(plain.pixel_array, dcmread(stored.path).pixel_array)
    assert plain.SOPInstanceUID == stored.sop_instance_uid


def test_a_compressed_frame_is_sent_as_stored_to_a_client_that_accepts_it(
    node: ServedNode, tmp_path: Path
) -> None:
    series = node.receive(small_ct(JPEG2000Lossless), tmp_path / "ct")
    stored = node.store.instances_of(series.series_instance_uid)[0]
    url = f"{node.dicomweb_url}/studies/{series.study_instance_uid}/series"
    url += f"/{series.series_instance_uid}/instances/{stored.sop_instance_uid}/frames/1"
    accept = 'multipart/related; type="image/jp2"; transfer-syntax=*'
    answer = httpx.get(url, headers={"Accept": accept})
    assert f"transfer-syntax={JPEG2000Lossless}".encode() in answer.content
    assert b"\xff\x4f\xff\x51" in answer.content  # start of a JPEG 2000 codestream
    refused = httpx.get(url, headers={"Accept": 'multipart/related; type="image/jls"'})
    assert refused.status_code == 406
    assert httpx.get(url.replace("frames/1", "frames/2")).status_code == 404
    assert httpx.get(url.replace("frames/1", "frames/0")).status_code == 400


def test_single_frames_of_an_enhanced_ct_are_retrieved(
    client: DICOMwebClient, node: ServedNode, tmp_path: Path
) -> None:
    enhanced = CtFiles((enhanced_ct(),))
    series = node.receive(enhanced, tmp_path / "ct")
    stored = node.store.instances_of(series.series_instance_uid)[0]
    uids = (series.study_instance_uid, series.series_instance_uid, stored.sop_instance_uid)
    frames = client.retrieve_instance_frames(*uids, [2, 7])
    expected = pixel_array(stored.path, raw=True)
    for frame, number in zip(frames, (2, 7), strict=True):
        assert frame == expected[number - 1].tobytes()


def test_a_frame_is_rendered_as_jpeg_or_png(node: ServedNode, series: StoredSeries) -> None:
    stored = node.store.instances_of(series.series_instance_uid)[0]
    url = f"{node.dicomweb_url}/studies/{series.study_instance_uid}/series"
    url += f"/{series.series_instance_uid}/instances/{stored.sop_instance_uid}/rendered"
    assert httpx.get(url).content.startswith(b"\xff\xd8")
    png = httpx.get(url, headers={"Accept": "image/png"})
    assert png.content.startswith(b"\x89PNG")
    assert png.headers["content-type"] == "image/png"


def test_a_result_is_found_in_the_study_of_its_source_and_retrieved(
    client: DICOMwebClient, node: ServedNode, tmp_path: Path
) -> None:
    series = node.receive(ct_series(), tmp_path / "ct")
    job = node.finish_job(node.add_job(series))
    uids = node.result_uids(job)

    (found,) = client.search_for_series(
        series.study_instance_uid, search_filters={"Modality": "SEG"}
    )
    assert value(found, "0020000E") == uids[1]
    (study,) = client.search_for_studies()
    assert study["00080061"]["Value"] == ["CT", "SEG"]
    dataset = client.retrieve_instance(*uids)
    volume = hd.seg.Segmentation.from_dataset(dataset).get_volume(combine_segments=True)
    assert np.array_equal(volume.array > 0, in_liver(voxel_positions(volume)))
    metadata = client.retrieve_instance_metadata(*uids)
    assert value(metadata, "00080060") == "SEG"
    bits = client.retrieve_instance_frames(*uids, [1])
    assert len(bits) == 1


def test_an_unknown_study_or_series_is_not_found(
    client: DICOMwebClient, series: StoredSeries
) -> None:
    for url in ("studies/1.2.3", f"studies/{series.study_instance_uid}/series/1.2.3/metadata"):
        answer = httpx.get(f"{client.base_url}/{url}")
        assert answer.status_code == 404
        assert "not here" in answer.json()["message"]


def test_patient_names_are_utf_8_for_every_character_set_of_the_file(
    client: DICOMwebClient, node: ServedNode, tmp_path: Path
) -> None:
    def rename(_index: int, dataset: Dataset) -> None:
        dataset.SpecificCharacterSet = "ISO_IR 100"
        dataset.PatientName = "Müller^Jürgen"

    node.receive(small_ct().modify(rename), tmp_path / "ct")
    (study,) = client.search_for_studies(search_filters={"PatientName": "müller*"})
    assert value(study, "00100010") == {"Alphabetic": "Müller^Jürgen"}
    assert value(study, "00080005") == "ISO_IR 192"


def test_a_missing_file_is_reported_and_does_not_hide_other_instances(
    client: DICOMwebClient, node: ServedNode, series: StoredSeries
) -> None:
    uids = (series.study_instance_uid, series.series_instance_uid)
    lost = node.store.instances_of(uids[1])[0]
    lost.path.unlink()
    assert len(client.search_for_instances(*uids)) == SLICES
    url = f"{node.dicomweb_url}/studies/{uids[0]}/series/{uids[1]}"
    for resource in (url, f"{url}/instances/{lost.sop_instance_uid}/frames/1"):
        answer = httpx.get(resource)
        assert answer.status_code == 503
        assert lost.sop_instance_uid in answer.json()["message"]
