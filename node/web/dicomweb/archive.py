"""The DICOMweb archive: received instances and job results."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path

import structlog
from pydicom import Dataset, dcmread
from pydicom.dataset import FileDataset

from node.dicom.ct.headers import PARSE_ERRORS, check_nesting
from node.dicom.ct.pixels import raise_panics_as_errors
from node.domain.errors import Transient
from node.domain.identifiers import Uid
from node.domain.job import Job, JobState
from node.domain.result_objects import StoredObject
from node.domain.series import StoredInstance, StoredSeries
from node.store import Store
from node.store.files import Files
from node.store.search.archive_search import Narrowing

_LOG = structlog.get_logger()
# A superseded result was never sent, and a newer one covers the same and more slices.
_STATES_WITH_RESULT = {
    JobState.DELIVERING,
    JobState.DELIVERED,
    JobState.PARKED,
    JobState.REFUSED,  # with a notice
}
_NO_NARROWING = Narrowing()
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
    def local_copy(self) -> Iterator[Path]:
        """Yields a path on this machine that can be read within the block.

        Raises:
            Transient: the file store does not answer.
        """
        with self.files.local_copies([self.path]) as (file,):
            yield file


@dataclass(frozen=True)
class ArchivedSeries:
    """One series; `results` are the instances of a job's object, empty for a received series."""

    study_instance_uid: Uid
    series_instance_uid: Uid
    instance_count: int
    results: tuple[ArchivedInstance, ...] = ()


@dataclass(frozen=True)
class Archive:
    """Finds series and instances in the store; reads no file."""

    store: Store

    def find_series(
        self,
        study_uid: str | None = None,
        series_uid: str | None = None,
        narrowing: Narrowing = _NO_NARROWING,
        skip: int = 0,
    ) -> Iterator[ArchivedSeries]:
        """Yields the series, limited to a study or to one series; newest first without a study.

        Without a study, `narrowing` leaves out series that cannot match, and `skip` the first ones.
        """
        if study_uid is not None:
            (found,) = self.series_of_studies([study_uid])
        elif series_uid is not None:
            found = _unique(self._series_with_uid(series_uid))
        else:
            yield from self._all(narrowing, skip)
            return
        yield from (one for one in found if series_uid in {None, one.series_instance_uid})

    def series_of_studies(self, study_uids: Sequence[str]) -> Iterator[Iterable[ArchivedSeries]]:
        """Yields the series of each study, without one that is in none; reads all at once."""
        stored = self.store.series_of_studies(study_uids)
        outcomes = self.store.outcomes_of([series.series_instance_uid for series in stored])
        study_of = {j.job_id: o.series.study_instance_uid for o in outcomes for j in o.jobs}
        jobs = [job for outcome in outcomes for job in reversed(outcome.jobs)]
        found = defaultdict[str, list[ArchivedSeries]](list)
        for series in stored:
            found[series.study_instance_uid].append(_received_series(series))
        for job_id, result in self._results_of(_with_result(jobs)):
            found[study_of[job_id]].append(result)
        return (_unique(found[uid]) for uid in study_uids)

    def find_studies(self, narrowing: Narrowing) -> Iterator[str]:
        """Yields the UIDs of the studies, newest first; `narrowing` as in `find_series`."""
        return self.store.candidate_studies(narrowing)

    def find_series_with_instances(
        self, narrowing: Narrowing, sop_uid: str | None
    ) -> Iterator[ArchivedSeries]:
        """Yields the series that have instances, or the one with that instance, newest first."""
        if sop_uid is None:
            candidates = self.store.candidate_series(narrowing, with_instances=True)
            yield from (_received_series(series) for series in candidates)
            yield from self._results(narrowing)
            return
        indexed = self.store.find_instance(sop_uid)
        if indexed is None:
            yield from self._results_with(sop_uid)
        else:
            yield from self._series_with_uid(indexed.series_instance_uid)

    def instances_of(self, series: ArchivedSeries) -> tuple[ArchivedInstance, ...]:
        """Returns the instances of a series, ordered by SOP Instance UID."""
        if series.results:
            return series.results
        found = self.store.instances_of(series.series_instance_uid)
        return tuple(self._instance(series, stored) for stored in found)

    def first_instances_of(self, found: Sequence[ArchivedSeries]) -> Mapping[str, ArchivedInstance]:
        """Returns the first of `instances_of` of each series that has one, by the series' UID."""
        received = [series.series_instance_uid for series in found if not series.results]
        stored = self.store.first_instances_of(received)
        first: dict[str, ArchivedInstance] = {}
        for series in found:
            uid = series.series_instance_uid
            if series.results:
                first[uid] = series.results[0]
            elif uid in stored:
                first[uid] = self._instance(series, stored[uid])
        return first

    def find_instances(
        self, study_uid: str, series_uid: str | None = None, sop_uid: str | None = None
    ) -> tuple[ArchivedInstance, ...]:
        """Returns the instances of a study, limited to one series or one SOP Instance UID."""
        return tuple(
            instance
            for series in self.find_series(study_uid, series_uid)
            for instance in self.instances_of(series)
            if sop_uid in {None, instance.sop_instance_uid}
        )

    def _instance(self, series: ArchivedSeries, stored: StoredInstance) -> ArchivedInstance:
        return ArchivedInstance(
            series.study_instance_uid,
            series.series_instance_uid,
            stored.sop_instance_uid,
            stored.path,
            self.store.files,
        )

    def _all(self, narrowing: Narrowing, skip: int = 0) -> Iterator[ArchivedSeries]:
        """Yields the received series, then the results, without the first `skip`."""
        has_received = False
        for series in self.store.candidate_series(narrowing, skip):
            has_received = True
            yield _received_series(series)
        if skip and not has_received:
            skip -= self.store.count_candidate_series(narrowing)
            yield from islice(self._results(narrowing), skip, None)
        else:
            yield from self._results(narrowing)

    def _results(self, narrowing: Narrowing) -> Iterator[ArchivedSeries]:
        """Yields the results, without those that the node has received as well."""
        for jobs in self.store.candidate_jobs(narrowing, sorted(_STATES_WITH_RESULT)):
            found = [result for _job_id, result in self._results_of(jobs)]
            known = self.store.received_among([one.series_instance_uid for one in found])
            yield from (one for one in found if one.series_instance_uid not in known)

    def _series_with_uid(self, series_uid: str) -> Iterator[ArchivedSeries]:
        stored = self.store.get_series(series_uid)
        if stored is not None:
            return iter([_received_series(stored)])
        return self._results_with(series_uid)

    def _results_with(self, uid: str) -> Iterator[ArchivedSeries]:
        """Yields the results of the job that a series or instance with this UID comes from."""
        job = self.store.job_of_result(uid)
        if job is not None and job.state in _STATES_WITH_RESULT:
            yield from (result for _job_id, result in self._results_of([job]))

    def _results_of(self, jobs: Sequence[Job]) -> Iterator[tuple[str, ArchivedSeries]]:
        """Yields the DICOM objects of these jobs, each with the ID of its job."""
        studies = {job.job_id: job.study_instance_uid for job in jobs}
        for stored_object in self.store.objects_of_jobs(jobs):
            if stored_object.sop_class_uid:  # a report for HL7 or FHIR is not a DICOM object
                job_id = stored_object.job_id
                yield job_id, self._result_series(stored_object, studies[job_id])

    def _result_series(self, stored: StoredObject, study_uid: Uid) -> ArchivedSeries:
        series_uid = stored.uids.series_instance_uid
        instances = tuple(
            ArchivedInstance(study_uid, series_uid, uid, path, self.store.files)
            for uid, path in zip(stored.sop_instance_uids, stored.paths, strict=True)
        )
        return ArchivedSeries(study_uid, series_uid, len(instances), instances)


