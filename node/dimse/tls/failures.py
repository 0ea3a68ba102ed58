"""Why a TLS connection that the node opens fails, in the words of an administrator."""

import ssl
from dataclasses import dataclass

from node.domain.connections.failure import ConnectionFailure, ConnectionFault


@dataclass(frozen=True)
class _Words:
    text: str  # follows "the peer and the node agree on no TLS connection: "
    remedy: str


_ACCEPT_OURS = "let it trust the authority that signed certificate_file of [dicom_tls]"
# Results of the check of the peer's certificate (OpenSSL's x509_vfy.h).
_UNTRUSTED = {7, 18, 19, 20, 21, 27}
_VERIFICATION = {
    9: _Words("its certificate is not valid yet", "check the clocks of both machines"),
    10: _Words(
        "its certificate has expired", "renew it there, and check the clock of this machine"
    ),
    26: _Words(
        "its certificate may not be used for a server", "issue it for server authentication"
    ),
}
_WRONG_NAME = {62, 64}
# What the peer has answered, and what OpenSSL says about the answer.
_REASONS = {
    "ALERT_UNKNOWN_CA": _Words(
        "it does not trust the authority of the node's certificate", _ACCEPT_OURS
    ),
    "ALERT_CERTIFICATE_EXPIRED": _Words(
        "it says that the node's certificate has expired",
        "renew certificate_file in [dicom_tls], and check the clock of the peer",
    ),
    "CERTIFICATE_REQUIRED": _Words(
        "it demands a certificate, and the node has none",
        "set certificate_file in [dicom_tls]",
    ),
    "ALERT_BAD_CERTIFICATE": _Words("it does not accept the node's certificate", _ACCEPT_OURS),
    "ALERT_CERTIFICATE": _Words("it does not accept the node's certificate", _ACCEPT_OURS),
    "ALERT_DECRYPT_ERROR": _Words("it does not accept the node's certificate", _ACCEPT_OURS),
    "ALERT_ACCESS_DENIED": _Words("it does not accept the node's certificate", _ACCEPT_OURS),
    "PROTOCOL_VERSION": _Words(
        "it has no version of TLS that the node allows",
        "allow TLS 1.2 or 1.3 there, or check minimum_version in [dicom_tls]",
    ),
    "UNSUPPORTED_PROTOCOL": _Words(
        "it has no version of TLS that the node allows",
        "allow TLS 1.2 or 1.3 there, or check minimum_version in [dicom_tls]",
    ),
    "HANDSHAKE_FAILURE": _Words(
        "it accepts neither the node's ciphers nor its lack of a certificate, or only one of them",
        "check its ciphers, and whether it demands a certificate (certificate_file in [dicom_tls])",
    ),
    "WRONG_VERSION_NUMBER": _Words(
        "it does not speak TLS on this port", "check the port, or set tls = false for this peer"
    ),
}
_CLOSED = _Words(
    "it closed the connection during the TLS handshake",
    "check that this is its TLS port, and that it accepts the node's certificate",
)
_SILENT = _Words("it does not answer the TLS handshake", "check that this is its TLS port")


def tls_failure(error: OSError, remote: str, server_name: str) -> ConnectionFailure:
    """Returns the failure of a connection; the certificate of `remote` must hold `server_name`."""
    words = _words(error, server_name)
    return ConnectionFailure(
        ConnectionFault.TLS,
        f"{remote} and the node agree on no TLS connection: {words.text}",
        words.remedy,
    )


def _words(error: OSError, server_name: str) -> _Words:
    match error:
        case ssl.SSLCertVerificationError(verify_code=code) if code in _UNTRUSTED:
            return _Words(
                "the node does not trust the authority of its certificate",
                "set ca_file of this peer, or of [dicom_tls], to the file of that authority",
            )
        case ssl.SSLCertVerificationError(verify_code=code) if code in _WRONG_NAME:
            return _Words(
                f"its certificate does not hold the name {server_name}",
                "set server_name of this peer to a name in its certificate",
            )
        case ssl.SSLCertVerificationError():
            unknown = _Words(
                f"its certificate is not valid ({error.verify_message})", "issue another one"
            )
            return _VERIFICATION.get(error.verify_code, unknown)
        case TimeoutError():
            return _SILENT
        case ssl.SSLEOFError() | ConnectionError():
            return _CLOSED
        case _:
            return _by_reason(error)


def _by_reason(error: OSError) -> _Words:
    reason = str(getattr(error, "reason", "") or "")
    if "EOF" in reason:
        return _CLOSED
    for part, words in _REASONS.items():
        if part in reason:
            return words
    return _Words(
        f"{reason or error.strerror or error}",
        "check tls, ca_file and the certificates on both sides",
    )
