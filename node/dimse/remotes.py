"""The addresses of the peers that the settings name."""

from node.dimse.scu import Remote
from node.dimse.tls.contexts import PeerTls
from node.domain.identifiers import AeTitle
from node.settings import Peer, Settings


def remote_of_peer(peer: Peer, settings: Settings) -> Remote:
    """Returns how the node connects to a peer."""
    return Remote(AeTitle(peer.ae_title), peer.host, peer.port, _tls_of(peer, settings))


def _tls_of(peer: Peer, settings: Settings) -> PeerTls | None:
    if not peer.tls:
        return None
    options = settings.dicom_tls
    name = peer.host if peer.server_name is None else peer.server_name
    return PeerTls(options, name, options.ca_file if peer.ca_file is None else peer.ca_file)
