"""Composition of the web application."""

from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import anyio
import structlog
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from node.access.authenticators import authenticators_from
from node.access.oidc.provider import CurrentProvider
from node.audit.losses import AuditLosses
from node.configuration.site_configuration import SiteConfiguration
from node.delivery.queue_control import ImpossibleRequest
from node.domain.access.users import AccountError
from node.domain.errors import Rejected, Transient
from node.health.untrusted_proxies import note_untrusted_proxy
from node.intake.refused_images import RefusedImages
from node.settings import Settings
from node.store import Store
from node.web.access_control import AccessControl, AccessMiddleware, is_for_program
from node.web.api import configuration as configuration_api
from node.web.api import (
    connections,
    feedback,
    health,
    jobs,
    metrics,
    models,
    retrievals,
    series,
    work_items,
)
from node.web.api import rules as rules_api
from node.web.api.access import audit, tokens
from node.web.api.invalid_requests import check_parameter_names, described, http_error_detail
from node.web.api.queues import routes as queues
from node.web.audit.recording import RequestRecorder
from node.web.console import (
    configuration_routes,
    overview_routes,
    queue_routes,
)
from node.web.console import routes as console
from node.web.console.access import (
    account_routes,
    audit_routes,
    login_routes,
    oidc_routes,
    proxy_routes,
    set_up_routes,
    token_routes,
    user_routes,
)
from node.web.console.connections import form_routes as connection_forms
from node.web.console.connections import routes as connection_pages
from node.web.console.models import routes as models_pages
from node.web.console.rules import routes as rules
from node.web.dependencies import settings_of, utc_now
from node.web.dicomweb import capabilities, metadata, qido, rendered, stow, wado
from node.web.dicomweb.urls import SERVICE_PATH
from node.web.event_streams import EventStreams
from node.web.request_limits import RequestLimits
from node.web.security import SECURITY_HEADERS, SecurityMiddleware
from node.web.server.forwarded_requests import ForwardedRequests
from node.web.server.https import StrictTransport
from node.web.viewer import ohif_routes
from node.web.viewer import routes as viewer

_LOG = structlog.get_logger()
_STATIC = Path(__file__).parent / "console" / "static"
_RETRY_AFTER_S = 5
_CONSOLE = (
    console,
    overview_routes,
    queue_routes,
    models_pages,
    connection_pages,
    connection_forms,
    rules,
    configuration_routes,
    login_routes,
    oidc_routes,
    proxy_routes,
    set_up_routes,
    account_routes,
    token_routes,
    user_routes,
    audit_routes,
    viewer,
    ohif_routes,
)
_API = (
    series,
    jobs,
    queues,
    retrievals,
    tokens,
    audit,
    work_items,
    rules_api,
    configuration_api,
    connections,
    models,
    feedback,
    health,
    metrics,
)
# The last one answers what the others do not.
_DICOMWEB = (qido, wado, metadata, rendered, stow, capabilities)


def create_app(
    settings: Settings,
    store: Store,
    configuration: SiteConfiguration | None = None,
    losses: AuditLosses | None = None,
) -> FastAPI:
    """Returns the application with console, REST API, health and DICOMweb over one store.

    `configuration` is that of the file in the settings if None. `losses` counts the records that
    cannot be written; if None, in the data folder of the settings.
    """
    # The interactive documentation would load its scripts from another site.
    app = FastAPI(
        title="segnode",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        dependencies=[Depends(check_parameter_names)],
    )
    use_settings(app, settings)
    app.state.store = store
    app.state.configuration = configuration or SiteConfiguration(store, settings.file)
    app.state.identity_provider = CurrentProvider()
    app.state.streams = EventStreams()
    app.state.refused_images = RefusedImages(store, utc_now)
    app.state.stow_limiter = anyio.CapacityLimiter(stow.MAX_PARSED_AT_ONCE)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    for module in (*_CONSOLE, *_API, *_DICOMWEB):
        app.include_router(module.ROUTER)
    for error, handler in _ERROR_HANDLERS.items():
        app.add_exception_handler(error, handler)
    app.state.access_control = AccessControl(
        app,
        store,
        settings=lambda: settings_of(app),
        authenticators=lambda: authenticators_from(settings_of(app), store),
        error_answer=_answer,
        recorder=RequestRecorder(store.record_soon, losses or AuditLosses(settings.data_dir)),
    )
    app.add_middleware(AccessMiddleware, control=app.state.access_control)
    # The last one added comes first.
    app.add_middleware(RequestLimits, upload_path=f"{SERVICE_PATH}/")
    app.add_middleware(SecurityMiddleware, names=lambda: settings_of(app).web.names)
    app.add_middleware(StrictTransport, days=lambda: settings_of(app).web.hsts_days)
    app.add_middleware(
        ForwardedRequests,
        proxies=lambda: settings_of(app).web.trusted_proxies,
        note=lambda address: note_untrusted_proxy(settings.data_dir, address, utc_now()),
    )
    return app