def _with_result(jobs: Iterable[Job]) -> list[Job]:
    return [job for job in jobs if job.state in _STATES_WITH_RESULT]


def _unique(found: Iterable[ArchivedSeries]) -> Iterable[ArchivedSeries]:
    """Returns the first of the series with each UID, in their order."""
    by_uid: dict[str, ArchivedSeries] = {}
    for one in found:
        by_uid.setdefault(one.series_instance_uid, one)
    return by_uid.values()


def _received_series(series: StoredSeries) -> ArchivedSeries:
    return ArchivedSeries(
        series.study_instance_uid, series.series_instance_uid, series.instance_count
    )


def read_attributes(instance: ArchivedInstance, tags: frozenset[int]) -> Dataset:
    """Returns these attributes of an instance.

    The caller must not change the data set, because it is cached for the next search. It is empty
    when the file cannot be read: one damaged file must not hide the others.
    """
    try:
        return _cached_attributes(instance, tags)
    except PARSE_ERRORS as error:
        _LOG.warning("archive.unreadable", file=instance.path.name, error=type(error).__name__)
        return Dataset()


@lru_cache(maxsize=_CACHED_HEADERS)
def _cached_attributes(instance: ArchivedInstance, tags: frozenset[int]) -> Dataset:
    attributes = Dataset()
    with instance.local_copy() as file:
        found = dcmread(file, stop_before_pixels=True, specific_tags=sorted(tags))
        # Copied, because the data set that dcmread returns holds the whole of a deflated file.
        attributes.update(_drop_unreadable(found))
    return attributes


@contextmanager
def file_errors_as_transient(path: Path) -> Iterator[None]:
    """Turns the errors of an unreadable file into `Transient`.

    Raises (within the block):
        Transient: the file is missing or damaged.
    """
    try:
        with raise_panics_as_errors():
            yield
    except (*PARSE_ERRORS, RuntimeError, MemoryError) as error:  # decoders raise those too
        raise Transient(f"the file of instance {path.stem} cannot be read") from error


def read_header(instance: ArchivedInstance) -> Dataset:
    """Returns every readable attribute of an instance except the pixel data.

    Raises:
        Transient: the file is missing or damaged.
    """
    with instance.local_copy() as file, file_errors_as_transient(file):
        return _drop_unreadable(dcmread(file, stop_before_pixels=True))


def _drop_unreadable(found: FileDataset) -> FileDataset:
    """Deletes the elements that cannot be decoded.

    Raises:
        RecursionError: the sequences are nested too deeply.
    """
    check_nesting(found)
    for tag in list(found.keys()):
        try:
            found[tag]
        except PARSE_ERRORS:
            del found[tag]
    return found
