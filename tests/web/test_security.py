"""Requests of foreign web pages and under foreign host names are refused."""

import socket
from pathlib import Path

import httpx
import pytest

from node.domain.series import StoredSeries
from tests.support.dicom.body import grid
from tests.support.dicom.builders import ct_series
from tests.support.servers.served_node import ServedNode, served_node


@pytest.fixture
def series(node: ServedNode, tmp_path: Path) -> StoredSeries:
    few = ct_series(geometry=grid(slices=3, rows=8, columns=8))
    return node.receive(few, tmp_path / "ct")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://attacker.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},  # another program on the machine of the node
    ],
)
def test_a_page_of_another_site_cannot_request_a_start(
    node: ServedNode, series: StoredSeries, headers: dict[str, str]
) -> None:
    for start in ("/api/series/{}/start", "/series/{}/start"):
        url = node.url + start.format(series.series_instance_uid)
        assert httpx.post(url, headers=headers).status_code == 403
    assert not node.series(series.series_instance_uid).start_requested
    own = {"Sec-Fetch-Site": "same-origin", "Origin": node.url}
    assert httpx.post(url, headers=own).status_code == 303


def test_the_overview_names_a_proxy_that_the_settings_lack(node: ServedNode) -> None:
    assert "claims to be forwarded" not in httpx.get(f"{node.url}/overview").text
    httpx.get(f"{node.url}/health/live", headers={"X-Forwarded-For": "192.0.2.1"})
    page = httpx.get(f"{node.url}/overview").text
    assert "add 127.0.0.1 to trusted_proxies in [web]" in page


def test_a_request_under_an_unknown_host_name_is_refused(node: ServedNode) -> None:
    for foreign in ("attacker.example", "localhost.attacker.example", "[::1", ""):
        answer = httpx.get(f"{node.url}/api/series", headers={"Host": foreign})
        assert answer.status_code == 421
    assert "web.names" in answer.json()["message"]
    port = node.url.rpartition(":")[2]
    for name in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}", socket.gethostname()):
        assert httpx.get(f"{node.url}/api/series", headers={"Host": name}).status_code == 200


def test_a_proxy_may_use_the_names_in_the_configuration(tmp_path: Path) -> None:
    with served_node(tmp_path, '[web]\nnames = ["Segnode.Hospital.Example"]\n') as node:
        headers = {"Host": "segnode.hospital.example"}
        assert httpx.get(f"{node.url}/api/series", headers=headers).status_code == 200
        # A proxy that sets its own Host header still forwards the Origin of the page.
        start = f"{node.url}/api/series/1.2.3/start"
        own = {"Origin": "http://segnode.hospital.example"}
        assert httpx.post(start, headers=own).status_code == 404
        foreign = {"Origin": "http://attacker.example"}
        assert httpx.post(start, headers=foreign).status_code == 403
        # Some proxies forward the name without the port.
        without_port = {"Host": "segnode.hospital.example"}
        other_port = {"Origin": "http://segnode.hospital.example:8443"}
        assert httpx.post(start, headers=without_port | other_port).status_code == 404
        with_port = {"Host": "segnode.hospital.example:443"}
        assert httpx.post(start, headers=with_port | other_port).status_code == 403