def use_settings(app: FastAPI, settings: Settings) -> None:
    """Answers requests with these settings from now on."""
    app.state.settings = settings


def _handle_rejected(request: Request, error: Exception) -> Response:
    """Answers a request that is wrong and stays wrong."""
    assert isinstance(error, Rejected)  # noqa: S101 registered for it
    return _error_response(request, HTTPStatus.BAD_REQUEST, error.reason.value, str(error))


def _handle_transient(request: Request, error: Exception) -> Response:
    """Answers that the node has a problem and that the same request may succeed later."""
    _LOG.warning("web.transient", error=str(error))
    status = HTTPStatus.SERVICE_UNAVAILABLE
    response = _error_response(request, status, "unavailable", str(error))
    response.headers["Retry-After"] = str(_RETRY_AFTER_S)
    return response


def _handle_invalid_request(request: Request, error: Exception) -> Response:
    """Answers a request in which a value is missing or has the wrong form."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 registered for it
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    return _error_response(request, status, "invalid-request", described(error))


def _handle_impossible(request: Request, error: Exception) -> Response:
    """Answers a request about queues or users that fits none of them."""
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    return _error_response(request, status, "invalid-request", str(error))


def _handle_http_error(request: Request, error: Exception) -> Response:
    """Answers a request for an unknown path or object, or with a method that is not allowed."""
    assert isinstance(error, HTTPException)  # noqa: S101 registered for it
    status = HTTPStatus(error.status_code)
    code = status.phrase.lower().replace(" ", "-")
    response = _error_response(request, status, code, http_error_detail(request, error))
    response.headers.update(error.headers or {})
    return response


def _handle_defect(request: Request, error: Exception) -> Response:
    """Answers that the node has failed; the server then logs the error with its traceback."""
    del error
    message = "an error inside the node; its log has the details: send them to your support"
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    response = _error_response(request, status, "internal-server-error", message)
    # This answer does not pass through the middleware.
    response.headers.update(SECURITY_HEADERS)
    return response


def _error_response(request: Request, status: HTTPStatus, code: str, message: str) -> Response:
    """Returns the error as JSON for programs, as a page for people."""
    if not is_for_program(request):
        return console.error_page(request, status, message)
    content: dict[str, object] = {"error": code, "message": message}
    if status not in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return JSONResponse(content, status)
    # RFC 9457, which clients of other servers know for a missing login.
    content |= {"type": "about:blank", "title": status.phrase, "status": status, "detail": message}
    return JSONResponse(content, status, media_type="application/problem+json")


def _answer(request: Request, error: Exception) -> Response:
    """Answers an error that occurred before the request reached its route."""
    handler = next(handler for kind, handler in _ERROR_HANDLERS.items() if isinstance(error, kind))
    return handler(request, error)


_ERROR_HANDLERS: dict[type[Exception], Callable[[Request, Exception], Response]] = {
    Rejected: _handle_rejected,
    Transient: _handle_transient,
    RequestValidationError: _handle_invalid_request,
    ImpossibleRequest: _handle_impossible,
    AccountError: _handle_impossible,
    HTTPException: _handle_http_error,
    Exception: _handle_defect,
}
