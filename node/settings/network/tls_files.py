"""Settings that name the files of a TLS connection, shared by those that the node opens."""

from node.settings.value_types import Options, SitePath
from node.tls.certificate_files import TlsFiles


class TlsFileOptions(Options):
    """How the node and a server show each other who they are.

    `ca_file` holds the authority that signed the server's certificate; None: those of the system.
    The node shows the certificate in `certificate_file`; None: none. Its key is in `key_file`;
    None: in the same file.
    """

    ca_file: SitePath | None = None
    certificate_file: SitePath | None = None
    key_file: SitePath | None = None

    @property
    def tls_files(self) -> TlsFiles:
        """The files."""
        return TlsFiles(self.ca_file, self.certificate_file, self.key_file)
