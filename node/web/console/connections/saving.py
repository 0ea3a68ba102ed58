"""A form that is filled in: saves the change as a revision, or shows the form with its mistakes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Request
from starlette.responses import RedirectResponse, Response

from node.configuration.connections import (
    ConnectionInUse,
    Mistakes,
    NameNotPossible,
    mistakes_of,
)
from node.configuration.protected_settings import AdministratorNeeded
from node.configuration.site_configuration import (
    ConfigurationReadOnly,
    NothingChanged,
    SiteConfiguration,
)
from node.configuration.toml_edit import CannotEdit, TomlValue
from node.domain.errors import Misconfigured
from node.domain.texts.sentences import sentence
from node.settings import Settings
from node.store.configuration.revisions import RevisionConflict, RevisionDraft
from node.web.acting_user import ActingUser, CurrentUser
from node.web.console.connections.form import Form
from node.web.console.form_data import base_revision, line_of
from node.web.console.rendering import page
from node.web.dependencies import Configuration, Now, SiteSettings

_TEMPLATE = "connections/form.html"

Values = Mapping[str, TomlValue | None]


@dataclass(frozen=True)
class FormPage:
    """A form with what its fields show.

    With `asks_name`, the name of the connection is one of its fields. `base` is the revision that
    the values come from, so that two people do not overwrite each other's changes. `path` is the
    table of the settings. `remove_action` is the address of the button "Remove", if it has one.
    `warning` says what else the change does, and what to do about that; `remove_warning` says so of
    the removal. `refusal` says that the
    change is not made, if the form has mistakes. `conflict` is the number of a revision that became
    active in between.
    """

    title: str
    action: str
    path: tuple[str, ...]
    form: Form
    values: Mapping[str, Any]
    base: int | None
    asks_name: bool = False
    name: str = ""
    remove_action: str = ""
    remove_warning: str = ""
    warning: str = ""
    refusal: str = "Not saved."
    conflict: int | None = None
    mistakes: Mistakes = field(default_factory=lambda: Mistakes({}, ()))
    author: str = ""
    reason: str = ""


@dataclass(frozen=True)
class FormSite:
    """A request about a form, and the configuration that it is about; writable."""

    request: Request
    configuration: SiteConfiguration
    settings: Settings
    user: ActingUser
    now: datetime

    def show(self, shown: FormPage, status: HTTPStatus = HTTPStatus.OK) -> Response:
        """Returns the form as a page."""
        response = page(self.request, self.settings, _TEMPLATE, shown=shown)
        if response.status_code == HTTPStatus.OK:  # not where the browser has the page already
            response.status_code = status
        return response

    def save(
        self,
        shown: FormPage,
        fields: Mapping[str, str],
        default_reason: str,
        edit: Callable[[str, Values], str],
    ) -> Response:
        """Makes the edited text active; shows the form again if that is not possible.

        `edit` gets the active text and the values of the form.
        """
        values = shown.form.submitted(fields)
        base = base_revision(fields)
        try:
            draft = RevisionDraft(
                edit(self.configuration.text(), values),
                self.user.named(line_of(fields, "author")),
                line_of(fields, "reason") or default_reason,
            )
            self.configuration.propose(draft, base, self.now)
        except NameNotPossible as error:
            mistakes = Mistakes({"name": str(error)}, ())
        except Misconfigured as error:
            mistakes = mistakes_of(error, shown.path)
        except RevisionConflict as error:
            mistakes, number = Mistakes({}, (sentence(str(error)),)), error.active.number
            shown = replace(shown, base=number, conflict=number)
        except ConnectionInUse as error:
            mistakes = Mistakes({}, (f"{sentence(str(error))} Change that first.",))
        except (ConfigurationReadOnly, AdministratorNeeded, NothingChanged, CannotEdit) as error:
            mistakes = Mistakes({}, (sentence(str(error)),))
        else:
            return RedirectResponse("/connections", HTTPStatus.SEE_OTHER)
        again = replace(
            shown,
            values=values,
            name=fields.get("name", shown.name),
            mistakes=mistakes,
            author=fields.get("author", ""),
            reason=fields.get("reason", ""),
        )
        return self.show(again, HTTPStatus.UNPROCESSABLE_ENTITY)


def _form_site(
    request: Request,
    configuration: Configuration,
    settings: SiteSettings,
    user: CurrentUser,
    now: Now,
) -> FormSite:
    """Returns the site; ends with 409 and the reason where the configuration is in a file."""
    if not configuration.is_writable:
        raise HTTPException(HTTPStatus.CONFLICT, str(ConfigurationReadOnly(configuration.file)))
    return FormSite(request, configuration, settings, user, now)


WritableSite = Annotated[FormSite, Depends(_form_site)]
