"""Remarks on settings that are valid and still deserve attention; `segnode check` prints them."""

import stat
from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from models.installed_packages import installed
from node.domain.result_objects import ResultKind
from node.routing.conditions import All, Equals
from node.routing.contradictions import contradiction
from node.settings.credentials.options import secret_source
from node.settings.credentials.tables import secret_sources
from node.settings.destinations import Destination
from node.settings.messages.access_remarks import access_remarks
from node.settings.messages.data_folder_remarks import data_folder_remarks
from node.settings.messages.network_remarks import network_remarks
from node.settings.messages.unused_remarks import unused_remarks
from node.settings.network.peers import Peer
from node.settings.network.tls_tables import tls_tables
from node.settings.options import Settings
from node.settings.organ_codes import uncoded_measurements
from node.tls.certificate_files import open_key_mistake

# What every series that a model segments has, as `node/dicom/ct/suitability.py` requires it.
_SUITABLE = (Equals("Modality", "CT"), Equals("SamplesPerPixel", "1"))


def remarks(settings: Settings) -> Iterator[str]:
    """Yields one sentence for each."""
    models = installed(settings.catalogues)
    for name, missing in uncoded_measurements(settings.rules, settings.destinations, models):
        yield f"Destination {name!r}: no codes for {missing}; the node's own codes are sent."
    for name, destination in settings.destinations.items():
        kinds = {each.kind for each in destination.wanted.objects}
        if ResultKind.SR in kinds and ResultKind.SEG not in kinds:
            yield (
                f"Destination {name!r}: objects has sr without seg; the measurements then refer to "
                "a segmentation that the destination does not have."
            )
        yield from _fallback_remarks(name, destination)
    for subject, options in _with_credentials(settings).items():
        yield from _credential_remarks(subject, options)
    yield from _missing_secrets(settings)
    yield from access_remarks(settings)
    yield from _open_webhook(settings)
    yield from _unencrypted_client_secrets(settings)
    yield from _open_key_files(settings)
    yield from _open_configuration(settings)
    yield from data_folder_remarks(settings)
    yield from network_remarks(settings)
    yield from _refused_by_the_node(settings)
    yield from unused_remarks(settings)


def _fallback_remarks(name: str, destination: Destination) -> Iterator[str]:
    for each in getattr(destination, "fallback", ()):
        if each in getattr(destination, "objects", ()):
            yield (
                f"Destination {name!r}: fallback has {each}, which objects has as well; it "
                "replaces nothing, and what is not accepted then counts as delivered."
            )


def _with_credentials(settings: Settings) -> Mapping[str, BaseModel]:
    """Returns everything that may have a password or token, by its name in sentences."""
    named: dict[str, BaseModel] = {}
    for kind, tables in (
        ("Peer", settings.peers),
        ("Source", settings.sources),
        ("Destination", settings.destinations),
        ("Worklist", settings.worklists),
    ):
        named |= {f"{kind} {name!r}": options for name, options in tables.items()}
    for channel in ("webhook", "mail"):
        if (options := getattr(settings.alerts, channel)) is not None:
            named[f"Alerts by {channel}"] = options
    return named


def _credential_remarks(subject: str, options: BaseModel) -> Iterator[str]:
    if isinstance(options, Peer):
        return  # its user name may have no password
    if getattr(options, "username", None) and not secret_source(options, "", "password").is_named:
        yield (
            f"{subject}: username without a password (password_file, password_env); it is then "
            "empty."
        )


def _missing_secrets(settings: Settings) -> Iterator[str]:
    """Yields secrets that this user does not find; the node may, as another user."""
    for _, source in secret_sources(settings):
        if mistake := source.mistake():
            yield (
                f"{source.key}: {mistake}. A process that lacks it does not start, or keeps its "
                "earlier configuration; as another user, it may find it."
            )


def _unencrypted_client_secrets(settings: Settings) -> Iterator[str]:
    """Yields token endpoints that get the client secret without encryption."""
    for path, table in tls_tables(settings):
        url = getattr(table, "oauth_token_url", None) or ""
        if url.startswith("http:"):
            yield (
                f"{'.'.join(map(str, path))}.oauth_token_url: the client secret is sent to {url} "
                "without encryption; use https."
            )


def _open_webhook(settings: Settings) -> Iterator[str]:
    """Yields the address of a webhook that stands in the configuration."""
    webhook = settings.alerts.webhook
    if webhook is not None and webhook.url is not None:
        yield (
            "Alerts by webhook: everybody who knows the address may use it. If it is secret, write "
            'it into a file and name that in url_file; with config = "database", no new revision '
            "may hold it."
        )


def _open_key_files(settings: Settings) -> Iterator[str]:
    """Yields files with private keys that more users than the node can read or change."""
    for path, options in tls_tables(settings):
        files = getattr(options, "tls_files", None)
        mistake = None if files is None else open_key_mistake(files)
        if mistake is not None:
            yield f"{'.'.join(map(str, path))}: {mistake.message}."


def _open_configuration(settings: Settings) -> Iterator[str]:
    """Yields files that decide what the node does, and that every user of the machine can change.

    These are the configuration, its folder, and the authorities that the node trusts.
    """
    files = {settings.file, None if settings.file is None else settings.file.parent}
    for _, options in tls_tables(settings):
        tls_files = getattr(options, "tls_files", None)
        files.add(None if tls_files is None else tls_files.ca)
    for file in sorted(file for file in files if file is not None and file.exists()):
        mode = file.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            yield f"{file}: every user of this machine can change it: chmod o-w {file}."


def _refused_by_the_node(settings: Settings) -> Iterator[str]:
    """Yields rules for series that the node always refuses, so that they never give a result."""
    for rule in settings.rules:
        if rule.enabled and (reason := contradiction(All((rule.when, *_SUITABLE)))):
            yield (
                f"Rule {rule.name!r}: the node refuses every series that it matches, because the "
                f"models segment CT slices alone: {reason}."
            )
