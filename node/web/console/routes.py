"""The console: what came in and what became of it, for the people who look after the node."""

import hashlib
from datetime import datetime
from functools import lru_cache
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse, RedirectResponse, Response

from node.domain.job import result_identity
from node.runtime.health_checks import problem_of
from node.settings import Settings
from node.store import Store
from node.web.api import jobs as api
from node.web.console import state_text
from node.web.console.configuration_text import site_in_words
from node.web.console.views import Show, counts, listed, series_page
from node.web.dependencies import Now, SiteSettings, SiteStore

ROUTER = APIRouter(include_in_schema=False)
Shown = Annotated[Show, Query(description="Which series.")]
_TEMPLATES = Path(__file__).parent / "templates"
_MOST_SERIES = 100


@ROUTER.get("/")
def home(
    request: Request, settings: SiteSettings, store: SiteStore, now: Now, show: Shown = Show.ALL
) -> Response:
    """The list of series."""
    shown = _list(settings, store, show, now)
    return _page(request, settings, "series_list.html", **shown)


@ROUTER.get("/fragments/series")
def home_fragment(
    request: Request, settings: SiteSettings, store: SiteStore, now: Now, show: Shown = Show.ALL
) -> Response:
    """The part of the list that changes, for a page that is open."""
    shown = _list(settings, store, show, now)
    return _page(request, settings, "fragments/series_list.html", **shown)


@ROUTER.get("/series/{series_uid}")
def one_series(
    request: Request, series_uid: str, settings: SiteSettings, store: SiteStore
) -> Response:
    """All that is known about a series."""
    return _page(request, settings, "series.html", **_series(store, series_uid))


@ROUTER.get("/fragments/series/{series_uid}")
def one_series_fragment(
    request: Request, series_uid: str, settings: SiteSettings, store: SiteStore
) -> Response:
    """The part of a series' page that changes."""
    return _page(request, settings, "fragments/series.html", **_series(store, series_uid))


@ROUTER.get("/jobs/{job_id}")
def one_job(job_id: str, store: SiteStore) -> Response:
    """A job's place on the page of its series."""
    job = api.known_job(store, job_id)
    return _to(f"/series/{job.series_instance_uid}#job-{job.job_id}")


@ROUTER.get("/jobs/{job_id}/result.dcm")
def result_file(job_id: str, store: SiteStore) -> Response:
    """The DICOM SEG of a job, to be kept as a file."""
    path = api.known_job(store, job_id).result_path
    if path is None or not store.files.holds(path):
        raise HTTPException(HTTPStatus.NOT_FOUND, f"job {job_id} has no result")
    name = f"{result_identity(job_id).sop_instance_uid}.dcm"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    with store.files.at_hand([path]) as (file,):
        return Response(file.read_bytes(), media_type="application/dicom", headers=headers)


@ROUTER.get("/node")
def this_node(request: Request, settings: SiteSettings) -> Response:
    """What this node does: addresses, rules, destinations and models, in words."""
    return _page(request, settings, "node.html", site=site_in_words(settings))


@ROUTER.post("/series/{series_uid}/start")
def start(series_uid: str, store: SiteStore, now: Now) -> Response:
    """The button "Start now"."""
    api.request_start(store, series_uid, now)
    return _to(f"/series/{series_uid}")


@ROUTER.post("/jobs/{job_id}/retry")
def retry(job_id: str, store: SiteStore, now: Now) -> Response:
    """The button "Retry"."""
    job = api.request_retry(store, job_id, now)
    return _to(f"/series/{job.series_instance_uid}#job-{job_id}")


@ROUTER.post("/jobs/{job_id}/rerun")
def rerun(job_id: str, store: SiteStore, now: Now) -> Response:
    """The button "Run again"."""
    job = api.request_rerun(store, job_id, now)
    return _to(f"/series/{job.series_instance_uid}#job-{job_id}")


@ROUTER.post("/jobs/{job_id}/discard")
def discard(job_id: str, store: SiteStore, now: Now) -> Response:
    """The button "Discard"."""
    job = api.request_discard(store, job_id, now)
    return _to(f"/series/{job.series_instance_uid}#job-{job_id}")


def error_page(request: Request, status: HTTPStatus, message: str) -> Response:
    """What went wrong, as a page for people."""
    text = _render("error.html", status=status, message=message, node=None, path=request.url.path)
    return HTMLResponse(text, status)


def _list(settings: Settings, store: Store, show: Show, now: datetime) -> dict[str, object]:
    series = listed(store, show, _MOST_SERIES)
    return {
        "series": series,
        "show": show,
        "counts": counts(store),
        "most": _MOST_SERIES,
        "problem": problem_of(settings, store, now),
    }


def _series(store: Store, series_uid: str) -> dict[str, object]:
    page = series_page(store, series_uid)
    if page is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"no series {series_uid} has been received")
    return {"page": page}


def _to(address: str) -> Response:
    # 303: the browser goes on with GET, so that a reload presses no button again.
    return RedirectResponse(address, HTTPStatus.SEE_OTHER)


def _page(request: Request, settings: Settings, name: str, **shown: object) -> Response:
    """The template's page, or 304 where the browser has it already."""
    text = _render(
        name, node=settings.listener, path=request.url.path, peers=settings.peers, **shown
    )
    tag = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return HTMLResponse(text, headers=headers)


def _render(name: str, **shown: object) -> str:
    return _environment().get_template(name).render(version=_version(), **shown)


@lru_cache(maxsize=1)
def _version() -> str:
    return version("segnode")


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(Show=Show, Tone=state_text.Tone)
    environment.filters["short_uid"] = state_text.short_uid
    environment.filters["event_name"] = state_text.event_name
    environment.filters["volume_words"] = state_text.volume_words
    environment.filters["sentence"] = state_text.sentence
    return environment
