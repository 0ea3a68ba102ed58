"""What somebody tries who wants to log in as another: tokens, states and answers that are false."""

import base64
import hmac
import json
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey, Key, RSAKey

from node.access.oidc.provider import Provider, ProviderUnavailable
from node.access.passwords import hash_password
from node.domain.access.permissions import Role
from node.settings.access.oidc import OidcOptions
from tests.support.certificate_authority import CertificateAuthority
from tests.support.servers.lying_provider import CLIENT_ID, CLIENT_SECRET, Claims, LyingProvider
from tests.support.servers.served_node import ServedNode, served_node

COOKIE = "segnode-session"
PASSWORD = "violet tractor sings quietly"
NOT_VALID = "answer of the identity provider is not valid"


def configuration_with(issuer: str) -> str:
    """Returns the configuration of a node with this provider."""
    return f"""
[web]
public_url = "http://localhost:8080"
[access.oidc]
issuer = "{issuer}"
client_id = "{CLIENT_ID}"
roles = {{ staff = "operator" }}
"""


@pytest.fixture(scope="module")
def running() -> Iterator[LyingProvider]:
    with LyingProvider() as provider:
        yield provider


@pytest.fixture(scope="module")
def node(running: LyingProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedNode]:
    folder = tmp_path_factory.mktemp("node")
    secret = folder / "secret"
    secret.write_text(CLIENT_SECRET, encoding="utf-8")
    secret.chmod(0o600)
    configuration = f"""
[web]
public_url = "http://localhost:8080"
[access]
local_accounts = "administrators"
[access.oidc]
issuer = "{running.issuer}"
client_id = "{CLIENT_ID}"
client_secret_file = "{secret}"
roles = {{ staff = "operator", it = "administrator" }}
"""
    with served_node(folder, configuration, login="required") as node:
        now = datetime.now(UTC)
        for name, role in (("admin", Role.ADMINISTRATOR), ("jdoe", Role.OPERATOR)):
            node.store.add_user(name, role, now, hash_password(PASSWORD))
        yield node


@pytest.fixture
def provider(running: LyingProvider, node: ServedNode) -> LyingProvider:
    """The provider, whose answers are correct at the start of each test."""
    running.be_honest()
    # The tests share an address; each starts without failed logins.
    node.store.remove_old_failures(datetime.now(UTC) + timedelta(days=1), timedelta(0))
    return running


@dataclass(frozen=True)
class Attempt:
    """A login that has begun in one browser."""

    client: httpx.Client
    state: str

    def finish(self, **parameters: str) -> httpx.Response:
        """Sends the browser back to the node."""
        sent = {"code": "code", "state": self.state} | parameters
        return self.client.get("/login/oidc/callback", params=sent)

    def is_logged_in(self) -> bool:
        """Whether the browser has a session."""
        return self.client.get("/api/series").status_code == 200


@pytest.fixture
def attempt(provider: LyingProvider, node: ServedNode) -> Iterator[Attempt]:
    with httpx.Client(base_url=node.url) as client:
        yield begin(client, provider)


def begin(client: httpx.Client, provider: LyingProvider) -> Attempt:
    query = httpx.URL(client.get("/login/oidc").headers["Location"]).params
    provider.nonce = query["nonce"]
    return Attempt(client, query["state"])


def with_claims(**changed: Any) -> Callable[[Claims], None]:
    """Returns what changes claims; None removes one, and numbers of times are from now."""

    def change(claims: Claims) -> None:
        now = int(datetime.now(UTC).timestamp())
        for name, value in changed.items():
            claims[name] = now + value if name in {"exp", "iat", "nbf"} else value
            if value is None:
                del claims[name]

    return change


def test_a_true_answer_logs_in(provider: LyingProvider, attempt: Attempt) -> None:
    assert attempt.finish().status_code == 200
    assert attempt.is_logged_in()
    form = provider.forms[-1]
    assert len(form["code_verifier"]) == 43
    assert form["redirect_uri"] == "http://localhost:8080/login/oidc/callback"


@pytest.mark.parametrize(
    "lie",
    [
        {"nonce": "of another login"},
        {"nonce": ""},
        {"aud": "another-client"},
        {"aud": "another-client", "azp": CLIENT_ID},
        {"aud": []},
        {"aud": [CLIENT_ID, "another-client"]},
        {"aud": [CLIENT_ID, "another-client"], "azp": "another-client"},
        {"azp": "another-client"},
        {"iss": "https://login.attacker.example"},
        {"iss": ["https://login.attacker.example"]},
        {"exp": -120},
        {"iat": 600},
        {"iat": -3600},
        {"nbf": 600},
        {"sub": ""},
        {"sub": 4711},
        {"sub": "x" * 256},
    ],
    ids=str,
)
def test_a_claim_that_does_not_fit_logs_nobody_in(
    provider: LyingProvider, attempt: Attempt, lie: Claims
) -> None:
    provider.change = with_claims(**lie)
    answer = attempt.finish()
    assert answer.status_code == 403
    assert NOT_VALID in answer.text
    assert not attempt.is_logged_in()


