"""Claims about a person that are not in the ID token (OpenID Connect Core 5.3)."""

from collections.abc import Mapping
from typing import Any

from node.access.oidc.id_tokens import InvalidToken
from node.access.oidc.provider import Provider


def with_user_info(
    provider: Provider, answer: Mapping[str, Any], claims: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Returns the claims of the ID token; without groups, with what UserInfo adds to them.

    `answer` is that of the token endpoint. A provider without UserInfo adds nothing.

    Raises:
        InvalidToken: UserInfo is about another person.
        ProviderUnavailable: the provider does not answer.
    """
    options = provider.options
    access_token = answer.get("access_token")
    if options.groups_claim in claims or not isinstance(access_token, str):
        return claims
    found = provider.user_info(access_token)
    if found is None:
        return claims
    if found.get("sub") != claims["sub"]:  # Core 5.3.2: it must be compared
        raise InvalidToken("UserInfo is about another person")
    added = {key: found[key] for key in (options.groups_claim, options.name_claim) if key in found}
    return added | dict(claims)
