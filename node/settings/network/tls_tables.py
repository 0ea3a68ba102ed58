"""All tables of settings that name files for TLS, and what is wrong with them."""

import os
from collections.abc import Iterator
from pathlib import Path

from node.routing.condition_parsing import KeyPath, Mistake
from node.settings.alerting import MailOptions, WebhookOptions
from node.settings.destinations import FhirDestination
from node.settings.network.tls_files import TlsFileOptions
from node.settings.options import Settings
from node.settings.value_types import Options

TLS_FILE_KEYS = tuple(TlsFileOptions.model_fields)


def tls_tables(settings: Settings) -> Iterator[tuple[KeyPath, Options]]:
    """Yields each table that may name such a file; a table need not have every key."""
    yield ("web",), settings.web
    yield ("dicom_tls",), settings.dicom_tls
    for name, tables in (
        ("peers", settings.peers),
        ("sources", settings.sources),
        ("worklists", settings.worklists),
        ("destinations", settings.destinations),
    ):
        for key, options in tables.items():
            yield (name, key), options
    if settings.access.oidc is not None:
        yield ("access", "oidc"), settings.access.oidc
    if settings.audit.syslog is not None:
        yield ("audit", "syslog"), settings.audit.syslog
    for channel in (settings.alerts.webhook, settings.alerts.mail):
        if channel is not None:
            yield ("alerts", "webhook" if channel is settings.alerts.webhook else "mail"), channel


def tls_file_mistakes(settings: Settings, base: Path) -> Iterator[Mistake]:
    """Yields files that do not exist or have no effect; relative paths start from `base`."""
    for path, options in tls_tables(settings):
        without_tls = _reason_without_tls(options)
        for key in TLS_FILE_KEYS:
            file = getattr(options, key, None)
            if file is None:
                continue
            if not _is_file(base / file):
                yield (*path, key), f"there is no file {base / file}"
            if without_tls and not _is_tolerated(key, options):
                yield (*path, key), without_tls
        if getattr(options, "key_file", None) and not getattr(options, "certificate_file", None):
            yield (*path, "key_file"), "has no effect without a certificate_file"


def _is_file(path: Path) -> bool:
    """Whether there is a file; also where this user may not look into its folder."""
    return not os.access(path.parent, os.X_OK) or path.is_file()


def _is_tolerated(key: str, options: Options) -> bool:
    """Whether earlier versions took it without TLS: a node must start after an upgrade."""
    return key == "ca_file" and isinstance(options, FhirDestination | WebhookOptions | MailOptions)


def _reason_without_tls(options: Options) -> str:
    """Returns why a connection has no TLS; empty where it has."""
    address = getattr(options, "issuer", getattr(options, "url", ""))
    if str(address).startswith("http:"):
        return "has no effect with an address that begins with http: use https"
    if getattr(options, "tls", True) is False:
        return "has no effect without tls = true"
    if getattr(options, "security", "") == "none":
        return 'has no effect with security = "none"'
    return ""
