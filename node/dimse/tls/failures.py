"""Why a TLS connection that the node opens to a peer fails, in the words of an administrator."""

import ssl

from node.domain.connections.failure import ConnectionFailure, ConnectionFault
from node.tls.failures import CLOSED_BY_SERVER, TlsFailure, TlsSettings, handshake_failure

_SETTINGS = TlsSettings(
    certificate="certificate_file of [dicom_tls]",
    certificate_and_key="certificate_file and key_file of [dicom_tls]",
    authority="ca_file of this peer, or of [dicom_tls],",
    name="set server_name of this peer to a name in its certificate",
    version="allow TLS 1.2 or 1.3 there, or check minimum_version in [dicom_tls]",
    no_tls="check the port, or set tls = false for this peer",
)
_CLOSED = TlsFailure(
    "it closed the connection during the TLS handshake",
    "check that this is its TLS port, and that it accepts the node's certificate",
)
_SILENT = TlsFailure("it does not answer the TLS handshake", "check that this is its TLS port")


def peer_tls_failure(error: OSError, remote: str) -> ConnectionFailure:
    """Returns the failure of a connection to `remote`."""
    failure = _failure(error)
    text = f"{remote} and the node agree on no TLS connection: {failure.text}"
    return ConnectionFailure(ConnectionFault.TLS, text, failure.remedy)


def _failure(error: OSError) -> TlsFailure:
    match error:
        case TimeoutError():
            return _SILENT
        case ConnectionError():
            return _CLOSED
        case ssl.SSLError():
            failure = handshake_failure(error, _SETTINGS)
            return _CLOSED if failure is CLOSED_BY_SERVER else failure
        case _:
            remedy = "check tls, ca_file and the certificates on both sides"
            return TlsFailure(str(error.strerror or error), remedy)
