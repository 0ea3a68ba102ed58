"""NIfTI files state units, position and labels, and other software reads the same from them."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import highdicom as hd
import nibabel
import numpy as np
import pytest
import SimpleITK

from models.mask import Mask
from node.dicom.nifti_files import LABEL_TABLE_CODE, Space, side_car_of, write_mask, write_volume
from tests.support.dicom.body import AXIAL, CORONAL, FEET_FIRST, Directions, body, grid, oblique
from tests.support.dicom.builders import LIVER, SPLEEN, ThresholdSegmenter

_MM = 2  # NIFTI_UNITS_MM
_DIRECTIONS = pytest.mark.parametrize(
    "directions",
    [
        pytest.param(AXIAL, id="axial"),
        pytest.param(FEET_FIRST, id="feet-first"),
        pytest.param(CORONAL, id="coronal"),
        pytest.param(oblique(), id="oblique"),
    ],
)


def as_nifti_axes(volume: hd.Volume) -> hd.Volume:
    return volume.permute_spatial_axes((2, 1, 0))


def found_liver(directions: Directions = AXIAL) -> Mask:
    mask = ThresholdSegmenter().predict(body(grid(directions)))
    return replace(mask, volume=as_nifti_axes(mask.volume), labels=(LIVER, SPLEEN))


@_DIRECTIONS
@pytest.mark.parametrize("name", ["ct.nii", "ct.nii.gz"])
def test_a_file_states_millimetres_and_one_position_twice(
    directions: Directions, name: str, tmp_path: Path
) -> None:
    volume = as_nifti_axes(body(grid(directions)))
    write_volume(volume, tmp_path / name, "a CT")
    image = nibabel.load(tmp_path / name)
    assert int(image.header["xyzt_units"]) & 7 == _MM
    (qform, qform_code), (sform, sform_code) = (
        image.header.get_qform(coded=True),
        image.header.get_sform(coded=True),
    )
    assert qform_code == sform_code == Space.SCANNER
    np.testing.assert_allclose(qform, sform, atol=1e-4)
    to_ras = np.diag([-1, -1, 1, 1])
    np.testing.assert_allclose(sform, to_ras @ volume.affine, atol=1e-4)
    assert bytes(image.header["descrip"]).rstrip(b"\0") == b"a CT"


@_DIRECTIONS
def test_itk_reads_the_same_voxels_at_the_same_positions(
    directions: Directions, tmp_path: Path
) -> None:
    mask = found_liver(directions)
    write_mask(mask, tmp_path / "liver.nii.gz", "a mask")
    image = SimpleITK.ReadImage(str(tmp_path / "liver.nii.gz"))
    assert image.GetPixelID() == SimpleITK.sitkUInt8
    values = SimpleITK.GetArrayFromImage(image).T  # (column, row, slice)
    assert np.array_equal(values, mask.volume.array)
    assert values.sum() > 500
    corner = tuple(int(n) - 1 for n in mask.volume.spatial_shape)
    for index in ((0, 0, 0), corner):
        expected = mask.volume.map_indices_to_reference(np.array([index]))[0]  # LPS, as in ITK
        np.testing.assert_allclose(image.TransformIndexToPhysicalPoint(index), expected, atol=1e-3)


def test_a_mask_on_the_grid_of_a_nifti_file_shares_its_space(tmp_path: Path) -> None:
    write_mask(found_liver(), tmp_path / "liver.nii", "a mask", Space.SAME_AS_SOURCE)
    header = nibabel.load(tmp_path / "liver.nii").header
    assert int(header["qform_code"]) == int(header["sform_code"]) == 2


def test_a_mask_has_a_table_of_its_labels(tmp_path: Path) -> None:
    write_mask(found_liver(), tmp_path / "liver.nii.gz", "a mask")
    header = nibabel.load(tmp_path / "liver.nii.gz").header
    assert header.get_intent()[0] == "label"
    (extension,) = header.extensions
    assert extension.get_code() == LABEL_TABLE_CODE == 30
    content = extension.content
    root = ElementTree.fromstring(content.rstrip(b"\0"))  # noqa: S314 the node wrote it
    assert root.tag == "CaretExtension"
    assert root.findtext("VolumeInformation/VolumeType") == "Label"
    background, *organs = root.findall("VolumeInformation/LabelTable/Label")
    assert (background.get("Key"), background.get("Alpha")) == ("0", "0")
    assert [(item.get("Key"), item.text) for item in organs] == [("1", "Liver"), ("2", "Spleen")]
    channels = [float(organs[0].get(name, "")) * 255 for name in ("Red", "Green", "Blue")]
    assert channels == pytest.approx(LIVER.display_rgb, abs=1e-3)


def test_a_side_car_has_names_codes_and_colours(tmp_path: Path) -> None:
    path = tmp_path / "Liver.NII.GZ"
    write_mask(found_liver(), path, "liver-test 0.0.1; not for diagnostic use")
    assert side_car_of(path) == tmp_path / "Liver.json"
    content = json.loads((tmp_path / "Liver.json").read_text(encoding="utf-8"))
    assert content["description"] == "liver-test 0.0.1; not for diagnostic use"
    first, second = content["labels"]
    assert first == {
        "value": 1,
        "name": "Liver",
        "colour": "#dd8265",
        "category": {"value": "91772007", "scheme": "SCT", "meaning": "Organ"},
        "type": {"value": "10200004", "scheme": "SCT", "meaning": "Liver"},
    }
    assert (second["value"], second["name"]) == (2, "Spleen")


def test_a_long_description_is_cut(tmp_path: Path) -> None:
    write_volume(as_nifti_axes(body(grid(AXIAL))), tmp_path / "ct.nii", "Leber ä " * 20)
    text = bytes(nibabel.load(tmp_path / "ct.nii").header["descrip"]).rstrip(b"\0")
    assert text.startswith(b"Leber ? Leber")
    assert len(text) == 79
