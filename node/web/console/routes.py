"""Routes of the console, in which administrators follow received series and their results."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from node.domain.job import Job
from node.domain.queues.discarding import MAX_REASON, Discarding
from node.health.problems import banner_text
from node.settings import Settings
from node.store import Store
from node.web import operations
from node.web.acting_user import CurrentUser
from node.web.console.configuration_text import describe_configuration
from node.web.console.error_text import error_title, way_on
from node.web.console.rendering import page, render
from node.web.console.series_list import ListParameters, load_series_list
from node.web.console.views import load_series_page
from node.web.dependencies import Now, PostedForm, SiteSettings, SiteStore
from node.web.viewer.links import viewer_links
from node.web.viewer.series_viewer import viewer_version

ROUTER = APIRouter(include_in_schema=False)
ShownSeries = Annotated[ListParameters, Query()]
_SERIES_PER_PAGE = 50


@ROUTER.get("/favicon.ico")
def icon() -> Response:
    """Leads to the icon of the console; browsers ask for it where a page names none."""
    return RedirectResponse("/static/icon.svg", HTTPStatus.PERMANENT_REDIRECT)


@ROUTER.get("/")
def series_list(
    request: Request,
    settings: SiteSettings,
    store: SiteStore,
    now: Now,
    show: ShownSeries,
) -> Response:
    """Shows the list of series."""
    context = _list_context(settings, store, show, now)
    return page(request, settings, "series_list.html", **context)


@ROUTER.get("/fragments/series")
def series_list_fragment(
    request: Request,
    settings: SiteSettings,
    store: SiteStore,
    now: Now,
    show: ShownSeries,
) -> Response:
    """Returns the part of the list that an open page updates."""
    context = _list_context(settings, store, show, now)
    return page(request, settings, "fragments/series_list.html", **context)


@ROUTER.get("/series/{series_uid}")
def series_page(
    request: Request, series_uid: str, settings: SiteSettings, store: SiteStore
) -> Response:
    """Shows one series with its jobs, decision and history."""
    return page(request, settings, "series.html", **_series_context(settings, store, series_uid))


@ROUTER.get("/fragments/series/{series_uid}")
def series_page_fragment(
    request: Request, series_uid: str, settings: SiteSettings, store: SiteStore
) -> Response:
    """Returns the part of a series page that an open page updates."""
    return page(
        request, settings, "fragments/series.html", **_series_context(settings, store, series_uid)
    )


@ROUTER.get("/jobs/{job_id}")
def job_redirect(job_id: str, store: SiteStore) -> Response:
    """Redirects to the job on the page of its series."""
    return _to_job(operations.require_job(store, job_id))


@ROUTER.get("/jobs/{job_id}/result.dcm")
def result_file(job_id: str, store: SiteStore) -> Response:
    """Returns the DICOM SEG of a job as a download."""
    job = operations.require_job(store, job_id)
    content = operations.read_job_file(store, job.result_path, f"job {job_id} has no result")
    name = f"{job.result_uids.sop_instance_uid()}.dcm"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type="application/dicom", headers=headers)


@ROUTER.get("/node")
def configuration_page(request: Request, settings: SiteSettings) -> Response:
    """Shows the configuration: addresses, rules, destinations and models."""
    configuration = describe_configuration(settings)
    return page(request, settings, "node.html", configuration=configuration)


@ROUTER.post("/series/{series_uid}/start")
def start(series_uid: str, store: SiteStore, now: Now) -> Response:
    """Handles the buttons "Start now" and "Decide again"."""
    operations.request_start(store, series_uid, now)
    return _redirect(f"/series/{series_uid}")


@ROUTER.post("/series/{series_uid}/delete")
def delete(
    series_uid: str, form: PostedForm, user: CurrentUser, store: SiteStore, now: Now
) -> Response:
    """Handles the form "Delete", which states the reason."""
    actor = user.audit_actor()
    operations.delete_series(store, series_uid, form.get("reason", ""), actor, now)
    return _redirect(f"/series/{series_uid}")


@ROUTER.post("/jobs/{job_id}/retry")
def retry(job_id: str, store: SiteStore, now: Now) -> Response:
    """Handles the button "Retry"."""
    return _to_job(operations.retry_job(store, job_id, now))


@ROUTER.post("/jobs/{job_id}/release")
def release(job_id: str, store: SiteStore, now: Now) -> Response:
    """Handles the button "Release" of a result that is held because of its findings."""
    return _to_job(operations.release_job(store, job_id, now))


@ROUTER.post("/jobs/{job_id}/rerun")
def rerun(job_id: str, store: SiteStore, now: Now) -> Response:
    """Handles the button "Run again"."""
    return _to_job(operations.rerun_job(store, job_id, now))


@ROUTER.post("/jobs/{job_id}/discard")
def discard(
    job_id: str, form: PostedForm, user: CurrentUser, store: SiteStore, now: Now
) -> Response:
    """Handles the form "Discard", which states the reason."""
    discarding = Discarding.of(form.get("reason", ""), user.named())
    return _to_job(operations.discard_job(store, job_id, discarding, now))


def error_page(request: Request, status: HTTPStatus, message: str) -> Response:
    """Returns an error as a page for people."""
    path = request.url.path
    text = render(
        "error.html",
        title=error_title(status),
        message=message,
        way_on=way_on(path, status),
        node=None,
        path=path,
    )
    return HTMLResponse(text, status)


def _list_context(
    settings: Settings, store: Store, parameters: ListParameters, now: datetime
) -> dict[str, object]:
    return {
        "list": load_series_list(settings, store, parameters, _SERIES_PER_PAGE),
        "searches_patients": settings.web.search_patients,
        "problem": banner_text(settings, store, now),
    }


def _series_context(settings: Settings, store: Store, series_uid: str) -> dict[str, object]:
    loaded = load_series_page(store, series_uid, settings.destinations)
    if loaded is None:
        raise operations.unknown_series(series_uid)
    jobs = [one.job for one in loaded.view.current_jobs]
    links = viewer_links(settings, loaded.view.series, jobs)
    return {
        "page": loaded,
        "viewer_links": links,
        "viewer_version": viewer_version(loaded.view.series, jobs),
        "max_reason": MAX_REASON,
        "shadow_runs": store.shadow_runs_of(series_uid),
        "feedback": store.feedback_of_series(series_uid),
    }


def _to_job(job: Job) -> Response:
    return _redirect(f"/series/{job.series_instance_uid}#job-{job.job_id}")


def _redirect(address: str) -> Response:
    # 303: the browser continues with GET, so that a reload does not repeat the action.
    return RedirectResponse(address, HTTPStatus.SEE_OTHER)
