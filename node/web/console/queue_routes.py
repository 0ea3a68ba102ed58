"""Routes of the page of queues, and the questions before deliveries are redirected or discarded."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.responses import RedirectResponse, Response

from node.delivery.queue_control import MAX_REASON, QueueControl
from node.domain.queues.pause import INFERENCE, Queue
from node.domain.queues.selection import (
    DeliveryChange,
    DeliveryName,
    DeliverySelection,
    changes_text,
)
from node.web.acting_user import CurrentUser
from node.web.console.queue_views import load_question, load_queues
from node.web.console.rendering import page
from node.web.dependencies import Now, SiteSettings, SiteStore

ROUTER = APIRouter(include_in_schema=False)
_PATH = "/queues"
_SERIES = "series"  # the value of `back` on the page of a series
Form = Mapping[str, list[str]]


async def _form(request: Request) -> Form:
    """Returns the fields of a form and of the address; forms without files need no library."""
    body = (await request.body()).decode("utf-8", errors="replace")
    # PostgreSQL stores no NUL in texts.
    return parse_qs(f"{request.url.query}&{body}".replace("%00", ""))


def _control(settings: SiteSettings, store: SiteStore, user: CurrentUser, now: Now) -> QueueControl:
    return QueueControl(settings, store, user.interface, user.named(), now)


Fields = Annotated[Form, Depends(_form)]
Control = Annotated[QueueControl, Depends(_control)]


@ROUTER.get(_PATH)
def queues_page(request: Request, control: Control) -> Response:
    """Shows what waits for each destination and for the models."""
    return page(request, control.settings, "queues.html", **_context(control))


@ROUTER.get("/fragments/queues")
def queues_fragment(request: Request, control: Control) -> Response:
    """Returns the part of the page that an open page updates."""
    return page(request, control.settings, "fragments/queues.html", **_context(control))


@ROUTER.get("/queues/redirect")
def ask_redirect(request: Request, control: Control, fields: Fields) -> Response:
    """Asks to which destination the selected deliveries go instead."""
    return _ask(request, control, fields, "queue_redirect.html")


@ROUTER.get("/queues/discard")
def ask_discard(request: Request, control: Control, fields: Fields) -> Response:
    """Asks whether and why the selected deliveries are discarded."""
    return _ask(request, control, fields, "queue_discard.html")


@ROUTER.post("/queues/retry")
def retry(control: Control, fields: Fields) -> Response:
    """Handles the button "Retry now"."""
    changes = control.retry(_selection(fields))
    paused = {queue.destination for queue in control.store.pauses()}
    if waiting := sorted(paused & {change.name.destination for change in changes}):
        message = (
            f"{' and '.join(waiting)} is paused, so nothing is sent yet: resume it on the page "
            "of queues. The deliveries are due then"
        )
        raise HTTPException(HTTPStatus.CONFLICT, message)
    return _done(control, fields, changes, "due now")


@ROUTER.post("/queues/redirect")
def redirect(control: Control, fields: Fields) -> Response:
    """Redirects the selected deliveries."""
    to = _value(fields, "to")
    return _done(control, fields, control.redirect(_selection(fields), to), f"redirected to {to}")


@ROUTER.post("/queues/discard")
def discard(control: Control, fields: Fields) -> Response:
    """Discards the selected deliveries."""
    reason = _value(fields, "reason")
    return _done(control, fields, control.discard(_selection(fields), reason), "discarded")


@ROUTER.post("/queues/inference/pause")
def pause_inference(control: Control, fields: Fields) -> Response:
    """Handles the form "Pause" of the inference, which states the reason."""
    control.pause(INFERENCE, _value(fields, "reason"))
    return _redirect(_PATH)


@ROUTER.post("/queues/inference/resume")
def resume_inference(control: Control) -> Response:
    """Handles the button "Resume" of the inference."""
    control.resume(INFERENCE)
    return _redirect(_PATH)


@ROUTER.post("/queues/destinations/{name:path}/pause")
def pause_destination(name: str, control: Control, fields: Fields) -> Response:
    """Handles the form "Pause" of a destination, which states the reason."""
    control.pause(Queue.of_destination(name), _value(fields, "reason"))
    return _redirect(_PATH)


@ROUTER.post("/queues/destinations/{name:path}/resume")
def resume_destination(name: str, control: Control) -> Response:
    """Handles the button "Resume" of a destination."""
    control.resume(Queue.of_destination(name))
    return _redirect(_PATH)


def _context(control: QueueControl) -> dict[str, object]:
    return {"queues": load_queues(control), "max_reason": MAX_REASON}


def _ask(request: Request, control: QueueControl, fields: Form, template: str) -> Response:
    question = load_question(control, _selection(fields), _value(fields, "back"))
    if not question.count:
        message = "none of the selected deliveries waits or was given up any more"
        raise HTTPException(HTTPStatus.CONFLICT, message)
    return page(request, control.settings, template, question=question)


def _selection(fields: Form) -> DeliverySelection:
    """Returns the deliveries that are ticked; with `all`, every one of the destination."""
    if "all" in fields and _value(fields, "destination"):
        return DeliverySelection(_value(fields, "destination"))
    names = tuple(DeliveryName.parse(text) for text in fields.get("delivery", []))
    if not names:
        message = "no delivery is selected: tick some, or all of the destination"
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, message)
    return DeliverySelection(names=names)


def _value(fields: Form, name: str) -> str:
    return fields.get(name, [""])[-1].strip()


def _done(
    control: QueueControl, fields: Form, changes: list[DeliveryChange], done: str
) -> Response:
    """Returns to the page; an error page says which deliveries did not change, and why."""
    if any(change.refusal for change in changes):
        raise HTTPException(HTTPStatus.CONFLICT, changes_text(changes, done))
    if _value(fields, "back") == _SERIES:
        job = control.store.get_job(changes[0].name.job_id)
        if job is not None:
            return _redirect(f"/series/{job.series_instance_uid}#job-{job.job_id}")
    return _redirect(_PATH)


def _redirect(address: str) -> Response:
    # 303: the browser continues with GET, so that a reload does not repeat the action.
    return RedirectResponse(address, HTTPStatus.SEE_OTHER)
