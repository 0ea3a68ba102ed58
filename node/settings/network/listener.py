"""Settings of the listener."""

from typing import Annotated, Literal

from node.settings.network.loopback import is_loopback_host
from node.settings.value_types import Ae, Boolean, Host, Options, Port, Whole, within

_EVERY_ADDRESS = {"0.0.0.0", "::"}  # noqa: S104 compared only


class ListenerOptions(Options):
    """The Storage SCP. Port 0 selects a free port.

    `plain` says whether `port` takes connections without TLS. `tls_port` takes those with TLS, if
    there is one. `accept_from` says who may open an association: peers alone, or any AE
    title; None: peers alone once there is one. `processes` is how many processes receive; None: by
    the number of processor cores.
    """

    ae_title: Ae = "SEGNODE"
    host: Host = "0.0.0.0"  # noqa: S104 # modalities and PACS connect from other machines
    port: Port = 11112
    plain: Boolean = True
    tls_port: Port | None = None
    client_certificates: Literal["required", "optional", "none"] = "required"
    accept_from: Literal["peers", "any"] | None = None
    user_identity: Literal["ignored", "rejected", "verified"] = "ignored"
    max_pdu: Annotated[Whole, within(4096, 1048576)] = 131072  # bytes
    max_associations: Annotated[Whole, within(1, 1000)] = 25
    processes: Annotated[Whole, within(1, 16)] | None = None

    @property
    def ports_text(self) -> str:
        """The ports in words, for senders."""
        if self.tls_port is None:
            return f"port {self.port}"
        with_tls = f"port {self.tls_port} with TLS"
        return f"port {self.port}, or {with_tls}" if self.plain else with_tls

    @property
    def numbers_text(self) -> str:
        """The numbers of the ports, after a word such as "port"."""
        return self.ports_text.replace("port ", "")

    @property
    def host_text(self) -> str:
        """The host in words, for senders."""
        if self.host in _EVERY_ADDRESS:
            return "this machine’s name or IP address"
        if is_loopback_host(self.host):
            return f"{self.host}: only this machine reaches it (host in [listener])"
        return self.host
