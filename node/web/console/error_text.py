"""Texts of the error page: what a status means, and the page from which a person goes on."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

_TITLES: Mapping[HTTPStatus, str] = {
    HTTPStatus.FORBIDDEN: "Not allowed",
    HTTPStatus.NOT_FOUND: "Not found",
    HTTPStatus.SERVICE_UNAVAILABLE: "Not available now",
}


@dataclass(frozen=True)
class WayOn:
    """A page of the console."""

    name: str
    address: str


_SERIES = WayOn("the list of series", "/")
_PAGES = (
    WayOn("the queues", "/queues"),
    WayOn("the connections", "/connections"),
    WayOn("the rules", "/configuration/rules"),
    WayOn("the configuration", "/configuration"),
)


def error_title(status: HTTPStatus) -> str:
    """Returns the title of the page of an error; the message below it gives the reason."""
    if status in _TITLES:
        return _TITLES[status]
    return "Error in the node" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "Not possible"


def way_on(path: str, status: HTTPStatus) -> WayOn:
    """Returns the page to which the path belongs; the list of series where it is forbidden."""
    if status is HTTPStatus.FORBIDDEN:
        return _SERIES
    return next((page for page in _PAGES if path.startswith(page.address)), _SERIES)
