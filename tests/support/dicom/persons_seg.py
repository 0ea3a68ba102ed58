"""A SEG as a workstation stores it: by another creator, of the frames with contents only."""

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from node.dicom.ct.reader import CtSeries
from node.domain.identifiers import mint_uid


def persons_seg(
    source: CtSeries,
    mask: NDArray[np.bool_],
    seed: str,
    *,
    code: Code = codes.SCT.Liver,
    label: str = "Liver (edited)",
) -> Dataset:
    """Returns a SEG of one segment; `mask` is (slice, row, column) on the slices of `source`."""
    description = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label=label,
        segmented_property_category=codes.SCT.Organ,
        segmented_property_type=code,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
    )
    return hd.seg.Segmentation(
        source_images=list(source.sources),
        pixel_array=mask.astype(np.uint8),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[description],
        series_instance_uid=mint_uid("person", seed),
        series_number=77,
        sop_instance_uid=mint_uid("person", seed, "instance"),
        instance_number=1,
        manufacturer="Workstation",
        manufacturer_model_name="Editor",
        software_versions="5.6",
        device_serial_number="1",
        content_creator_name="Reader^Rita",
        omit_empty_frames=True,
    )
