"""REST routes of the configuration: the active one, its revisions, check, change, roll back."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Literal, Self

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, StringConstraints
from starlette.responses import JSONResponse

from node.configuration.protected_settings import AdministratorNeeded
from node.configuration.site_configuration import (
    ConfigurationReadOnly,
    NothingChanged,
    SiteConfiguration,
    UnknownRevision,
)
from node.domain.errors import Misconfigured
from node.store.configuration.processes import ConfiguredProcess
from node.store.configuration.revisions import Revision, RevisionConflict, RevisionDraft
from node.web.acting_user import CurrentUser
from node.web.api.serialization import Limit
from node.web.dependencies import Configuration, Now, OtherRevision, RevisionNumber

ROUTER = APIRouter(prefix="/api/configuration")
_Text = Annotated[str, StringConstraints(max_length=1 << 20)]
# One line without control characters.
_Line = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=200, strip_whitespace=True, pattern=r"^[^\x00-\x1f\x7f]+$"
    ),
]


class RevisionSummary(BaseModel):
    """A revision without its text."""

    number: int
    author: str
    created_at: datetime
    reason: str
    parent: int | None

    @classmethod
    def of(cls, revision: Revision) -> Self:
        """The summary of a revision."""
        return cls(
            number=revision.number,
            author=revision.author,
            created_at=revision.created_at,
            reason=revision.reason,
            parent=revision.parent,
        )


class ActiveRevision(RevisionSummary):
    """The revision that is active after a request; `changed` is false if it was so before."""

    changed: bool


class RevisionContent(RevisionSummary):
    """A revision with its text."""

    text: str


class ProcessState(BaseModel):
    """The revision that a process runs; `problem` says why it runs no newer one."""

    name: str
    number: int
    problem: str
    since: datetime

    @classmethod
    def of(cls, process: ConfiguredProcess) -> Self:
        """The state of a process."""
        return cls(
            name=process.name, number=process.number, problem=process.problem, since=process.since
        )


class ActiveConfiguration(BaseModel):
    """The active configuration: the text of a revision, or of the file if it is not writable."""

    is_writable: bool
    revision: RevisionSummary | None
    text: str
    processes: list[ProcessState]


class TextToCheck(BaseModel):
    """A configuration in TOML."""

    model_config = ConfigDict(extra="forbid")

    text: _Text


class MistakeFound(BaseModel):
    """One mistake; `line` counts from 1."""

    line: int | None
    key: str
    message: str


class CheckResult(BaseModel):
    """The mistakes in a text, in the order of its lines."""

    is_valid: bool
    mistakes: list[MistakeFound]


class ProposedRevision(BaseModel):
    """A text to make active; `base` is the number of the revision that it changes.

    `author` counts without a login only. A text with another AE title, address, port or name of the
    node needs `takes_over_identity`.
    """

    model_config = ConfigDict(extra="forbid")

    text: _Text
    author: _Line | Literal[""] = ""
    reason: _Line
    base: int | None
    takes_over_identity: bool = False


class RollBack(BaseModel):
    """Who rolls back and why; `base` is the number of the active revision."""

    model_config = ConfigDict(extra="forbid")

    author: _Line | Literal[""] = ""
    reason: _Line
    base: int | None


class Difference(BaseModel):
    """A unified diff; `old` is None where `new` is compared with nothing."""

    old: int | None
    new: int
    diff: str


@ROUTER.get("")
def active_configuration(configuration: Configuration, now: Now) -> ActiveConfiguration:
    """Returns the active configuration, and which revision each process runs."""
    active = configuration.store.active_revision() if configuration.is_writable else None
    return ActiveConfiguration(
        is_writable=configuration.is_writable,
        revision=None if active is None else RevisionSummary.of(active),
        text=configuration.text() if active is None else active.text,
        processes=[ProcessState.of(each) for each in configuration.processes(now)],
    )


@ROUTER.get("/revisions")
def list_revisions(
    configuration: Configuration, limit: Limit = 100, below: OtherRevision = None
) -> list[RevisionSummary]:
    """Returns the revisions, newest first; `below` continues a list after its last number."""
    found = configuration.store.list_revisions(limit, below=below)
    return [RevisionSummary.of(each) for each in found]


@ROUTER.get("/revisions/{number}")
def get_revision(number: RevisionNumber, configuration: Configuration) -> RevisionContent:
    """Returns a revision with its text."""
    revision = _require_revision(configuration, number)
    return RevisionContent(**RevisionSummary.of(revision).model_dump(), text=revision.text)


@ROUTER.get("/revisions/{number}/diff")
def get_difference(
    number: RevisionNumber, configuration: Configuration, old: OtherRevision = None
) -> Difference:
    """Returns what a revision changed, or its difference from the revision `old`."""
    before = _require_revision(configuration, number).parent if old is None else old
    if before is not None:
        _require_revision(configuration, before)
    diff = configuration.difference(before, number)
    return Difference(old=before, new=number, diff=diff)


@ROUTER.post("/check")
def check(request: TextToCheck, configuration: Configuration) -> CheckResult:
    """Checks a text as `segnode check` does; changes nothing."""
    try:
        configuration.check_proposed(request.text)
    except Misconfigured as error:
        return CheckResult(is_valid=False, mistakes=_mistakes(error))
    return CheckResult(is_valid=True, mistakes=[])


@ROUTER.post(
    "/revisions",
    status_code=HTTPStatus.CREATED,
    response_model=ActiveRevision,
    responses={200: {"model": ActiveRevision}, 422: {"model": CheckResult}},
)
def propose(
    request: ProposedRevision, configuration: Configuration, user: CurrentUser, now: Now
) -> ActiveRevision | JSONResponse:
    """Makes a text the active revision; every process switches to it within seconds.

    A text with mistakes ends with 422, a conflict with another change with 409. So does one by
    which the node would be known otherwise, without `takes_over_identity`. The text of the active
    revision makes no other one: the answer has status 200.
    """
    draft = RevisionDraft(request.text, user.named(request.author), request.reason)
    try:
        if not request.takes_over_identity:
            _refuse_identity(configuration, request.text)
        return _changed(configuration.propose(draft, request.base, now))
    except NothingChanged as error:
        return _unchanged(error)
    except AdministratorNeeded as error:
        raise HTTPException(HTTPStatus.FORBIDDEN, str(error)) from error
    except (Misconfigured, ConfigurationReadOnly, RevisionConflict) as error:
        return _refusal(error)


@ROUTER.post(
    "/revisions/{number}/roll-back",
    status_code=HTTPStatus.CREATED,
    response_model=ActiveRevision,
    responses={200: {"model": ActiveRevision}, 422: {"model": CheckResult}},
)
def roll_back(
    number: RevisionNumber,
    request: RollBack,
    configuration: Configuration,
    user: CurrentUser,
    now: Now,
) -> ActiveRevision | JSONResponse:
    """Makes the text of an earlier revision active again, as a new revision; errors as above."""
    _require_revision(configuration, number)
    try:
        revision = configuration.roll_back(
            number, user.named(request.author), request.reason, request.base, now
        )
    except NothingChanged as error:
        return _unchanged(error)
    except AdministratorNeeded as error:
        raise HTTPException(HTTPStatus.FORBIDDEN, str(error)) from error
    except (Misconfigured, ConfigurationReadOnly, RevisionConflict) as error:
        return _refusal(error)
    return _changed(revision)


def _require_revision(configuration: SiteConfiguration, number: int) -> Revision:
    try:
        return configuration.revision(number)
    except UnknownRevision as error:
        raise HTTPException(HTTPStatus.NOT_FOUND, str(error)) from error


def _refuse_identity(configuration: SiteConfiguration, text: str) -> None:
    """Ends the request with 409 if the node would be known otherwise with the text."""
    if changes := configuration.identity_changes(text):
        message = (
            f"the text changes by what the node is known: {'; '.join(map(str, changes))}. If that "
            'is meant, send "takes_over_identity": true'
        )
        raise HTTPException(HTTPStatus.CONFLICT, message)


def _changed(revision: Revision) -> ActiveRevision:
    return ActiveRevision(**RevisionSummary.of(revision).model_dump(), changed=True)


def _unchanged(error: NothingChanged) -> JSONResponse:
    active = ActiveRevision(**RevisionSummary.of(error.active).model_dump(), changed=False)
    return JSONResponse(active.model_dump(mode="json") | {"message": str(error)})


def _mistakes(error: Misconfigured) -> list[MistakeFound]:
    return [MistakeFound(line=m.line, key=m.key, message=m.message) for m in error.mistakes]


def _refusal(error: Misconfigured | ConfigurationReadOnly | RevisionConflict) -> JSONResponse:
    if isinstance(error, Misconfigured):
        result = CheckResult(is_valid=False, mistakes=_mistakes(error))
        content = {"error": "invalid-configuration", "message": str(error)}
        return JSONResponse(content | result.model_dump(), HTTPStatus.UNPROCESSABLE_ENTITY)
    raise HTTPException(HTTPStatus.CONFLICT, str(error)) from error
