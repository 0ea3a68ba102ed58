"""Retrieve Capabilities (PS3.18 8.9): what the service offers, and methods that it does not.

The routes of this module come after all others, so that they answer only what those do not.
"""

from collections.abc import Iterator
from http import HTTPStatus
from xml.etree.ElementTree import Element, SubElement, tostring

from fastapi import APIRouter, HTTPException, Request
from fastapi.routing import APIRoute
from starlette.responses import JSONResponse, Response

from node.web.dicomweb import metadata, qido, rendered, stow, wado
from node.web.dicomweb.content_negotiation import accepted_media_ranges, not_acceptable
from node.web.dicomweb.urls import SERVICE_PATH, service_root

ROUTER = APIRouter(prefix=SERVICE_PATH)
_WADL = "application/vnd.sun.wadl+xml"
_WADL_NAMESPACE = "http://wadl.dev.java.net/2009/02"
_JSON = "application/json"
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


@ROUTER.options("", include_in_schema=False)
@ROUTER.options("/")
def retrieve_capabilities(request: Request) -> Response:
    """Returns the resources of the service and their methods, in WADL or JSON."""
    resources = _resources()
    headers = {"Allow": "OPTIONS"}
    for accepted in accepted_media_ranges(request):
        if accepted.media_type in {_WADL, "application/xml", "application/*", "*/*"}:
            document = _wadl(service_root(request), resources)
            return Response(document, media_type=_WADL, headers=headers)
        if accepted.media_type == _JSON:
            return JSONResponse({"resources": resources}, headers=headers)
    raise not_acceptable(f"{_WADL} or {_JSON}")


@ROUTER.api_route("/{path:path}", methods=_METHODS, include_in_schema=False)
def other_method(path: str, request: Request) -> Response:
    """Answers a method that the resource does not have, and OPTIONS for one resource."""
    allowed = _allowed_methods(request.url.path) if path else {"OPTIONS"}
    if not allowed:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"there is no resource {path[:200]!r}")
    headers = {"Allow": ", ".join(sorted({*allowed, "OPTIONS"}))}
    if request.method == "OPTIONS":
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)
    message = f"{request.method} is not available here; {headers['Allow']} are"
    raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, message, headers)


def _routes() -> Iterator[APIRoute]:
    """Yields the routes of all resources, in the order in which they are tried."""
    for router in (qido.ROUTER, wado.ROUTER, metadata.ROUTER, rendered.ROUTER, stow.ROUTER):
        yield from (route for route in router.routes if isinstance(route, APIRoute))


def _resources() -> dict[str, list[str]]:
    """Returns the methods of each resource, such as `/studies/{study}`."""
    methods: dict[str, set[str]] = {"/": {"OPTIONS"}}
    for route in _routes():
        resource = route.path_format.removeprefix(SERVICE_PATH)
        methods.setdefault(resource, set()).update(route.methods or ())
    return {resource: sorted(names) for resource, names in sorted(methods.items())}


def _allowed_methods(path: str) -> set[str]:
    """Returns the methods of every resource that has the path of a request."""
    return {
        method
        for route in _routes()
        if route.path_regex.match(path)
        for method in route.methods or ()
    }


def _wadl(root: str, resources: dict[str, list[str]]) -> bytes:
    application = Element("application", {"xmlns": _WADL_NAMESPACE})
    base = SubElement(application, "resources", {"base": root})
    for path, methods in resources.items():
        resource = SubElement(base, "resource", {"path": path.removeprefix("/")})
        for method in methods:
            SubElement(resource, "method", {"name": method})
    document: bytes = tostring(application, encoding="utf-8", xml_declaration=True)
    return document
