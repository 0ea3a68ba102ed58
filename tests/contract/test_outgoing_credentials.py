"""The node identifies itself in each connection by HTTP, to no other server, and with fresh tokens.

The tokens are those of a real authorization server.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file
from structlog.testing import capture_logs

from node.alerts.message import content_of_test
from node.alerts.webhook import WebhookChannel, address_of
from node.delivery.destination import ResultFile
from node.delivery.dicomweb import DicomWeb
from node.delivery.his.fhir import Fhir
from node.dicom.query import QueryLevel
from node.domain.connections.failure import ConnectionFailure, ConnectionFault
from node.domain.errors import NodeError, Rejected, Transient
from node.domain.identifiers import Uid
from node.domain.retry_policy import RetryPolicy
from node.http import oauth
from node.http.credentials import NO_CREDENTIALS, BearerToken, Credentials, UserPassword
from node.http.limited_answers import AnswerLimits
from node.http.oauth import ClientCredentials, TokenNotIssued
from node.intake.qido_search import searching
from node.intake.wado_retrieval import DicomWebSource, retrieve_series
from node.probes import http
from node.settings import FhirDestination, WebhookOptions
from node.store import Store
from node.worklists.cancel_events import CancelEvents
from node.worklists.ups_client import UpsServer
from tests.support.factories import NOON, sqlite_url
from tests.support.reports import report_file
from tests.support.servers.answering_server import AnsweringServer
from tests.support.servers.token_server import (
    CLIENT,
    CLIENT_OF_BODY,
    CLIENT_SECRET,
    CLIENT_WITHOUT_GRANT,
    SCOPE,
    SCOPE_OF_OTHERS,
    TokenServer,
    token_server,
)

Connect = Callable[[str, Credentials, Path], object]


@pytest.fixture(scope="module")
def tokens() -> Iterator[TokenServer]:
    """An authorization server with a DICOMweb server."""
    with token_server() as server:
        yield server


@pytest.fixture
def answering() -> Iterator[AnsweringServer]:
    """A server that takes what it gets."""
    with AnsweringServer(protocol="HTTP/1.1") as server:  # WebSocket needs it
        yield server


def client(tokens: TokenServer, secret: str = CLIENT_SECRET) -> ClientCredentials:
    return ClientCredentials(tokens.token_url, CLIENT, lambda: secret, scope=SCOPE)


def _stow(url: str, credentials: Credentials, _folder: Path) -> None:
    image = Path(str(get_testdata_file("CT_small.dcm")))
    result = ResultFile(image, Uid("1.2"), Uid("1.2.3"), Uid("1.2.3.4"))
    DicomWeb("pacs", url, credentials).deliver([result])


def _wado(url: str, credentials: Credentials, _folder: Path) -> None:
    source = DicomWebSource("pacs", url, credentials)
    retrieve_series(source, Uid("1.2"), Uid("1.2.3"), lambda _: None)


def _qido(url: str, credentials: Credentials, _folder: Path) -> None:
    with searching(DicomWebSource("pacs", url, credentials)) as find:
        find(QueryLevel.STUDY, {"PatientID": "4711"}, 10)


def _ups(url: str, credentials: Credentials, _folder: Path) -> None:
    UpsServer(url, credentials).search({}, ())


def _events(url: str, credentials: Credentials, folder: Path) -> None:
    store = Store.open(sqlite_url(folder), folder)
    policy = RetryPolicy(1.0, 1.0, timedelta(hours=1))
    address = f"ws{url.removeprefix('http')}"
    with capture_logs() as logs:
        CancelEvents("w", address, "NODE", store, lambda: NOON, policy, credentials).poll()
    store.close()
    (entry,) = logs
    raise Transient(entry["error"])


def _fhir(url: str, credentials: Credentials, folder: Path) -> None:
    file = ResultFile(report_file(folder), Uid("1.2"), Uid("1.2.3"), Uid("1.2.3.4"))
    Fhir("ehr", FhirDestination(kind="fhir", url=url), credentials).deliver([file])


def _webhook(url: str, credentials: Credentials, _folder: Path) -> None:
    options = WebhookOptions(url=url)
    WebhookChannel(options, address_of(options), credentials).send(content_of_test("S", NOON))


def _probe(url: str, credentials: Credentials, _folder: Path) -> None:
    http.search(http.HttpService(url, credentials))


CONNECTIONS: Mapping[str, Connect] = {
    "STOW-RS": _stow,
    "WADO-RS": _wado,
    "QIDO-RS": _qido,
    "UPS-RS": _ups,
    "UPS events": _events,
    "FHIR": _fhir,
    "webhook": _webhook,
    "probe": _probe,
}


@pytest.fixture(params=CONNECTIONS)
def connect(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str, Credentials], None]:
    """Opens a connection of each type; that the answer is of no use does not matter."""

    def opens(url: str, credentials: Credentials) -> None:
        with suppress(NodeError):
            CONNECTIONS[request.param](url, credentials, tmp_path)

    return opens


@pytest.mark.parametrize(
    ("credentials", "header"),
    [
        (NO_CREDENTIALS, ""),
        (UserPassword("röntgen", lambda: "geheim"), "Basic csO2bnRnZW46Z2VoZWlt"),
        (BearerToken(lambda: "t0ken"), "Bearer t0ken"),
    ],
)
def test_each_connection_identifies_the_node(
    connect: Callable[[str, Credentials], None],
    answering: AnsweringServer,
    credentials: Credentials,
    header: str,
) -> None:
    connect(answering.url, credentials)
    assert answering.authorization == [header]


def test_no_connection_takes_its_credentials_to_another_server(
    connect: Callable[[str, Credentials], None], answering: AnsweringServer
) -> None:
    with AnsweringServer() as elsewhere:
        answering.status, answering.location = HTTPStatus.TEMPORARY_REDIRECT, elsewhere.url
        connect(answering.url, BearerToken(lambda: "t0ken"))
        assert answering.authorization == ["Bearer t0ken"]
        assert not any(elsewhere.authorization)


def test_events_take_their_credentials_to_no_other_server(
    answering: AnsweringServer, tmp_path: Path
) -> None:
    with AnsweringServer(protocol="HTTP/1.1") as elsewhere:
        answering.status = HTTPStatus.TEMPORARY_REDIRECT
        answering.location = f"ws{elsewhere.url.removeprefix('http')}"
        with pytest.raises(Transient):
            _events(answering.url, BearerToken(lambda: "t0ken"), tmp_path)
        assert answering.authorization == ["Bearer t0ken"]
        assert elsewhere.authorization == [""]


def test_a_token_that_is_refused_is_renewed_once_and_then_the_refusal_is_explained(
    connect: Callable[[str, Credentials], None], tokens: TokenServer, answering: AnsweringServer
) -> None:
    answering.status = HTTPStatus.UNAUTHORIZED
    credentials = client(tokens)
    connect(answering.url, credentials)
    connect(answering.url, credentials)
    assert len(answering.authorization) in {2, 4}  # events come by one request in each attempt
    first, second = answering.authorization[:2]
    assert first != second, "the second token is another one"
    assert all(header.startswith("Bearer ") for header in answering.authorization)


@pytest.mark.parametrize("name", CONNECTIONS)
def test_a_refusal_names_what_to_check(
    name: str, tokens: TokenServer, answering: AnsweringServer, tmp_path: Path
) -> None:
    answering.status = HTTPStatus.FORBIDDEN
    messages = []
    for credentials in (
        NO_CREDENTIALS,
        UserPassword("u", lambda: "geheim"),
        BearerToken(lambda: "t0ken"),
        client(tokens),
    ):
        with pytest.raises((NodeError, ConnectionFailure)) as caught:
            CONNECTIONS[name](answering.url, credentials, tmp_path)
        assert not isinstance(caught.value, Rejected)
        messages.append(str(caught.value))
    assert "the configuration has no user name and password" in messages[0]
    assert "check the user name and password" in messages[1]
    assert "check the token (token_file or token_env)" in messages[2]
    assert (
        f"the token that {tokens.token_url} issues for {CLIENT}: check oauth_scope" in messages[3]
    )
    assert not any(secret in str(messages) for secret in ("geheim", "t0ken", CLIENT_SECRET))


def test_a_protected_server_takes_the_token_and_a_new_one_after_its_revocation(
    tokens: TokenServer, tmp_path: Path
) -> None:
    credentials = client(tokens)
    _qido(tokens.dicomweb_url, credentials, tmp_path)
    first = credentials.authorization()
    _qido(tokens.dicomweb_url, credentials, tmp_path)
    assert credentials.authorization() == first, "it is kept"
    tokens.revoke(first)
    _qido(tokens.dicomweb_url, credentials, tmp_path)
    assert credentials.authorization() != first
    with pytest.raises(Transient, match="has no user name and password"):
        _qido(tokens.dicomweb_url, NO_CREDENTIALS, tmp_path)


def test_a_client_that_lacks_the_right_is_told_so(tokens: TokenServer, tmp_path: Path) -> None:
    tokens.set_allowed(allowed=False)
    try:
        with pytest.raises(Transient, match="403: it does not accept the token"):
            _qido(tokens.dicomweb_url, client(tokens), tmp_path)
    finally:
        tokens.set_allowed(allowed=True)


def test_a_token_is_replaced_shortly_before_it_expires(tokens: TokenServer) -> None:
    seconds = [0.0]
    credentials = client(tokens)
    credentials.clock = lambda: seconds[0]
    first = credentials.authorization()
    seconds[0] = 569.0  # the server issues it for 600 s
    assert credentials.authorization() == first
    seconds[0] = 571.0
    assert credentials.authorization() != first


@pytest.mark.parametrize(
    ("expires_in", "used_for"),
    [(3600, 3570), (60, 54), ("120", 108), (None, float("inf")), ("soon", float("inf"))],
)
def test_a_token_is_used_for_most_of_its_life(expires_in: object, used_for: float) -> None:
    assert oauth.used_for(expires_in) == used_for


def test_a_renewed_client_secret_is_used_for_the_next_token(tokens: TokenServer) -> None:
    secret = ["wrong"]
    credentials = ClientCredentials(tokens.token_url, CLIENT, lambda: secret[0])
    with pytest.raises(TokenNotIssued, match="invalid_client"):
        credentials.authorization()
    secret[0] = CLIENT_SECRET
    assert credentials.authorization()


@pytest.mark.parametrize(
    ("name", "secret", "scope", "message"),
    [
        (CLIENT, "wr0ng", SCOPE, r"no token for segnode: invalid_client .*check oauth_client_id"),
        ("nobody", CLIENT_SECRET, SCOPE, r"no token for nobody: invalid_client"),
        (CLIENT, CLIENT_SECRET, SCOPE_OF_OTHERS, r"invalid_scope .*: check oauth_scope"),
        (CLIENT_WITHOUT_GRANT, CLIENT_SECRET, SCOPE, r"invalid_request .*client_credentials"),
    ],
)
def test_the_authorization_server_says_why_it_issues_no_token(
    tokens: TokenServer, name: str, secret: str, scope: str, message: str
) -> None:
    credentials = ClientCredentials(tokens.token_url, name, lambda: secret, scope=scope)
    with pytest.raises(TokenNotIssued, match=message) as caught:
        credentials.authorization()
    assert secret not in str(caught.value)
    assert secret not in repr(credentials)


def test_a_probe_names_the_refusal_of_the_authorization_server(tokens: TokenServer) -> None:
    with pytest.raises(ConnectionFailure) as caught:
        http.search(http.HttpService(tokens.dicomweb_url, client(tokens, "wrong")))
    assert caught.value.fault is ConnectionFault.UNAUTHORIZED
    assert "invalid_client" in caught.value.text
    assert "oauth_client_id" in caught.value.remedy


def test_id_and_secret_can_be_in_the_body(tokens: TokenServer, answering: AnsweringServer) -> None:
    answering.body = b'{"access_token": "t0ken", "token_type": "bearer"}'
    secret, audience = (lambda: CLIENT_SECRET), "https://pacs"
    for url in (tokens.token_url, answering.url):
        assert ClientCredentials(
            url, CLIENT_OF_BODY, secret, SCOPE, audience, in_body=True
        ).authorization()
    ((_, _, body),) = answering.requests
    assert body.decode() == (
        "grant_type=client_credentials&scope=dicomweb&audience=https%3A%2F%2Fpacs"
        f"&client_id={CLIENT_OF_BODY}&client_secret=a%2Bsecret%2Fwith%3Asigns%25"
    )
    assert answering.authorization == [""]


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (200, b"<html>", "answered 200 OK and no token: check that oauth_token_url"),
        (200, b'{"token": "x"}', "and no token"),
        (200, b'{"access_token": ["x"]}', "and no token"),
        (200, b'{"access_token": "x", "token_type": "mac"}', "of another type than Bearer"),
        (200, b'{"access_token": "x\\r\\nHost: y", "token_type": "Bearer"}', "must be one word"),
        (200, b'{"access_token": "' + b"x" * 70_000 + b'"}', "over 64 KiB"),
        (200, b"[" * 20_000, "and no token"),
        (401, b"", "check oauth_client_id"),
        (404, b"", "check that oauth_token_url"),
        (307, b"", "check that oauth_token_url"),
        (503, b"", "look into the log of that server"),
        (
            400,
            b'{"error": "invalid_client", "error_description": "not a+secret/with:signs%"}',
            "not [*]",
        ),
    ],
)
def test_an_answer_without_a_token_is_explained(
    answering: AnsweringServer, status: int, body: bytes, message: str
) -> None:
    answering.status, answering.body, answering.location = status, body, "/elsewhere"
    with pytest.raises(Transient, match=message) as caught:
        ClientCredentials(answering.url, CLIENT, lambda: CLIENT_SECRET).authorization()
    assert CLIENT_SECRET not in str(caught.value)
    assert len(answering.requests) == 1, "a redirection is not followed"


def test_a_token_endpoint_that_does_not_answer_is_named(
    answering: AnsweringServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oauth, "_TIMEOUT_SECONDS", (5.0, 0.05))
    answering.is_silent = True
    credentials = ClientCredentials(answering.url, CLIENT, lambda: CLIENT_SECRET)
    with pytest.raises(TokenNotIssued, match=f"no token for segnode: {answering.url} does not"):
        credentials.authorization()
    with pytest.raises(ConnectionFailure, match="does not answer"):
        http.search(http.HttpService("http://127.0.0.1:9/dicom-web", credentials))


def test_a_token_endpoint_whose_answer_never_ends_is_left(
    answering: AnsweringServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oauth, "_LIMITS", AnswerLimits(max_bytes=1 << 16, max_seconds=0.0))
    with pytest.raises(TokenNotIssued, match="its answer takes over 0 s"):
        ClientCredentials(answering.url, CLIENT, lambda: CLIENT_SECRET).authorization()


def test_a_token_with_a_line_break_is_refused_without_being_shown(
    answering: AnsweringServer, tmp_path: Path
) -> None:
    with pytest.raises(Transient, match="must be one word") as caught:
        _qido(answering.url, BearerToken(lambda: "t0ken\r\nHost: elsewhere"), tmp_path)
    assert "t0ken" not in str(caught.value)
    assert not answering.requests
