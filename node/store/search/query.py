"""What to search series by, and the position of a page in the list."""

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import partial
from typing import Self

from sqlalchemy import ColumnElement, Tuple, func, literal, or_, select, tuple_

from node.domain.errors import Rejected, RejectionReason
from node.domain.listing.listed_states import ListedState
from node.store.database import UtcDateTime
from node.store.schema import INSTANCES, SERIES_INDEX
from node.store.series_index import Line, plain_name, searchable

_INDEX = SERIES_INDEX.c
_TIME_FORMAT = "%Y%m%d%H%M%S%f"
# Everything that a client sends is this short; longer texts would only cost time.
MAX_TEXT = 200


@dataclass(frozen=True)
class Cursor:
    """A position in the list, between two series; `text` is that of a link."""

    received_at: datetime
    series_instance_uid: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Returns the cursor with that text.

        Raises:
            Rejected: the text is not that of a cursor.
        """
        moment, separator, uid = text.partition("_")
        try:
            received_at = datetime.strptime(moment, _TIME_FORMAT).replace(tzinfo=UTC)
        except ValueError:
            separator = ""
        if not separator:
            message = "the page does not exist: follow a link of the list instead of changing it"
            raise Rejected(RejectionReason.INVALID_REQUEST, message)
        return cls(received_at, uid)

    def __str__(self) -> str:
        """The text of the cursor, which fits into an address."""
        return (
            f"{self.received_at.astimezone(UTC).strftime(_TIME_FORMAT)}_{self.series_instance_uid}"
        )

    def is_before(self) -> ColumnElement[bool]:
        """The condition on rows that are older than the cursor."""
        return self._position() > _POSITION

    def is_after(self) -> ColumnElement[bool]:
        """The condition on rows that are newer than the cursor."""
        return self._position() < _POSITION

    def _position(self) -> Tuple:
        return tuple_(literal(self.received_at, UtcDateTime), literal(self.series_instance_uid))


_POSITION: Tuple = tuple_(_INDEX.received_at, _INDEX.series_instance_uid)


@dataclass(frozen=True)
class SeriesQuery:
    """Conditions that all must hold; an empty one does not count. Case does not matter.

    `text` is compared with everything: a UID, the start of a patient's ID or name, or a part of
    the accession number, sender, body part, description or model. `patient` is the start of an ID
    or name, `uid` that of a series, study or instance. `searches_patients` says whether the site
    lets people search for patients.
    """

    text: str = ""
    patient: str = ""
    accession_number: str = ""
    uid: str = ""
    sender: str = ""
    study_date_from: date | None = None
    study_date_to: date | None = None
    received_since: datetime | None = None
    body_part: str = ""
    description: str = ""
    model: str = ""
    states: frozenset[ListedState] = field(default_factory=frozenset)
    searches_patients: bool = False

    def in_states(self, states: frozenset[ListedState]) -> Self:
        """Returns the same query for series in one of these states; none means in any."""
        return replace(self, states=states)

    def conditions(self) -> list[ColumnElement[bool]]:
        """The conditions on the rows of the index, apart from the one on their states.

        Raises:
            Rejected: a patient is to be found, but the site does not let people search for one.
        """
        if self.patient and not self.searches_patients:
            message = (
                "the search index holds no patients; set search_patients = true in the section "
                "[web] of the configuration and restart the node to search for them"
            )
            raise Rejected(RejectionReason.INVALID_REQUEST, message)
        found = [
            condition(text.strip())
            for text, condition in (
                (self.text, self._anything),
                (self.patient, _patient),
                (self.accession_number, partial(_starts_line, Line.ACCESSION_NUMBER)),
                (self.uid, _uid),
                (self.sender, partial(_is_in_line, Line.SENDER)),
                (self.body_part, partial(_starts_line, Line.BODY_PART)),
                (self.description, partial(_is_in_line, Line.DESCRIPTION)),
                (self.model, _model),
            )
            if text.strip()
        ]
        return [*found, *self._dates()]

    def _dates(self) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if self.study_date_from is not None:
            found.append(_INDEX.study_date >= self.study_date_from.strftime("%Y%m%d"))
        if self.study_date_to is not None:
            # A series without a study date has an empty one.
            last = self.study_date_to.strftime("%Y%m%d")
            found.append(_INDEX.study_date.between("0", last))
        if self.received_since is not None:
            found.append(_INDEX.received_at >= self.received_since)
        return found

    def _anything(self, text: str) -> ColumnElement[bool]:
        alternatives = [
            _uid(text),
            _INDEX.search_text.contains(searchable(text), autoescape=True),
            _model(text),
        ]
        if self.searches_patients:
            alternatives.append(_patient(text))
        return or_(*alternatives)


def _patient(text: str) -> ColumnElement[bool]:
    return _INDEX.patient_search_text.contains(f"\n{plain_name(text)}", autoescape=True)


def _uid(text: str) -> ColumnElement[bool]:
    of_instance = select(INSTANCES.c.series_instance_uid).where(
        INSTANCES.c.sop_instance_uid == text
    )
    return or_(
        _INDEX.series_instance_uid == text,
        _INDEX.study_instance_uid == text,
        _INDEX.series_instance_uid == of_instance.scalar_subquery(),
    )


def _model(text: str) -> ColumnElement[bool]:
    return func.lower(_INDEX.models).contains(f" {text.lower()}", autoescape=True)


def _starts_line(line: Line, text: str) -> ColumnElement[bool]:
    return _matches_line(line, before="", text=text)


def _is_in_line(line: Line, text: str) -> ColumnElement[bool]:
    return _matches_line(line, before="%", text=text)


def _matches_line(line: Line, *, before: str, text: str) -> ColumnElement[bool]:
    """Matches one line of the search text: as many line ends are before and after it as there are.

    A text to find has no line end.
    """
    escaped = searchable(text).replace("/", "//").replace("%", "/%").replace("_", "/_")
    pattern = "%\n" * line + before + escaped + "%" + "\n%" * (max(Line) - line)
    return _INDEX.search_text.like(pattern, escape="/")
