"""A series of two phases of the body, each with its own positions and values."""

import numpy as np
from pydicom.dataset import Dataset, FileDataset

from node.domain.identifiers import mint_uid
from tests.support.dicom.body import LIVER_HU, grid
from tests.support.dicom.builders import CtFiles, ct_series, enhanced_of, shift_slice

# The second phase lies this far from the first (LPS, mm), after a breath: no position of one is one
# of the other, and the liver has other pixels in each.
SHIFT_MM = (9.0, -6.0, 2.0)
# The values of the second phase are higher; its tissue stays below the threshold of the liver.
ENHANCEMENT_HU = 40
PHASE_SLICES = 24


def two_phases(*, missing: int | None = None, same_positions: bool = False) -> CtFiles:
    """Returns the slices of acquisition 1, numbered from 1, then those of acquisition 2.

    `missing` is the index of a slice that the second acquisition lacks.
    """
    first = ct_series().datasets
    second = ct_series(duplicate=range(PHASE_SLICES)).datasets[PHASE_SLICES:]
    for number, dataset in enumerate((*first, *second)):
        dataset.InstanceNumber = number + 1
        dataset.AcquisitionNumber = 1 + number // PHASE_SLICES
    for dataset in second:
        if not same_positions:
            shift_slice(dataset, grid(), np.array(SHIFT_MM))
        dataset.RescaleIntercept = str(-1024 + ENHANCEMENT_HU)
    kept = [dataset for k, dataset in enumerate(second) if k != missing]
    return CtFiles((*first, *kept))


def interleaved_enhanced_ct(*, attribute: str = "TemporalPositionIndex") -> FileDataset:
    """Returns both phases as one Enhanced CT, whose frames alternate between them.

    Frames of the phases differ by the `attribute`: TemporalPositionIndex, StackID or
    ConvolutionKernel.
    """
    slices = two_phases().datasets
    pairs = zip(slices[:PHASE_SLICES], slices[PHASE_SLICES:], strict=True)
    enhanced = enhanced_of([dataset for pair in pairs for dataset in pair])
    for number, groups in enumerate(enhanced.PerFrameFunctionalGroupsSequence):
        phase = 1 + number % 2
        if attribute == "ConvolutionKernel":
            reconstruction = Dataset()
            reconstruction.ConvolutionKernel = ("B30f", "B70f")[phase - 1]
            groups.CTReconstructionSequence = [reconstruction]
        elif attribute == "StackID":
            groups.FrameContentSequence[0].StackID = str(phase)
        else:
            setattr(groups.FrameContentSequence[0], attribute, phase)
    return enhanced


def own_series(files: CtFiles, acquisition: int) -> CtFiles:
    """Returns the slices of that acquisition alone."""
    return CtFiles(tuple(d for d in files.datasets if d.AcquisitionNumber == acquisition))


def as_another_series(files: CtFiles, seed: str) -> CtFiles:
    """Gives the images the UIDs of another series."""

    def rename(index: int, dataset: Dataset) -> None:
        dataset.SeriesInstanceUID = mint_uid("phases", seed)
        dataset.SOPInstanceUID = mint_uid("phases", seed, str(index))
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID

    return files.modify(rename)


def max_hu(phase: int) -> int:
    """The highest value in acquisition 1 or 2: that of the liver."""
    return LIVER_HU + ENHANCEMENT_HU * (phase - 1)
