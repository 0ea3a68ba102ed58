"""From file to file without a node: a DICOM folder or NIfTI in, DICOM SEG, NIfTI or NRRD out."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import highdicom as hd
from models.mask import Mask
from models.measure import Measurement, measure

from node.dicom.exports import (
    OutputKind,
    ct_axes,
    is_nifti,
    output_kind,
    read_nifti,
    write_nifti,
    write_slicer,
)
from node.dicom.headers import load_headers
from node.dicom.segmentation import SegOptions
from node.domain.errors import Rejected, RejectionReason
from node.domain.job import job_id, result_identity
from node.domain.series import series_digest
from node.pipeline import (
    Progress,
    ResultRequest,
    Segmenter,
    check_found,
    check_size,
    segment,
)

_PREFIX_AT = 128  # PS3.10 7.1: 128 bytes of preamble, then DICM


@dataclass(frozen=True)
class OfflineSummary:
    """What was written; `timings_s` in seconds by stage, empty for NIfTI input."""

    output: Path
    slice_count: int
    measurements: dict[str, Measurement]
    timings_s: dict[str, float]

    def __str__(self) -> str:
        volumes = ", ".join(f"{name} {m.volume_ml:.0f} mL" for name, m in self.measurements.items())
        stages = ", ".join(f"{stage} {took:.1f} s" for stage, took in self.timings_s.items())
        return f"{self.output}: {volumes} in {self.slice_count} slices" + (
            f" ({stages})" if stages else ""
        )


def segment_file(
    source: Path,
    output: Path,
    predictor: Segmenter,
    *,
    made_at: datetime | None = None,
    options: SegOptions | None = None,
    progress: Progress | None = None,
) -> OfflineSummary:
    """Segment a DICOM folder, one multi-frame DICOM file or a NIfTI file into `output`.

    `made_at` is aware; without it, now. The end of the output's name decides what is written:
    .dcm, .nii, .nii.gz or .seg.nrrd.

    Raises:
        Rejected: the input is not for this model, or the output cannot be made from it.
    """
    kind = output_kind(output)
    if is_nifti(source):
        if kind is OutputKind.DICOM_SEG:
            raise Rejected(
                RejectionReason.INVALID_INSTANCE,
                f"A DICOM SEG refers to the DICOM images it was made from, and {source.name} is "
                "NIfTI: give the DICOM folder, or an output that ends in .nii.gz or .seg.nrrd.",
            )
        return _segment_nifti(source, output, kind, predictor, progress)
    paths = dicom_files(source)
    result = segment(
        paths,
        predictor,
        ResultRequest(
            identity=result_identity(_job(paths, predictor)),
            options=SegOptions() if options is None else options,
            made_at=datetime.now(UTC) if made_at is None else made_at,
        ),
        progress,
    )
    if kind is OutputKind.DICOM_SEG:
        result.dataset.save_as(output, enforce_file_format=True)
    else:
        _write(result.mask, output, kind)
    return OfflineSummary(output, result.source.slice_count, result.measurements, result.timings_s)


def dicom_files(source: Path) -> list[Path]:
    """The DICOM files (PS3.10) of a folder, or the one file.

    Raises:
        Rejected: there is none.
    """
    candidates = [source] if source.is_file() else sorted(source.rglob("*"))
    paths = [path for path in candidates if path.is_file() and _is_part10(path)]
    # A directory of the medium is no image.
    paths = [path for path in paths if path.name.upper() != "DICOMDIR"]
    if not paths:
        raise Rejected(RejectionReason.UNREADABLE, f"There are no DICOM files in {source}.")
    return paths


def _is_part10(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(_PREFIX_AT + 4)[_PREFIX_AT:] == b"DICM"


def _job(paths: list[Path], predictor: Segmenter) -> str:
    """The job's name as the node would give it for this series and model."""
    uids = (str(header.SOPInstanceUID) for header in load_headers(paths))
    return job_id(series_digest(uids), predictor.spec.model_id, predictor.spec.version)


def _segment_nifti(
    source: Path, output: Path, kind: OutputKind, predictor: Segmenter, progress: Progress | None
) -> OfflineSummary:
    original = read_nifti(source)
    volume = ct_axes(original)
    slices = volume.spatial_shape[0]
    check_size(slices, (slices - 1) * volume.spacing[0], predictor.spec)
    found = predictor.predict(volume, progress)
    measurements = measure(volume, found)
    check_found(measurements, predictor.spec)
    # Back on the grid and axes of the input, so that both load as one.
    back: hd.Volume = found.volume.match_geometry(original.get_geometry())
    _write(Mask(volume=back, labels=found.labels), output, kind)
    return OfflineSummary(output, slices, measurements, {})


def _write(mask: Mask, output: Path, kind: OutputKind) -> None:
    match kind:
        case OutputKind.SLICER:
            write_slicer(mask, output)
        case OutputKind.NIFTI | OutputKind.NIFTI_COMPRESSED:
            write_nifti(mask, output)
        case OutputKind.DICOM_SEG:
            raise AssertionError("a DICOM SEG is encoded by the pipeline")
