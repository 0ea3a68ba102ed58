"""Free ports: different ones, and none that an outgoing connection could take."""

import socket
from pathlib import Path

from node.demo.free_ports import free_ports

_OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_the_ports_differ_from_call_to_call() -> None:
    ports = [*free_ports(3), *free_ports(2)]
    assert len(set(ports)) == 5


def test_a_port_in_use_is_left_out() -> None:
    (port,) = free_ports(1)
    with socket.socket() as user:
        user.bind(("127.0.0.1", port + 1))
        assert port + 1 not in free_ports(2)


def test_no_outgoing_connection_gets_one() -> None:
    first, _ = _OUTGOING.read_text(encoding="ascii").split()
    assert max(free_ports(5)) < int(first)
