"""Access control: each request gets an identity, which must have the permission of the route."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus

from fastapi import FastAPI, HTTPException, Request
from fastapi.routing import iter_route_contexts
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from node.access.authentication import Authenticator, Refusal, RequestFacts, authenticate
from node.access.proxy_login import is_named_by_proxy
from node.access.sessions import csrf_token
from node.domain.access.identities import Identity, IdentityOrigin
from node.domain.access.permissions import Permission
from node.domain.errors import Transient
from node.settings import Settings
from node.settings.network.loopback import is_loopback
from node.store import Store
from node.web.audit.forbidden_request import ForbiddenRequest, recorded_reason
from node.web.audit.recorded_answer import RecordedAnswer
from node.web.audit.recording import RequestRecorder
from node.web.csrf import receive_with_token
from node.web.current_sender import CurrentSender, use_sender
from node.web.next_page import (
    LOGIN_PATH,
    PROXY_LOGIN_PATH,
    continue_page,
    login_address,
    safe_page,
)
from node.web.permissions import HEALTH_ROUTES, PUBLIC_ROUTES, ROUTE_PERMISSIONS, Route
from node.web.server.forwarded_requests import PEER_ADDRESS
from node.web.server.https import request_is_https

# Paths that programs and scripts read. People get pages everywhere else.
_PROGRAM_PATHS = ("/api/", "/dicom-web", "/health", "/metrics", "/events/", "/fragments/")
# An open page requests these by itself: they do not keep a session alive.
_BACKGROUND_PATHS = ("/events/", "/fragments/")
_NOT_SET_UP = (
    "this node has no administrator yet, and answers only on its own machine until then: its log "
    "states a code for /set-up"
)
_UNKNOWN_SENDER = "this needs a login: log in to the console, or send a token"


@dataclass
class AccessControl:
    """Decides about the requests to an application.

    `settings` and `authenticators` return the current ones. `error_answer` makes the response to a
    request that is refused. `recorder` records requests in the audit trail.
    """

    app: FastAPI
    store: Store
    settings: Callable[[], Settings]
    authenticators: Callable[[], Sequence[Authenticator]]
    error_answer: Callable[[Request, Exception], Response]
    recorder: RequestRecorder
    _has_administrator: bool = False

    def sender_of(self, request: Request) -> Identity | Refusal | None:
        """Returns who sends the request; None if it does not say.

        Raises:
            Transient: the database does not answer.
        """
        return authenticate(self.authenticators(), request_facts(request))

    def is_set_up(self) -> bool:
        """Whether there is an administrator, or the site works without logins.

        There always is one after the first.
        """
        if self.settings().access.login == "none":
            return True
        self._has_administrator = self._has_administrator or self.store.has_administrator()
        return self._has_administrator


class AccessMiddleware:
    """Refuses requests that lack a permission; gives all others their identity.

    The sender of a request to a public route is not looked up.
    """

    def __init__(self, app: ASGIApp, control: AccessControl) -> None:
        self._app = app
        self._control = control
        self._patterns: list[tuple[Route, re.Pattern[str]]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on with its identity, or answers it with a refusal."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        route = self._route_of(request)
        try:
            sender = await self._sender(request, route)
        except (Transient, HTTPException) as error:
            await self._control.error_answer(request, error)(scope, receive, send)
            return
        is_public = route in PUBLIC_ROUTES
        if not is_public and not isinstance(sender, Identity):
            if isinstance(sender, Refusal) and "authorization" in request.headers:
                await self._record_refusal(request, "", sender.recorded)
            await self._ask_login(request, sender)(scope, receive, send)
            return
        identity = sender if isinstance(sender, Identity) else None
        request.state.identity = identity
        with use_sender(CurrentSender(identity, _form_token(request, identity))) as current:
            try:
                if identity is not None:
                    _check_permission(identity, route)
                    receive = await receive_with_token(request, current.csrf_token)
            except HTTPException as error:
                if identity is not None:
                    await self._record_refusal(request, identity.name, recorded_reason(error))
                await self._control.error_answer(request, error)(scope, receive, send)
                return
            if identity is None:
                await self._app(scope, receive, send)
                return
            answered = RecordedAnswer(self._control.recorder, request, route, identity, send)
            await answered.by(self._app, receive)

    async def _record_refusal(self, request: Request, name: str, detail: str) -> None:
        record = self._control.recorder.refused(request, name, detail, datetime.now(UTC))
        if record is not None:
            await run_in_threadpool(self._control.recorder.write, record)

    async def _sender(self, request: Request, route: Route | None) -> Identity | Refusal | None:
        """Returns who sends a request; None for public routes."""
        if route in HEALTH_ROUTES:
            return None
        return await run_in_threadpool(self._known_sender, request, route in PUBLIC_ROUTES)

    def _known_sender(self, request: Request, is_public: bool) -> Identity | Refusal | None:
        address = request.client.host if request.client else ""
        if not is_loopback(address) and not self._control.is_set_up():
            raise HTTPException(HTTPStatus.FORBIDDEN, _NOT_SET_UP)
        return None if is_public else self._control.sender_of(request)

    def _route_of(self, request: Request) -> Route | None:
        """Returns the route that answers this request; None if no route does.

        Only the path of the scope decides, as it does for the router: a URL is put together from
        headers, and may be read differently.
        """
        if not self._patterns:
            self._patterns = list(_patterns(self._control.app.routes))
        path = request.scope["path"]
        for (method, own_path), pattern in self._patterns:
            if method in ("", request.method) and pattern.match(path):
                return method, own_path
        return None

    def _ask_login(self, request: Request, refusal: Refusal | None) -> Response:
        """Answers a request of an unknown sender: 401, or for a page the way to the login."""
        if is_for_program(request):
            reason = _UNKNOWN_SENDER if refusal is None else refusal.reason
            headers = {"WWW-Authenticate": 'Bearer realm="segnode"'}
            error = HTTPException(HTTPStatus.UNAUTHORIZED, reason, headers)
            return self._control.error_answer(request, error)
        if request.method != "GET":
            return RedirectResponse(LOGIN_PATH, HTTPStatus.SEE_OTHER)
        query = request.scope["query_string"].decode("latin-1")
        wanted = request.scope["path"] + (f"?{query}" if query else "")
        if request.headers.get("sec-fetch-site") == "cross-site":
            # The browser sends the cookie of the session only for links of the node's own pages
            # (SameSite). A link in another system then works for those who have logged in.
            return continue_page(safe_page(wanted))
        proxy = self._control.settings().access.proxy
        is_named = proxy is not None and is_named_by_proxy(proxy, request_facts(request))
        path = PROXY_LOGIN_PATH if is_named else LOGIN_PATH
        return RedirectResponse(login_address(wanted, path), HTTPStatus.SEE_OTHER)


def request_facts(request: Request) -> RequestFacts:
    """Returns what a request says about its sender."""
    return RequestFacts(
        headers=tuple((name, value) for name, value in request.headers.items()),
        cookies=request.cookies,
        client_address=request.client.host if request.client else "",
        peer_address=request.scope.get(PEER_ADDRESS, ""),
        is_https=request_is_https(request),
        is_by_person=not request.scope["path"].startswith(_BACKGROUND_PATHS),
        now=datetime.now(UTC),
    )


def may_view(request: Request) -> bool:
    """Whether the sender of a request may view the node now.

    It may not while the database, which knows the senders, does not answer.
    """
    try:
        sender = access_control_of(request.app).sender_of(request)
    except Transient:
        return False
    return isinstance(sender, Identity) and sender.may(Permission.VIEW)


def access_control_of(app: FastAPI) -> AccessControl:
    """Returns the access control of an application."""
    control = app.state.access_control
    assert isinstance(control, AccessControl)  # noqa: S101 set by create_app
    return control


def is_for_program(request: Request) -> bool:
    """Whether a program or script reads the answer; people get a page."""
    return str(request.scope["path"]).startswith(_PROGRAM_PATHS)


def _form_token(request: Request, identity: Identity | None) -> str:
    """Returns the token for forms; empty unless a session identifies the sender."""
    if identity is None or identity.origin is not IdentityOrigin.SESSION:
        return ""
    return csrf_token(request.cookies, is_https=request_is_https(request))


def _check_permission(sender: Identity, route: Route | None) -> None:
    missing = [each for each in _needed(route) if not sender.may(each)]
    if missing:
        raise _missing_permission(sender, missing)


def _needed(route: Route | None) -> Sequence[Permission]:
    """Returns the permissions that a route needs: all of them if the table does not name it.

    An address without a route needs none: the answer is 404 or 405.
    """
    if route is None:
        return ()
    permission = ROUTE_PERMISSIONS.get(route)
    return tuple(Permission) if permission is None else (permission,)


def _missing_permission(sender: Identity, missing: Sequence[Permission]) -> ForbiddenRequest:
    names = " and ".join(f"{each.value!r}" for each in missing)
    text = (
        f"this needs the permission {names}, which {sender.name} does not have. "
        "An administrator of the node can grant it"
    )
    return ForbiddenRequest(text, f"the permission {names} is missing")


def _patterns(routes: Sequence[BaseRoute]) -> Iterator[tuple[Route, re.Pattern[str]]]:
    """Yields the routes in the order in which the application tries them."""
    for context in iter_route_contexts(routes):
        if isinstance(context.route, Mount):
            yield ("", context.route.path), context.route.path_regex
            continue
        pattern = compile_path(str(context.path))[0]
        for method in sorted(context.methods or ()):
            yield (method, str(context.path)), pattern
