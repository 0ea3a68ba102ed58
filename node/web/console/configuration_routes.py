"""Routes of the console's page "Configuration": the active text, its history, check and change."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from node.configuration.differences import unified_difference
from node.configuration.identity import IdentityChange
from node.configuration.protected_settings import AdministratorNeeded
from node.configuration.site_configuration import (
    ConfigurationReadOnly,
    NothingChanged,
    SiteConfiguration,
    UnknownRevision,
    revision_name,
)
from node.domain.errors import Misconfigured
from node.domain.texts.sentences import sentence
from node.store.configuration.revisions import Revision, RevisionConflict, RevisionDraft
from node.web.acting_user import CurrentUser
from node.web.console.form_data import FormFields, base_revision, line_of
from node.web.console.rendering import page, render_page
from node.web.dependencies import Configuration, Now, OtherRevision, RevisionNumber, SiteSettings

ROUTER = APIRouter(include_in_schema=False)
_PATH = "/configuration"
_HISTORY_LENGTH = 20
_NOT_CONFIRMED = (
    "Not saved: with this text, other systems know the node otherwise. Confirm that below."
)
_NO_MISTAKES = "The text has no mistakes."
_NOT_ACTIVE = "It is not active before you save it."
_SAME = "It is the same as the active text."


@dataclass(frozen=True)
class Editor:
    """What the editor shows: a text, who changes it why, and what is wrong with it.

    `base` is the number of the revision that the text changes. `identity_changes` are what the
    person has to confirm before the text becomes active. `lost_changes` is the unified diff of the
    changes that others made since; the text undoes them.
    """

    text: str
    base: int | None
    author: str = ""
    reason: str = ""
    mistakes: Sequence[Misconfigured] = ()
    problem: str = ""
    confirmation: str = ""
    difference: str = ""
    identity_changes: Sequence[IdentityChange] = ()
    lost_changes: str = ""

    @property
    def line_count(self) -> int:
        """The number of lines of the text."""
        return self.text.count("\n") + 1


@dataclass(frozen=True)
class _Site:
    """What the routes that show or change the text need."""

    settings: SiteSettings
    configuration: Configuration
    user: CurrentUser
    now: Now


_OfSite = Annotated[_Site, Depends()]


@ROUTER.get(_PATH)
def configuration_page(request: Request, site: _OfSite, below: OtherRevision = None) -> Response:
    """Shows the active configuration and its history."""
    active = _active(site.configuration)
    text = site.configuration.text() if active is None else active.text
    editor = Editor(text, None if active is None else active.number)
    context = _context(site, editor, below)
    return page(request, site.settings, "configuration.html", **context)


@ROUTER.post("/configuration/check")
def check(site: _OfSite, fields: FormFields) -> Response:
    """Handles the button "Check": shows the mistakes, and what the text would change."""
    editor = _editor(fields)
    try:
        site.configuration.check_proposed(editor.text)
        identity = site.configuration.identity_changes(editor.text)
    except Misconfigured as error:
        return _refused(site, editor, error)
    difference = unified_difference(site.configuration.text(), editor.text, "active", "this text")
    shown = replace(
        editor,
        confirmation=f"{_NO_MISTAKES} {_NOT_ACTIVE if difference else _SAME}",
        difference=difference,
        identity_changes=identity,
    )
    return _editor_page(site, shown, HTTPStatus.OK)


@ROUTER.post(_PATH)
def save(site: _OfSite, fields: FormFields) -> Response:
    """Handles the button "Save": the text becomes active, or the page says why not."""
    editor = _editor(fields)
    if not editor.author or not editor.reason:
        shown = replace(editor, problem="Not saved: give your name and the reason for the change.")
        return _editor_page(site, shown, HTTPStatus.UNPROCESSABLE_ENTITY)
    draft = RevisionDraft(editor.text, site.user.named(editor.author), editor.reason)
    try:
        identity = site.configuration.identity_changes(editor.text)
        if identity and "takes_over_identity" not in fields:
            shown = replace(editor, problem=_NOT_CONFIRMED, identity_changes=identity)
            return _editor_page(site, shown, HTTPStatus.CONFLICT)
        site.configuration.propose(draft, editor.base, site.now)
    except NothingChanged as error:
        shown = replace(editor, confirmation=sentence(str(error)))
        return _editor_page(site, shown, HTTPStatus.OK)
    except (
        Misconfigured,
        ConfigurationReadOnly,
        AdministratorNeeded,
        RevisionConflict,
    ) as error:
        return _refused(site, editor, error)
    return RedirectResponse(_PATH, HTTPStatus.SEE_OTHER)


@ROUTER.get("/configuration/revisions/{number}")
def revision_page(
    request: Request, settings: SiteSettings, configuration: Configuration, number: RevisionNumber
) -> Response:
    """Shows a revision: what it changed, its text, and the way back to it."""
    context = _revision_context(configuration, _require_revision(configuration, number))
    return page(request, settings, "configuration_revision.html", **context)


@ROUTER.post("/configuration/revisions/{number}/roll-back")
def roll_back(site: _OfSite, number: RevisionNumber, fields: FormFields) -> Response:
    """Handles the button "Roll back": the text of the revision becomes active again."""
    configuration = site.configuration
    revision = _require_revision(configuration, number)
    editor = replace(_editor(fields), text=revision.text)
    problem = ""
    try:
        if editor.author and editor.reason:
            author = site.user.named(editor.author)
            configuration.roll_back(number, author, editor.reason, editor.base, site.now)
            return RedirectResponse(_PATH, HTTPStatus.SEE_OTHER)
        problem = "Not rolled back: give your name and the reason."
    except RevisionConflict as error:
        problem = f"Not rolled back: {error}."
        editor = replace(editor, base=error.active.number)
    except (
        Misconfigured,
        ConfigurationReadOnly,
        AdministratorNeeded,
        NothingChanged,
    ) as error:
        problem = f"Not rolled back: {error}"
    context = _revision_context(configuration, revision) | {"problem": problem, "editor": editor}
    path = f"{_PATH}/revisions/{number}"
    text = render_page(path, site.settings, "configuration_revision.html", **context)
    return HTMLResponse(text, HTTPStatus.CONFLICT)


def _editor(fields: FormFields) -> Editor:
    return Editor(
        text=fields.get("text", "").replace("\r\n", "\n"),
        base=base_revision(fields),
        author=line_of(fields, "author"),
        reason=line_of(fields, "reason"),
    )


def _refused(
    site: _Site,
    editor: Editor,
    error: Misconfigured | ConfigurationReadOnly | AdministratorNeeded | RevisionConflict,
) -> Response:
    """Returns the page with what is wrong, and the text as it was sent."""
    if isinstance(error, Misconfigured):
        shown = replace(editor, mistakes=error.mistakes)
        return _editor_page(site, shown, HTTPStatus.UNPROCESSABLE_ENTITY)
    shown = replace(editor, problem=f"Not saved: {error}.")
    if isinstance(error, AdministratorNeeded):
        return _editor_page(site, shown, HTTPStatus.FORBIDDEN)
    if isinstance(error, RevisionConflict):
        number = error.active.number
        lost = site.configuration.difference(editor.base, number)
        shown = replace(shown, base=number, lost_changes=lost)
    return _editor_page(site, shown, HTTPStatus.CONFLICT)


def _editor_page(site: _Site, editor: Editor, status: int) -> Response:
    context = _context(site, editor, None)
    return HTMLResponse(render_page(_PATH, site.settings, "configuration.html", **context), status)


def _active(configuration: SiteConfiguration) -> Revision | None:
    return configuration.store.active_revision() if configuration.is_writable else None


def _context(site: _Site, editor: Editor, below: int | None) -> dict[str, object]:
    configuration, store = site.configuration, site.configuration.store
    history = store.list_revisions(_HISTORY_LENGTH + 1, below=below)
    return {
        "editor": editor,
        "is_writable": configuration.is_writable,
        "file": configuration.file,
        "active": _active(configuration),
        "processes": configuration.processes(site.now),
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
