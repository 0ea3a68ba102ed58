"""The address of the listener in words is one that senders can use."""

import pytest

from node.settings.network.listener import ListenerOptions


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("0.0.0.0", "this machine’s name or IP address"),
        ("::", "this machine’s name or IP address"),
        ("10.1.2.3", "10.1.2.3"),
        ("127.0.0.1", "127.0.0.1: only this machine reaches it (host in [listener])"),
        ("::1", "::1: only this machine reaches it (host in [listener])"),
        ("localhost", "localhost: only this machine reaches it (host in [listener])"),
    ],
)
def test_the_host_for_senders_is_the_one_that_the_listener_has(host: str, text: str) -> None:
    assert ListenerOptions(host=host).host_text == text
