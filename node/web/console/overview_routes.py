"""Routes of the overview: the page, its live part, and the stream that updates it."""

from functools import partial

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response

from node.health.overview import site_state
from node.settings import Settings
from node.store import Store
from node.web.console.monitoring_text import all_well, destination_state
from node.web.console.rendering import page, render_page
from node.web.dependencies import SiteSettings, SiteStore, settings_of, utc_now
from node.web.event_streams import streams_of

ROUTER = APIRouter(include_in_schema=False)
_PATH = "/overview"
_FRAGMENT = "fragments/overview.html"


@ROUTER.get(_PATH)
def overview_page(request: Request, settings: SiteSettings, store: SiteStore) -> Response:
    """Shows the state of the site."""
    return page(request, settings, "overview.html", **_context(settings, store))


@ROUTER.get("/fragments/overview")
def overview_fragment(request: Request, settings: SiteSettings, store: SiteStore) -> Response:
    """Returns the part of the overview that an open page updates without a stream."""
    return page(request, settings, _FRAGMENT, **_context(settings, store))


@ROUTER.get("/events/overview")
async def overview_events(request: Request, store: SiteStore) -> Response:
    """Streams each new version of that part (server-sent events)."""
    render = partial(_render_fragment, request.app, store)
    return streams_of(request.app).response(request, "overview", render)


def _render_fragment(app: FastAPI, store: Store) -> str:
    settings = settings_of(app)  # those of now: a stream lasts longer than a configuration
    return render_page(_PATH, settings, _FRAGMENT, **_context(settings, store))


def _context(settings: Settings, store: Store) -> dict[str, object]:
    state = site_state(settings, store, utc_now())
    found = state.overview
    states = {}
    if found is not None:
        states = {d.name: destination_state(d, found, state.at) for d in found.destinations}
    return {
        "state": state,
        "all_well": all_well(state),
        "destination_states": states,
        "in_bucket": bool(settings.store_url),
        "sends_alerts": any((settings.alerts.webhook, settings.alerts.mail)),
    }
