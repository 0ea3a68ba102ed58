"""Certificates for TLS tests: a certificate that is its own authority, made by openssl."""

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Certificate:
    """A certificate for 127.0.0.1 and its key, as PEM files."""

    certificate: Path
    key: Path

    @classmethod
    def create(cls, folder: Path, name: str) -> "Certificate":
        """Creates the files `<name>.pem` and `<name>.key`; skips without openssl."""
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed; it makes certificates: apt install openssl")
        made = cls(folder / f"{name}.pem", folder / f"{name}.key")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "2", "-subj", f"/CN={name}",
             "-addext", "subjectAltName=IP:127.0.0.1",
             "-keyout", str(made.key), "-out", str(made.certificate)],
            check=True,
            capture_output=True,
        )  # fmt: skip
        return made

    def server_context(self, client: "Certificate | None" = None) -> ssl.SSLContext:
        """Returns the context of a server that asks for the client's certificate, if given."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        if client is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(client.certificate)
        return context
