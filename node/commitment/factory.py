"""Builds the requesters of storage commitment that the settings name."""

from collections.abc import Mapping

from node.commitment.scu import CommitmentReports, CommitmentScu
from node.dimse.remotes import remote_of_peer
from node.domain.identifiers import AeTitle
from node.settings import CStoreDestination, Settings


def commitment_requesters_from(
    settings: Settings, reports: CommitmentReports
) -> Mapping[str, CommitmentScu]:
    """Returns the requester of each destination with the setting `commitment`, by its name."""
    calling = AeTitle(settings.listener.ae_title)
    return {
        name: CommitmentScu(
            remote_of_peer(settings.peers[destination.commitment], settings), calling, reports
        )
        for name, destination in settings.destinations.items()
        if isinstance(destination, CStoreDestination) and destination.commitment is not None
    }
