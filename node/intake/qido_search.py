"""Searches at a DICOMweb source by QIDO-RS (PS3.18 10.6)."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from urllib.parse import quote, urlencode

import requests
from pydicom.dataset import Dataset

from node.dicom.query import QueryLevel, TooManyMatches
from node.domain.errors import Transient
from node.http.limited_answers import json_content, request
from node.http.tls_connections import NO_TLS, request_failure
from node.intake.wado_retrieval import DicomWebSource

# Connect timeout and read timeout.
_TIMEOUT_SECONDS = (10.0, 60.0)
# What a query may hold as it is (RFC 3986 3.4) and no parser of forms takes for a separator: above
# all the wildcards. The DICOMweb plugin of Orthanc 1.10 compares encoded characters literally.
_NOT_ENCODED = "*?!$'(),/:@"

Find = Callable[[QueryLevel, Mapping[str, str], int], list[Dataset]]


@contextmanager
def searching(source: DicomWebSource) -> Iterator[Find]:
    """Opens a session for searches.

    The yielded function takes the level, the keys by keyword (an empty value returns the attribute)
    and the maximum number of matches; it returns the matches.

    Raises:
        Transient: the server does not answer, or refuses the search.
        TooManyMatches: more matches than the maximum.
    """
    with requests.Session() as session:
        session.headers["Accept"] = "application/dicom+json"
        yield partial(_search, session, source)


def _search(
    session: requests.Session,
    source: DicomWebSource,
    level: QueryLevel,
    keys: Mapping[str, str],
    max_matches: int,
) -> list[Dataset]:
    match level:
        case QueryLevel.STUDY:
            url = f"{source.url}/studies"
        case QueryLevel.SERIES:
            url = f"{source.url}/studies/{keys['StudyInstanceUID']}/series"
    in_path = {"StudyInstanceUID"} if level is QueryLevel.SERIES else set()
    values = [(word, value) for word, value in keys.items() if value and word not in in_path]
    fields = [("includefield", word) for word, value in keys.items() if not value]
    parameters = [*values, *fields, ("limit", str(max_matches + 1))]
    try:
        response = request(
            "GET",
            f"{url}?{_query(parameters)}",
            files=source.files,
            credentials=source.credentials,
            session=session,
            timeout=_TIMEOUT_SECONDS,
        )
    except OSError as error:  # every exception of requests is one, and so is a missing file
        if failure := request_failure(error, source.url, source.files):
            raise Transient(f"{source.url} and the node {NO_TLS}: {failure}") from error
        # The text of the error may hold the address with the identifiers of a patient.
        raise Transient(f"{source.url} does not answer ({type(error).__name__})") from error
    matches = _matches(response, source)
    if len(matches) > max_matches:
        raise TooManyMatches(source.url, max_matches)
    return matches


def _query(parameters: Iterable[tuple[str, str]]) -> str:
    """Returns the query part of the address, with as few encoded characters as possible."""
    return urlencode(list(parameters), safe=_NOT_ENCODED, quote_via=quote)


def _matches(response: requests.Response, source: DicomWebSource) -> list[Dataset]:
    if response.status_code == HTTPStatus.NO_CONTENT:
        return []
    if response.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        raise Transient(
            f"{source.url} refused the search with {response.status_code}: "
            f"{source.credentials.remedy}"
        )
    if not response.ok:
        raise Transient(f"{source.url} refused the search with {response.status_code}")
    try:
        return [Dataset.from_json(item) for item in json_content(response)]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Transient(f"{source.url} answered the search with no DICOM JSON") from error
