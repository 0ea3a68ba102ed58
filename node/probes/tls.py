"""The failure of a TLS connection, for probes."""

from node.domain.connections.failure import ConnectionFailure, ConnectionFault
from node.tls.certificate_files import TlsFiles, file_mistakes
from node.tls.failures import TlsFailure


def no_tls(server: str, failure: TlsFailure) -> ConnectionFailure:
    """Returns the failure of a connection to `server`, by its address."""
    return ConnectionFailure(
        ConnectionFault.TLS,
        f"{server} and the node agree on no TLS connection: {failure.text}",
        failure.remedy,
    )


def file_failure(server: str, files: TlsFiles, error: Exception) -> ConnectionFailure:
    """Returns the failure of a connection whose files cannot be used."""
    mistake = next(file_mistakes(files), None)
    reason = error if mistake is None else mistake.message
    return ConnectionFailure(
        ConnectionFault.CONFIGURATION,
        f"the TLS files for {server} cannot be used: {reason}",
        "check ca_file, certificate_file and key_file",
    )
