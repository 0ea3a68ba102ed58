"""How many associations may be open, of all senders and of one address."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pynetdicom.events import Event

from node.domain.connections.rejected_connection import ListenerRejection
from pacs_listener.admission import Refusal
from pacs_listener.processes.shared_limits import SharedLimits, digest_of

if TYPE_CHECKING:
    from pynetdicom.association import Association

_LIMIT = "max_associations"
_LOCAL_LIMIT = (0x02, 0x03, 0x02)  # transient, by the provider: local limit exceeded (PS3.8 9.3.4)


@dataclass
class OpenAssociations:
    """The associations that were allowed and have not ended, in all listener processes.

    pynetdicom counts every connection, also one that it is about to reject. A sender that connects
    again and again would then keep all others out.
    """

    shared: SharedLimits
    _open: list["Association"] = field(default_factory=list)

    def refusal(self, association: "Association", max_associations: int) -> Refusal | None:
        """Returns the refusal where all associations, or those of the address, are in use.

        Otherwise, the association counts until it ends.
        """
        address = digest_of(str(association.requestor.address))
        with self.shared.exclusively():
            self._open = [each for each in self._open if each.is_alive()]
            self._publish()
            every = self.shared.addresses()
            if len(every) >= max_associations:
                text = f"as many associations are open as may be ({_LIMIT} is {max_associations})"
                return Refusal(ListenerRejection.TOO_MANY_ASSOCIATIONS, text, _LOCAL_LIMIT)
            if every.count(address) >= (share := _share(max_associations)):
                text = (
                    f"its address has {share} associations open, as many as one address may have "
                    f"(four fifths of {_LIMIT}, {max_associations})"
                )
                return Refusal(ListenerRejection.TOO_MANY_OF_ADDRESS, text, _LOCAL_LIMIT)
            self._open.append(association)
            self._publish()
            return None

    def release(self, event: Event) -> None:
        """Counts an association no more that has ended; handles EVT_CONN_CLOSE."""
        with self.shared.exclusively():
            self._open = [each for each in self._open if each is not event.assoc]
            self._publish()

    def _publish(self) -> None:
        self.shared.set_addresses([digest_of(str(each.requestor.address)) for each in self._open])


def _share(max_associations: int) -> int:
    """Returns what one address may have: four fifths, so that it leaves some to others."""
    return max_associations - max_associations // 5
