"""What is wrong with the settings of the DICOM network, as far as they show without the network."""

import os
from collections.abc import Iterator
from pathlib import Path

from node.routing.condition_parsing import Mistake
from node.settings.network.listener import ListenerOptions
from node.settings.network.peers import Peer
from node.settings.options import Settings

# What has an effect only where the node connects by TLS.
_FOR_TLS = ("server_name", "ca_file")


def network_mistakes(settings: Settings, base: Path) -> Iterator[Mistake]:
    """Yields settings that exclude each other or name no file; relative paths start from `base`."""
    yield from _port_mistakes(settings)
    yield from _tls_mistakes(settings, base)
    for name, peer in settings.peers.items():
        for key, message in _peer_mistakes(peer, settings.listener, base):
            yield ("peers", name, key), message


def _port_mistakes(settings: Settings) -> Iterator[Mistake]:
    listener, web = settings.listener, settings.web
    if not listener.plain and listener.tls_port is None:
        yield ("listener", "plain"), "false needs tls_port: the node would listen on no port"
    if listener.plain and web.port == listener.port != 0:
        yield ("web", "port"), f"the listener uses port {web.port} already"
    if listener.tls_port and listener.tls_port == web.port:
        yield ("listener", "tls_port"), f"the web server uses port {web.port} already"
    if listener.plain and listener.tls_port and listener.tls_port == listener.port:
        yield ("listener", "tls_port"), "is the port for connections without TLS, too"


def _tls_mistakes(settings: Settings, base: Path) -> Iterator[Mistake]:
    options, listener = settings.dicom_tls, settings.listener
    for key in ("certificate_file", "key_file", "ca_file"):
        file = getattr(options, key)
        if file is not None and not is_file(base / file):
            yield ("dicom_tls", key), f"there is no file {base / file}"
    if options.key_file is not None and options.certificate_file is None:
        yield ("dicom_tls", "key_file"), "has no effect without a certificate_file"
    if listener.tls_port is None:
        return
    if options.certificate_file is None:
        message = "needs the certificate of the node: set certificate_file in [dicom_tls]"
        yield ("listener", "tls_port"), message
    if listener.client_certificates != "none" and options.ca_file is None:
        message = (
            f'"{listener.client_certificates}" needs the authorities of the senders: set ca_file '
            'in [dicom_tls], or client_certificates = "none"'
        )
        yield ("listener", "client_certificates"), message


def _peer_mistakes(peer: Peer, listener: ListenerOptions, base: Path) -> Iterator[tuple[str, str]]:
    for key in _FOR_TLS:
        if getattr(peer, key) is not None and not peer.tls:
            yield key, "has no effect without tls = true"
    if peer.ca_file is not None and not is_file(base / peer.ca_file):
        yield "ca_file", f"there is no file {base / peer.ca_file}"
    if peer.certificate_name is not None:
        if listener.tls_port is None:
            yield "certificate_name", "needs listener.tls_port: this peer may send by TLS alone"
        elif listener.client_certificates == "none":
            message = 'needs listener.client_certificates = "required" or "optional"'
            yield "certificate_name", message
    if peer.username is not None and listener.user_identity != "verified":
        yield "username", 'has no effect without listener.user_identity = "verified"'
    if peer.password_env is not None and peer.username is None:
        yield "password_env", "has no effect without a username"


def is_file(path: Path) -> bool:
    """Whether there is a file; also where this user may not look into its folder."""
    return not os.access(path.parent, os.X_OK) or path.is_file()
