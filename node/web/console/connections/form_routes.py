"""Routes of the forms that add, change and remove connections, and change the node's address."""

from dataclasses import replace
from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, HTTPException
from starlette.responses import Response

from node.configuration import connections as edits
from node.configuration.site_configuration import SiteConfiguration
from node.configuration.toml_edit import TomlValue, set_values
from node.domain.connections.probe import ConnectionName, ConnectionTable
from node.settings.destinations import DESTINATION_KINDS
from node.web.console.connections.form import FieldKind, Form
from node.web.console.connections.forms import (
    KIND_LABELS,
    connection_form,
    listener_form,
)
from node.web.console.connections.routes import Table
from node.web.console.connections.saving import FormPage, Values, WritableSite
from node.web.console.connections.views import SINGULAR, peer_names, suggested_name
from node.web.console.form_data import FormFields
from node.web.console.rendering import page

ROUTER = APIRouter(include_in_schema=False)
_FIRST_PEER = (
    "This is the first peer. With it, the node rejects the images of every sender that is not "
    "listed: add your senders too. Those that it rejects appear on the page of connections, from "
    "which they can be accepted."
)
_FIRST_DESTINATION = (
    "This is the first destination. It replaces the folder archive, to which the node delivers as "
    "long as the configuration names none."
)
_LAST_PEER = "This is the only peer. Without any, the node accepts the images of every AE title."
_DESTINATIONS_PATH = (ConnectionTable.DESTINATIONS.value,)


def _connection(table: Table, name: str) -> ConnectionName:
    return ConnectionName(table, name)


Connection = Annotated[ConnectionName, Depends(_connection)]


@ROUTER.get("/connections/node")
def listener_page(site: WritableSite) -> Response:
    """Shows the form of the node's own AE title and port."""
    return site.show(_listener_page(site.configuration))


@ROUTER.post("/connections/node")
def save_listener(site: WritableSite, fields: FormFields) -> Response:
    """Saves the node's own AE title and port."""
    shown = _listener_page(site.configuration)

    def edit(text: str, values: Values) -> str:
        before = edits.table_values(text, edits.LISTENER)
        return set_values(text, edits.LISTENER, shown.form.changes(before, values))

    return site.save(shown, fields, "address of the node changed", edit)


@ROUTER.get("/connections/{table}/new")
def new_connection(
    site: WritableSite, table: Table, kind: str = "", ae_title: str = "", host: str = ""
) -> Response:
    """Shows an empty form, or for a destination first the choice of its kind.

    `ae_title` and `host` fill in the form of a peer.
    """
    if table is ConnectionTable.DESTINATIONS and kind not in DESTINATION_KINDS:
        return page(site.request, site.settings, "connections/kinds.html", kinds=KIND_LABELS)
    shown = _new_page(site.configuration, table, kind)
    if table is ConnectionTable.PEERS and ae_title:
        values = {**shown.values, "ae_title": ae_title, "host": host, "port": 104}
        shown = replace(shown, values=values, name=suggested_name(ae_title))
    return site.show(shown)


@ROUTER.post("/connections/{table}/new")
def add_connection(
    site: WritableSite, table: Table, fields: FormFields, kind: str = ""
) -> Response:
    """Adds a connection."""
    connection = ConnectionName(table, fields.get("name", "").strip())
    shown = replace(_new_page(site.configuration, table, kind), path=edits.path_of(connection))

    def edit(text: str, values: Values) -> str:
        fixed: dict[str, TomlValue | None] = {"kind": kind} if kind else {}
        return edits.add_connection(text, connection, fixed | shown.form.changes({}, values))

    return site.save(shown, fields, f"{SINGULAR[table]} {connection.name} added", edit)


@ROUTER.get("/connections/{table}/edit/{name:path}")
def edit_connection(site: WritableSite, connection: Connection) -> Response:
    """Shows the form of a connection."""
    return site.show(_edit_page(site.configuration, connection))


