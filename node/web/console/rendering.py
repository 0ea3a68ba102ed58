"""Renders the templates of the console."""

import hashlib
from functools import lru_cache
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from node.domain.access.identities import IdentityOrigin
from node.domain.access.permissions import Permission
from node.domain.texts.sentences import sentence
from node.runtime.listening import current_listener
from node.settings import Settings
from node.web.console import monitoring_text, state_text
from node.web.console.models.card import card_html
from node.web.console.series_list import SeriesFilter
from node.web.csrf import CSRF_FIELD
from node.web.current_sender import current_sender

_TEMPLATES = Path(__file__).parent / "templates"


def page(request: Request, settings: Settings, name: str, **context: object) -> Response:
    """Returns the rendered template, or 304 when the browser has the same page already."""
    text = render_page(request.url.path, settings, name, **context)
    tag = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
    # After the logout, the button "back" must not show patients.
    is_session = current_sender().csrf_token != ""
    headers = {"ETag": tag, "Cache-Control": "no-store" if is_session else "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return HTMLResponse(text, headers=headers)


def render_page(path: str, settings: Settings, name: str, **context: object) -> str:
    """Returns the rendered template of the page at `path`."""
    return render(name, node=current_listener(settings), path=path, peers=settings.peers, **context)


def render(name: str, **context: object) -> str:
    """Returns the rendered template."""
    sender = current_sender()
    return _environment().get_template(name).render(version=_version(), sender=sender, **context)


def _csrf_value() -> Markup:
    """Returns name and value of the field or button that makes a POST one of this session.

    The value is empty where the content is for several sessions; `console.js` fills it in.
    """
    return Markup('name="{}" value="{}"').format(CSRF_FIELD, current_sender().csrf_token)


def _csrf_field() -> Markup:
    """Returns the hidden field that each form with POST holds."""
    return Markup('<input type="hidden" {}>').format(_csrf_value())


def _with_code(text: str) -> Markup:
    """Returns a text whose commands, between backticks, are shown as such."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 and number < len(parts) - 1 else part
        for number, part in enumerate(parts)
    )


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
    environment.globals.update(
        SeriesFilter=SeriesFilter,
        Tone=state_text.Tone,
        Permission=Permission,
        IdentityOrigin=IdentityOrigin,
        csrf_field=_csrf_field,
        csrf_value=_csrf_value,
    )
    environment.filters["with_code"] = _with_code
    environment.filters["short_uid"] = state_text.short_uid
    environment.filters["event_name"] = state_text.event_name
    environment.filters["event_detail"] = state_text.event_detail
    environment.filters["volume_text"] = state_text.volume_text
    environment.filters["sentence"] = sentence
    environment.filters["duration"] = monitoring_text.duration
    environment.filters["markdown"] = card_html
    environment.filters["size"] = monitoring_text.size
    environment.filters["urgency_name"] = monitoring_text.urgency_name
    environment.filters["peer_and_channel"] = state_text.peer_and_channel
    return environment
