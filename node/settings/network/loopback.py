"""Whether a host or an address is that of this machine alone, or an IP address at all."""

from ipaddress import IPv6Address, ip_address


def is_loopback_host(host: str) -> bool:
    """Whether only programs on the same machine reach what listens on this host."""
    return host.lower() == "localhost" or is_loopback(host)


def is_loopback(address: str) -> bool:
    """Whether a connection from this address comes from the machine itself.

    A socket for IPv4 and IPv6 shows `127.0.0.1` as `::ffff:127.0.0.1`.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return parsed.is_loopback


def is_ip_address(text: str) -> bool:
    """Whether the text is an IP address: as a sender, that of STOW-RS."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
