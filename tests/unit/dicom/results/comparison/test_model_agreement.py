"""The result of a model is compared with the stored SEG of another one, on the source slices."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from models.mask import Mask
from node.dicom.ct.reader import CtSeries, read_series
from node.dicom.results.comparison.coded_organ import comparable_models
from node.dicom.results.comparison.model_agreement import compare
from node.dicom.results.comparison.other_result import OtherResult
from node.dicom.results.comparison.stored_segments import NotComparable
from node.dicom.results.content import ResultContent
from node.domain.findings import Finding, FindingKind
from node.domain.result_objects import SegEncoding
from node.domain.series import AcquisitionChoice
from tests.support.dicom.body import AXIAL, grid
from tests.support.dicom.builders import (
    LIVER,
    SPLEEN,
    ct_series,
    enhanced_ct,
    model_spec,
    shift_slice,
)
from tests.support.dicom.results import content_of, encoded_seg, liver_mask
from tests.support.dicom.source_slices import segment_on_source_slices

ENCODINGS = pytest.mark.parametrize("encoding", SegEncoding)
KIDNEY = replace(SPLEEN, index=2, name="Right kidney", type=replace(SPLEEN.type, value="9846003"))


def stored(
    content: ResultContent, folder: Path, encoding: SegEncoding = SegEncoding.ALL_FRAMES
) -> OtherResult:
    """The content as another model's job has stored it."""
    path = folder / f"other-{encoding}.dcm"
    encoded_seg(content, encoding).save_as(path, enforce_file_format=True)
    measured = {
        name: {key: value for key, value in asdict(each).items() if value is not None}
        for name, each in content.measurements.items()
    }
    return OtherResult("organs-ct", "0.2.0", path, measured)


def shifted(mask: Mask, rows: int) -> Mask:
    """The mask, moved by whole rows."""
    return Mask(mask.volume.with_array(np.roll(mask.volume.array, rows, axis=1)), mask.labels)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def axial(folder: Path) -> CtSeries:
    return read_series(ct_series().write(folder))


def tilted(folder: Path) -> CtSeries:
    geometry = grid(AXIAL, slices=40, rows=110, columns=130, spacing_mm=(3.0, 1.0, 1.0))
    series = read_series(ct_series(geometry=geometry, tilt_degrees=18.5).write(folder))
    assert series.grid.is_sheared
    return series


def uneven(folder: Path) -> CtSeries:
    """Slices every 4 mm, then every 7 mm."""
    distances_mm = np.concatenate([[0.0], np.cumsum([4.0] * 15 + [7.0] * 8)])
    geometry = grid(AXIAL, slices=len(distances_mm), spacing_mm=(1.0, 3.0, 3.0))
    along = np.array(geometry.unit_vectors()[0])
    offsets_mm = distances_mm - distances_mm.mean() + (len(distances_mm) - 1) / 2

    def move(index: int, dataset: Dataset) -> None:
        shift_slice(dataset, geometry, along * (offsets_mm[index] - index))

    series = read_series(ct_series(geometry=geometry).modify(move).write(folder))
    assert series.is_resampled
    return series


@ENCODINGS
@pytest.mark.parametrize("series_in", [axial, tilted, uneven])
def test_the_agreement_is_the_dice_of_both_segs_on_the_source_slices(
    series_in: Callable[[Path], CtSeries], encoding: SegEncoding, tmp_path: Path
) -> None:
    series = series_in(tmp_path / "ct")
    theirs = content_of(series, liver_mask(series), job_id="theirs")
    ours = content_of(series, shifted(liver_mask(series), 2))
    on_slices = [segment_on_source_slices(encoded_seg(each), series) for each in (ours, theirs)]
    expected = dice(*on_slices)
    assert 0.5 < expected < 0.97
    (found,) = compare(ours, stored(theirs, tmp_path, encoding), 0.98)
    assert found.kind is FindingKind.MODELS_DISAGREE
    assert found.organ == "Liver"
    assert f"(Dice {expected:.2f}, at least 0.98 is expected)" in found.text
    assert compare(ours, stored(theirs, tmp_path, encoding), expected - 0.001) == ()


