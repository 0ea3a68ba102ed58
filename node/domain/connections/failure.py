"""Why the node has no connection to a peer or a server, and what to do."""

from enum import StrEnum

from node.domain.errors import Transient


class ConnectionFault(StrEnum):
    """Why a connection does not work; the values are part of the REST API."""

    NAME_NOT_FOUND = "name-not-found"
    UNREACHABLE = "unreachable"
    CONNECTION_REFUSED = "connection-refused"
    TIMEOUT = "timeout"
    TLS = "tls"
    NO_DICOM = "no-dicom"  # the port answers, and not as DICOM
    CALLED_AE_TITLE = "called-ae-title"
    CALLING_AE_TITLE = "calling-ae-title"
    BUSY = "busy"
    ASSOCIATION_REJECTED = "association-rejected"
    SOP_CLASS = "sop-class"
    DIMSE_STATUS = "dimse-status"
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not-found"
    HTTP_STATUS = "http-status"
    CONTENT = "content"  # the server answers, and not with what the protocol wants
    NOT_WRITABLE = "not-writable"
    CONFIGURATION = "configuration"


class ConnectionFailure(Transient):
    """A connection does not work: what happened, and what to do, each without a full stop."""

    def __init__(self, fault: ConnectionFault, text: str, remedy: str) -> None:
        super().__init__(f"{text}: {remedy}")
        self.fault = fault
        self.text = text
        self.remedy = remedy
