"""Whether a host in the settings is the loopback interface."""

from ipaddress import ip_address


def is_loopback_host(host: str) -> bool:
    """Whether only programs on the same machine reach what listens on this host."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
