"""Models of the answers about series and their jobs, for the OpenAPI document."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from node.domain.job import JobState, Priority
from node.domain.listing.listed_states import ListedState
from node.domain.series import SeriesState
from node.store import SeriesOutcome
from node.store.search.searching import IndexedSeries
from node.web.api.serialization import series_to_json


class PartEntry(BaseModel):
    """The part of a series that a job is about."""

    keyword: str
    value: str
    number: int
    count: int
    instance_count: int
    slice_count: int
    digest: str
    title: str


class FindingEntry(BaseModel):
    """What a reader must know besides the measurements."""

    kind: str
    organ: str
    text: str


class ReplacedEntry(BaseModel):
    """An earlier result that the job's result replaces."""

    sop_instance_uid: str
    instance_count: int
    model_version: str


class ResultEntry(BaseModel):
    """The UIDs of the job's SEG."""

    series_instance_uid: str
    sop_instance_uid: str


class JobEntry(BaseModel):
    """A job of a series."""

    job_id: str
    series_instance_uid: str
    study_instance_uid: str
    series_digest: str
    instance_count: int
    rule: str
    rules: list[str]
    model_id: str
    model_version: str
    destinations: list[str]
    state: JobState
    reason: str
    replaces: ReplacedEntry | None
    timings_s: dict[str, float]
    measurements: dict[str, dict[str, Any]]
    findings: list[FindingEntry]
    created_at: datetime
    updated_at: datetime
    priority: Priority
    source: str
    turn: int
    part: PartEntry | None
    has_picture: bool
    result: ResultEntry | None


class SeriesEntry(BaseModel):
    """A series with the outcome of its jobs, and what it is found by."""

    series_instance_uid: str
    study_instance_uid: str
    state: SeriesState
    instance_count: int
    origin: str
    first_received_at: datetime
    last_received_at: datetime
    start_requested: bool
    outcome: str
    reason: str
    jobs: list[JobEntry]
    listed_under: list[ListedState]
    modality: str
    series_description: str
    body_part_examined: str
    study_date: str
    accession_number: str
    patient_id: str = Field(description="Empty unless the site allows the search for patients.")
    patient_name: str = Field(description="Empty unless the site allows the search for patients.")


def series_entry(found: SeriesOutcome, indexed: IndexedSeries) -> SeriesEntry:
    """Returns a series that a search has found."""
    return SeriesEntry(
        **series_to_json(found),
        listed_under=sorted(indexed.states),
        modality=indexed.modality,
        series_description=indexed.series_description,
        body_part_examined=indexed.body_part_examined,
        study_date=indexed.study_date,
        accession_number=indexed.accession_number,
        patient_id=indexed.patient_id,
        patient_name=indexed.patient_name,
    )
