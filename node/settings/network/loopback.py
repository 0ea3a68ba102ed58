"""Whether a host in the settings is the loopback interface, or an IP address."""

from ipaddress import ip_address


def is_loopback_host(host: str) -> bool:
    """Whether only programs on the same machine reach what listens on this host."""
    if host.lower() == "localhost":
        return True
    return is_ip_address(host) and ip_address(host).is_loopback


def is_ip_address(text: str) -> bool:
    """Whether the text is an IP address: as a sender, that of STOW-RS."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
