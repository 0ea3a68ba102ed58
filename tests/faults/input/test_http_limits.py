"""What one HTTP client may cost: a limit ends its request or connection; others are served.

The node needs a login, and takes HTTP or HTTPS. A stranger has the same limits as a program with a
token, or is refused before the node reads a body.
"""

import ssl
from collections.abc import Iterator
from contextlib import ExitStack, closing
from socket import socket

import httpx
import pytest

from node.intake import multipart
from node.web import request_limits, server_config
from node.web.permissions import PUBLIC_ROUTES, ROUTE_PERMISSIONS, Route
from tests.support.servers.secured_node import SecuredNode, secured_node
from tests.support.servers.served_node import ServedNode
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(120)
SHORT_S = 0.2
# What a client gets that sends to a connection which the node has closed.
ENDED = (ConnectionError, ssl.SSLError)
MULTIPART = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=next'}
FORM = "application/x-www-form-urlencoded"
PUBLIC_FORMS = sorted(path for method, path in PUBLIC_ROUTES if method == "POST")
PROTECTED_BODIES = sorted(route for route in ROUTE_PERMISSIONS if route[0] in {"POST", "PUT"})


@pytest.fixture(scope="module", params=["http", "https"])
def secured(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[SecuredNode]:
    folder = tmp_path_factory.mktemp("node")
    with secured_node(folder, https=request.param == "https") as served:
        yield served


@pytest.fixture(scope="module")
def node(secured: SecuredNode) -> ServedNode:
    return secured.node


@pytest.fixture(scope="module")
def authorization(secured: SecuredNode) -> dict[str, str]:
    """The header of a program that may do everything."""
    return secured.authorization


@pytest.fixture(scope="module")
def program(secured: SecuredNode) -> Iterator[httpx.Client]:
    """A program with its token."""
    with secured.program() as client:
        yield client


@pytest.fixture(autouse=True)
def served_afterwards(node: ServedNode, program: httpx.Client) -> Iterator[None]:
    """After each test, the node serves its next client."""
    yield
    assert program.get(f"{node.url}/api/series").status_code == 200


def head_of(path: str, media_type: str, headers: dict[str, str], method: str = "POST") -> str:
    """Returns the start of a request, to which headers about its body are added."""
    lines = {"Host": "localhost", "Content-Type": media_type, **headers}
    return f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items())


def is_closed(connection: socket) -> bool:
    """Reads what is there; whether the node has closed the connection."""
    try:
        while connection.recv(1 << 16):
            pass
    except (ConnectionResetError, ssl.SSLError):
        pass
    return True  # otherwise the read times out


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/api/configuration/check", "application/json"),
        ("/api/fetch", "application/json"),
        ("/queues/retry", FORM),
        ("/configuration/check", FORM),
        ("/configuration/rules/new", FORM),
    ],
)
def test_a_long_body_is_refused_with_and_without_its_length(
    secured: SecuredNode,
    authorization: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    media_type: str,
) -> None:
    refuses_a_long_body(secured, head_of(path, media_type, authorization), monkeypatch)


