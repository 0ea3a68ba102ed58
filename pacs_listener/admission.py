"""Which associations the listener has, and whether another one of an address is allowed.

pynetdicom counts every connection, also one that it is about to reject. A sender that connects
again and again would then keep all others out.
"""

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pynetdicom.association import Association


@dataclass
class Admission:
    """The associations that were admitted and have not ended."""

    _admitted: list["Association"] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def admits(self, association: "Association", max_associations: int) -> bool:
        """Whether another association is allowed; if so, it counts until it ends."""
        address = association.requestor.address
        with self._lock:
            self._admitted = [each for each in self._admitted if each.is_alive()]
            own = [each for each in self._admitted if each.requestor.address == address]
            if len(self._admitted) >= max_associations or len(own) >= _share(max_associations):
                return False
            self._admitted.append(association)
            return True


def _share(max_associations: int) -> int:
    """Returns what one address may have: four fifths, so that it leaves some to others."""
    return max_associations - max_associations // 5
