"""A strict UPS-RS server and a node that performs its work items."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers.performing_node import PerformingNode, performing_node
from tests.support.servers.ups_server import UpsOriginServer


@pytest.fixture
def ups() -> Iterator[UpsOriginServer]:
    """The server."""
    with UpsOriginServer() as server:
        yield server


@pytest.fixture
def node(tmp_path: Path, ups: UpsOriginServer) -> Iterator[PerformingNode]:
    """The node, which performs work items of any station."""
    with performing_node(tmp_path, ups) as made:
        yield made
