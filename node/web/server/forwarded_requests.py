"""Requests that a proxy forwards: who says from which address and by which scheme they come."""

import time
from collections.abc import Callable, Collection

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from node.settings.network.loopback import is_loopback

_LOG = structlog.get_logger()
# What the scope of a request calls the address of the machine that has connected.
PEER_ADDRESS = "segnode.peer_address"
_FORWARDED = {
    b"forwarded",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-port",
    b"x-forwarded-proto",
}
# Each client can send such headers with every request.
_WARNED_EVERY_SECONDS = 60.0


class ForwardedRequests:
    """Believes X-Forwarded-For and X-Forwarded-Proto of the current `proxies`, and of nobody else.

    `proxies` are IP addresses and networks. A request from this machine that somebody else claims
    to have forwarded may come from anywhere: its client is then unknown. `note` gets the address of
    that somebody, at most once a minute.
    """

    def __init__(
        self,
        app: ASGIApp,
        proxies: Callable[[], Collection[str]],
        note: Callable[[str], None],
    ) -> None:
        self._app = app
        self._proxies = proxies
        self._note = note
        self._known: tuple[str, ...] = ()
        self._trusting = self._trust(())
        self._warned_at = float("-inf")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on with the address and scheme of its client."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        proxies = tuple(self._proxies())
        if proxies != self._known:
            self._known, self._trusting = proxies, self._trust(proxies)
        address = scope["client"][0] if scope.get("client") else ""
        scope = {**scope, PEER_ADDRESS: address}
        if address in self._trusting.trusted_hosts:
            await self._trusting(scope, receive, send)  # type: ignore[arg-type] # types of uvicorn
            return
        kept = [pair for pair in scope["headers"] if pair[0] not in _FORWARDED]
        if len(kept) < len(scope["headers"]):
            await self._warn(address)
            client = None if is_loopback(address) else scope["client"]
            scope = {**scope, "headers": kept, "client": client}
        await self._app(scope, receive, send)

    def _trust(self, proxies: Collection[str]) -> ProxyHeadersMiddleware:
        return ProxyHeadersMiddleware(self._app, list(proxies))  # type: ignore[arg-type]

    async def _warn(self, address: str) -> None:
        now = time.monotonic()
        if now - self._warned_at < _WARNED_EVERY_SECONDS:
            return
        self._warned_at = now
        _LOG.warning(
            "web.forwarded_by_unknown_proxy",
            address=address,
            remedy="if this is a proxy of the site, add its address to web.trusted_proxies",
        )
        await run_in_threadpool(self._note, address)
