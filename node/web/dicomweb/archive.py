"""What the node serves by DICOMweb: the instances that came in, and the results of its jobs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import structlog
from pydicom import Dataset, dcmread
from pydicom.dataset import FileDataset

from node.dicom.ct.headers import PARSE_ERRORS, check_nesting
from node.dicom.ct.pixels import panic_is_an_error
from node.domain.errors import Transient
from node.domain.identifiers import Uid
from node.domain.job import Job, JobState, result_identity
from node.domain.series import StoredSeries
from node.store import Store
from node.store.files import Files

_LOG = structlog.get_logger()
_EVERYTHING = 1_000_000
# A superseded result was never sent, and a newer one says the same of more slices.
_WITH_RESULT = {JobState.DELIVERING, JobState.DELIVERED, JobState.PARKED}
# Headers with the attributes of a search, a few kilobytes each; files never change.
_CACHED_HEADERS = 4096


@dataclass(frozen=True)
class ArchivedInstance:
    """One instance in a Part 10 file."""

    study_instance_uid: Uid
    series_instance_uid: Uid
    sop_instance_uid: Uid
    path: Path
    files: Files = field(repr=False)

    @contextmanager
    def at_hand(self) -> Iterator[Path]:
        """Where it can be read while the block lasts.

        Raises:
            Transient: the place of the files does not answer.
        """
        with self.files.at_hand([self.path]) as (file,):
            yield file


@dataclass(frozen=True)
class ArchivedSeries:
    """One series; `result` is the one file of a job's result, None where the series came in."""

    study_instance_uid: Uid
    series_instance_uid: Uid
    instance_count: int
    result: ArchivedInstance | None


@dataclass(frozen=True)
class Archive:
    """Finds series and instances in the store; reads none."""

    store: Store

    def series(
        self, study_uid: str | None = None, series_uid: str | None = None
    ) -> Iterator[ArchivedSeries]:
        """The series, of one study or of that UID alone when given; newest first without."""
        seen: set[str] = set()
        for found in self._all(study_uid):
            uid = found.series_instance_uid
            if uid not in seen and series_uid in {None, uid}:
                seen.add(uid)
                yield found

    def instances_of(self, series: ArchivedSeries) -> tuple[ArchivedInstance, ...]:
        """The instances of a series, by SOP Instance UID."""
        if series.result is not None:
            return (series.result,)
        return tuple(
            ArchivedInstance(
                series.study_instance_uid,
                series.series_instance_uid,
                stored.sop_instance_uid,
                stored.path,
                self.store.files,
            )
            for stored in self.store.instances_of(series.series_instance_uid)
        )

    def instances(
        self, study_uid: str, series_uid: str | None = None, sop_uid: str | None = None
    ) -> tuple[ArchivedInstance, ...]:
        """The instances of a study, of one series of it, or the one of that UID."""
        return tuple(
            instance
            for series in self.series(study_uid, series_uid)
            for instance in self.instances_of(series)
            if sop_uid in {None, instance.sop_instance_uid}
        )

    def _all(self, study_uid: str | None) -> Iterator[ArchivedSeries]:
        if study_uid is None:
            stored = self.store.list_series(_EVERYTHING)
            jobs: Sequence[Job] = self.store.list_jobs(_EVERYTHING, _WITH_RESULT)
        else:
            stored = self.store.series_of_study(study_uid)
            jobs = [job for s in stored for job in self.store.jobs_of(s.series_instance_uid)]
        yield from (_as_it_came(series) for series in stored)
        yield from (self._result(job, job.result_path) for job in jobs if _has_result(job))

    def _result(self, job: Job, path: Path | None) -> ArchivedSeries:
        identity = result_identity(job.job_id)
        assert path is not None  # noqa: S101 `_has_result`
        instance = ArchivedInstance(
            job.study_instance_uid,
            identity.series_instance_uid,
            identity.sop_instance_uid,
            path,
            self.store.files,
        )
        return ArchivedSeries(job.study_instance_uid, identity.series_instance_uid, 1, instance)


def _as_it_came(series: StoredSeries) -> ArchivedSeries:
    return ArchivedSeries(
        series.study_instance_uid, series.series_instance_uid, series.instance_count, None
    )


def _has_result(job: Job) -> bool:
    return job.state in _WITH_RESULT and job.result_path is not None


def summary(instance: ArchivedInstance, tags: frozenset[int]) -> Dataset:
    """These attributes of an instance; not to be changed, as it is kept for the next search.

    Empty where the file cannot be read: one damaged file must not hide the others.
    """
    try:
        return _kept_summary(instance, tags)
    except PARSE_ERRORS as error:
        _LOG.warning("archive.unreadable", file=instance.path.name, error=type(error).__name__)
        return Dataset()


@lru_cache(maxsize=_CACHED_HEADERS)
def _kept_summary(instance: ArchivedInstance, tags: frozenset[int]) -> Dataset:
    kept = Dataset()
    with instance.at_hand() as file:
        found = dcmread(file, stop_before_pixels=True, specific_tags=sorted(tags))
        # Copied: the data set as it is read holds the whole of a deflated file.
        kept.update(_readable(found))
    return kept


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Tells an unreadable file as what it is.

    Raises (within the block):
        Transient: the file is gone or damaged.
    """
    try:
        with panic_is_an_error():
            yield
    except (*PARSE_ERRORS, RuntimeError, MemoryError) as error:  # decoders raise those too
        raise Transient(f"the file of instance {path.stem} cannot be read") from error


def header(instance: ArchivedInstance) -> Dataset:
    """Every attribute of an instance but its pixel data, and but those that cannot be read.

    Raises:
        Transient: the file is gone or damaged.
    """
    with instance.at_hand() as file, reading(file):
        return _readable(dcmread(file, stop_before_pixels=True))


def _readable(found: FileDataset) -> FileDataset:
    """What can be read of it.

    Raises:
        RecursionError: its sequences are nested too deeply.
    """
    check_nesting(found)
    for tag in list(found.keys()):
        try:
            found[tag]
        except PARSE_ERRORS:
            del found[tag]
    return found
