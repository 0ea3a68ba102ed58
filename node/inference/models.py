"""The installed models, each loaded once and kept warm; what they make of a job's files."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from time import perf_counter

import structlog
from pydicom import dcmwrite

from models.manifest import InvalidPackage, ModelSpec
from models.measurement import Measurement
from node.dicom.results.preview import overlay_png
from node.dicom.results.segmentation import SegOptions
from node.domain.errors import Misconfigured
from node.domain.job import Job, Replaced, result_identity
from node.jobs.segment_step import Inferred
from node.pipeline import ResultRequest, Segmenter, segment

_LOG = structlog.get_logger()


class WarmModels:
    """Runs the pipeline with the model that a job names."""

    def __init__(
        self, specs: Mapping[str, ModelSpec], device: str, threads: int | None, options: SegOptions
    ) -> None:
        self._specs = specs
        self._device = device
        self._threads = threads
        self._options = options
        self._loaded: dict[str, Segmenter] = {}

    def load(self, model_ids: Sequence[str]) -> None:
        """Load these models now, so that the first job does not wait for it.

        Raises:
            Misconfigured: a package is damaged or not installed.
        """
        for model_id in model_ids:
            self._model(model_id)

    def infer(self, job: Job, files: Sequence[Path], replaces: Replaced | None) -> Inferred:
        """What the job's model makes of the series in `files`.

        Raises:
            Rejected: the series is not for this model.
            Transient: the disk with its files does not answer.
        """
        request = ResultRequest(
            identity=result_identity(job.job_id),
            options=self._options,
            # Kept in the job, so that a job that runs again writes the same object.
            made_at=job.created_at,
            replaces=replaces,
        )

        def entered(stage: str) -> None:
            _LOG.debug("job.stage", job=job.job_id, stage=stage)

        result = segment(files, self._model(job.model_id), request, entered=entered)
        begun = perf_counter()
        picture = overlay_png(result.source.volume, result.mask)
        drawn = perf_counter()
        seg_file = BytesIO()
        dcmwrite(seg_file, result.dataset, enforce_file_format=True)
        return Inferred(
            seg_file=seg_file.getvalue(),
            picture_png=picture,
            measurements={name: _figures(m) for name, m in result.measurements.items()},
            timings_s=result.timings_s | {"picture": drawn - begun},
        )

    def _model(self, model_id: str) -> Segmenter:
        if model_id not in self._loaded:
            self._loaded[model_id] = self._load(model_id)
        return self._loaded[model_id]

    def _load(self, model_id: str) -> Segmenter:
        # Only a process that runs a model pays for these seconds and this memory.
        import torch

        from models.devices import UnusableDevice
        from models.predictor import Predictor

        if self._threads is not None:
            torch.set_num_threads(self._threads)
        begun = perf_counter()
        try:
            predictor = Predictor.load(self._specs[model_id], self._device)
        except KeyError as error:
            raise Misconfigured(f"model {model_id!r} is not installed") from error
        except InvalidPackage as error:
            raise Misconfigured(str(error)) from error
        except UnusableDevice as error:
            raise Misconfigured(str(error), key="worker.device") from error
        _LOG.info(
            "model.loaded",
            model=f"{model_id} {predictor.spec.version}",
            device=str(predictor.device),
            seconds=round(perf_counter() - begun, 2),
        )
        return predictor


def _figures(measured: Measurement) -> dict[str, float | bool]:
    """The measurement as it is kept in the job's row; what was not measured is absent."""
    figures: dict[str, float | bool] = {
        "volume_ml": measured.volume_ml,
        "cut_by_series": measured.cut_by_series,
    }
    if measured.mean_hu is not None:
        figures["mean_hu"] = measured.mean_hu
    return figures