@pytest.mark.parametrize("missing", ["nonce", "aud", "iss", "exp", "iat", "sub"])
def test_no_claim_may_be_missing(provider: LyingProvider, attempt: Attempt, missing: str) -> None:
    provider.change = lambda claims: claims.pop(missing)
    assert attempt.finish().status_code == 403
    assert not attempt.is_logged_in()


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def unsigned(claims: Claims, _key: Key) -> str:
    header = {"alg": "none", "kid": "first"}
    return ".".join(encoded(json.dumps(each).encode()) for each in (header, claims)) + "."


def signed_by_the_public_key(claims: Claims, key: Key) -> str:
    header = {"alg": "HS256", "kid": "first"}
    text = ".".join(encoded(json.dumps(each).encode()) for each in (header, claims))
    assert isinstance(key, ECKey)
    secret = key.as_pem(private=False)
    return f"{text}.{encoded(hmac.digest(secret, text.encode(), 'sha256'))}"


def signed_by_another_key(claims: Claims, _key: Key) -> str:
    other = ECKey.generate_key("P-256")
    return jwt.encode({"alg": "ES256", "kid": "first"}, claims, other, algorithms=["ES256"])


def with_a_key_of_its_own(claims: Claims, _key: Key) -> str:
    other = ECKey.generate_key("P-256", {"kid": "own"})
    header = {"alg": "ES256", "kid": "own", "jwk": other.as_dict(private=False)}
    return jwt.encode(header, claims, other, algorithms=["ES256"])


def with_another_content(claims: Claims, key: Key) -> str:
    first = jwt.encode({"alg": "ES256", "kid": "first"}, claims, key, algorithms=["ES256"])
    header, _, signature = first.split(".")
    content = encoded(json.dumps(claims | {"groups": ["it"]}).encode())
    return f"{header}.{content}.{signature}"


def of_another_type(claims: Claims, key: Key) -> str:
    return jws.serialize_compact({"alg": "ES256", "kid": "first"}, json.dumps([claims]), key)


@pytest.mark.parametrize(
    "sign",
    [
        unsigned,
        signed_by_the_public_key,
        signed_by_another_key,
        with_a_key_of_its_own,
        with_another_content,
        of_another_type,
        lambda _claims, _key: "no token",
        lambda _claims, _key: "a.b.c",
        lambda _claims, _key: "é.b.c",
    ],
)
def test_a_signature_that_is_not_the_providers_logs_nobody_in(
    provider: LyingProvider, attempt: Attempt, sign: Callable[[Claims, Key], str]
) -> None:
    provider.sign = sign
    answer = attempt.finish()
    assert answer.status_code == 403
    assert NOT_VALID in answer.text
    assert not attempt.is_logged_in()


def test_another_state_or_none_logs_nobody_in(
    provider: LyingProvider, attempt: Attempt, node: ServedNode
) -> None:
    redeemed = len(provider.forms)
    for state in ("", "x", attempt.state[:-1], attempt.state + "x", "é"):
        assert attempt.finish(state=state).status_code == 403
        assert not attempt.is_logged_in()
        begin(attempt.client, provider)
    with httpx.Client(base_url=node.url) as other:
        answer = other.get("/login/oidc/callback", params={"code": "c", "state": attempt.state})
        assert answer.status_code == 403
    assert len(provider.forms) == redeemed, "no code is redeemed"


def test_a_changed_cookie_has_another_state(
    provider: LyingProvider, attempt: Attempt, node: ServedNode
) -> None:
    secret, started_at, _ = attempt.client.cookies["segnode-oidc-login"].split(".")
    page = encoded(b"//attacker.example")
    for cookie in (f"{secret}.{started_at}.{page}", f"{secret}.{int(started_at) + 1}.Lw", "x"):
        headers = {"Cookie": f"segnode-oidc-login={cookie}"}
        query = {"code": "code", "state": attempt.state}
        answer = httpx.get(f"{node.url}/login/oidc/callback", params=query, headers=headers)
        assert answer.status_code == 403
        assert "did not begin in this browser" in answer.text


