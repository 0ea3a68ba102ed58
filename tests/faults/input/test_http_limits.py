"""What one HTTP client may cost: a limit ends its request or connection; others are served."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import pytest

from node.intake import multipart
from node.web import request_limits, server_config
from tests.support.servers.served_node import ServedNode, served_node
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(120)
SHORT_S = 0.2
MULTIPART = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=next'}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedNode]:
    with served_node(tmp_path_factory.mktemp("node")) as served:
        yield served


@pytest.fixture(autouse=True)
def served_afterwards(node: ServedNode) -> Iterator[None]:
    """After each test, the node serves its next client."""
    yield
    assert httpx.get(f"{node.url}/api/series").status_code == 200


def connected(node: ServedNode) -> socket.socket:
    host, _, port = node.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=60)


def is_closed(connection: socket.socket) -> bool:
    """Reads what is there; whether the node has closed the connection."""
    try:
        while connection.recv(1 << 16):
            pass
    except ConnectionResetError:
        pass
    return True  # otherwise the read times out


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/api/configuration/check", "application/json"),
        ("/api/fetch", "application/json"),
        ("/queues/retry", "application/x-www-form-urlencoded"),
        ("/configuration/check", "application/x-www-form-urlencoded"),
        ("/configuration/rules/new", "application/x-www-form-urlencoded"),
    ],
)
def test_a_long_body_is_refused_with_and_without_its_length(
    node: ServedNode, monkeypatch: pytest.MonkeyPatch, path: str, media_type: str
) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media_type}\r\n"
    with closing(connected(node)) as connection:
        connection.sendall(f"{head}Content-Length: {1 << 40}\r\n\r\n".encode())
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 413")
    monkeypatch.setattr(request_limits, "MAX_BODY_BYTES", 1000)
    with closing(connected(node)) as connection:
        chunk = b"3e9\r\n" + b"x" * 1001 + b"\r\n"
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk)
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 413")


def test_a_body_that_arrives_too_slowly_is_ended(
    node: ServedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_limits, "MAX_BODY_SECONDS", SHORT_S)
    monkeypatch.setattr(request_limits, "MAX_PAUSE_SECONDS", SHORT_S)
    for path in ("/api/configuration/check", "/dicom-web/studies"):
        with closing(connected(node)) as connection:
            connection.sendall(
                f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
                "Content-Type: application/dicom\r\n\r\nx".encode()
            )
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HT", b"GET /health HTTP/1.1\r\nHost: localhost\r\nX"]
)
def test_a_client_that_completes_no_request_is_disconnected(
    node: ServedNode, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(server_config, "MAX_HEADER_SECONDS", SHORT_S)
    with closing(connected(node)) as connection:
        connection.sendall(sent)
        assert is_closed(connection)


def test_a_body_that_nobody_reads_ends_the_connection(
    node: ServedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_config, "MAX_HEADER_SECONDS", SHORT_S)
    with closing(connected(node)) as connection:
        connection.sendall(b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\nx")
        assert is_closed(connection)


def test_an_incomplete_second_request_ends_the_connection(
    node: ServedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_config, "MAX_HEADER_SECONDS", SHORT_S)
    with closing(connected(node)) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\nGET /")
        assert is_closed(connection)


def test_a_client_that_reads_no_answers_is_disconnected(
    node: ServedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_config, "MAX_WRITE_PAUSE_SECONDS", SHORT_S)
    request = b"GET /api/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with closing(connected(node)) as connection, pytest.raises(ConnectionError):
        while True:  # until the node, which waits for a reader, reads no more and then closes
            connection.sendall(request * 50)


def test_connections_above_the_limit_are_closed_and_earlier_ones_served(
    node: ServedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_config, "MAX_CONNECTIONS", 5)
    with ExitStack() as stack:
        earlier = [stack.enter_context(closing(connected(node))) for _ in range(5)]
        for _ in range(20):
            with closing(connected(node)) as further:
                assert is_closed(further)
        earlier[0].sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert earlier[0].recv(1 << 16).startswith(b"HTTP/1.1 200")
    until(lambda: can_connect(node), 30, "the closed connections to free their slots")


def can_connect(node: ServedNode) -> bool:
    try:
        return httpx.get(f"{node.url}/health/live").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("query", ["x" * 200_000, "&".join(["StudyDate=1"] * 20_000)])
def test_an_endless_address_is_refused(node: ServedNode, query: str) -> None:
    with closing(connected(node)) as connection:
        try:
            connection.sendall(f"GET /dicom-web/studies?{query} HTTP/1.1\r\n\r\n".encode())
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 400")
        except ConnectionError:
            pass  # closed while the test still sends


@pytest.mark.parametrize(
    "query",
    [
        "SeriesDescription=" + "*a" * 200,
        "limit=" + "9" * 5000,
        "offset=" + "9" * 5000,
        ".".join(["00081111"] * 33) + "=1",
    ],
)
def test_a_search_that_costs_too_much_is_refused(node: ServedNode, query: str) -> None:
    answer = httpx.get(f"{node.dicomweb_url}/series?{query}")
    assert answer.status_code == 400, answer.text


def test_a_search_for_many_uids_is_no_long_pattern(node: ServedNode) -> None:
    uids = ",".join(f"1.2.3.{number}" for number in range(500))
    answer = httpx.get(f"{node.dicomweb_url}/series?SeriesInstanceUID={uids}")
    assert answer.status_code in {200, 204}


def test_a_message_with_too_many_parts_is_refused(
    node: ServedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multipart, "MAX_PARTS", 5)
    message = b"--next\r\n\r\nx\r\n" * 6 + b"--next--"
    answer = httpx.post(f"{node.dicomweb_url}/studies", content=message, headers=MULTIPART)
    assert answer.status_code == 413


def test_a_long_content_type_is_not_parsed(node: ServedNode) -> None:
    # Its parameters take the parser of the standard library quadratic time.
    long = {"Content-Type": 'multipart/related; a="' + ";" * 60_000}
    answer = httpx.post(f"{node.dicomweb_url}/studies", content=b"x", headers=long)
    assert answer.status_code == 415


@pytest.mark.parametrize("path", ["/api/configuration/check", "/api/fetch", "/api/rules/dry-run"])
def test_json_that_is_nested_without_end_is_refused(node: ServedNode, path: str) -> None:
    for deep in (b"[" * 200_000, b'{"text":' * 200_000, b"[" * 900 + b"]" * 900):
        answer = httpx.post(
            node.url + path, content=deep, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code in {400, 422}, answer.status_code


def test_an_upload_stops_where_the_disk_has_no_more_space_to_spare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served_node(tmp_path) as node:
        free = iter([10 << 30, 10 << 30])  # then none
        monkeypatch.setattr(type(node.store.files), "free_bytes", lambda _files: next(free, 0))
        answer = httpx.post(
            f"{node.dicomweb_url}/studies",
            content=(b"x" * (1 << 16) for _ in range(5)),
            headers={"Content-Type": "application/dicom"},
        )
        assert answer.status_code == 503
