"""Console and DICOMweb of a node whose files are in a bucket."""

import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import highdicom as hd
import httpx
import numpy as np
import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom import dcmread

from tests.support.dicom.body import in_liver, voxel_positions
from tests.support.dicom.builders import ct_series
from tests.support.dicom.small_ct import small_ct
from tests.support.servers.s3_server import S3Server
from tests.support.servers.served_node import ServedNode, running_worker, served_node
from tests.support.waiting import until


@pytest.fixture
def node(tmp_path: Path, s3: S3Server) -> Iterator[ServedNode]:
    bucket = f"s3://{s3.new_bucket()}"
    configuration = f'store_url = "{bucket}"\nstore_endpoint = "{s3.endpoint}"\n'
    with served_node(tmp_path, configuration) as served, running_worker(served):
        yield served


def test_images_are_retrieved_unchanged_and_no_local_copy_remains(
    node: ServedNode, tmp_path: Path
) -> None:
    sent = {dcmread(f).SOPInstanceUID: f for f in small_ct().write(tmp_path / "ct")}
    series = node.receive_files(list(sent.values()))
    client = DICOMwebClient(node.dicomweb_url)
    study, uid = series.study_instance_uid, series.series_instance_uid

    (found,) = client.search_for_studies(search_filters={"PatientID": "P-17"})
    assert found["0020000D"]["Value"] == [study]
    assert len(client.search_for_instances(study, uid)) == len(sent)
    retrieved = client.retrieve_series(study, uid)
    assert {d.SOPInstanceUID: d for d in retrieved} == {n: dcmread(f) for n, f in sent.items()}
    assert len(client.retrieve_series_metadata(study, uid)) == len(sent)
    name, file = next(iter(sent.items()))
    (frame,) = client.retrieve_instance_frames(study, uid, name, [1])
    assert frame == dcmread(file).PixelData
    picture = httpx.get(
        f"{node.dicomweb_url}/studies/{study}/series/{uid}/instances/{name}/rendered"
    )
    assert picture.headers["content-type"] == "image/jpeg"
    # The worker reads the series too, after its quiet time.
    until(lambda: not _images_in(node.settings.data_dir), 30, "the last copy to be deleted")


def test_a_result_is_served_by_wado_by_download_and_as_a_picture(
    node: ServedNode, tmp_path: Path
) -> None:
    series = node.receive(ct_series(), tmp_path / "ct")
    job = node.finish_job(node.add_job(series))
    uids = node.result_uids(job)

    by_wado = DICOMwebClient(node.dicomweb_url).retrieve_instance(*uids)
    file = httpx.get(f"{node.url}/jobs/{job.job_id}/result.dcm")
    assert uids[2] in file.headers["content-disposition"]
    for dataset in (by_wado, dcmread(BytesIO(file.content))):
        volume = hd.seg.Segmentation.from_dataset(dataset).get_volume(combine_segments=True)
        assert np.array_equal(volume.array > 0, in_liver(voxel_positions(volume)))
    picture = httpx.get(f"{node.url}/api/jobs/{job.job_id}/picture.png")
    assert picture.content.startswith(b"\x89PNG")


def test_an_unreachable_bucket_is_reported_until_it_answers_again(
    node: ServedNode, s3: S3Server
) -> None:
    assert httpx.get(f"{node.url}/health").is_success
    s3.stop()
    try:
        health = httpx.get(f"{node.url}/health", timeout=30)
        assert health.status_code == 503
        assert "does not answer" in health.json()["disk"]["message"]
        assert "does not answer" in httpx.get(node.url, timeout=30).text
    finally:
        s3.start()
    assert httpx.get(f"{node.url}/health").is_success


def _images_in(folder: Path) -> list[str]:
    # os.walk skips a folder that is deleted meanwhile; Path.rglob raises.
    return [name for _, _, names in os.walk(folder) for name in names if name.endswith(".dcm")]
