"""The proxies of deploy/proxy in front of a node: pages, events, large studies, the viewer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import UID

from node.access.passwords import hash_password
from node.domain.access.permissions import Role
from node.domain.identifiers import mint_uid
from node.web.viewer.ohif_installation import VERSION
from tests.support.servers.post_server import Answer, PostServer
from tests.support.servers.proxies import NAME, Proxy, running_proxy
from tests.support.servers.served_node import ServedNode, served_node

_BOUNDARY = "parts"
_WEB = f'[web]\nnames = ["{NAME}"]\ntrusted_proxies = ["127.0.0.1"]\n'
_STOW = {"Content-Type": f'multipart/related; type="application/dicom"; boundary={_BOUNDARY}'}
_OF_THE_CONNECTION = {"connection", "date", "keep-alive", "server", "transfer-encoding", "alt-svc"}


@dataclass(frozen=True)
class Site:
    """A node, and a proxy in front of it."""

    node: ServedNode
    proxy: Proxy


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp(request.param)
    viewer = folder / "data" / "viewer" / VERSION
    viewer.mkdir(parents=True)
    (viewer / "index.html").write_text("<title>viewer</title>", encoding="utf-8")
    with served_node(folder, _WEB) as node:
        port = int(node.url.rpartition(":")[2])
        with running_proxy(request.param, folder, port) as proxy:
            yield Site(node, proxy)


def essential(headers: httpx.Headers) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in _OF_THE_CONNECTION}


@pytest.mark.parametrize(
    "path", ["/", "/api/series", "/static/console.css", "/viewer/", "/viewer/x"]
)
def test_answers_arrive_as_the_node_sends_them(site: Site, path: str) -> None:
    direct = httpx.get(f"{site.node.url}{path}", headers={"X-Forwarded-Proto": "https"})
    assert direct.status_code == 200
    with site.proxy.client() as client:
        proxied = client.get(path)
    assert proxied.content == direct.content
    assert essential(proxied.headers) == essential(direct.headers)
    assert proxied.headers["Strict-Transport-Security"].startswith("max-age=")


def test_an_event_arrives_while_the_stream_is_open(site: Site) -> None:
    with site.proxy.client() as client, client.stream("GET", "/events/overview") as events:
        assert events.headers["Content-Type"].startswith("text/event-stream")
        received = b""
        for piece in events.iter_raw():
            received += piece
            if b"event: overview\n" in received:
                return
    raise AssertionError("the stream ended without an event")


def test_a_large_study_is_stored_and_retrieved_unchanged(site: Site) -> None:
    proxy = str(site.proxy.https_port)
    dataset = dcmread(str(get_testdata_file("CT_small.dcm")))
    dataset.StudyInstanceUID = study = mint_uid("study", proxy)
    dataset.SeriesInstanceUID = mint_uid("series", proxy)
    dataset.Rows = dataset.Columns = 2048
    dataset.PixelData = bytes(2 * 2048 * 2048)  # 8 MiB, above the usual limits of proxies
    body = b""
    for number in range(2):
        instance = UID(mint_uid("instance", proxy, str(number)))
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = instance
        file = BytesIO()
        dataset.save_as(file, enforce_file_format=True)
        body += f"--{_BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        body += file.getvalue() + b"\r\n"
    body += f"--{_BOUNDARY}--\r\n".encode()

    with site.proxy.client() as client:
        stored = client.post("/dicom-web/studies", content=body, headers=_STOW)
        proxied = client.get(f"/dicom-web/studies/{study}")
    assert stored.status_code == 200
    assert f"https://{NAME}/dicom-web/studies/{study}" in stored.text
    direct = httpx.get(f"{site.node.url}/dicom-web/studies/{study}", timeout=60)
    assert len(direct.content) > 2 * (8 << 20)
    assert parts(proxied) == parts(direct)


def parts(answer: httpx.Response) -> list[bytes]:
    """Returns the parts of a multipart response, whose boundary is random."""
    boundary = answer.headers["Content-Type"].partition("boundary=")[2].strip('"').encode()
    assert boundary
    return answer.content.split(boundary)


def test_a_form_of_the_console_is_accepted_from_its_own_page_alone(site: Site) -> None:
    with site.proxy.client() as client:
        start = "/api/series/1.2.3/start"
        own = client.post(start, headers={"Origin": f"https://{NAME}"})
        foreign = client.post(start, headers={"Origin": "https://attacker.example"})
    assert (own.status_code, foreign.status_code) == (404, 403)


def test_http_leads_to_https(site: Site) -> None:
    answer = httpx.get(
        f"http://127.0.0.1:{site.proxy.http_port}/series?modality=CT", headers={"Host": NAME}
    )
    assert answer.status_code == 308
    assert answer.headers["Location"].startswith(f"https://{NAME}")
    assert answer.headers["Location"].endswith("/series?modality=CT")


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_a_client_cannot_forge_its_address(kind: str, tmp_path: Path) -> None:
    received: list[Mapping[str, str]] = []

    def respond(_path: str, headers: Mapping[str, str], _body: bytes) -> Answer:
        received.append(headers)
        return Answer(200, "text/plain", b"")

    server = PostServer(respond)
    forged = {
        "X-Forwarded-For": "192.0.2.1",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "attacker.example",
    }
    try:
        with running_proxy(kind, tmp_path, server.port) as proxy, proxy.client() as client:
            assert client.post("/", headers=forged).status_code == 200
    finally:
        server.close()
    (headers,) = received
    lower = {name.lower(): value for name, value in headers.items()}
    assert lower["host"] == NAME
    assert lower["x-forwarded-for"] == "127.0.0.1"
    assert lower["x-forwarded-proto"] == "https"
    assert lower.get("x-forwarded-host", NAME) == NAME


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_the_cookie_of_a_login_is_for_https_alone(kind: str, tmp_path: Path) -> None:
    password = "violet tractor sings quietly"
    names = _WEB
    with served_node(tmp_path, names, login="required") as node:
        hashed = hash_password(password)
        node.store.add_user("admin", Role.ADMINISTRATOR, datetime.now(UTC), hashed)
        port = int(node.url.rpartition(":")[2])
        with running_proxy(kind, tmp_path, port) as proxy, proxy.client() as client:
            answer = client.post("/login", data={"name": "admin", "password": password})
            assert answer.status_code == 303
            cookie = answer.headers["Set-Cookie"]
            assert cookie.startswith("__Host-")
            assert {"Secure", "HttpOnly", "SameSite=strict"} <= set(cookie.split("; "))
            assert client.get("/api/series").status_code == 200
