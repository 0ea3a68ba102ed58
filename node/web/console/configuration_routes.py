"""Routes of the console's page "Configuration": the active text, its history, check and change."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from node.configuration.site_configuration import (
    ConfigurationReadOnly,
    SiteConfiguration,
    UnknownRevision,
    revision_name,
    unified_difference,
)
from node.domain.errors import Misconfigured
from node.settings import Settings
from node.store.configuration.revisions import Revision, RevisionConflict, RevisionDraft
from node.web.console.form_data import FormFields, base_revision, line_of
from node.web.console.rendering import page, render_page
from node.web.dependencies import Configuration, Now, OtherRevision, RevisionNumber, SiteSettings

ROUTER = APIRouter(include_in_schema=False)
_PATH = "/configuration"
_HISTORY_LENGTH = 20
_NOTHING_WRONG = "The text has no mistakes. It is not active before you save it."


@dataclass(frozen=True)
class Editor:
    """What the editor shows: a text, who changes it why, and what is wrong with it.

    `base` is the number of the revision that the text changes.
    """

    text: str
    base: int | None
    author: str = ""
    reason: str = ""
    mistakes: Sequence[Misconfigured] = ()
    problem: str = ""
    confirmation: str = ""
    difference: str = ""

    @property
    def line_count(self) -> int:
        """The number of lines of the text."""
        return self.text.count("\n") + 1


@ROUTER.get(_PATH)
def configuration_page(
    request: Request,
    settings: SiteSettings,
    configuration: Configuration,
    now: Now,
    below: OtherRevision = None,
) -> Response:
    """Shows the active configuration and its history."""
    active = _active(configuration)
    text = configuration.text() if active is None else active.text
    editor = Editor(text, None if active is None else active.number)
    context = _context(configuration, editor, now, below)
    return page(request, settings, "configuration.html", **context)


@ROUTER.post("/configuration/check")
def check(
    settings: SiteSettings, configuration: Configuration, now: Now, fields: FormFields
) -> Response:
    """Handles the button "Check": shows the mistakes, and what the text would change."""
    editor = _editor(fields)
    try:
        configuration.check(editor.text)
    except Misconfigured as error:
        return _refused(settings, configuration, now, editor, error)
    difference = unified_difference(configuration.text(), editor.text, "active", "this text")
    shown = replace(editor, confirmation=_NOTHING_WRONG, difference=difference)
    return _editor_page(settings, configuration, now, shown, HTTPStatus.OK)


@ROUTER.post(_PATH)
def save(
    settings: SiteSettings, configuration: Configuration, now: Now, fields: FormFields
) -> Response:
    """Handles the button "Save": the text becomes active, or the page says why not."""
    editor = _editor(fields)
    if not editor.author or not editor.reason:
        shown = replace(editor, problem="Not saved: give your name and the reason for the change.")
        return _editor_page(settings, configuration, now, shown, HTTPStatus.UNPROCESSABLE_ENTITY)
    draft = RevisionDraft(editor.text, editor.author, editor.reason)
    try:
        configuration.propose(draft, editor.base, now)
    except (Misconfigured, ConfigurationReadOnly, RevisionConflict) as error:
        return _refused(settings, configuration, now, editor, error)
    return RedirectResponse(_PATH, HTTPStatus.SEE_OTHER)


@ROUTER.get("/configuration/revisions/{number}")
def revision_page(
    request: Request, settings: SiteSettings, configuration: Configuration, number: RevisionNumber
) -> Response:
    """Shows a revision: what it changed, its text, and the way back to it."""
    context = _revision_context(configuration, _require_revision(configuration, number))
    return page(request, settings, "configuration_revision.html", **context)


@ROUTER.post("/configuration/revisions/{number}/roll-back")
def roll_back(
    settings: SiteSettings,
    configuration: Configuration,
    now: Now,
    number: RevisionNumber,
    fields: FormFields,
) -> Response:
    """Handles the button "Roll back": the text of the revision becomes active again."""
    revision = _require_revision(configuration, number)
    editor = replace(_editor(fields), text=revision.text)
    problem = ""
    try:
        if editor.author and editor.reason:
            configuration.roll_back(number, editor.author, editor.reason, editor.base, now)
            return RedirectResponse(_PATH, HTTPStatus.SEE_OTHER)
        problem = "Not rolled back: give your name and the reason."
    except (Misconfigured, ConfigurationReadOnly, RevisionConflict) as error:
        problem = f"Not rolled back: {error}"
    context = _revision_context(configuration, revision) | {"problem": problem, "editor": editor}
    path = f"{_PATH}/revisions/{number}"
    text = render_page(path, settings, "configuration_revision.html", **context)
    return HTMLResponse(text, HTTPStatus.CONFLICT)


def _editor(fields: FormFields) -> Editor:
    return Editor(
        text=fields.get("text", "").replace("\r\n", "\n"),
        base=base_revision(fields),
        author=line_of(fields, "author"),
        reason=line_of(fields, "reason"),
    )


def _refused(
    settings: Settings,
    configuration: SiteConfiguration,
    now: Now,
    editor: Editor,
    error: Misconfigured | ConfigurationReadOnly | RevisionConflict,
) -> Response:
    """Returns the page with what is wrong, and the text as it was sent."""
    if isinstance(error, Misconfigured):
        shown = replace(editor, mistakes=error.mistakes)
        status = HTTPStatus.UNPROCESSABLE_ENTITY
    else:
        shown, status = replace(editor, problem=f"Not saved: {error}."), HTTPStatus.CONFLICT
    return _editor_page(settings, configuration, now, shown, status)


def _editor_page(
    settings: Settings, configuration: SiteConfiguration, now: Now, editor: Editor, status: int
) -> Response:
    context = _context(configuration, editor, now, None)
    return HTMLResponse(render_page(_PATH, settings, "configuration.html", **context), status)


def _active(configuration: SiteConfiguration) -> Revision | None:
    return configuration.store.active_revision() if configuration.is_writable else None


def _context(
    configuration: SiteConfiguration, editor: Editor, now: Now, below: int | None
) -> dict[str, object]:
    store = configuration.store
    history = store.list_revisions(_HISTORY_LENGTH + 1, below=below)
    return {
        "editor": editor,
        "is_writable": configuration.is_writable,
        "file": configuration.file,
        "active": _active(configuration),
        "processes": configuration.processes(now),
        "history": history[:_HISTORY_LENGTH],
        "older": history[_HISTORY_LENGTH - 1].number if len(history) > _HISTORY_LENGTH else None,
    }


def _revision_context(configuration: SiteConfiguration, revision: Revision) -> dict[str, object]:
    active = _active(configuration)
    current = configuration.text() if active is None else active.text
    return {
        "revision": revision,
        "active": active,
        "changes": configuration.difference(revision.parent, revision.number),
        "way_back": unified_difference(
            current, revision.text, "active", revision_name(revision.number)
        ),
        "problem": "",
        "editor": Editor("", None if active is None else active.number),
        "is_writable": configuration.is_writable,
    }


def _require_revision(configuration: SiteConfiguration, number: int) -> Revision:
    try:
        return configuration.revision(number)
    except UnknownRevision as error:
        raise HTTPException(HTTPStatus.NOT_FOUND, str(error)) from error
