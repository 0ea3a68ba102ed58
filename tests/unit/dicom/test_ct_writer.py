"""CT series from a volume: complete, reproducible and of a fictitious patient."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless, RLELossless

from node.dicom.ct.reader import read_series
from node.dicom.ct_writer import CtDescription, write_ct_series
from tests.support.dicom.body import AXIAL, CORONAL, Directions, body, grid, oblique


@pytest.mark.parametrize(
    "directions",
    [
        pytest.param(AXIAL, id="axial"),
        pytest.param(CORONAL, id="coronal"),
        pytest.param(oblique(), id="oblique"),
    ],
)
def test_a_written_series_is_read_back_unchanged(directions: Directions, tmp_path: Path) -> None:
    volume = body(grid(directions))
    series = read_series(write_ct_series(volume, tmp_path))
    assert (series.volume.array == volume.array).all()
    np.testing.assert_allclose(series.volume.affine, volume.affine, atol=1e-8)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_files_declare_their_transfer_syntax(syntax: str, tmp_path: Path) -> None:
    paths = write_ct_series(body(grid(AXIAL)), tmp_path, transfer_syntax_uid=syntax)
    assert dcmread(paths[0]).file_meta.TransferSyntaxUID == syntax


def test_the_patient_is_clearly_fictitious(tmp_path: Path) -> None:
    dataset = dcmread(write_ct_series(body(grid(AXIAL)), tmp_path)[0])
    assert dataset.PatientName == "PHANTOM^SEGNODE"
    assert "no patient" in dataset.StudyDescription


def test_a_seed_determines_every_uid(tmp_path: Path) -> None:
    volume = body(grid(AXIAL, slices=3))
    first = dcmread(write_ct_series(volume, tmp_path / "a", seed=1)[0])
    again = dcmread(write_ct_series(volume, tmp_path / "b", seed=1)[0])
    other = dcmread(write_ct_series(volume, tmp_path / "c", seed=2)[0])
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        assert first[keyword] == again[keyword]
        assert first[keyword] != other[keyword]


def test_series_with_one_study_seed_share_the_study(tmp_path: Path) -> None:
    volume = body(grid(AXIAL, slices=3))
    one, two = (
        dcmread(
            write_ct_series(volume, tmp_path / seed, CtDescription(seed=seed, study_seed="study"))[
                0
            ]
        )
        for seed in ("one", "two")
    )
    assert one.StudyInstanceUID == two.StudyInstanceUID
    assert one.SeriesInstanceUID != two.SeriesInstanceUID
