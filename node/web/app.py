"""The web application, put together."""

from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from node.domain.errors import Rejected, Transient
from node.settings import Settings
from node.store import Store
from node.web.api import health, jobs
from node.web.console import routes as console
from node.web.dicomweb import qido, stow, wado
from node.web.guard import Guard

_LOG = structlog.get_logger()
_STATIC = Path(__file__).parent / "console" / "static"
_RETRY_AFTER_S = 5


def create_app(settings: Settings, store: Store) -> FastAPI:
    """Console, REST, health and DICOMweb over one store."""
    # The interactive documentation would load its scripts from elsewhere.
    app = FastAPI(title="segnode", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    app.state.settings = settings
    app.state.store = store
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    for part in (console, jobs, health, qido, wado, stow):
        app.include_router(part.ROUTER)
    for error, answer in _ANSWERS.items():
        app.add_exception_handler(error, answer)
    app.add_middleware(Guard, names=settings.web.names)
    return app


def _rejected(request: Request, error: Exception) -> Response:
    """The request is wrong and stays so."""
    assert isinstance(error, Rejected)  # noqa: S101 registered for it
    return _told(request, HTTPStatus.BAD_REQUEST, error.reason.value, str(error))


def _transient(request: Request, error: Exception) -> Response:
    """We are not well; the same request may do later."""
    _LOG.warning("web.transient", error=str(error))
    answer = _told(request, HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", str(error))
    answer.headers["Retry-After"] = str(_RETRY_AFTER_S)
    return answer


def _invalid(request: Request, error: Exception) -> Response:
    """The request lacks something or has it in the wrong form."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 registered for it
    told = "; ".join(
        f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
        for fault in error.errors()
    )
    return _told(request, HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", told)


def _http(request: Request, error: Exception) -> Response:
    """Nothing there, or a method that nothing here has."""
    assert isinstance(error, HTTPException)  # noqa: S101 registered for it
    status = HTTPStatus(error.status_code)
    code = status.phrase.lower().replace(" ", "-")
    answer = _told(request, status, code, error.detail)
    answer.headers.update(error.headers or {})
    return answer


def _told(request: Request, status: HTTPStatus, code: str, message: str) -> Response:
    """The error as JSON to programs, as a page to people."""
    if not request.url.path.startswith(("/api/", "/dicom-web", "/health")):
        return console.error_page(request, status, message)
    return JSONResponse({"error": code, "message": message}, status)


_ANSWERS: dict[type[Exception], Callable[[Request, Exception], Response]] = {
    Rejected: _rejected,
    Transient: _transient,
    RequestValidationError: _invalid,
    HTTPException: _http,
}
