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
from node.domain.access.identities import Identity
from node.domain.access.permissions import Permission
from node.domain.errors import Transient
from node.web.next_page import login_address
from node.web.permissions import PUBLIC_ROUTES, ROUTE_PERMISSIONS, Route

# Paths that programs and scripts read. People get pages everywhere else.
_PROGRAM_PATHS = ("/api/", "/dicom-web", "/health", "/metrics", "/events/", "/fragments/")
_UNKNOWN_SENDER = "this needs a login: log in to the console, or send a token"


@dataclass(frozen=True)
class AccessControl:
    """Decides about the requests to an application.

    `authenticators` returns those of the current settings. `error_answer` makes the response to a
    request that is refused.
    """

    app: FastAPI
    authenticators: Callable[[], Sequence[Authenticator]]
    error_answer: Callable[[Request, Exception], Response]

    def sender_of(self, request: Request) -> Identity | Refusal | None:
        """Returns who sends the request; None if it does not say.

        Raises:
            Transient: the database does not answer.
        """
        facts = RequestFacts(
            headers=tuple((name, value) for name, value in request.headers.items()),
            cookies=request.cookies,
            client_address=request.client.host if request.client else "",
            now=datetime.now(UTC),
        )
        return authenticate(self.authenticators(), facts)


class AccessMiddleware:
    """Refuses requests that lack a permission; gives all others their identity.

    A public route is answered without looking at the sender: it works while the database does not.
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
        refusal = await self._refusal(request)
        await (self._app if refusal is None else refusal)(scope, receive, send)

    async def _refusal(self, request: Request) -> Response | None:
        """Returns the refusal of a request; None if it may proceed."""
        route = self._route_of(request)
        if route in PUBLIC_ROUTES:
            return None
        try:
            sender = await run_in_threadpool(self._control.sender_of, request)
        except Transient as error:
            return self._control.error_answer(request, error)
        if not isinstance(sender, Identity):
            return self._refuse_unknown(request, sender)
        request.state.identity = sender
        missing = [each for each in _needed(route) if not sender.may(each)]
        if not missing:
            return None
        forbidden = HTTPException(HTTPStatus.FORBIDDEN, _missing_text(sender, missing))
        return self._control.error_answer(request, forbidden)

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

    def _refuse_unknown(self, request: Request, refusal: Refusal | None) -> Response:
        """Answers a request of an unknown sender: 401, or for a page the way to the login."""
        if is_for_program(request):
            reason = _UNKNOWN_SENDER if refusal is None else refusal.reason
            headers = {"WWW-Authenticate": 'Bearer realm="segnode"'}
            error = HTTPException(HTTPStatus.UNAUTHORIZED, reason, headers)
            return self._control.error_answer(request, error)
        page = request.scope["path"] if request.method == "GET" else "/"
        query = request.scope["query_string"].decode("latin-1") if request.method == "GET" else ""
        return RedirectResponse(login_address(page, query), HTTPStatus.SEE_OTHER)


def is_for_program(request: Request) -> bool:
    """Whether a program or script reads the answer; people get a page."""
    return str(request.scope["path"]).startswith(_PROGRAM_PATHS)


def _needed(route: Route | None) -> Sequence[Permission]:
    """Returns the permissions that a route needs: all of them if the table does not name it.

    An address without a route needs none: the answer is 404 or 405.
    """
    if route is None:
        return ()
    permission = ROUTE_PERMISSIONS.get(route)
    return tuple(Permission) if permission is None else (permission,)


def _missing_text(sender: Identity, missing: Sequence[Permission]) -> str:
    names = " and ".join(f"{each.value!r}" for each in missing)
    return (
        f"{sender.name} may not do this: it needs the permission {names}. "
        "An administrator of the node can grant it"
    )


def _patterns(routes: Sequence[BaseRoute]) -> Iterator[tuple[Route, re.Pattern[str]]]:
    """Yields the routes in the order in which the application tries them."""
    for context in iter_route_contexts(routes):
        if isinstance(context.route, Mount):
            yield ("", context.route.path), context.route.path_regex
            continue
        pattern = compile_path(str(context.path))[0]
        for method in sorted(context.methods or ()):
            yield (method, str(context.path)), pattern
