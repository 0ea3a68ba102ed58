"""Which addresses are those of this machine."""

import pytest

from node.settings.network.loopback import is_loopback


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_loopback_addresses_are_those_of_this_machine(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize(
    "address", ["", "192.0.2.1", "::ffff:192.0.2.1", "localhost", "127.0.0.1.example", "0.0.0.0"]
)
def test_others_are_not(address: str) -> None:
    assert not is_loopback(address)
