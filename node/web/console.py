"""The console: what came in and what became of it, for people at a browser."""

from http import HTTPStatus
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.templating import Jinja2Templates
from starlette.responses import RedirectResponse, Response

from node.domain.job import Job
from node.routing.decide import Decision
from node.settings import Settings
from node.store import Store
from node.store.audit import AuditEvent
from node.store.outcomes import SeriesOutcome
from node.web.dependencies import Now, SiteSettings, SiteStore
from node.web.triggers import known_job, known_series, request_retry, request_start
from node.web.views import series_view

ROUTER = APIRouter(include_in_schema=False)
_TEMPLATES = Jinja2Templates(directory=Path(__file__).parent / "templates")
_SHOWN = 100
# The page asks again and again; what it gets must not be an old answer.
_FRESH = {"Cache-Control": "no-store"}


@ROUTER.get("/")
def overview(request: Request, settings: SiteSettings, store: SiteStore) -> Response:
    """The list of series."""
    return _page(request, "overview.html", settings=settings, **_overview(store, settings))


@ROUTER.get("/parts/overview")
def overview_part(request: Request, settings: SiteSettings, store: SiteStore) -> Response:
    """The list alone, for the page that is open."""
    return _page(request, "parts/overview.html", settings=settings, **_overview(store, settings))


@ROUTER.get("/series/{series_uid}")
def series_page(request: Request, series_uid: str, store: SiteStore) -> Response:
    """Everything about one series."""
    return _page(request, "series.html", **_series(store, series_uid))


@ROUTER.get("/parts/series/{series_uid}")
def series_part(request: Request, series_uid: str, store: SiteStore) -> Response:
    """The series alone, for the page that is open."""
    return _page(request, "parts/series.html", **_series(store, series_uid))


@ROUTER.post("/series/{series_uid}/start")
def start(series_uid: str, store: SiteStore, now: Now) -> Response:
    """The button that starts a series at once."""
    request_start(store, series_uid, now)
    return _back_to(series_uid)


@ROUTER.post("/jobs/{job_id}/retry")
def retry(job_id: str, store: SiteStore, now: Now) -> Response:
    """The button that tries a parked job again."""
    job = known_job(store, job_id)
    request_retry(store, job_id, now)
    return _back_to(job.series_instance_uid)


def error_page(request: Request, status: HTTPStatus, message: str) -> Response:
    """What went wrong, for people."""
    return _page(request, "error.html", status, phrase=status.phrase, message=message)


def _page(
    request: Request, name: str, status: HTTPStatus = HTTPStatus.OK, **shown: object
) -> Response:
    return _TEMPLATES.TemplateResponse(request, name, shown, int(status), headers=_FRESH)


def _back_to(series_uid: str) -> Response:
    # 303: the browser goes on with GET, so that a reload presses no button again.
    return RedirectResponse(f"/series/{series_uid}", HTTPStatus.SEE_OTHER)


def _overview(store: Store, settings: Settings) -> dict[str, object]:
    found = store.series_with_outcome(_SHOWN)
    # A configured site sends from a machine of its own: the name that it knows us by is not ours
    # to guess, so the example speaks of this one.
    example = f"segnode send {settings.listener.ae_title}@localhost:{settings.listener.port} FOLDER"
    return {
        "rows": [series_view(store, one) for one in found],
        "shown": _SHOWN,
        "example": example,
    }


def _series(store: Store, series_uid: str) -> dict[str, object]:
    series = known_series(store, series_uid)
    jobs = tuple(reversed(store.jobs_of(series_uid)))
    text = store.decision_of(series_uid)
    return {
        "row": series_view(store, SeriesOutcome(series, jobs)),
        "decision": None if text is None else Decision.from_json(text),
        "events": _events(store, series_uid, jobs),
    }


def _events(store: Store, series_uid: str, jobs: tuple[Job, ...]) -> list[AuditEvent]:
    """What happened to the series and its jobs, newest first."""
    subjects = (series_uid, *(job.job_id for job in jobs))
    events = [event for subject in subjects for event in store.audit_of(subject)]
    return sorted(events, key=lambda event: event.happened_at, reverse=True)
