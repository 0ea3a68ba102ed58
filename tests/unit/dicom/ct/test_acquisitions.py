"""A series of several acquisitions is refused with its parts named, or one of them is chosen."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from node.dicom.ct.reader import read_series
from node.domain.errors import Rejected, RejectionReason
from node.domain.findings import FindingKind
from node.domain.series import AcquisitionChoice
from node.pipeline import ResultRequest, segment
from tests.support.dicom.builders import (
    MADE_AT,
    CtFiles,
    ThresholdSegmenter,
    ct_series,
    enhanced_ct,
)
from tests.support.dicom.source_slices import liver_on_source_slices, segment_on_source_slices
from tests.support.peers.refusing_peer import only, refusal

_CHOICES = [choice for choice in AcquisitionChoice if choice is not AcquisitionChoice.REFUSE]


def phases(change: Callable[[int, Dataset], None], *, missing: int | None = None) -> CtFiles:
    """Returns 24 slices, numbered from 1, and the same again, numbered from 25.

    `change` gets the number of the phase, 0 or 1. `missing` is left out of the second phase.
    """

    def number(index: int, dataset: Dataset) -> None:
        dataset.InstanceNumber = index + 1
        change(index // 24, dataset)

    files = ct_series(duplicate=range(24)).modify(number)
    kept = [d for k, d in enumerate(files.datasets) if missing is None or k != 24 + missing]
    return CtFiles(tuple(kept))


def acquisition(phase: int, dataset: Dataset) -> None:
    dataset.AcquisitionNumber = phase + 1


@pytest.mark.parametrize(
    ("keyword", "values", "expected"),
    [
        ("TemporalPositionIdentifier", (1, 2), "temporal position: 1 (24 slices), 2 (24 slices)"),
        ("AcquisitionNumber", (3, 4), "acquisition: 3 (24 slices), 4 (24 slices)"),
        ("KVP", ("80", "120"), "KVP: 80 (24 slices), 120 (24 slices)"),
        (
            "ConvolutionKernel",
            ("B70f", "B30f"),
            "convolution kernel: B70f (24 slices), B30f (24 slices)",
        ),
        ("AcquisitionTime", ("1000", "1001"), "acquisition time: 1000 (24 slices), 1001"),
    ],
)
def test_the_refusal_says_how_the_series_divides(
    keyword: str, values: tuple[object, object], expected: str, tmp_path: Path
) -> None:
    files = phases(lambda phase, dataset: setattr(dataset, keyword, values[phase]))
    message = refusal(files.write(tmp_path), RejectionReason.SEVERAL_ACQUISITIONS)
    assert "Send each phase as a series of its own. It holds 2 parts by" in message
    assert expected in message


@pytest.mark.parametrize(
    ("choice", "first_number"),
    [
        (AcquisitionChoice.FIRST, 1),
        (AcquisitionChoice.LAST, 25),
        (AcquisitionChoice.MOST_SLICES, 1),
    ],
)
def test_a_rule_chooses_one_of_the_acquisitions(
    choice: AcquisitionChoice, first_number: int, tmp_path: Path
) -> None:
    # The second phase is brighter, and its files come first.
    def brighten(phase: int, dataset: Dataset) -> None:
        acquisition(phase, dataset)
        dataset.RescaleIntercept = str(-1024 + 100 * phase)

    files = CtFiles(phases(brighten).datasets[::-1])
    series = read_series(files.write(tmp_path), choice)
    assert series.slice_count == 24
    numbers = {source.InstanceNumber for source in series.sources}
    assert numbers == set(range(first_number, first_number + 24))
    assert series.volume.array.max() == (120 if first_number == 1 else 220)


def test_the_reconstruction_with_the_most_slices_is_chosen(tmp_path: Path) -> None:
    thin = ct_series().datasets
    thick = ct_series(duplicate=range(0, 24, 2)).datasets[24:]
    for number, dataset in enumerate([*thick, *thin]):
        dataset.InstanceNumber = number + 1
    for dataset in thick:
        dataset.ConvolutionKernel = "B70f"
    files = CtFiles((*thick, *thin)).write(tmp_path)
    assert read_series(files, AcquisitionChoice.MOST_SLICES).slice_count == 24
    assert read_series(files, AcquisitionChoice.FIRST).slice_count == 12


def test_the_result_is_on_the_chosen_slices_and_says_so(tmp_path: Path) -> None:
    request = ResultRequest("job", MADE_AT, acquisitions=AcquisitionChoice.LAST)
    paths = phases(acquisition).write(tmp_path)
    result = segment(paths, ThresholdSegmenter(), request)
    series = result.content.source
    found = segment_on_source_slices(result.dataset, series)
    assert (found == liver_on_source_slices(series)).all()
    referenced = result.dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert {item.ReferencedSOPInstanceUID for item in referenced} == {
        source.SOPInstanceUID for source in series.sources
    }
    (finding,) = result.content.findings
    assert finding.kind is FindingKind.SEVERAL_ACQUISITIONS
    assert finding.text.endswith("the result is that of acquisition 2.")
    assert finding.text in result.dataset.DerivationDescription


@pytest.mark.parametrize("choice", AcquisitionChoice)
def test_nothing_is_chosen_if_one_acquisition_is_incomplete(
    choice: AcquisitionChoice, tmp_path: Path
) -> None:
    with pytest.raises(Rejected) as caught:
        read_series(phases(acquisition, missing=7).write(tmp_path), choice)
    assert caught.value.reason is RejectionReason.SEVERAL_ACQUISITIONS
    assert "parts by" not in str(caught.value)


@pytest.mark.parametrize("choice", _CHOICES)
def test_slices_that_do_not_differ_are_still_duplicates(
    choice: AcquisitionChoice, tmp_path: Path
) -> None:
    with pytest.raises(Rejected) as caught:
        read_series(ct_series(duplicate=[3]).write(tmp_path), choice)
    assert caught.value.reason is RejectionReason.DUPLICATE_POSITIONS


@pytest.mark.parametrize("choice", _CHOICES)
def test_a_missing_slice_is_refused_whatever_the_choice(
    choice: AcquisitionChoice, tmp_path: Path
) -> None:
    with pytest.raises(Rejected) as caught:
        read_series(ct_series(missing=[3]).write(tmp_path), choice)
    assert caught.value.reason is RejectionReason.MISSING_SLICES


def test_a_series_of_one_acquisition_has_no_choice(tmp_path: Path) -> None:
    paths = ct_series().modify(only(0, lambda _dataset: None)).write(tmp_path)
    default = read_series(paths)
    for choice in _CHOICES:
        series = read_series(paths, choice)
        assert (series.volume.array == default.volume.array).all()
        assert not series.chosen


def test_phases_of_two_kernels_do_not_divide_by_one_of_them(tmp_path: Path) -> None:
    both = ct_series(duplicate=[*range(24), *range(24), *range(24)])

    def number(index: int, dataset: Dataset) -> None:
        dataset.AcquisitionNumber = 1 + index // 48
        dataset.ConvolutionKernel = "B30f" if index // 24 % 2 else "B70f"
        dataset.SOPInstanceUID = f"1.2.3.{index}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID

    with pytest.raises(Rejected, match=r"of its own.$"):
        read_series(both.modify(number).write(tmp_path), AcquisitionChoice.FIRST)


def test_the_refusal_says_how_an_enhanced_ct_divides(tmp_path: Path) -> None:
    enhanced = enhanced_ct(frame_order=[*range(24), *range(24)])
    for number, groups in enumerate(enhanced.PerFrameFunctionalGroupsSequence):
        groups.FrameContentSequence[0].TemporalPositionIndex = 1 + number // 24
    path = tmp_path / "enhanced.dcm"
    enhanced.save_as(path, enforce_file_format=True)
    with pytest.raises(Rejected, match=r"temporal position: 1 .24 slices., 2 .24 slices"):
        read_series([path])


def test_interleaved_phases_keep_their_own_positions(tmp_path: Path) -> None:
    def number(index: int, dataset: Dataset) -> None:
        dataset.AcquisitionNumber = 1 + index % 2

    series = read_series(ct_series().modify(number).write(tmp_path), AcquisitionChoice.LAST)
    assert series.slice_count == 12
    heights = [float(source.ImagePositionPatient[2]) for source in series.sources]
    np.testing.assert_allclose(np.diff(heights), 12.0)
    np.testing.assert_allclose(series.volume.affine[2, 3], heights[0])
