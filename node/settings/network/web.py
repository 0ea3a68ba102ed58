"""Settings of console, REST and DICOMweb."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from node.settings.network.peers import Network
from node.settings.value_types import (
    Boolean,
    Host,
    HostName,
    Options,
    Port,
    SitePath,
    SiteViewerUrl,
    Whole,
    web_address,
    within,
)
from node.tls.certificate_files import TlsFiles


def _public_url(url: str) -> str:
    """Checks the address of the console in browsers; it may be empty."""
    if not url:
        return url
    web_address(url, "https://segnode.hospital.example", "a login of the console")
    parts = urlsplit(url)
    if parts.path not in {"", "/"} or "?" in url or "#" in url:
        raise ValueError("must have no path: the console is at the root of its host")
    return url


class WebOptions(Options):
    """Console, REST and DICOMweb, reachable from this machine alone by default.

    With `certificate_file`, `port` takes HTTPS alone; `redirect_port` then takes HTTP, and sends
    browsers to it. For `hsts_days` after a visit, browsers use HTTPS alone for this host name.
    `names` lists the host names that requests may use, besides localhost, the machine's name and
    its addresses. `trusted_proxies` are the addresses of proxies, whose word for the address and
    scheme of a client counts. `public_url` is the address by which browsers reach the console.
    `viewer_url` is the address of the site's viewer; {study} stands for the Study Instance UID,
    {series} for the Series Instance UID. `search_patients` stores patients' IDs and names, so that
    people can search for them.
    """

    host: Host = "127.0.0.1"
    port: Port = 8080
    certificate_file: SitePath | None = None
    key_file: SitePath | None = None
    redirect_port: Port | None = None
    hsts_days: Annotated[Whole, within(0, 3650)] = 365
    names: tuple[HostName, ...] = ()
    trusted_proxies: tuple[Network, ...] = ()
    public_url: Annotated[str, AfterValidator(_public_url)] = ""
    viewer_url: SiteViewerUrl = ""
    search_patients: Boolean = False

    @property
    def is_https(self) -> bool:
        """Whether `port` takes HTTPS alone."""
        return self.certificate_file is not None

    @property
    def tls_files(self) -> TlsFiles:
        """The certificate and its key."""
        return TlsFiles(certificate=self.certificate_file, key=self.key_file)
