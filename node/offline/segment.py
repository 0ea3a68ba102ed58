"""From file to file without a node: a DICOM folder or NIfTI in, DICOM SEG, NIfTI or NRRD out."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from models.data.images import is_nifti, to_ct_axes
from models.mask import Mask
from models.measurement import Measurement
from node.dicom.ct.files import by_series, dicom_files
from node.dicom.ct.headers import load_headers
from node.dicom.ct.reader import read_series
from node.dicom.results.segmentation import SegOptions
from node.dicom.volume_files import (
    OutputKind,
    output_kind,
    read_nifti,
    write_nifti,
    write_slicer,
)
from node.domain.errors import Rejected, RejectionReason
from node.domain.identifiers import mint_uid
from node.domain.instance import Door, Origin
from node.domain.job import job_id, result_identity
from node.domain.series import series_digest
from node.intake.part10 import file_of, identified_from_part10
from node.pipeline import Progress, ResultRequest, Segmenter, segment, segment_volume


@dataclass(frozen=True)
class OfflineSummary:
    """What was written; `timings_s` in seconds by stage."""

    output: Path
    slice_count: int
    measurements: dict[str, Measurement]
    timings_s: dict[str, float]

    def __str__(self) -> str:
        volumes = ", ".join(f"{name} {_volume(m)}" for name, m in self.measurements.items())
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
    series: str | None = None,
    progress: Progress | None = None,
) -> OfflineSummary:
    """Segment a DICOM folder, one multi-frame DICOM file or a NIfTI file into `output`.

    `made_at` is aware; without it, now. `series` is the UID of one of several in the folder. The
    end of the output's name decides what is written: .dcm, .nii, .nii.gz or .seg.nrrd.

    Raises:
        Rejected: the input is not for this model, or the output cannot be made from it.
    """
    kind = output_kind(output)
    if not output.absolute().parent.is_dir():
        raise Rejected(
            RejectionReason.INVALID_INSTANCE,
            f"The result cannot be written: there is no folder {output.absolute().parent}.",
        )
    if kind is OutputKind.DICOM_SEG:
        made = datetime.now(UTC) if made_at is None else made_at
        said = SegOptions() if options is None else options
        with _with_identifiers(_dicom(source, series)) as paths:
            return _to_seg(paths, output, predictor, made, said, progress)
    if is_nifti(source):
        original = read_nifti(source)
        volume = to_ct_axes(original)
    else:
        volume = read_series(_series_files(source, series)).volume
        original = volume.permute_spatial_axes((2, 1, 0))  # column, row, slice, as NIfTI usually is
    found = segment_volume(volume, predictor, progress)
    # On the grid and axes of the input, so that both load as one.
    back = found.mask.volume.match_geometry(original.get_geometry())
    mask = Mask(volume=back, labels=found.mask.labels)
    write = write_slicer if kind is OutputKind.SLICER else write_nifti
    write(mask, output)
    return OfflineSummary(output, volume.spatial_shape[0], found.measurements, found.timings_s)


def _dicom(source: Path, series: str | None) -> list[Path]:
    """The DICOM files that a SEG can refer to."""
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
    made: datetime,
    options: SegOptions,
    progress: Progress | None,
) -> OfflineSummary:
    request = ResultRequest(
        # Unlike the node's own result of the series, and that of another run: each is an object
        # of its own to a PACS.
        identity=result_identity(mint_uid(_job(paths, predictor), made.isoformat())),
        options=options,
        made_at=made,
    )
    result = segment(paths, predictor, request, progress)
    result.dataset.save_as(output, enforce_file_format=True)
    return OfflineSummary(output, result.source.slice_count, result.measurements, result.timings_s)


def _job(paths: list[Path], predictor: Segmenter) -> str:
    """The job's name as the node would give it for this series and model."""
    uids = (str(header.SOPInstanceUID) for header in load_headers(paths))
    return job_id(series_digest(uids), predictor.spec.model_id, predictor.spec.version)


def _series_files(source: Path, series: str | None) -> list[Path]:
    """The files of the one series in the folder, or of the one that is asked for.

    Raises:
        Rejected: there are several, or none of that UID; the message names them.
    """
    by_uid = by_series(dicom_files([source]))
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
    """The files; copies of those whose UIDs are empty, with the ones that the node's door gives."""
    with TemporaryDirectory(prefix="segnode-") as folder:
        complete: list[Path] = []
        for number, path in enumerate(paths):
            identified = identified_from_part10(path.read_bytes(), Origin(Door.FOLDER, path.name))
            if identified.completed:
                path = Path(folder) / f"{number}.dcm"  # noqa: PLW2901 the copy in its place
                path.write_bytes(file_of(identified.received))
            complete.append(path)
        yield complete


def _volume(measured: Measurement) -> str:
    """A volume in words; a lower bound where the organ may go on outside the series."""
    if measured.volume_ml == 0:
        return "not found"
    return f"{'at least ' if measured.cut_by_series else ''}{measured.volume_ml:.0f} mL"
