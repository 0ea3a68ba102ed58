"""REST routes of the tokens of programs."""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Self

from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from node.access.api_tokens import TokenKeeper
from node.domain.access.permissions import Permission
from node.domain.access.tokens import ApiToken
from node.domain.access.users import AccountError
from node.domain.audit.records import AuditInterface
from node.web.acting_user import CurrentUser
from node.web.dependencies import Now, SiteSettings, SiteStore

ROUTER = APIRouter(prefix="/api/tokens")
_MAX_DAYS = 3650  # the largest `access.token_max_days`


class TokenState(BaseModel):
    """A token without its secret; `last_used_from` is the address of its last use."""

    name: str
    may: list[Permission]
    created_at: datetime
    created_by: str
    expires_at: datetime
    last_used_at: datetime | None
    last_used_from: str | None

    @classmethod
    def of(cls, token: ApiToken) -> Self:
        """Describes the token."""
        return cls(
            name=token.name,
            may=sorted(token.permissions),
            created_at=token.created_at,
            created_by=token.created_by,
            expires_at=token.expires_at,
            last_used_at=token.last_used_at,
            last_used_from=token.last_used_from,
        )


class NewToken(BaseModel):
    """A token to create; it is valid for `days`."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=100)]
    may: Annotated[list[Permission], Field(min_length=1)]
    days: Annotated[int, Field(ge=1, le=_MAX_DAYS)] = 365


class CreatedToken(BaseModel):
    """The token itself, which no other answer holds."""

    token: str


def _keeper(settings: SiteSettings, store: SiteStore, user: CurrentUser) -> TokenKeeper:
    return TokenKeeper(
        store,
        user.named(),
        settings.access.token_max_days,
        AuditInterface(user.interface),
        user.address,
    )


Keeper = Annotated[TokenKeeper, Depends(_keeper)]


@ROUTER.get("")
def list_tokens(store: SiteStore) -> list[TokenState]:
    """Returns all tokens by name, expired ones as well."""
    return [TokenState.of(token) for token in store.list_api_tokens()]


@ROUTER.post("", status_code=HTTPStatus.CREATED)
def create_token(request: NewToken, keeper: Keeper, now: Now) -> CreatedToken:
    """Creates a token; one that is not possible ends with 422 and the reason."""
    try:
        valid = timedelta(days=request.days)
        return CreatedToken(token=keeper.create(request.name, frozenset(request.may), valid, now))
    except AccountError as error:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error


@ROUTER.delete("/{name}", status_code=HTTPStatus.NO_CONTENT)
def revoke_token(name: str, keeper: Keeper, now: Now) -> None:
    """Revokes a token; every host refuses it from then on."""
    try:
        keeper.revoke(name, now)
    except AccountError as error:
        raise HTTPException(HTTPStatus.NOT_FOUND, str(error)) from error
