"""Login at the identity provider: the way there, the return, and the logout there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import structlog

from node.access.authentication import RequestFacts
from node.access.lock_out import LockOut
from node.access.login import Login, OpenedSession
from node.access.login_records import failed_login_record
from node.access.oidc.id_tokens import InvalidToken, verified_claims
from node.access.oidc.pending_login import PendingLogin
from node.access.oidc.provider import CodeRefused, Provider, ProviderUnavailable
from node.access.oidc.user_info import with_user_info
from node.access.secrets import digest_of_identifier
from node.domain.access.external_users import ExternalPerson
from node.domain.access.permissions import highest_role
from node.domain.access.users import AccountError, SessionStage

_LOG = structlog.get_logger()
CALLBACK_PATH = "/login/oidc/callback"
# Of one browser, the same login fails once; the address waits after several.
_OTHER_BROWSER = (
    "this login did not begin in this browser, or took too long: open the console at {address}, "
    "and log in again"
)
_REFUSED = "the identity provider has not logged you in; try again"
_NOT_VALID = (
    "the answer of the identity provider is not valid; the log of the node says why. Try again, or "
    "log in with an account of this node"
)
_NO_ROLE = (
    "you have logged in at the identity provider, but none of your groups may use this node; ask "
    "its administrator"
)
_DISABLED = "your user is disabled on this node; ask its administrator"


@dataclass(frozen=True)
class CallbackParameters:
    """What the provider sends back by way of the browser; empty where it sends nothing."""

    code: str
    state: str
    issuer: str


@dataclass(frozen=True)
class OidcLogin:
    """Logs people in whom the provider knows; `public_url` is the address of the console."""

    provider: Provider
    public_url: str
    login: Login

    @property
    def redirect_uri(self) -> str:
        """Where the provider sends people back to; headers of a request have no part in it."""
        return self.public_url.rstrip("/") + CALLBACK_PATH

    def address(self, pending: PendingLogin) -> str:
        """Returns the page of the provider at which the person logs in.

        Raises:
            ProviderUnavailable: the provider does not answer.
        """
        options = self.provider.options
        parameters = {
            "response_type": "code",
            "client_id": options.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": " ".join(options.scopes),
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": pending.code_challenge,
            "code_challenge_method": "S256",
        }
        return _with_query(self.provider.addresses().authorization, parameters)

    def finish(
        self, pending: PendingLogin | None, sent: CallbackParameters, facts: RequestFacts
    ) -> OpenedSession:
        """Opens a session for the person whom the provider sends back.

        Raises:
            AccountError: the answer belongs to no login of this browser, is not valid, or the
                person has no role.
            ProviderUnavailable: the provider does not answer.
        """
        if pending is None or not pending.is_state(sent.state):
            self._log_failure("the state is not that of a login in this browser", facts)
            raise AccountError(_OTHER_BROWSER.format(address=self.public_url))
        self._check_issuer(sent, facts)
        if not sent.code:
            self._log_failure("the provider sends no code", facts)
            raise AccountError(_REFUSED)
        lock_out, attempt = LockOut(self.login.store), f"sso:{pending.state}"
        lock_out.begin(attempt, facts)
        opened = self._open(self._claims(pending, sent.code, facts), facts)
        lock_out.succeeded(attempt, facts)
        return opened

    def logout_address(self, login_path: str) -> str:
        """Returns the page of the provider that ends the login there; empty if it has none.

        From there, the person returns to the login page (OpenID Connect RP-Initiated Logout 1.0).

        Raises:
            ProviderUnavailable: the provider does not answer.
        """
        address = self.provider.addresses().end_session
        back = self.public_url.rstrip("/") + login_path
        parameters = {
            "client_id": self.provider.options.client_id,
            "post_logout_redirect_uri": back,
        }
        return _with_query(address, parameters) if address else ""

    def _check_issuer(self, sent: CallbackParameters, facts: RequestFacts) -> None:
        """Refuses the answer of another provider (RFC 9207)."""
        issuer = self.provider.options.issuer
        is_missing = not sent.issuer and self.provider.addresses().sends_issuer
        if is_missing or (sent.issuer and sent.issuer != issuer):
            self._log_failure("the answer names another issuer, or none", facts)
            raise AccountError(_NOT_VALID)

    def _claims(self, pending: PendingLogin, code: str, facts: RequestFacts) -> Mapping[str, Any]:
        try:
            answer = self.provider.redeem(code, pending.code_verifier, self.redirect_uri)
            claims = verified_claims(self.provider, answer, pending.nonce, facts.now)
            return with_user_info(self.provider, answer, claims)
        except CodeRefused as error:
            self._log_failure("the provider refuses the code", facts)
            raise AccountError(_REFUSED) from error
        except InvalidToken as error:
            self._log_failure(f"the ID token is not valid: {error}", facts)
            raise AccountError(_NOT_VALID) from error

    def _open(self, claims: Mapping[str, Any], facts: RequestFacts) -> OpenedSession:
        options = self.provider.options
        role = highest_role(_texts(claims.get(options.groups_claim)), options.roles)
        if role is None:
            self._log_failure("no group of the person has a role", facts)
            raise AccountError(_NO_ROLE)
        name = claims.get(options.name_claim)
        person = ExternalPerson(
            options.issuer,
            claims["sub"],
            name if isinstance(name, str) else "",
            digest_of_identifier(f"{options.issuer}\n{claims['sub']}"),
            role,
        )
        user = self.login.store.record_external_login(person, facts.now)
        if user.is_disabled:
            self._log_failure("the user is disabled", facts, user.name)
            raise AccountError(_DISABLED)
        return self.login.open(user, SessionStage.OPEN, facts)

    def _log_failure(self, reason: str, facts: RequestFacts, name: str = "") -> None:
        """Logs and records why; `name` is the user if the node knows one."""
        _LOG.warning("login.failed", by="oidc", reason=reason, address=facts.client_address)
        recorded = f"by the identity provider: {reason}"
        self.login.store.record(failed_login_record(name, facts, recorded))


def unavailable_text(error: ProviderUnavailable) -> str:
    """Returns what the login page says while the provider cannot be used; logs the reason."""
    _LOG.warning("login.provider_unavailable", error=str(error))
    return (
        "the identity provider does not answer, or not as expected; the log of the node says why. "
        "Try again later, or log in with an account of this node"
    )


def _texts(claim: object) -> list[str]:
    """Returns the texts of a claim that is a text or a list; any other claim has none."""
    values = claim if isinstance(claim, list) else [claim]
    return [each for each in values if isinstance(each, str)]


def _with_query(address: str, parameters: Mapping[str, str]) -> str:
    separator = "&" if "?" in address else "?"
    return f"{address}{separator}{urlencode(parameters)}"