def test_the_threshold_is_stated_with_every_digit(tmp_path: Path) -> None:
    series = axial(tmp_path / "ct")
    theirs = content_of(series, liver_mask(series), job_id="theirs")
    ours = content_of(series, shifted(liver_mask(series), 2))
    (found,) = compare(ours, stored(theirs, tmp_path, SegEncoding.SPARSE), 0.9995)
    assert "at least 0.9995 is expected" in found.text


@ENCODINGS
@pytest.mark.parametrize("series_in", [axial, tilted, uneven])
def test_a_model_agrees_with_itself(
    series_in: Callable[[Path], CtSeries], encoding: SegEncoding, tmp_path: Path
) -> None:
    series = series_in(tmp_path / "ct")
    content = content_of(series, liver_mask(series))
    assert compare(content, stored(content, tmp_path, encoding), 1.0) == ()


@ENCODINGS
def test_frames_of_a_multi_frame_ct_are_compared_in_their_order(
    encoding: SegEncoding, tmp_path: Path
) -> None:
    path = tmp_path / "enhanced.dcm"
    enhanced_ct(frame_order=[*range(12, 24), *range(12)]).save_as(path, enforce_file_format=True)
    series = read_series([path])
    content = content_of(series, liver_mask(series))
    assert compare(content, stored(content, tmp_path, encoding), 1.0) == ()
    ours = content_of(series, shifted(liver_mask(series), 2))
    expected = dice(ours.mask.volume.array > 0, content.mask.volume.array > 0)
    (found,) = compare(ours, stored(content, tmp_path, encoding), 1.0)
    assert f"Dice {expected:.2f}" in found.text


def test_the_finding_states_both_volumes_as_both_results_state_them(tmp_path: Path) -> None:
    series = axial(tmp_path / "ct")
    theirs = content_of(series, liver_mask(series), job_id="theirs")
    smaller = liver_mask(series).volume.array.copy()
    smaller[:13] = 0
    ours = content_of(series, Mask(series.volume.with_array(smaller), (LIVER,)))
    (found,) = compare(ours, stored(theirs, tmp_path), 0.99)
    own_ml, their_ml = (round(each.measurements["Liver"].volume_ml) for each in (ours, theirs))
    assert own_ml < their_ml
    assert found.text.startswith(
        f"Two models disagree on the liver: liver-test 0.0.1 has {own_ml} mL, organs-ct 0.2.0 has "
        f"{their_ml} mL, {their_ml - own_ml} mL more (Dice 0."
    )


@ENCODINGS
def test_an_organ_that_one_model_does_not_find_is_a_finding(
    encoding: SegEncoding, tmp_path: Path
) -> None:
    series = axial(tmp_path / "ct")
    labels = (LIVER, SPLEEN)
    both = content_of(series, liver_mask(series, labels))
    values = both.mask.volume.array.copy()
    values[values == SPLEEN.index] = 0
    one = content_of(series, Mask(both.mask.volume.with_array(values), labels), job_id="one")
    ml = round(both.measurements["Spleen"].volume_ml)
    assert compare(both, stored(one, tmp_path, encoding), 0.9) == (
        Finding(
            FindingKind.MODELS_DISAGREE,
            "Spleen",
            f"Two models disagree on the spleen: liver-test 0.0.1 has {ml} mL, organs-ct 0.2.0 "
            "found none.",
        ),
    )
    assert compare(one, stored(both, tmp_path, encoding), 0.9) == (
        Finding(
            FindingKind.MODELS_DISAGREE,
            "Spleen",
            "Two models disagree on the spleen: liver-test 0.0.1 found none, organs-ct 0.2.0 has "
            f"{ml} mL.",
        ),
    )
    assert compare(one, stored(one, tmp_path, encoding), 1.0) == (), "neither found it"


@ENCODINGS
def test_organs_are_the_same_by_their_codes_not_by_name_or_number(
    encoding: SegEncoding, tmp_path: Path
) -> None:
    series = axial(tmp_path / "ct")
    mask = liver_mask(series)
    # Segment 2 of the other model is the liver; its segment 1 has our name, but is a kidney.
    labels = (replace(KIDNEY, index=1, name="Liver"), replace(LIVER, index=2, name="Foie"))
    theirs = Mask(mask.volume.with_array(mask.volume.array * 2), labels)
    other = stored(content_of(series, theirs), tmp_path, encoding)
    assert compare(content_of(series, mask), other, 1.0) == ()
    wrong_organ = Mask(mask.volume, (replace(LIVER, type=replace(LIVER.type, value="1")),))
    assert compare(content_of(series, wrong_organ), other, 1.0) == ()


