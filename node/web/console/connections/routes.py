"""Routes of the page of connections, and of the test of each."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, HTTPException, Request
from fastapi import Path as PathParameter
from starlette.responses import Response

from node.domain.connections.probe import ConnectionName, ConnectionTable
from node.probes.site import probe
from node.web.console.connections.views import SINGULAR, connections_page
from node.web.console.rendering import page
from node.web.dependencies import ActiveSettings, Configuration, Now

ROUTER = APIRouter(include_in_schema=False)
Table = Annotated[ConnectionTable, PathParameter()]


@ROUTER.get("/connections")
def connections(
    request: Request, configuration: Configuration, settings: ActiveSettings, now: Now
) -> Response:
    """Shows senders, destinations and sources, and what the listener has rejected."""
    content = connections_page(configuration, settings, now)
    return page(request, settings, "connections/list.html", content=content)


@ROUTER.post("/connections/{table}/test/{name:path}")
def test_connection(
    request: Request,
    table: Table,
    name: str,
    settings: ActiveSettings,
) -> Response:
    """Handles the button "Test"."""
    connection = ConnectionName(table, name)
    try:
        report = probe(settings, connection)
    except KeyError as error:
        raise HTTPException(
            HTTPStatus.NOT_FOUND, f"the configuration has no {connection}"
        ) from error
    return page(request, settings, "connections/test.html", report=report, singular=SINGULAR[table])
