"""Files for offline use: formats, NIfTI input and 3D Slicer segmentations."""

from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pytest

from models.data.images import to_ct_axes
from node.dicom.volume_files import (
    OutputFormat,
    output_format,
    read_nifti,
    write_slicer_segmentation,
)
from node.domain.errors import Rejected
from tests.support.dicom.body import (
    AXIAL,
    CORONAL,
    body,
    grid,
)
from tests.support.dicom.builders import LIVER, ThresholdSegmenter, model_spec
from tests.support.shared_data import shared_data


def test_a_slicer_segmentation_has_name_colour_code_and_extent(tmp_path: Path) -> None:
    volume = body(grid(AXIAL))
    mask = ThresholdSegmenter().predict(volume)
    path = tmp_path / "liver.seg.nrrd"
    write_slicer_segmentation(mask, path)
    labels, header = nrrd.read(str(path))
    assert header["Segment0_ID"] == "Segment_1"
    assert header["Segment0_Name"] == "Liver"
    assert header["Segment0_LabelValue"] == "1"
    assert header["Segment0_Layer"] == "0"
    assert [float(c) for c in header["Segment0_Color"].split()] == pytest.approx(
        [c / 255 for c in LIVER.display_rgb], abs=1e-5
    )
    assert "SCT^91772007^Organ~SCT^10200004^Liver" in header["Segment0_Tags"]
    extent = [int(end) for end in header["Segment0_Extent"].split()]
    inside = np.argwhere(labels == 1)
    assert extent[::2] == inside.min(axis=0).tolist()
    assert extent[1::2] == inside.max(axis=0).tolist()


def test_models_get_nifti_with_slices_toward_the_head(tmp_path: Path) -> None:
    path = tmp_path / "ct.nii"
    nibabel.save(body(grid(CORONAL)).permute_spatial_axes((2, 0, 1)).to_nibabel(), path)
    volume = to_ct_axes(read_nifti(path))
    directions = np.stack(volume.unit_vectors())
    np.testing.assert_allclose(directions, [[0, 0, 1], [0, 1, 0], [1, 0, 0]], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.dcm", OutputFormat.DICOM_SEG),
        ("a.nii", OutputFormat.NIFTI),
        ("A.NII.GZ", OutputFormat.NIFTI_COMPRESSED),
        ("a.seg.nrrd", OutputFormat.SLICER_SEGMENTATION),
    ],
)
def test_the_extension_selects_the_format(name: str, expected: OutputFormat) -> None:
    assert output_format(Path(name)) is expected


def test_an_unknown_extension_is_refused_with_the_known_ones() -> None:
    with pytest.raises(Rejected, match=r"\.seg\.nrrd"):
        output_format(Path("liver.stl"))


def test_a_real_nifti_ct_is_read_in_hu() -> None:
    folder = shared_data() / "ct" / "totalsegmentator-example"
    path = next(p for p in sorted(folder.glob("*.nii.gz")) if "label" not in p.name)
    volume = read_nifti(path)
    assert volume.dtype == np.int16
    assert -1300 < volume.array.min() < -900
    assert model_spec().min_slices < to_ct_axes(volume).spatial_shape[0]