@pytest.mark.parametrize("path", PUBLIC_FORMS)
def test_a_long_form_of_a_stranger_is_refused(
    secured: SecuredNode, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    refuses_a_long_body(secured, head_of(path, FORM, {}), monkeypatch)


def refuses_a_long_body(secured: SecuredNode, head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks that a body above the limit is refused, whether or not a header says its length."""
    with closing(secured.connected()) as connection:
        connection.sendall(f"{head}Content-Length: {1 << 40}\r\n\r\n".encode())
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 413")
    monkeypatch.setattr(request_limits, "MAX_BODY_BYTES", 1000)
    with closing(secured.connected()) as connection:
        chunk = b"3e9\r\n" + b"x" * 1001 + b"\r\n"
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk)
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 413")


def test_a_body_that_arrives_too_slowly_is_ended(
    secured: SecuredNode, authorization: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_limits, "MAX_BODY_SECONDS", SHORT_S)
    monkeypatch.setattr(request_limits, "MAX_PAUSE_SECONDS", SHORT_S)
    heads = [
        head_of("/api/configuration/check", "application/json", authorization),
        head_of("/dicom-web/studies", "application/dicom", authorization),
        *(head_of(path, FORM, {}) for path in PUBLIC_FORMS),
    ]
    for head in heads:
        with closing(secured.connected()) as connection:
            connection.sendall(f"{head}Content-Length: 9\r\n\r\nx".encode())
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 408"), head


@pytest.mark.parametrize("route", PROTECTED_BODIES, ids=" ".join)
def test_a_stranger_is_refused_before_the_body_is_read(secured: SecuredNode, route: Route) -> None:
    method, path = route
    # An invented token is refused as early as none.
    for headers in ({}, {"Authorization": "Bearer segnode_" + "a" * 43}):
        head = head_of(path, "application/dicom", headers, method)
        with closing(secured.connected()) as connection:
            connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
            answer = connection.recv(1 << 16)
            assert answer.startswith((b"HTTP/1.1 401", b"HTTP/1.1 303")), answer[:20]


def test_what_a_stranger_uploads_is_neither_read_nor_stored(
    secured: SecuredNode, node: ServedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_config, "MAX_HEADER_SECONDS", SHORT_S)
    before = sorted(node.settings.data_dir.rglob("*"))
    head = head_of("/dicom-web/studies", "application/dicom", {})
    with closing(secured.connected()) as connection:
        connection.sendall(f"{head}Content-Length: {1 << 40}\r\n\r\n".encode())
        with pytest.raises(ENDED):
            while True:  # until the node, which reads nothing of it, closes the connection
                connection.sendall(b"x" * (1 << 16))
    assert sorted(node.settings.data_dir.rglob("*")) == before


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HT", b"GET /health HTTP/1.1\r\nHost: localhost\r\nX"]
)
def test_a_client_that_completes_no_request_is_disconnected(
    secured: SecuredNode, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(server_config, "MAX_HEADER_SECONDS", SHORT_S)
    with closing(secured.connected()) as connection:
        connection.sendall(sent)
        assert is_closed(connection)


def test_a_body_that_nobody_reads_ends_the_connection(
    secured: SecuredNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_config, "MAX_HEADER_SECONDS", SHORT_S)
    with closing(secured.connected()) as connection:
        connection.sendall(b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\nx")
        assert is_closed(connection)


def test_an_incomplete_second_request_ends_the_connection(
    secured: SecuredNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_config, "MAX_HEADER_SECONDS", SHORT_S)
    with closing(secured.connected()) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\nGET /")
        assert is_closed(connection)


def test_a_client_that_reads_no_answers_is_disconnected(
    secured: SecuredNode, authorization: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_config, "MAX_WRITE_PAUSE_SECONDS", SHORT_S)
    request = f"{head_of('/api/openapi.json', FORM, authorization, 'GET')}\r\n".encode()
    with closing(secured.connected()) as connection, pytest.raises(ENDED):
        while True:  # until the node, which waits for a reader, reads no more and then closes
            connection.sendall(request * 50)


def test_connections_above_the_limit_are_closed_and_earlier_ones_served(
    secured: SecuredNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_config, "MAX_CONNECTIONS", 5)
    with ExitStack() as stack:
        earlier = [stack.enter_context(closing(secured.connected())) for _ in range(5)]
        for _ in range(20):
            with closing(secured.connected()) as further:
                assert is_closed(further)
        earlier[0].sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert earlier[0].recv(1 << 16).startswith(b"HTTP/1.1 200")
    until(lambda: can_connect(secured), 30, "the closed connections to free their slots")


def can_connect(secured: SecuredNode) -> bool:
    try:
        with secured.stranger() as client:
            return client.get(f"{secured.node.url}/health/live").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("query", ["x" * 200_000, "&".join(["StudyDate=1"] * 20_000)])
def test_an_endless_address_is_refused(secured: SecuredNode, query: str) -> None:
    with closing(secured.connected()) as connection:
        try:
            connection.sendall(f"GET /dicom-web/studies?{query} HTTP/1.1\r\n\r\n".encode())
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 400")
        except ENDED:
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
def test_a_search_that_costs_too_much_is_refused(
    node: ServedNode, program: httpx.Client, query: str
) -> None:
    answer = program.get(f"{node.dicomweb_url}/series?{query}")
    assert answer.status_code == 400, answer.text


def test_a_search_for_many_uids_is_no_long_pattern(node: ServedNode, program: httpx.Client) -> None:
    # Of their usual length, so that the address comes in several pieces.
    uids = ",".join(f"2.25.{10**38 + number}" for number in range(1000))
    answer = program.get(f"{node.dicomweb_url}/series?SeriesInstanceUID={uids}")
    assert answer.status_code in {200, 204}


def test_a_message_with_too_many_parts_is_refused(
    node: ServedNode, program: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multipart, "MAX_PARTS", 5)
    message = b"--next\r\n\r\nx\r\n" * 6 + b"--next--"
    answer = program.post(f"{node.dicomweb_url}/studies", content=message, headers=MULTIPART)
    assert answer.status_code == 413


def test_a_long_content_type_is_not_parsed(node: ServedNode, program: httpx.Client) -> None:
    # Its parameters take the parser of the standard library quadratic time.
    long = {"Content-Type": 'multipart/related; a="' + ";" * 60_000}
    answer = program.post(f"{node.dicomweb_url}/studies", content=b"x", headers=long)
    assert answer.status_code == 415


@pytest.mark.parametrize("path", ["/api/configuration/check", "/api/fetch", "/api/rules/dry-run"])
def test_json_that_is_nested_without_end_is_refused(
    node: ServedNode, program: httpx.Client, path: str
) -> None:
    for deep in (b"[" * 200_000, b'{"text":' * 200_000, b"[" * 900 + b"]" * 900):
        answer = program.post(
            node.url + path, content=deep, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code in {400, 422}, answer.status_code


def test_an_upload_stops_where_the_disk_has_no_more_space_to_spare(
    node: ServedNode, program: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = iter([10 << 30, 10 << 30])  # then none
    monkeypatch.setattr(type(node.store.files), "free_bytes", lambda _files: next(free, 0))
    answer = program.post(
        f"{node.dicomweb_url}/studies",
        content=(b"x" * (1 << 16) for _ in range(5)),
        headers={"Content-Type": "application/dicom"},
    )
    assert answer.status_code == 503
