"""The instance in a C-STORE request (PS3.7 9.1.1)."""

from typing import cast

from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event

from node.domain.identifiers import Uid
from node.domain.instance import Origin
from node.intake.identification import IdentifiedInstance, identify
from pacs_listener.store_status import DoesNotMatch


def identified_instance(event: Event, origin: Origin) -> IdentifiedInstance:
    """Returns the instance in a request, its data set unchanged.

    Raises:
        Rejected: it cannot be read, or it differs from the command.
    """
    request = cast(C_STORE, event.request)
    identified = identify(
        event.encoded_dataset(include_meta=False),
        Uid(event.context.transfer_syntax),
        origin,
        sop_class_uid=str(request.AffectedSOPClassUID),
        sop_instance_uid=str(request.AffectedSOPInstanceUID),
    )
    received = identified.received
    if received.sop_instance_uid != Uid(str(request.AffectedSOPInstanceUID)):
        raise DoesNotMatch("the SOP Instance UID")
    if not (
        received.sop_class_uid
        == Uid(str(request.AffectedSOPClassUID))
        == Uid(event.context.abstract_syntax)
    ):
        raise DoesNotMatch("the SOP Class UID")
    return identified
