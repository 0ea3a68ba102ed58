"""Routes of the console for rules: their order, a form and a text for each, and dry runs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Path, Request
from starlette.responses import RedirectResponse, Response

from models.installed_packages import installed
from models.manifest import InvalidPackage
from node.configuration.connections import table_values
from node.configuration.rule_form import Comparison
from node.configuration.site_configuration import SiteConfiguration
from node.configuration.toml_edit import CannotEdit
from node.domain.errors import NodeError
from node.domain.findings import FindingKind
from node.domain.job import Priority
from node.domain.series import AcquisitionChoice
from node.evaluation.dry_run import dry_run, summary
from node.routing.attributes import FREQUENT_ATTRIBUTES
from node.settings import Settings
from node.store.configuration.revisions import RevisionConflict, RevisionDraft
from node.web.acting_user import CurrentUser
from node.web.console.form_data import base_revision, line_of
from node.web.console.rendering import page
from node.web.console.rules.changes import RuleAction, change_rules
from node.web.console.rules.editor import (
    RuleEditor,
    attribute_help,
    checked,
    days_of,
    edited,
    open_editor,
)
from node.web.console.rules.messages import Message
from node.web.console.rules.rule_list import blocks_of, blocks_of_revision, list_rules
from node.web.dependencies import ActiveSettings, Configuration, Now, PostedForm

ROUTER = APIRouter(include_in_schema=False)
_Number = Annotated[str, Path(pattern=r"^(new|[1-9][0-9]{0,3})$")]
_LIST = "/configuration/rules"
_DESTINATIONS = ("destinations",)


@dataclass(frozen=True)
class _Site:
    """What every route of this module needs."""

    request: Request
    configuration: Configuration
    settings: ActiveSettings
    user: CurrentUser
    now: Now


_OfSite = Annotated[_Site, Depends()]


@ROUTER.get("/configuration/rules")
def rules_page(site: _OfSite) -> Response:
    """Shows the rules in their order."""
    return _list(site)


@ROUTER.post("/configuration/rules")
def change_list(site: _OfSite, fields: PostedForm) -> Response:
    """Handles the buttons beside a rule: earlier, later, enable, disable and remove."""
    try:
        number, action = int(fields.get("number", "")), RuleAction(fields.get("action", ""))
        changed, reason = change_rules(blocks_of(site.configuration), number, action)
    except (IndexError, ValueError) as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "there is no such rule or change") from error
    try:
        draft = RevisionDraft(changed.text, site.user.named(), reason)
        site.configuration.propose(draft, base_revision(fields), site.now)
    except RevisionConflict as error:
        return _list(site, f"Not changed: {error}, which the list shows now.")
    except NodeError as error:
        return _list(site, f"Not changed: {error}")
    return RedirectResponse(_LIST, HTTPStatus.SEE_OTHER)


@ROUTER.get("/configuration/rules/{number}")
def rule_page(site: _OfSite, number: _Number) -> Response:
    """Shows one rule as a form and as text."""
    try:
        blocks = blocks_of(site.configuration)
        editor = open_editor(blocks, _number(number), site.settings)
    except (IndexError, CannotEdit) as error:
        raise _unknown_rule(number) from error
    editor, _ = checked(editor, site.configuration)
    return _editor(site, "rule.html", editor)


@ROUTER.post("/configuration/rules/{number}")
def submit_rule(site: _OfSite, number: _Number, fields: PostedForm) -> Response:
    """Saves a rule, or shows it with its mistakes or the result of a dry run."""
    editor, proposed = _posted(site, number, fields)
    if fields.get("do") == "save" and proposed is not None:
        name = "" if editor.form is None else editor.form.name
        change = "added" if editor.number is None else "changed"
        reason = line_of(fields, "reason") or f"rule {name!r} is {change}"
        author = site.user.named(line_of(fields, "author"))
        draft = RevisionDraft(editor.whole, author, reason)
        try:
            site.configuration.propose(draft, base_revision(fields), site.now)
        except RevisionConflict as error:
            editor, fields = _after_conflict(site, editor, fields, error)
        except NodeError as error:
            editor = replace(editor, messages=(Message(f"Not saved: {error}"),))
        else:
            return RedirectResponse(_LIST, HTTPStatus.SEE_OTHER)
    return _editor(site, "rule.html", _dry_run(site, editor, proposed, fields), fields)


@ROUTER.post("/fragments/configuration/rules/{number}")
def rule_fragment(site: _OfSite, number: _Number, fields: PostedForm) -> Response:
    """Returns the form and the text of a rule after a change of one of them."""
    editor, proposed = _posted(site, number, fields)
    editor = _dry_run(site, editor, proposed, fields)
    return _editor(site, "fragments/rule.html", editor, fields)


def _posted(
    site: _Site, number: str, fields: Mapping[str, str]
) -> tuple[RuleEditor, Settings | None]:
    try:
        editor = edited(blocks_of(site.configuration), _number(number), fields)
    except (IndexError, CannotEdit) as error:
        raise _unknown_rule(number) from error
    return checked(editor, site.configuration)


def _after_conflict(
    site: _Site, editor: RuleEditor, fields: Mapping[str, str], conflict: RevisionConflict
) -> tuple[RuleEditor, Mapping[str, str]]:
    """Returns the editor and the fields for another attempt, if the rule is still the same."""
    base = base_revision(fields)
    before = blocks_of_revision(site.configuration, base)
    now = blocks_of(site.configuration)
    if editor.number is not None and not now.has_same(before, editor.number - 1):
        message = (
            f"Not saved: {conflict}. It changed or moved this rule: open it again from the list"
        )
        return replace(editor, messages=(Message(message),)), fields
    message = f"Not saved: {conflict}: save again"
    again = {**fields, "base": str(conflict.active.number)}
    return replace(editor, messages=(Message(message),)), again


def _dry_run(
    site: _Site, editor: RuleEditor, proposed: Settings | None, fields: Mapping[str, str]
) -> RuleEditor:
    if fields.get("do") != "dry-run" or proposed is None:
        return editor
    try:
        days = days_of(fields)
    except ValueError as error:
        return replace(editor, messages=(*editor.messages, Message(str(error))))
    store, current = site.configuration.store, site.settings.rules
    result = dry_run(store, current, proposed.rules, site.now, days=days)
    return replace(editor, days=days, result=result)


def _list(site: _Site, error: str = "") -> Response:
    rules = list_rules(site.configuration, site.settings)
    context = {"rules": rules, "error": error, "action": RuleAction}
    return page(site.request, site.settings, "rules.html", **context)


def _editor(
    site: _Site, template: str, editor: RuleEditor, fields: Mapping[str, str] | None = None
) -> Response:
    rules = list_rules(site.configuration, site.settings)
    base = rules.base if fields is None else base_revision(fields)
    return page(
        site.request,
        site.settings,
        template,
        editor=editor,
        rules=rules,
        base="" if base is None else base,
        author="" if fields is None else fields.get("author", ""),
        reason="" if fields is None else fields.get("reason", ""),
        can_save=site.configuration.is_writable,
        models=_models(site.settings),
        versions=_versions(site.settings),
        destinations=tuple(site.settings.destinations),
        needs_destination=_needs_destination(site.configuration),
        comparisons=tuple(Comparison),
        priorities=tuple(Priority),
        acquisitions=tuple(AcquisitionChoice),
        finding_kinds=tuple(FindingKind),
        attributes={name: attribute_help(name) for name in FREQUENT_ATTRIBUTES},
        attribute_help=attribute_help,
        summary="" if editor.result is None else summary(editor.result),
    )


def _needs_destination(configuration: SiteConfiguration) -> bool:
    """Whether the configuration has no destination, so that no rule is valid yet."""
    return configuration.is_writable and not table_values(configuration.text(), _DESTINATIONS)


def _models(settings: Settings) -> tuple[str, ...]:
    try:
        return tuple(installed(settings.catalogues))
    except InvalidPackage:
        return tuple(dict.fromkeys(rule.model for rule in settings.rules))


def _versions(settings: Settings) -> tuple[str, ...]:
    """Returns every installed model with its version, which a shadow run names."""
    try:
        return tuple(spec.reference for spec in installed(settings.catalogues).values())
    except InvalidPackage:
        return ()


def _number(number: str) -> int | None:
    return None if number == "new" else int(number)


def _unknown_rule(number: str) -> HTTPException:
    return HTTPException(HTTPStatus.NOT_FOUND, f"there is no rule {number} that can be edited")
