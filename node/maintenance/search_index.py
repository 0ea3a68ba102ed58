"""Keeps the search index complete: first images, repair, patients if allowed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from pydicom import Dataset, dcmread
from pydicom.multival import MultiValue

from node.dicom.ct.headers import PARSE_ERRORS, disk_error
from node.domain.errors import Transient
from node.domain.identifiers import Uid
from node.store import Store
from node.store.search.upkeep import SeriesAttributes

_LOG = structlog.get_logger()
_BATCHES_AT_START = 10  # of series in one run, each a short transaction
_MAX_READ = 50  # files in one run; the runs follow each other closely
# Clocks of other hosts may differ, and a transaction may take some time.
_OVERLAP = timedelta(minutes=10)
_FIRST_UID = ""
_KEYWORDS = (
    "SpecificCharacterSet",
    "Modality",
    "SeriesDescription",
    "BodyPartExamined",
    "StudyDate",
    "AccessionNumber",
    "PatientID",
    "PatientName",
)


@dataclass
class SearchIndex:
    """Completes and repairs the search index in small steps beside the other work.

    A start goes through all series once: those of an earlier version get their rows, and rows that
    an earlier version left behind are corrected. An earlier version can run on another host during
    an upgrade, so `repair` looks at recent changes from then on.
    """

    store: Store
    keeps_patients: bool
    now: Callable[[], datetime]
    _next_uid: str | None = field(default=_FIRST_UID, init=False)
    _patients_agree: bool = field(default=False, init=False)
    _repaired_at: datetime | None = field(default=None, init=False)
    _has_more: bool = field(default=True, init=False)

    def is_idle(self) -> bool:
        """Whether the last poll left nothing to do."""
        return self._next_uid is None and self._patients_agree and not self._has_more

    def poll(self) -> None:
        """Does the next step of what a start does, and reads attributes of new series.

        Raises:
            Transient: the database does not answer, or files cannot be read for now.
        """
        for _ in range(_BATCHES_AT_START):
            if self._next_uid is not None:
                self._next_uid = self.store.repair_next(self._next_uid)
        if not self._patients_agree:
            self._let_patients_agree()
        self._read_attributes()

    def repair(self) -> None:
        """Corrects the rows of what has changed since the last repair.

        Raises:
            Transient: the database does not answer.
        """
        started_at = self.now()
        since = started_at if self._repaired_at is None else self._repaired_at
        repaired = self.store.repair_recent(since - _OVERLAP)
        self._repaired_at = started_at
        if repaired:
            _LOG.info("search_index.repaired", series=repaired)

    def _let_patients_agree(self) -> None:
        """Removes the patients that the site no longer wants, or lets missing ones be read."""
        if self.keeps_patients:
            self._patients_agree = not self.store.request_patients()
            return
        while self.store.forget_patients():
            pass
        self._patients_agree = True

    def _read_attributes(self) -> None:
        error = None
        found = self.store.series_without_attributes(_MAX_READ)
        self._has_more = bool(found)
        for uid in found:
            try:
                header = self._first_header(uid)
            except Transient as transient:
                # The cause may be this series' file alone: continue with the other series.
                error = transient
                continue
            if header is None:
                self.store.record_without_images(uid, keeps_patients=self.keeps_patients)
            else:
                self.store.record_attributes(uid, self._attributes(header))
        if error is not None:
            raise error

    def _attributes(self, header: Dataset) -> SeriesAttributes:
        keeps = self.keeps_patients
        return SeriesAttributes(
            modality=_text(header, "Modality"),
            series_description=_text(header, "SeriesDescription"),
            body_part_examined=_text(header, "BodyPartExamined"),
            study_date=_text(header, "StudyDate"),
            accession_number=_text(header, "AccessionNumber"),
            patient_id=_text(header, "PatientID") if keeps else None,
            patient_name=_text(header, "PatientName") if keeps else None,
        )

    def _first_header(self, uid: Uid) -> Dataset | None:
        """Returns the header of the first image; empty if it is damaged, None if it is deleted.

        Raises:
            Transient: the disk or bucket cannot be read for now.
        """
        first = self.store.first_instances_of([uid]).get(uid)
        if first is None:
            return None
        try:
            with self.store.files.local_copies([first.path]) as (file,):
                return dcmread(file, stop_before_pixels=True, specific_tags=list(_KEYWORDS))
        except PARSE_ERRORS as error:
            transient = disk_error(error)
            if transient is not None:
                raise transient from error
            _LOG.warning("search_index.unreadable", instance=first.sop_instance_uid)
            return Dataset()


def _text(header: Dataset, keyword: str) -> str:
    """Returns the printable text of an attribute, several values separated by a backslash."""
    try:
        value = header.get(keyword)
    except PARSE_ERRORS:
        return ""
    values = value if isinstance(value, MultiValue) else [] if value is None else [value]
    text = "\\".join(str(one).strip() for one in values)
    return "".join(c if c.isprintable() else " " for c in text)
