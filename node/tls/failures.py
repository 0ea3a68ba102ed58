"""Why a TLS connection to a server fails, in the words of an administrator."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass

from node.tls.certificate_files import TlsFiles, file_mistakes


@dataclass(frozen=True)
class TlsFailure:
    """What is wrong, as a clause about the server ("it ..."), and what to do about it."""

    text: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.text}; {self.remedy}"


@dataclass(frozen=True)
class TlsSettings:
    """How remedies name the settings of a connection.

    `name` is how to cure that the certificate is for another name, `version` that there is no
    common version, and `no_tls` that the port does not speak TLS.
    """

    certificate: str = "certificate_file of this connection"
    certificate_and_key: str = "certificate_file and key_file of this connection"
    authority: str = "ca_file of this connection"
    name: str = "use a name that its certificate holds as the address, or issue it for this one"
    version: str = "allow TLS 1.2 or 1.3 there"
    no_tls: str = "check the port, and whether it is one for TLS"


_CONNECTION = TlsSettings()
# Results of the check of the server's certificate (OpenSSL's x509_vfy.h).
_UNTRUSTED = {7, 18, 19, 20, 21, 27}
_WRONG_NAME = {62, 64}
_VERIFICATION = {
    9: TlsFailure("its certificate is not valid yet", "check the clocks of both machines"),
    10: TlsFailure(
        "its certificate has expired", "renew it there, and check the clock of this machine"
    ),
    26: TlsFailure(
        "its certificate may not be used for a server", "issue it for server authentication"
    ),
}
_NOT_ACCEPTED = (
    "it does not accept the node's certificate",
    "let it trust the authority that signed {certificate}",
)
_NO_VERSION = ("it has no version of TLS that the node allows", "{version}")
# What the server has answered, and what OpenSSL says about the answer: text and remedy, in which a
# field of `TlsSettings` stands in braces.
_REASONS = {
    "ALERT_UNKNOWN_CA": (
        "it does not trust the authority of the node's certificate",
        "let it trust the authority that signed {certificate}",
    ),
    "ALERT_CERTIFICATE_EXPIRED": (
        "it says that the node's certificate has expired",
        "renew {certificate}, and check the clock of the server",
    ),
    "CERTIFICATE_REQUIRED": (
        "it demands a certificate, and the node shows none",
        "set {certificate_and_key}",
    ),
    "ALERT_BAD_CERTIFICATE": _NOT_ACCEPTED,
    "ALERT_CERTIFICATE": _NOT_ACCEPTED,
    "ALERT_DECRYPT_ERROR": _NOT_ACCEPTED,
    "ALERT_ACCESS_DENIED": _NOT_ACCEPTED,
    "PROTOCOL_VERSION": _NO_VERSION,
    "UNSUPPORTED_PROTOCOL": _NO_VERSION,
    "HANDSHAKE_FAILURE": (
        "it accepts neither the node's ciphers nor its lack of a certificate, or only one of them",
        "check its ciphers, and whether it demands a certificate ({certificate})",
    ),
    "WRONG_VERSION_NUMBER": ("it does not speak TLS on this port", "{no_tls}"),
}
# A refused connection never was one.
_ENDED = (ConnectionResetError, BrokenPipeError, ConnectionAbortedError)
CLOSED_BY_SERVER = TlsFailure(
    "it closed the connection",
    "check that this is its TLS port, and whether it accepts or demands a certificate of the node "
    "(certificate_file)",
)


def tls_failure(error: BaseException, files: TlsFiles) -> TlsFailure | None:
    """Returns why a connection with these files failed; None where TLS is not the cause."""
    if mistake := next(file_mistakes(files), None):
        return TlsFailure(f"the node cannot use its files: {mistake.message}", f"see {mistake.key}")
    causes = (cause for cause in _causes(error) if isinstance(cause, ssl.SSLError))
    return next((handshake_failure(cause, _CONNECTION) for cause in causes), None)


def is_closed_by_server(error: BaseException) -> bool:
    """Whether the server ended an open connection without a reason that Python knows."""
    return any(isinstance(cause, (*_ENDED, ssl.SSLEOFError)) for cause in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yields the error and what it wraps; `requests` and urllib3 wrap errors in arguments."""
    pending, seen = [error], set[int]()
    while pending:
        each = pending.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        inner = (*each.args, getattr(each, "reason", None), each.__cause__, each.__context__)
        pending += [cause for cause in inner if isinstance(cause, BaseException)]


def handshake_failure(error: ssl.SSLError, settings: TlsSettings) -> TlsFailure:
    """Returns why a handshake failed; the remedies name these settings."""
    match error:
        case ssl.SSLCertVerificationError():
            return _verification_failure(error, settings)
        case ssl.SSLEOFError():
            return CLOSED_BY_SERVER
    reason = str(error.reason or "")
    if "EOF" in reason:
        return CLOSED_BY_SERVER
    for part, (text, remedy) in _REASONS.items():
        if part in reason:
            return TlsFailure(text, remedy.format_map(vars(settings)))
    text = f"the handshake failed ({reason or error.strerror or error})"
    return TlsFailure(text, "check ca_file and the certificates on both sides")


def _verification_failure(error: ssl.SSLCertVerificationError, settings: TlsSettings) -> TlsFailure:
    if error.verify_code in _UNTRUSTED:
        return TlsFailure(
            "the node does not trust the authority of its certificate",
            f"set {settings.authority} to the file of that authority",
        )
    if error.verify_code in _WRONG_NAME:
        return TlsFailure(
            f"its certificate is for another name ({error.verify_message.rstrip('.')})",
            settings.name,
        )
    unknown = TlsFailure(
        f"its certificate is not valid ({error.verify_message})", "issue another one"
    )
    return _VERIFICATION.get(error.verify_code, unknown)