def test_the_answer_of_another_provider_logs_nobody_in(
    provider: LyingProvider, attempt: Attempt
) -> None:
    assert attempt.finish(iss="https://login.attacker.example").status_code == 403
    again = begin(attempt.client, provider)
    assert again.finish(iss=provider.issuer).status_code == 200


def test_no_text_of_an_answer_shows_on_the_page(attempt: Attempt) -> None:
    mark = "<b>call 0190</b>"
    answer = attempt.finish(code="", error=mark, error_description=mark)
    assert answer.status_code == 403
    assert "call 0190" not in answer.text
    assert not attempt.is_logged_in()


def test_a_refused_code_and_a_refused_client_log_nobody_in(
    provider: LyingProvider, attempt: Attempt
) -> None:
    provider.token_answer = (400, {"error": "invalid_grant"})
    assert attempt.finish().status_code == 403
    provider.token_answer = (401, {"error": "invalid_client"})
    assert begin(attempt.client, provider).finish().status_code == 503
    provider.token_answer = (200, {"id_token": "x" * (2 << 20)})
    assert begin(attempt.client, provider).finish().status_code == 503
    assert not attempt.is_logged_in()


def test_a_new_key_counts_at_once_and_unknown_ones_are_asked_for_once_a_minute() -> None:
    seconds = 0.0
    with LyingProvider() as rotating:
        options = OidcOptions(issuer=rotating.issuer, client_id=CLIENT_ID)
        known = Provider(options, clock=lambda: seconds)

        def asked() -> int:
            return rotating.requests.count("/keys")

        assert [key.kid for key in known.keys("first")] == ["first"]
        rotating.published = [RSAKey.generate_key(2048, {"kid": "second"})]
        assert [key.kid for key in known.keys("second")] == ["second"]
        assert known.keys("first") == [], "a key that the provider has withdrawn"
        assert known.keys("third") == []
        assert asked() == 2
        seconds = 61.0
        for _ in range(3):
            assert known.keys("third") == []
        assert asked() == 3
        seconds = 3700.0
        assert len(known.keys("second")) == 1
        assert asked() == 4, "keys are forgotten after an hour"


def test_who_has_no_group_with_a_role_has_no_access(
    provider: LyingProvider, attempt: Attempt
) -> None:
    provider.user_info = (200, {"sub": "4711"})
    for groups in ([], ["others"], None, {"staff": True}, [["staff"]], "STAFF"):
        provider.change = with_claims(groups=groups)
        answer = begin(attempt.client, provider).finish()
        assert answer.status_code == 403
        assert "none of your groups" in answer.text
    assert not attempt.is_logged_in()


def test_groups_and_name_come_from_user_info_where_the_id_token_has_none(
    provider: LyingProvider, attempt: Attempt, node: ServedNode
) -> None:
    provider.change = with_claims(sub="4712", groups=None, preferred_username=None)
    claims = {"sub": "4712", "groups": ["it"], "preferred_username": "mary"}
    provider.user_info = (200, claims)
    assert attempt.finish().status_code == 200
    assert node.store.get_user("sso:mary").role is Role.ADMINISTRATOR


def test_the_id_token_counts_more_than_user_info(
    provider: LyingProvider, attempt: Attempt, node: ServedNode
) -> None:
    provider.change = with_claims(sub="4713", preferred_username="paul")
    provider.user_info = (200, {"sub": "4713", "groups": ["it"], "preferred_username": "root"})
    provider.requests.clear()
    assert attempt.finish().status_code == 200
    assert node.store.get_user("sso:paul").role is Role.OPERATOR
    assert "/me" not in provider.requests


@pytest.mark.parametrize("subject", ["another", "", None, 4711, ["4711"]])
def test_user_info_about_another_person_logs_nobody_in(
    provider: LyingProvider, attempt: Attempt, subject: object
) -> None:
    provider.change = with_claims(groups=None)
    provider.user_info = (200, {"sub": subject, "groups": ["it"]})
    answer = attempt.finish()
    assert answer.status_code == 403
    assert NOT_VALID in answer.text
    assert not attempt.is_logged_in()


@pytest.mark.parametrize("answer", [(401, {"error": "invalid_token"}), (200, {}), (500, {})])
def test_without_an_answer_of_user_info_nobody_is_logged_in(
    provider: LyingProvider, attempt: Attempt, answer: tuple[int, dict[str, str]]
) -> None:
    provider.change = with_claims(groups=None)
    provider.user_info = answer
    assert attempt.finish().status_code == 503
    assert not attempt.is_logged_in()


