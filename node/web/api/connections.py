"""REST routes of connections: list, test, add, change, remove; what the listener has rejected."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException
from fastapi import Path as PathParameter
from pydantic import BaseModel, ConfigDict, StringConstraints

from node.configuration import connections as edits
from node.configuration.protected_settings import AdministratorNeeded
from node.configuration.site_configuration import ConfigurationReadOnly, NothingChanged
from node.configuration.toml_edit import CannotEdit, set_values
from node.domain.connections.probe import ConnectionName, ConnectionTable
from node.domain.errors import Misconfigured
from node.health.rejected_connections import explain_rejections
from node.probes.site import connections_of, probe
from node.settings.credentials.hidden import without_secrets
from node.store.configuration.revisions import RevisionConflict, RevisionDraft
from node.web.acting_user import CurrentUser
from node.web.dependencies import ActiveSettings, Configuration, Now, SiteStore

ROUTER = APIRouter(prefix="/api")
_Line = Annotated[
    str, StringConstraints(max_length=200, strip_whitespace=True, pattern=r"^[^\x00-\x1f\x7f]*$")
]
_Text = Annotated[str, StringConstraints(max_length=1000)]
# A bool before the numbers: pydantic would turn it into one.
_Value = bool | int | float | _Text | list[_Text] | None


def _connection(table: ConnectionTable, name: Annotated[str, PathParameter()]) -> ConnectionName:
    return ConnectionName(table, name)


Connection = Annotated[ConnectionName, Depends(_connection)]


class Change(BaseModel):
    """Who changes the configuration, and why; `base` is the active revision, if it must be that."""

    model_config = ConfigDict(extra="forbid")

    author: _Line = ""
    reason: _Line = ""
    base: int | None = None


class ConnectionChange(Change):
    """Settings as the configuration file names them; null removes one. Others stay as they are."""

    settings: dict[_Line, _Value]


class ListenerChange(Change):
    """The node's own address and whom it accepts; what is null stays as it is."""

    ae_title: _Line | None = None
    port: int | None = None
    plain: bool | None = None
    tls_port: int | None = None
    client_certificates: _Line | None = None
    accept_from: _Line | None = None
    user_identity: _Line | None = None


@dataclass(frozen=True)
class _Site:
    """The configuration that a request changes, and who changes it when."""

    configuration: Configuration
    user: CurrentUser
    now: Now


_OfSite = Annotated[_Site, Depends()]


class ChangedTo(BaseModel):
    """The number of the revision that is active now; the one before if nothing has changed."""

    revision: int


@ROUTER.get("/connections")
def list_connections(settings: ActiveSettings) -> list[dict[str, Any]]:
    """Returns peers, sources and destinations with their settings; secrets are hidden."""
    listed = []
    for one in connections_of(settings):
        options = getattr(settings, one.table.value)[one.name]
        path = (one.table.value, one.name)
        shown = without_secrets(options.model_dump(mode="json"), path)
        listed.append(asdict(one) | {"settings": shown})
    return listed


@ROUTER.get("/connections/rejected")
def list_rejected(settings: ActiveSettings, store: SiteStore, now: Now) -> list[dict[str, Any]]:
    """Returns what the listener has rejected in the last 30 days, with the remedy."""
    return [asdict(one) for one in explain_rejections(store.rejected_connections(now), settings)]


@ROUTER.post("/connections/{table}/test/{name:path}")
def test_connection(connection: Connection, settings: ActiveSettings) -> dict[str, Any]:
    """Tries a connection without storing or sending anything; returns each step."""
    try:
        report = probe(settings, connection)
    except KeyError as error:
        raise _unknown(edits.UnknownConnection(connection)) from error
    return asdict(report) | {"passed": report.passed}


@ROUTER.put("/connections/{table}/{name:path}")
def put_connection(connection: Connection, change: ConnectionChange, site: _OfSite) -> ChangedTo:
    """Changes a connection, or adds it.

    Mistakes in the settings end with 422, a configuration in a file or another change with 409.
    """

    def edit(text: str) -> str:
        try:
            edits.connection_values(text, connection)
        except edits.UnknownConnection:
            return edits.add_connection(text, connection, change.settings)
        return edits.change_connection(text, connection, change.settings)

    return _apply(site, change, f"{connection} set", edit)


@ROUTER.delete("/connections/{table}/{name:path}")
def delete_connection(connection: Connection, site: _OfSite, author: _Line = "") -> ChangedTo:
    """Removes a connection; ends with 422 as long as something uses it."""

    def edit(text: str) -> str:
        return edits.remove_connection(text, connection)

    return _apply(site, Change(author=author), f"{connection} removed", edit)


@ROUTER.put("/listener")
def put_listener(change: ListenerChange, site: _OfSite) -> ChangedTo:
    """Changes the listener; it restarts when it is idle if its ports change."""
    given = change.model_dump(exclude=set(Change.model_fields))
    values = {key: value for key, value in given.items() if value is not None}

    def edit(text: str) -> str:
        return set_values(text, edits.LISTENER, values)

    return _apply(site, change, "address of the node set", edit)


def _apply(
    site: _Site, change: Change, default_reason: str, edit: Callable[[str], str]
) -> ChangedTo:
    configuration = site.configuration
    if not configuration.is_writable:
        raise HTTPException(HTTPStatus.CONFLICT, str(ConfigurationReadOnly(configuration.file)))
    active = configuration.store.active_revision()
    text = configuration.text() if active is None else active.text
    number = None if active is None else active.number
    base = number if change.base is None else change.base
    try:
        author, reason = site.user.named(change.author), change.reason or default_reason
        draft = RevisionDraft(edit(text), author, reason)
        revision = configuration.propose(draft, base, site.now)
    except NothingChanged as unchanged:
        return ChangedTo(revision=unchanged.active.number)
    except edits.UnknownConnection as error:
        raise _unknown(error) from error
    except (Misconfigured, edits.NameNotPossible) as error:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error
    except AdministratorNeeded as error:
        raise HTTPException(HTTPStatus.FORBIDDEN, str(error)) from error
    except (RevisionConflict, CannotEdit, edits.ConnectionInUse) as error:
        raise HTTPException(HTTPStatus.CONFLICT, str(error)) from error
    return ChangedTo(revision=revision.number)


def _unknown(error: edits.UnknownConnection) -> HTTPException:
    return HTTPException(HTTPStatus.NOT_FOUND, str(error))