def test_a_segment_with_a_side_is_another_organ(tmp_path: Path) -> None:
    series = axial(tmp_path / "ct")
    ours = content_of(series, shifted(liver_mask(series), 5))
    other = stored(content_of(series, liver_mask(series)), tmp_path)
    assert compare(ours, other, 1.0) != ()
    seg = dcmread(other.segmentation)
    modifier = hd.sr.CodedConcept("24028007", "SCT", "Right")
    (coded,) = seg.SegmentSequence[0].SegmentedPropertyTypeCodeSequence
    coded.SegmentedPropertyTypeModifierCodeSequence = [modifier]
    seg.save_as(other.segmentation)
    assert compare(ours, other, 1.0) == ()


def test_a_lower_bound_is_stated(tmp_path: Path) -> None:
    series = axial(tmp_path / "ct")
    ours = content_of(series, shifted(liver_mask(series), 5))
    cut = {name: replace(each, cut_by_series=True) for name, each in ours.measurements.items()}
    other = stored(content_of(series, liver_mask(series)), tmp_path)
    other.measurements["Liver"]["touches_field_of_view"] = True  # type: ignore[index]
    (found,) = compare(replace(ours, measurements=cut), other, 1.0)
    assert found.text.count(" has at least ") == 2


def _remove(path: Path) -> None:
    path.unlink()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:3000])


def _overwrite(path: Path) -> None:
    path.write_bytes(b"no DICOM")


def _resize(path: Path) -> None:
    seg = dcmread(path)
    seg.Rows, seg.Columns = seg.Columns, seg.Rows
    seg.save_as(path)


@pytest.mark.parametrize("damage", [_remove, _cut, _overwrite, _resize])
def test_a_seg_that_cannot_be_read_is_not_compared(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    series = axial(tmp_path / "ct")
    content = content_of(series, liver_mask(series))
    other = stored(content, tmp_path)
    damage(other.segmentation)
    with pytest.raises(NotComparable, match="SEG"):
        compare(content, other, 0.9)


@ENCODINGS
def test_a_seg_of_another_acquisition_is_not_compared(
    encoding: SegEncoding, tmp_path: Path
) -> None:
    files = ct_series()
    for dataset in files.datasets:
        dataset.AcquisitionNumber = 1
    second = ct_series(seed="second")
    for number, dataset in enumerate(second.datasets, start=100):
        dataset.AcquisitionNumber = 2
        dataset.InstanceNumber = number
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
            setattr(dataset, keyword, files.datasets[0][keyword].value)
    paths = [*files.write(tmp_path / "1"), *second.write(tmp_path / "2")]
    first_part, last_part = (
        read_series(paths, choice) for choice in (AcquisitionChoice.FIRST, AcquisitionChoice.LAST)
    )
    other = stored(content_of(first_part, liver_mask(first_part)), tmp_path, encoding)
    with pytest.raises(NotComparable, match="other images"):
        compare(content_of(last_part, liver_mask(last_part)), other, 0.9)


def test_models_are_comparable_if_an_organ_has_the_same_code() -> None:
    old_code = replace(LIVER, name="Liver (SRT)", type=replace(LIVER.type, value="T-62000"))
    specs = {
        "liver": model_spec(labels=(LIVER,)),
        "organs": model_spec(labels=(LIVER, SPLEEN)),
        "kidney": model_spec(labels=(replace(KIDNEY, index=1),)),
        "old": model_spec(labels=(replace(old_code, type=replace(old_code.type, scheme="SRT")),)),
    }
    named = [replace(spec, model_id=name) for name, spec in specs.items()]
    assert comparable_models(named) == {
        "liver": {"organs", "old"},
        "organs": {"liver", "old"},
        "kidney": frozenset(),
        "old": {"liver", "organs"},
    }
