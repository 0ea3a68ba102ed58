"""Unit tests reach no network."""

from collections.abc import Generator

import pytest
from pytest_socket import disable_socket, enable_socket


@pytest.fixture(autouse=True)
def no_network() -> Generator[None, None, None]:
    """Any socket but a Unix one raises."""
    disable_socket(allow_unix_socket=True)
    yield
    enable_socket()
