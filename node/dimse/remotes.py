"""The addresses of the peers that the settings name."""

from functools import partial

from node.dimse.scu import Remote
from node.dimse.tls.contexts import PeerTls
from node.dimse.tls.seen_certificates import SeenCertificates
from node.domain.identifiers import AeTitle
from node.settings import Peer, Settings


def remote_of_peer(
    peer: Peer, settings: Settings, certificates: SeenCertificates | None = None
) -> Remote:
    """Returns how the node connects to a peer; `certificates` gets those that it shows."""
    title = AeTitle(peer.ae_title)
    return Remote(title, peer.host, peer.port, _tls_of(peer, settings, certificates))


def _tls_of(
    peer: Peer, settings: Settings, certificates: SeenCertificates | None
) -> PeerTls | None:
    if not peer.tls:
        return None
    observe = None if certificates is None else partial(certificates.add, peer.ae_title)
    options = settings.dicom_tls
    name = peer.host if peer.server_name is None else peer.server_name
    ca_file = options.ca_file if peer.ca_file is None else peer.ca_file
    return PeerTls(options, name, ca_file, observe)
