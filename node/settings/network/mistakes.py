"""What is wrong with the settings of the DICOM network, as far as they show without the network."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from node.routing.condition_parsing import Mistake
from node.settings.network.listener import ListenerOptions
from node.settings.network.loopback import is_ip_address, is_loopback_host
from node.settings.network.peers import Peer
from node.settings.network.tls_tables import tls_file_mistakes
from node.settings.network.web import WebOptions
from node.settings.options import Settings

# What protects an AE title against other senders that use it.
_PROTECTIONS = ("addresses", "certificate_name", "username")


def network_mistakes(settings: Settings, base: Path) -> Iterator[Mistake]:
    """Yields settings that exclude each other or name no file; relative paths start from `base`."""
    yield from _port_mistakes(settings)
    yield from _web_mistakes(settings)
    yield from _tls_mistakes(settings)
    yield from tls_file_mistakes(settings, base)
    for name, peer in settings.peers.items():
        for key, message in _peer_mistakes(peer, settings.listener):
            yield ("peers", name, key), message
    yield from _unprotected_peers(settings)


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


def _web_mistakes(settings: Settings) -> Iterator[Mistake]:
    web, listener = settings.web, settings.listener
    yield from _public_url_mistakes(web)
    if web.redirect_port is None:
        return
    if not web.is_https:
        yield ("web", "redirect_port"), "has no effect without a certificate_file"
    if web.redirect_port == web.port != 0:
        yield ("web", "redirect_port"), "is the port for HTTPS, too"
    if web.redirect_port in {listener.port if listener.plain else 0, listener.tls_port} - {0}:
        message = f"the listener uses port {web.redirect_port} already"
        yield ("web", "redirect_port"), message


def _public_url_mistakes(web: WebOptions) -> Iterator[Mistake]:
    parts = urlsplit(web.public_url)
    host = parts.hostname
    if host is None:
        return
    if parts.scheme != "https" and not is_loopback_host(host):
        message = "must begin with https://: people send passwords and codes to this address"
        yield ("web", "public_url"), message
    if not is_loopback_host(host) and not is_ip_address(host) and host not in _lower(web.names):
        message = f"the node refuses requests for {host}: add it to web.names"
        yield ("web", "public_url"), message


def _lower(names: Collection[str]) -> Collection[str]:
    return {name.lower() for name in names}


def _tls_mistakes(settings: Settings) -> Iterator[Mistake]:
    options, listener = settings.dicom_tls, settings.listener
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


def _peer_mistakes(peer: Peer, listener: ListenerOptions) -> Iterator[tuple[str, str]]:
    if peer.server_name is not None and not peer.tls:
        yield "server_name", "has no effect without tls = true"
    if peer.certificate_name is not None:
        if listener.tls_port is None:
            yield "certificate_name", "needs listener.tls_port: this peer may send by TLS alone"
        elif listener.client_certificates == "none":
            message = 'needs listener.client_certificates = "required" or "optional"'
            yield "certificate_name", message
    if peer.username is not None and listener.user_identity != "verified":
        yield "username", 'has no effect without listener.user_identity = "verified"'


def _unprotected_peers(settings: Settings) -> Iterator[Mistake]:
    """Yields peers without a protection that another peer of the same AE title has.

    A sender is admitted if it can be one of the peers, so that the other protection had no effect.
    """
    sharing: dict[str, dict[str, Peer]] = defaultdict(dict)
    for name, peer in settings.peers.items():
        sharing[peer.ae_title][name] = peer
    for peers in sharing.values():
        for key in _PROTECTIONS:
            protected = [name for name, peer in peers.items() if getattr(peer, key)]
            for name in peers.keys() - set(protected) if protected else ():
                message = (
                    f"is missing: peer {protected[0]!r} has the same AE title and sets it, which "
                    "has no effect as long as this one accepts everybody"
                )
                yield ("peers", name, key), message
