"""The application entity of the listener: what it supports, and how long it waits."""

from pynetdicom import AE

from node.dicom.equipment import this_node
from pacs_listener.policy import AssociationPolicy
from pacs_listener.presentation_contexts import (
    STORAGE_COMMITMENT,
    STORAGE_SOP_CLASSES,
    STORAGE_TRANSFER_SYNTAXES,
    VERIFICATION,
    VERIFICATION_TRANSFER_SYNTAXES,
)
from pacs_listener.processes.ports import SPARE_CONNECTIONS

# A peer that is silent for longer counts as gone, between messages and within one.
NETWORK_TIMEOUT_S = 60.0
# The time that a peer has to request an association, and to release one.
ACSE_TIMEOUT_S = 30.0
DIMSE_TIMEOUT_S = 60.0


def application_entity(policy: AssociationPolicy) -> AE:
    """Returns the application entity of a listener with this policy."""
    ae = AE(ae_title=policy.ae_title)
    node = this_node()
    ae.implementation_class_uid = node.implementation_class_uid
    ae.implementation_version_name = node.implementation_version_name
    ae.require_called_aet = True
    set_policy(ae, policy)
    ae.network_timeout = NETWORK_TIMEOUT_S
    ae.acse_timeout = ACSE_TIMEOUT_S
    ae.dimse_timeout = DIMSE_TIMEOUT_S
    for service in (VERIFICATION, STORAGE_COMMITMENT):
        # A destination that reports on our request is the SCP, although it opens the association.
        both_roles = service == STORAGE_COMMITMENT or None
        ae.add_supported_context(
            service,
            list(VERIFICATION_TRANSFER_SYNTAXES),
            scu_role=both_roles,
            scp_role=both_roles,
        )
    for sop_class in STORAGE_SOP_CLASSES:
        ae.add_supported_context(sop_class, list(STORAGE_TRANSFER_SYNTAXES))
    return ae


def set_policy(ae: AE, policy: AssociationPolicy) -> None:
    """Sets what pynetdicom reads for each new association."""
    ae.ae_title = policy.ae_title
    ae.maximum_pdu_size = policy.max_pdu
    # `OpenAssociations` counts those that are allowed; pynetdicom also counts those it rejects.
    ae.maximum_associations = policy.max_associations + SPARE_CONNECTIONS
    ae.require_calling_aet = [str(title) for title in policy.calling_ae_titles]