def test_two_people_of_the_same_name_are_two_users(
    provider: LyingProvider, attempt: Attempt, node: ServedNode
) -> None:
    attempt.finish()
    provider.change = with_claims(sub="another", groups=["it"])
    begin(attempt.client, provider).finish()
    provider.change = with_claims(sub="4711", preferred_username="new.name")
    begin(attempt.client, provider).finish()
    users = {user.name: user.role for user in node.store.list_users()}
    (other,) = (name for name in users if name.startswith("sso:jdoe-"))
    assert users["jdoe"] is Role.OPERATOR, "the account of the node"
    assert users["sso:jdoe"] is Role.OPERATOR
    assert users[other] is Role.ADMINISTRATOR
    assert "sso:new.name" not in users, "the records keep the name of the first login"


def test_guessing_codes_takes_longer_and_longer(provider: LyingProvider, attempt: Attempt) -> None:
    provider.token_answer = (400, {"error": "invalid_grant"})
    for _ in range(20):
        begin(attempt.client, provider).finish()
    redeemed = len(provider.forms)
    assert "too many attempts" in begin(attempt.client, provider).finish().text.lower()
    assert len(provider.forms) == redeemed


def test_only_administrators_log_in_with_a_password_where_the_site_says_so(
    provider: LyingProvider, node: ServedNode
) -> None:
    for name, status in (("jdoe", 422), ("admin", 303)):
        with httpx.Client(base_url=node.url) as client:
            answer = client.post("/login", data={"name": name, "password": PASSWORD})
            assert answer.status_code == status
            assert (COOKIE in client.cookies) is (status == 303)


def test_without_the_provider_an_administrator_can_log_in(
    provider: LyingProvider, node: ServedNode, tmp_path_factory: pytest.TempPathFactory
) -> None:
    provider.is_down = True
    oidc = node.settings.access.oidc
    assert oidc is not None
    configuration = configuration_with(oidc.issuer)
    with (
        served_node(tmp_path_factory.mktemp("down"), configuration, login="required") as down,
        httpx.Client(base_url=down.url) as client,
    ):
        hashed = hash_password(PASSWORD)
        down.store.add_user("admin", Role.ADMINISTRATOR, datetime.now(UTC), hashed)
        answer = client.get("/login/oidc", params={"next": "/queues"})
        assert answer.status_code == 503
        assert "identity provider does not answer" in answer.text
        assert 'action="/login"' in answer.text
        assert client.post("/login", data={"name": "admin", "password": PASSWORD}).is_redirect
        asked = len(provider.requests)
        assert client.get("/login/oidc").status_code == 503
        assert len(provider.requests) == asked, "a provider that is down is not asked each time"


@pytest.mark.parametrize(
    "lie",
    [
        {"issuer": "https://login.attacker.example"},
        {"token_endpoint": "http://192.0.2.1/token"},
        {"jwks_uri": None},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"end_session_endpoint": "http://192.0.2.1/"},
    ],
    ids=str,
)
def test_addresses_that_cannot_be_trusted_are_not_used(lie: dict[str, Any]) -> None:
    with LyingProvider(discovery=lie) as lying:
        options = OidcOptions(issuer=lying.issuer, client_id=CLIENT_ID)
        with pytest.raises(ProviderUnavailable):
            Provider(options).addresses()


def test_a_provider_shows_a_certificate_of_the_authority_in_ca_file(tmp_path: Path) -> None:
    own, other = (CertificateAuthority.create(tmp_path / name) for name in ("own", "other"))
    issued = own.issue("127.0.0.1", "127.0.0.1")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(issued.certificate, issued.key)
    with LyingProvider(tls=tls) as server:
        options = OidcOptions(issuer=server.issuer, client_id=CLIENT_ID, ca_file=own.file)
        assert Provider(options).addresses().token == f"{server.issuer}/token"
        for file in (other.file, None):
            unknown = options.model_copy(update={"ca_file": file})
            with pytest.raises(ProviderUnavailable, match="agree on no TLS connection"):
                Provider(unknown).addresses()


def test_an_answer_without_issuer_is_refused_where_the_provider_sends_one(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    discovery = {"authorization_response_iss_parameter_supported": True}
    with LyingProvider(discovery=discovery) as lying:
        configuration = configuration_with(lying.issuer)
        with (
            served_node(tmp_path_factory.mktemp("iss"), configuration, login="required") as node,
            httpx.Client(base_url=node.url) as client,
        ):
            now = datetime.now(UTC)
            node.store.add_user("admin", Role.ADMINISTRATOR, now, hash_password(PASSWORD))
            assert begin(client, lying).finish().status_code == 403
            assert begin(client, lying).finish(iss=lying.issuer).status_code == 200