@ROUTER.post("/connections/{table}/edit/{name:path}")
def save_connection(site: WritableSite, connection: Connection, fields: FormFields) -> Response:
    """Saves the form of a connection."""
    shown = _edit_page(site.configuration, connection)

    def edit(text: str, values: Values) -> str:
        before = edits.connection_values(text, connection)
        return edits.change_connection(text, connection, shown.form.changes(before, values))

    reason = f"{SINGULAR[connection.table]} {connection.name} changed"
    return site.save(shown, fields, reason, edit)


@ROUTER.post("/connections/{table}/remove/{name:path}")
def remove_connection(site: WritableSite, connection: Connection, fields: FormFields) -> Response:
    """Removes a connection; one that something uses stays, and the page names what uses it."""
    shown = replace(_edit_page(site.configuration, connection), refusal="Not removed.")
    sent = {**_as_sent(shown), **fields}

    def edit(text: str, values: Values) -> str:
        del values
        return edits.remove_connection(text, connection)

    reason = f"{SINGULAR[connection.table]} {connection.name} removed"
    return site.save(shown, sent, reason, edit)


def _as_sent(shown: FormPage) -> dict[str, str]:
    """Returns the fields of an unchanged form, as a browser would send them."""
    texts = {field.key for field in shown.form.all_fields if field.kind is FieldKind.TEXTS}
    sent: dict[str, str] = {}
    for key, value in shown.values.items():
        match value:
            case None | False:
                pass
            case list() if key in texts:
                sent[key] = ", ".join(value)
            case list():
                sent |= {f"{key}.{each}": "on" for each in value}
            case _:
                sent[key] = str(value)
    return sent


def _listener_page(configuration: SiteConfiguration) -> FormPage:
    form = listener_form()
    values = form.shown(edits.table_values(configuration.text(), edits.LISTENER))
    base = configuration.store.active_revision_number()
    action = "/connections/node"
    return FormPage("Address of this node", action, edits.LISTENER, form, values, base)


def _new_page(configuration: SiteConfiguration, table: ConnectionTable, kind: str) -> FormPage:
    form = _form(configuration, table, kind)
    query = f"?kind={kind}" if kind else ""
    return FormPage(
        title=f"New {SINGULAR[table]}{f': {KIND_LABELS[kind]}' if kind else ''}",
        action=f"/connections/{table}/new{query}",
        path=(table.value, ""),
        form=form,
        values=form.shown({}),
        base=configuration.store.active_revision_number(),
        asks_name=True,
        warning=_warning_of_first(configuration.text(), table),
    )


def _warning_of_first(text: str, table: ConnectionTable) -> str:
    """Returns what else changes with the first connection of a table; empty for any other."""
    if table is ConnectionTable.PEERS and not peer_names(text):
        return _FIRST_PEER
    if table is ConnectionTable.DESTINATIONS and not edits.table_values(text, _DESTINATIONS_PATH):
        return _FIRST_DESTINATION
    return ""


def _edit_page(configuration: SiteConfiguration, connection: ConnectionName) -> FormPage:
    try:
        values = edits.connection_values(configuration.text(), connection)
    except edits.UnknownConnection as error:
        raise HTTPException(HTTPStatus.NOT_FOUND, str(error)) from error
    form = _form(configuration, connection.table, str(values.get("kind", "")))
    address, name = f"/connections/{connection.table}", quote(connection.name, safe="")
    return FormPage(
        title=f"{SINGULAR[connection.table].capitalize()} {connection.name}",
        action=f"{address}/edit/{name}",
        path=edits.path_of(connection),
        form=form,
        values=form.shown(values),
        base=configuration.store.active_revision_number(),
        name=connection.name,
        remove_action=f"{address}/remove/{name}",
        remove_warning=_warning_of_removal(configuration.text(), connection.table),
    )


def _warning_of_removal(text: str, table: ConnectionTable) -> str:
    is_last_peer = table is ConnectionTable.PEERS and len(peer_names(text)) == 1
    accepts = edits.table_values(text, edits.LISTENER).get("accept_from")
    return _LAST_PEER if is_last_peer and accepts is None else ""


def _form(configuration: SiteConfiguration, table: ConnectionTable, kind: str) -> Form:
    try:
        return connection_form(table, kind, peer_names(configuration.text()))
    except KeyError as error:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"there is no kind {kind!r}") from error
