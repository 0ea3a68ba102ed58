"""Segmentation of files without a running node: DICOM or NIfTI to DICOM SEG, NIfTI or NRRD."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from models.data.images import is_nifti, to_ct_axes
from models.mask import Mask
from models.measurement import Measurement
from node.dicom.ct.files import find_dicom_files, group_by_series
from node.dicom.ct.headers import load_headers
from node.dicom.ct.reader import read_series
from node.dicom.nifti_files import Space, write_mask
from node.dicom.volume_files import (
    OutputFormat,
    output_format,
    read_nifti,
    write_slicer_segmentation,
)
from node.domain.errors import Rejected, RejectionReason
from node.domain.identifiers import mint_uid
from node.domain.instance import Channel, Origin
from node.domain.job import job_id
from node.domain.series import series_digest
from node.domain.texts.numbers import millilitres
from node.domain.texts.result_texts import NOT_FOR_DIAGNOSTIC_USE, ResultTexts
from node.intake.part10 import identified_from_part10, part10_bytes
from node.pipeline import (
    Progress,
    ResultRequest,
    Segmenter,
    segment,
    segment_series,
    segment_volume,
)


@dataclass(frozen=True)
class OfflineSummary:
    """The written file and its measurements; `timings_s` in seconds by stage."""

    output: Path
    slice_count: int
    measurements: dict[str, Measurement]
    timings_s: dict[str, float]

    def __str__(self) -> str:
        volumes = ", ".join(f"{name} {_volume(m)}" for name, m in self.measurements.items())
        stages = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in self.timings_s.items())
        return f"{self.output}: {volumes} in {self.slice_count} slices" + (
            f" ({stages})" if stages else ""
        )


def segment_file(
    source: Path,
    output: Path,
    predictor: Segmenter,
    *,
    made_at: datetime | None = None,
    texts: ResultTexts | None = None,
    series: str | None = None,
    progress: Progress | None = None,
) -> OfflineSummary:
    """Segments a DICOM folder, one multi-frame DICOM file or a NIfTI file into `output`.

    `made_at` is time zone aware and defaults to now. `series` is the Series Instance UID that
    selects one of several series in the folder. The extension of `output` selects its format:
    .dcm, .nii, .nii.gz or .seg.nrrd. NIfTI gets a side-car `NAME.json` with the labels.

    Raises:
        Rejected: the input is not suitable for the model, or for the output format.
    """
    file_format = output_format(output)
    if not output.absolute().parent.is_dir():
        raise Rejected(
            RejectionReason.INVALID_INSTANCE,
            f"The result cannot be written: there is no folder {output.absolute().parent}.",
        )
    if file_format is OutputFormat.DICOM_SEG:
        request_time = datetime.now(UTC) if made_at is None else made_at
        seg_texts = ResultTexts() if texts is None else texts
        with _with_identifiers(_referable_files(source, series)) as paths:
            return _to_seg(paths, output, predictor, request_time, seg_texts, progress)
    if is_nifti(source):
        original = read_nifti(source)
        found = segment_volume(to_ct_axes(original), predictor, progress)
        slice_count = found.mask.volume.spatial_shape[0]
    else:
        ct = read_series(_series_files(source, series))
        found = segment_series(ct, predictor, progress)
        # Column, row, slice, as NIfTI usually is.
        original = ct.volume.permute_spatial_axes((2, 1, 0))
        slice_count = ct.slice_count
    # On the grid and axes of the input, so that viewers load both on one grid.
    on_input_grid = found.mask.volume.match_geometry(original.get_geometry())
    mask = Mask(volume=on_input_grid, labels=found.mask.labels)
    if file_format is OutputFormat.SLICER_SEGMENTATION:
        write_slicer_segmentation(mask, output)
    else:
        space = Space.SAME_AS_SOURCE if is_nifti(source) else Space.SCANNER
        spec = predictor.spec
        description = f"{spec.model_id} {spec.version}; {NOT_FOR_DIAGNOSTIC_USE}"
        write_mask(mask, output, description, space)
    return OfflineSummary(output, slice_count, found.measurements, found.timings_s)


def _referable_files(source: Path, series: str | None) -> list[Path]:
    """Returns the DICOM files that a SEG can reference."""
    if is_nifti(source):
        raise Rejected(
            RejectionReason.INVALID_INSTANCE,
            f"A DICOM SEG refers to the DICOM images it was made from, and {source.name} is "
            "NIfTI: give the DICOM folder, or an output that ends in .nii.gz or .seg.nrrd.",
        )
    return _series_files(source, series)


def _to_seg(  # noqa: PLR0917 # all of them are needed, and it is called once
    paths: list[Path],
    output: Path,
    predictor: Segmenter,
    made_at: datetime,
    texts: ResultTexts,
    progress: Progress | None,
) -> OfflineSummary:
    request = ResultRequest(
        # The time makes the identity differ from the node's own result and from other runs,
        # because a PACS must treat each as a separate object.
        job_id=mint_uid(_job_id(paths, predictor), made_at.isoformat()),
        made_at=made_at,
        texts=texts,
    )
    result = segment(paths, predictor, request, progress)
    result.dataset.save_as(output, enforce_file_format=True)
    content = result.content
    slice_count = content.source.slice_count
    return OfflineSummary(output, slice_count, dict(content.measurements), result.timings_s)


def _job_id(paths: list[Path], predictor: Segmenter) -> str:
    """Returns the job ID that the node would use for this series and model."""
    uids = (str(header.SOPInstanceUID) for header in load_headers(paths))
    return job_id(series_digest(uids), predictor.spec.model_id, predictor.spec.version)


def _series_files(source: Path, series: str | None) -> list[Path]:
    """Returns the files of the only series in the folder, or of the requested one.

    Raises:
        Rejected: there are several series, or none with that UID; the message lists them.
    """
    by_uid = group_by_series(find_dicom_files([source]))
    if series is None and len(by_uid) == 1:
        return next(iter(by_uid.values()))
    if series in by_uid:
        return by_uid[series]
    listed = "; ".join(f"{uid} ({len(files)} images)" for uid, files in by_uid.items())
    raise Rejected(
        RejectionReason.MIXED_GEOMETRY,
        f"{source} holds {len(by_uid)} series; choose one with --series: {listed}.",
    )


@contextmanager
def _with_identifiers(paths: list[Path]) -> Iterator[list[Path]]:
    """Yields the files; files with empty UIDs as temporary copies with the node's UIDs."""
    with TemporaryDirectory(prefix="segnode-") as folder:
        complete: list[Path] = []
        for number, path in enumerate(paths):
            identified = identified_from_part10(
                path.read_bytes(), Origin(Channel.FOLDER, path.name)
            )
            if identified.filled_in_uids:
                path = Path(folder) / f"{number}.dcm"  # noqa: PLW2901 the copy replaces it
                path.write_bytes(part10_bytes(identified.received))
            complete.append(path)
        yield complete


def _volume(measured: Measurement) -> str:
    """Formats a volume; a lower bound if the organ may extend outside the series."""
    if measured.volume_ml == 0:
        return "not found"
    return f"{'at least ' if measured.is_lower_bound else ''}{millilitres(measured.volume_ml)}"
