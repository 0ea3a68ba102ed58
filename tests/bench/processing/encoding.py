"""Encoding a mask as a DICOM SEG with a frame for each slice, from the files of its CT."""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import highdicom as hd
import numpy as np

from models.mask import Mask
from models.measurement import measure
from node.dicom.ct.reader import read_series
from node.dicom.results.content import ResultContent
from node.dicom.results.segmentation import encode
from node.domain.result_objects import SEG
from tests.bench.process_cost import cost_of_descendants
from tests.bench.processing.work import Inputs, Work, nearest_in

# The peak of memory is read this often, because it is not known after the end.
_POLL_S = 0.02


def by_segnode(inputs: Inputs) -> Work[Path]:
    """Reads the series, as dcmqi does, encodes the mask, and writes the file."""
    spec = inputs.spec
    voxels = np.load(inputs.mask_voxels)
    volume = read_series(inputs.images).volume
    measurements = measure(volume, Mask(volume.with_array(voxels), spec.labels))
    seg = inputs.folder / "segnode.dcm"

    def run() -> Path:
        source = read_series(inputs.images)
        mask = Mask(source.volume.with_array(voxels), spec.labels)
        content = ResultContent("bench", source, mask, spec, measurements, (), datetime.now(UTC))
        (dataset,) = encode(content, SEG)
        dataset.save_as(seg, enforce_file_format=True)
        return seg

    return Work(run, partial(_values_at, inputs))


def by_dcmqi(inputs: Inputs) -> Work[Path]:
    """Runs `itkimage2segimage`."""
    description, seg = inputs.folder / "description.json", inputs.folder / "dcmqi.dcm"
    description.write_text(json.dumps(_description(inputs)), encoding="utf-8")
    command = [
        dcmqi_program() or "",
        *("--inputImageList", str(inputs.mask_image)),
        *("--inputDICOMDirectory", str(inputs.ct)),
        *("--inputMetadata", str(description)),
        *("--outputDICOM", str(seg)),
        *("--skip", "0"),
    ]

    peaks_mib = [0.0]

    def run() -> Path:
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            while not _has_ended(process):
                # The installed command may be a script that starts the program.
                peaks_mib.append(cost_of_descendants().peak_mib)
        if process.returncode:
            raise RuntimeError(f"itkimage2segimage failed with status {process.returncode}")
        return seg

    return Work(run, partial(_values_at, inputs), lambda: max(peaks_mib))


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Waits a moment for its end."""
    try:
        process.wait(_POLL_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def dcmqi_program() -> str | None:
    """Returns the path of `itkimage2segimage`, beside this Python or on PATH."""
    beside = Path(sys.executable).parent / "itkimage2segimage"
    return str(beside) if beside.exists() else shutil.which("itkimage2segimage")


def _description(inputs: Inputs) -> dict[str, object]:
    (label,) = inputs.spec.labels
    return {
        "ContentCreatorName": "BENCH",
        "SeriesDescription": "Segmentation",
        "SeriesNumber": "300",
        "InstanceNumber": "1",
        "segmentAttributes": [
            [
                {
                    "labelID": label.index,
                    "SegmentDescription": label.name,
                    "SegmentAlgorithmType": "AUTOMATIC",
                    "SegmentAlgorithmName": "bench",
                    "SegmentedPropertyCategoryCodeSequence": {
                        "CodeValue": "91772007",
                        "CodingSchemeDesignator": "SCT",
                        "CodeMeaning": "Organ",
                    },
                    "SegmentedPropertyTypeCodeSequence": {
                        "CodeValue": "10200004",
                        "CodingSchemeDesignator": "SCT",
                        "CodeMeaning": "Liver",
                    },
                }
            ]
        ],
    }


def _values_at(inputs: Inputs, seg: Path) -> np.ndarray:
    volume = hd.seg.segread(seg).get_volume(combine_segments=True)
    return nearest_in(volume, inputs.positions)
