"""Cross-site request forgery: a request that changes something holds the token of its session.

The guard in `security.py` refuses what a browser says comes from another site. The token also
protects where a browser or proxy does not say so.
"""

from http import HTTPStatus
from urllib.parse import parse_qs

from fastapi import HTTPException, Request
from starlette.types import Message, Receive

from node.access.sessions import is_csrf_token
from node.web.audit.forbidden_request import ForbiddenRequest

CSRF_FIELD = "csrf"
_HEADER = "X-CSRF-Token"
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_FORM_TYPE = "application/x-www-form-urlencoded"
# The largest form of the console holds the text of the configuration.
_MAX_FORM_BYTES = 4 << 20
_FOREIGN_FORM = "this form does not belong to your session; go back, reload the page and try again"
_RECORDED = "the form token of the session is missing or wrong"


async def receive_with_token(request: Request, expected: str) -> Receive:
    """Returns the receiver of a request, with the body that was read for its token.

    Only a session has a token: `expected` is empty for all others. A browser repeats a password of
    HTTP Basic by itself; against that, the guard in `security.py` stands alone. A request without
    the token it needs ends with 403.
    """
    if not expected or request.method in _SAFE_METHODS:
        return request.receive
    token, receive = request.headers.get(_HEADER), request.receive
    if token is None:
        body = await _form_body(request)
        token = parse_qs(body.decode("utf-8", "replace")).get(CSRF_FIELD, [""])[-1]
        receive = _replay(body, request.receive)
    if not is_csrf_token(token, expected):
        raise ForbiddenRequest(_FOREIGN_FORM, _RECORDED)
    return receive


async def _form_body(request: Request) -> bytes:
    """Returns the body of a form; other bodies need the token in a header."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != _FORM_TYPE:
        raise ForbiddenRequest(_FOREIGN_FORM, _RECORDED)
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _MAX_FORM_BYTES:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the form is too long")
    return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Returns a receiver that delivers the body once, then what the client sends."""
    is_delivered = False

    async def receive_again() -> Message:
        nonlocal is_delivered
        if is_delivered:
            return await receive()
        is_delivered = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
