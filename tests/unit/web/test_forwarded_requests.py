"""Who may say from where a request comes: proxies of the site, and nobody else."""

import asyncio
from collections.abc import Sequence

import httpx
import pytest
import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from node.web.server.forwarded_requests import ForwardedRequests

FORGED = {
    "X-Forwarded-For": "127.0.0.1",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "attacker.example",
    "Forwarded": "for=127.0.0.1;proto=https",
}


async def show_sender(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope)
    names = [name for name in request.headers if "forwarded" in name]
    address = request.client.host if request.client else None
    content = {"address": address, "scheme": scope["scheme"], "headers": names}
    await JSONResponse(content)(scope, receive, send)


def sender(
    address: str, headers: dict[str, str], proxies: Sequence[str] = ("192.0.2.0/28",)
) -> dict[str, object]:
    """Returns what an application sees of a request from this address."""

    async def send() -> httpx.Response:
        app = ForwardedRequests(show_sender, lambda: proxies, lambda _address: None)
        transport = httpx.ASGITransport(app, client=(address, 50000))
        async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
            return await client.get("/", headers=headers)

    seen: dict[str, object] = asyncio.run(send()).json()
    return seen


def test_a_proxy_of_the_site_names_client_and_scheme() -> None:
    headers = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https"}
    seen = sender("192.0.2.3", headers)
    assert (seen["address"], seen["scheme"]) == ("198.51.100.7", "https")


def test_a_client_cannot_put_an_address_before_that_of_the_proxy() -> None:
    headers = {"X-Forwarded-For": "127.0.0.1, 198.51.100.7"}
    assert sender("192.0.2.3", headers)["address"] == "198.51.100.7"


@pytest.mark.parametrize("address", ["198.51.100.9", "192.0.2.16"])
@pytest.mark.parametrize("proxies", [(), ("192.0.2.0/28",)])
def test_nobody_else_does(address: str, proxies: Sequence[str]) -> None:
    seen = sender(address, FORGED, proxies)
    assert seen == {"address": address, "scheme": "http", "headers": []}


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_request_that_a_proxy_of_this_machine_may_have_forwarded_is_from_nobody(
    address: str,
) -> None:
    assert sender(address, FORGED)["address"] is None, "it does not count as from this machine"
    assert sender(address, {})["address"] == address


def test_log_and_note_name_a_proxy_that_the_site_does_not_know_once_a_minute() -> None:
    noted: list[str] = []
    app = ForwardedRequests(show_sender, lambda: (), noted.append)

    async def send() -> None:
        transport = httpx.ASGITransport(app, client=("198.51.100.9", 50000))
        async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
            for _ in range(3):
                await client.get("/", headers=FORGED)

    with structlog.testing.capture_logs() as lines:
        asyncio.run(send())
    (line,) = lines
    assert line["address"] == "198.51.100.9"
    assert "web.trusted_proxies" in line["remedy"]
    assert noted == ["198.51.100.9"]


def test_changed_settings_count_at_once() -> None:
    proxies: list[str] = []
    app = ForwardedRequests(show_sender, lambda: proxies, lambda _address: None)

    async def address() -> object:
        transport = httpx.ASGITransport(app, client=("192.0.2.3", 50000))
        async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
            answer = await client.get("/", headers={"X-Forwarded-For": "198.51.100.7"})
        return answer.json()["address"]

    assert asyncio.run(address()) == "192.0.2.3"
    proxies.append("192.0.2.3")
    assert asyncio.run(address()) == "198.51.100.7"
