"""The query parameters by which console and REST API search for series."""

from datetime import date
from typing import Annotated
from urllib.parse import urlencode

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from node.domain.texts.points_in_time import day
from node.settings import Settings
from node.store.search.query import MAX_TEXT, Cursor, SeriesQuery


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it has characters that cannot be printed")
    return text


def absent_if_empty(value: object) -> object:
    """A form sends the fields that a person leaves empty."""
    return None if value == "" else value


def _date(value: object) -> object:
    """Returns the date of a parameter; an empty field of a form has none."""
    return day(value) if isinstance(value, str) and value != "" else absent_if_empty(value)


SearchText = Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(_printable)]
SearchDate = Annotated[date | None, BeforeValidator(_date)]


class SearchParameters(BaseModel):
    """What to search for; an empty value does not count. Case does not matter."""

    model_config = ConfigDict(populate_by_name=True)

    q: SearchText = Field(
        "",
        description="Anything: a UID, the start of a patient's ID or name, or a part of accession "
        "number, sender, body part, description or model.",
    )
    patient: SearchText = Field(
        "", description="The start of a patient's ID or name, where the site allows it."
    )
    accession: SearchText = Field("", description="The start of the accession number.")
    uid: SearchText = Field("", description="The UID of a series, study or instance.")
    sender: SearchText = Field("", description="A part of the sender's AE title.")
    date_from: SearchDate = Field(None, alias="from", description="The first study date.")
    date_to: SearchDate = Field(None, alias="to", description="The last study date.")
    body_part: SearchText = Field("", description="The start of the body part examined.")
    description: SearchText = Field("", description="A part of the series description.")
    model: SearchText = Field(
        "", description="The start of a model's name, also with its version: liver-ct:1.0."
    )
    older: SearchText = Field("", description="Where the page with older series begins.")
    newer: SearchText = Field("", description="Where the page with newer series ends.")

    def query(self, settings: Settings) -> SeriesQuery:
        """Returns the search, for series in any state."""
        return SeriesQuery(
            text=self.q,
            patient=self.patient,
            accession_number=self.accession,
            uid=self.uid,
            sender=self.sender,
            study_date_from=self.date_from,
            study_date_to=self.date_to,
            body_part=self.body_part,
            description=self.description,
            model=self.model,
            searches_patients=settings.web.search_patients,
        )

    @property
    def older_than(self) -> Cursor | None:
        """The cursor after which the page begins.

        Raises:
            Rejected: `older` is no cursor.
        """
        return Cursor.parse(self.older) if self.older else None

    @property
    def newer_than(self) -> Cursor | None:
        """The cursor before which the page ends.

        Raises:
            Rejected: `newer` is no cursor.
        """
        return Cursor.parse(self.newer) if self.newer else None

    def address(self, path: str, **changes: str) -> str:
        """Returns the address of the same search with other values; empty ones are left out."""
        values = self.model_dump(mode="json", by_alias=True, exclude_none=True) | changes
        pairs = [
            (name, one)
            for name, value in values.items()
            for one in (value if isinstance(value, list) else [value])
            if one != ""
        ]
        return f"{path}?{urlencode(pairs)}" if pairs else path
