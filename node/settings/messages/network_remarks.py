"""Remarks on valid settings of the DICOM network and of certificates."""

from collections import defaultdict
from collections.abc import Iterator

from node.settings.network.tls_tables import tls_tables
from node.settings.options import Settings
from node.tls.certificate_files import holds_no_authority


def network_remarks(settings: Settings) -> Iterator[str]:
    """Yields one sentence for each."""
    yield from _shared_ae_titles(settings)
    yield from _unbound_ae_titles(settings)
    yield from _literal_wildcards(settings)
    yield from _files_without_authority(settings)


def _shared_ae_titles(settings: Settings) -> Iterator[str]:
    """Yields peers that a receiver cannot tell apart; one system may have several ports."""
    names: dict[str, list[str]] = defaultdict(list)
    for name, peer in settings.peers.items():
        names[peer.ae_title].append(repr(name))
    for title, sharing in names.items():
        if len(sharing) > 1:
            yield (
                f"Peers {' and '.join(sharing)} have the same AE title {title}: what they send "
                "cannot be distinguished, and from_ae stands for both."
            )


def _unbound_ae_titles(settings: Settings) -> Iterator[str]:
    """Yields peers whose AE title every certificate of the authorities may use."""
    listener = settings.listener
    if listener.tls_port is None or listener.client_certificates == "none":
        return
    unbound = [
        repr(name)
        for name, peer in settings.peers.items()
        if peer.may and peer.certificate_name is None
    ]
    if unbound:
        plain = f", and on port {listener.port} every sender" if listener.plain else ""
        yield (
            f"Peers without certificate_name: {', '.join(unbound)}. Every certificate that "
            f"dicom_tls.ca_file vouches for may use their AE titles{plain}."
        )


def _literal_wildcards(settings: Settings) -> Iterator[str]:
    """Yields names of certificates that look like patterns; the listener compares them exactly."""
    for name, peer in settings.peers.items():
        if peer.certificate_name is not None and "*" in peer.certificate_name:
            yield (
                f"Peer {name!r}: certificate_name {peer.certificate_name} stands for no other "
                "name, and fits only a certificate that holds exactly this text. Set the name in "
                "the certificate that the peer shows."
            )


def _files_without_authority(settings: Settings) -> Iterator[str]:
    """Yields files of authorities that hold none."""
    for path, options in tls_tables(settings):
        file = getattr(options, "ca_file", None)
        if file is not None and holds_no_authority(file):
            yield (
                f"{'.'.join(map(str, path))}.ca_file: {file} holds no authority, but the "
                "certificate of a single system, which vouches for no other. Name the file of the "
                "authority that signed it."
            )
